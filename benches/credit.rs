//! How long credit assignment takes, over rows, groups, vocabulary and duplication.
//!
//! `cargo bench --bench credit`; `benches/credit_numpy.py` times the same computation in NumPy and
//! scikit-learn on batches of the same shape.

#![allow(missing_docs, reason = "criterion's macro makes a public function")]

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use proxmo::credit::{
    CreditBatch, CreditConfig, Embedding, Estimator, Inclusion, Temperature, assign,
};
use proxmo::embed::{hashed, tfidf};
use proxmo::stream::{Purpose, Stream};
use rand::Rng;
use rand::seq::IndexedRandom;

/// How large a batch is, and what its texts are like.
#[derive(Debug, Clone, Copy)]
struct Shape {
    groups: usize,
    steps: usize,
    /// How many kinds of things texts speak of.
    vocabulary: usize,
    /// The chance that an observation was met before in the group.
    repeated: f64,
}

/// An iteration on a household game as in the paper: 16 groups of 8 episodes of 50 steps.
const PAPER: Shape = Shape { groups: 16, steps: 50, vocabulary: 100, repeated: 0.5 };

const EPISODES: usize = 8;

/// The arrays behind a batch.
#[derive(Default)]
struct Rows {
    group_offsets: Vec<usize>,
    episode_offsets: Vec<usize>,
    rewards: Vec<f32>,
    success: Vec<bool>,
    valid: Vec<bool>,
    observations: Vec<u32>,
    last: Vec<u32>,
    texts: Vec<String>,
}

impl Rows {
    fn of(shape: Shape) -> Self {
        let mut rng = Stream::new(1, Purpose::Generator).rng();
        let things: Vec<String> = (0..shape.vocabulary).map(|n| format!("thing{n}")).collect();
        let mut rows = Self { group_offsets: vec![0], episode_offsets: vec![0], ..Self::default() };
        for _ in 0..shape.groups {
            let first = rows.texts.len();
            for _ in 0..EPISODES {
                rows.episode(shape.steps, |texts| {
                    if texts.len() == first || !rng.random_bool(shape.repeated) {
                        texts.push(sentence(&things, &mut rng));
                        return texts.len() - 1;
                    }
                    rng.random_range(first..texts.len())
                });
            }
            rows.group_offsets.push(rows.success.len());
        }
        rows
    }

    fn episode(&mut self, steps: usize, mut observe: impl FnMut(&mut Vec<String>) -> usize) {
        let won = self.success.len().is_multiple_of(2);
        for step in 1..=steps {
            self.observations.push(observe(&mut self.texts) as u32);
            self.rewards.push(if won && step == steps { 1.0 } else { 0.0 });
            self.valid.push(true);
        }
        self.success.push(won);
        self.last.push(observe(&mut self.texts) as u32);
        self.episode_offsets.push(self.rewards.len());
    }

    fn texts(&self) -> Vec<&str> {
        self.texts.iter().map(String::as_str).collect()
    }

    fn batch<'a>(&'a self, texts: &'a [&'a str]) -> CreditBatch<'a> {
        CreditBatch {
            group_offsets: &self.group_offsets,
            episode_offsets: &self.episode_offsets,
            rewards: &self.rewards,
            success: &self.success,
            valid: &self.valid,
            observations: &self.observations,
            texts,
            final_observations: Some(&self.last),
            embeddings: None,
        }
    }
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
    let rows = Rows::of(shape);
    let texts = rows.texts();
    group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
        bencher.iter(|| assign(black_box(&rows.batch(&texts)), config));
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
    let rows = Rows::of(PAPER);
    let texts = rows.texts();
    let copies = vec![1; texts.len()];
    let mut group = criterion.benchmark_group("embedding");
    group.bench_function("tfidf", |b| b.iter(|| tfidf(black_box(&texts), &copies, 1024)));
    group.bench_function("hashed", |b| b.iter(|| hashed(black_box(&texts), 8192)));
}

criterion_group!(benches, estimators, proxmo, embeddings);
criterion_main!(benches);
