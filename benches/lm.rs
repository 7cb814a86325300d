//! Language models: decoding. Run with `cargo bench --bench lm`.
//!
//! Weights are random: time does not depend on them.

#![allow(missing_docs, reason = "criterion's macros write functions without them")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use proxmo::device::{Backend, open, read};
use proxmo::lm::{Cache, Decoder, ModelConfig, RowId};
use serde_json::{Value, json};

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
fn decode(group: &mut BenchmarkGroup<WallTime>, name: &str, model: &Decoder, shape: [usize; 2]) {
    const STEPS: u64 = 32;
    let [batch, context] = shape;
    group.throughput(Throughput::Elements(batch as u64));
    group.bench_function(format!("{name} {batch}x{context}"), |bencher| {
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

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.sample_size(10);
    let (small, smollm2) = (model(small()), model(smollm2()));
    decode(&mut group, "small", &small, [1, 128]);
    decode(&mut group, "small", &small, [128, 128]);
    decode(&mut group, "small", &small, [128, 512]);
    decode(&mut group, "smollm2", &smollm2, [1, 128]);
    decode(&mut group, "smollm2", &smollm2, [32, 128]);
    group.finish();
}

criterion_group!(benches, decoding);
criterion_main!(benches);
