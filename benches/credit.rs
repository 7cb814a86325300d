//! Time of credit assignment by rows, groups, vocabulary and duplication.
//!
//! `cargo bench --bench credit`; `benches/credit_numpy.py` times the same computation in NumPy and
//! scikit-learn on batches of the same shape.

#![allow(missing_docs, reason = "criterion's macro makes a public function")]

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use proxmo::credit::{CreditConfig, Embedding, Estimator, Inclusion, Temperature, assign};
use proxmo::embed::{hashed, tfidf};
use proxmo::episodes::{Batch, Episode, Step, Values};
use proxmo::stream::{Purpose, Stream};
use rand::Rng;
use rand::seq::IndexedRandom;

/// The size of a batch and the distribution of its texts.
#[derive(Debug, Clone, Copy)]
struct Shape {
    groups: usize,
    steps: usize,
    /// The number of kinds of things in texts.
    vocabulary: usize,
    /// The probability that an observation is an earlier one of the group.
    repeated: f64,
}

/// An iteration on a household game as in the paper: 16 groups of 8 episodes of 50 steps.
const PAPER: Shape = Shape { groups: 16, steps: 50, vocabulary: 100, repeated: 0.5 };

const EPISODES: usize = 8;

/// Random episodes of a shape.
fn batch(shape: Shape) -> Batch {
    let mut rng = Stream::new(1, Purpose::Generator).rng();
    let things: Vec<String> = (0..shape.vocabulary).map(|n| format!("thing{n}")).collect();
    let mut builder = Batch::builder();
    for _ in 0..shape.groups {
        let mut texts: Vec<String> = Vec::new();
        let mut observe = || {
            if texts.is_empty() || !rng.random_bool(shape.repeated) {
                texts.push(sentence(&things, &mut rng));
                return texts[texts.len() - 1].clone();
            }
            texts[rng.random_range(0..texts.len())].clone()
        };
        builder.push_group((0..EPISODES).map(|number| {
            let won = number.is_multiple_of(2);
            let reward = |step: usize| if won && step == shape.steps { 1.0 } else { 0.0 };
            let steps: Vec<Step> =
                (1..=shape.steps).map(|step| Step::new(observe(), reward(step))).collect();
            Episode::new().steps(steps).success(won).final_observation(observe())
        }));
    }
    let batch = builder.build().expect("the episodes are valid");
    let values = Values { states: vec![0.5; batch.rows()], ends: vec![0.0; batch.episodes()] };
    batch.with_values(values).expect("every state has a value")
}

/// A place and up to eight things in it.
fn sentence(things: &[String], rng: &mut impl Rng) -> String {
    let thing = |rng: &mut dyn rand::RngCore| {
        let kind = things.choose(rng).map_or("", String::as_str);
        format!("{kind} {}", rng.random_range(1..6))
    };
    let mut text = format!("You come to the {}. On it there is", thing(rng));
    for _ in 0..rng.random_range(0..8) {
        text.push_str(&format!(" a {},", thing(rng)));
    }
    text + " and nothing else."
}

fn time(group: &mut BenchmarkGroup<WallTime>, name: &str, shape: Shape, config: &CreditConfig) {
    let batch = batch(shape);
    group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
        bencher.iter(|| assign(black_box(&batch), config));
    });
}

fn estimators(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("estimator");
    for &estimator in Estimator::ALL {
        time(&mut group, estimator.name(), PAPER, &CreditConfig::of(estimator));
    }
    let similar = CreditConfig { similarity: Some(0.9), ..CreditConfig::of(Estimator::Gigpo) };
    time(&mut group, "gigpo, similarity 0.9", PAPER, &similar);
}

fn proxmo(criterion: &mut Criterion) {
    let paper = CreditConfig::default();
    let mut group = criterion.benchmark_group("proxmo");
    for (name, config) in [
        ("hashed", CreditConfig { embedding: Embedding::Hashed, ..paper.clone() }),
        ("auto temperature", CreditConfig { temperature: Temperature::Auto, ..paper.clone() }),
        ("other episodes", CreditConfig { same_episode: Inclusion::Exclude, ..paper.clone() }),
    ] {
        time(&mut group, name, PAPER, &config);
    }
    for steps in [12, 25, 50, 100] {
        let shape = Shape { steps, ..PAPER };
        time(&mut group, &format!("{} rows", shape.groups * EPISODES * steps), shape, &paper);
    }
    for groups in [4, 16, 64] {
        let shape = Shape { groups, steps: 6400 / EPISODES / groups, ..PAPER };
        time(&mut group, &format!("{groups} groups of 6400 rows"), shape, &paper);
    }
    for vocabulary in [20, 100, 500, 2500] {
        let shape = Shape { vocabulary, ..PAPER };
        time(&mut group, &format!("{vocabulary} things"), shape, &paper);
    }
    for repeated in [0.0, 0.5, 0.9] {
        let shape = Shape { repeated, ..PAPER };
        time(&mut group, &format!("{repeated} repeated"), shape, &paper);
    }
}

fn embeddings(criterion: &mut Criterion) {
    let batch = batch(PAPER);
    let texts = batch.texts();
    let copies = vec![1; texts.len()];
    let mut group = criterion.benchmark_group("embedding");
    group.bench_function("tfidf", |b| b.iter(|| tfidf(black_box(texts), &copies, 1024)));
    group.bench_function("hashed", |b| b.iter(|| hashed(black_box(texts), 8192)));
}

criterion_group!(benches, estimators, proxmo, embeddings);
criterion_main!(benches);
