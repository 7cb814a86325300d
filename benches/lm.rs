//! Language models: prefill, training and decoding. Run with `cargo bench --bench lm`, and
//! `benches/lm_compare.py` to compare with PyTorch.
//!
//! Weights are random: time does not depend on them.

#![allow(missing_docs, reason = "criterion's macros write functions without them")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group};
use proxmo::device::{Backend, open, read};
use proxmo::lm::{
    Cache, Decoder, FitConfig, Fitter, LoraConfig, ModelConfig, RowId, Sequence, score,
};
use serde_json::{Value, json};

/// That of the command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The shape of SmolLM2-135M.
fn smollm2() -> Value {
    json!({
        "vocab_size": 49_152, "hidden_size": 576, "intermediate_size": 1536,
        "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
    })
}

/// An agent of 3.4 million weights.
fn small() -> Value {
    json!({
        "vocab_size": 1024, "hidden_size": 256, "intermediate_size": 768,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
    })
}

fn model(mut shape: Value) -> Decoder {
    shape["model_type"] = json!("llama");
    shape["max_position_embeddings"] = json!(4096);
    shape["tie_word_embeddings"] = json!(true);
    let config = ModelConfig::parse(&shape.to_string()).expect("the shape is valid");
    let device = open(Backend::Flex, 0).expect("the CPU is always there").device;
    Decoder::untrained(&config, 0, &device).expect("the shape is valid")
}

/// Arbitrary tokens.
fn tokens(count: usize, model: &Decoder, seed: usize) -> Vec<u32> {
    let vocabulary = model.config().vocabulary;
    (0..count).map(|at| ((at * 7919 + seed * 104_729 + 13) % vocabulary) as u32).collect()
}

/// Sequences of `context` tokens each.
fn filled(model: &Decoder, [batch, context]: [usize; 2]) -> (Cache, Vec<RowId>) {
    let device = open(Backend::Flex, 0).expect("the CPU is always there").device;
    let mut cache = Cache::new(model.config(), &device);
    let rows: Vec<RowId> = (0..batch).map(|_| cache.add()).collect();
    for (seed, &row) in rows.iter().enumerate() {
        let ids = tokens(context, model, seed);
        model.extend(&mut cache, &[(row, &ids)]).expect("the context is longer");
    }
    (cache, rows)
}

/// One token a sequence, its logits on the host, after `context` to `context + 32` tokens of each.
fn decode(group: &mut BenchmarkGroup<WallTime>, name: &str, of: fn() -> Value, shape: [usize; 2]) {
    const STEPS: u64 = 32;
    let [batch, context] = shape;
    group.throughput(Throughput::Elements(batch as u64));
    group.bench_function(format!("{name} {batch}x{context}"), |bencher| {
        let model = &model(of());
        bencher.iter_custom(|steps| {
            let mut spent = Duration::ZERO;
            for first in (0..steps).step_by(STEPS as usize) {
                let (mut cache, rows) = filled(model, shape);
                let start = Instant::now();
                for step in first..steps.min(first + STEPS) {
                    let ids = tokens(batch, model, step as usize);
                    let new: Vec<(RowId, &[u32])> =
                        rows.iter().copied().zip(ids.chunks(1)).collect();
                    let hidden = model.extend(&mut cache, &new).expect("the context is longer");
                    black_box(read(model.logits(hidden)).expect("the CPU can be read"));
                }
                spent += start.elapsed();
            }
            spent
        });
    });
}

/// Log-probabilities of all tokens of a batch.
fn prefill(
    group: &mut BenchmarkGroup<WallTime>,
    name: &str,
    of: fn() -> Value,
    [batch, length]: [usize; 2],
) {
    group.throughput(Throughput::Elements((batch * length) as u64));
    group.bench_function(format!("{name} {batch}x{length}"), |bencher| {
        let model = model(of());
        let ids: Vec<Vec<u32>> = (0..batch).map(|row| tokens(length, &model, row)).collect();
        let rows: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        bencher.iter(|| black_box(score(&model, &rows, false).expect("the rows are short")));
    });
}

/// A step of AdamW on a batch: `full` of all weights, `LoRA` of an adapter of rank 16, and with `recompute`
/// layers are computed again in the backward pass.
fn train(
    group: &mut BenchmarkGroup<WallTime>,
    name: &str,
    of: fn() -> Value,
    [batch, length]: [usize; 2],
    options: &str,
) {
    group.throughput(Throughput::Elements((batch * length) as u64));
    group.bench_function(format!("{name} {options} {batch}x{length}"), |bencher| {
        let model = model(of());
        let sequence = |row| Sequence::whole(tokens(length + 1, &model, row));
        let sequences: Result<Vec<Sequence>, _> = (0..batch).map(sequence).collect();
        let sequences = sequences.expect("the sequences are valid");
        let model = match options.contains("LoRA") {
            true => model.with_lora(
                &LoraConfig { rank: 16, targets: "all-linear".into(), ..Default::default() },
                0,
            ),
            false => Ok(model),
        };
        let recompute = options.contains("recompute");
        let config = FitConfig { batch, recompute, ..Default::default() };
        let mut fitter = Fitter::new(model.expect("the rank is valid"), &config, 1_000_000)
            .expect("the settings are valid");
        let rows: Vec<&Sequence> = sequences.iter().collect();
        bencher.iter(|| black_box(fitter.step(&rows).expect("the loss is finite")));
    });
}

fn prefilling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("prefill");
    group.sample_size(10);
    prefill(&mut group, "small", small, [32, 128]);
    prefill(&mut group, "smollm2", smollm2, [1, 512]);
    group.finish();
}

fn training(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("train");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(1));
    train(&mut group, "small", small, [32, 128], "full");
    train(&mut group, "smollm2", smollm2, [4, 256], "LoRA");
    train(&mut group, "smollm2", smollm2, [4, 256], "LoRA recompute");
    train(&mut group, "smollm2", smollm2, [8, 256], "full");
    group.finish();
}

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.sample_size(10);
    decode(&mut group, "small", small, [1, 128]);
    decode(&mut group, "small", small, [128, 128]);
    decode(&mut group, "small", small, [128, 512]);
    decode(&mut group, "smollm2", smollm2, [1, 128]);
    decode(&mut group, "smollm2", smollm2, [8, 128]);
    decode(&mut group, "smollm2", smollm2, [32, 128]);
    group.finish();
}

criterion_group!(benches, prefilling, training, decoding);

fn main() {
    proxmo_mimalloc_pages::keep_pages();
    benches();
    Criterion::default().configure_from_args().final_summary();
}
