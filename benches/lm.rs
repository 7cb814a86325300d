//! Language models: prefill, training and decoding. Run with `cargo bench --bench lm`.
//!
//! Weights are random: time does not depend on them. `PROXMO_LM_CASE=NAME` runs one case alone and
//! prints its time and memory; `benches/lm_compare.py` sets it.

#![allow(missing_docs, reason = "criterion's macros write functions without them")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group};
use proxmo::device::{Backend, open, read};
use proxmo::lm::{Cache, Decoder, FitConfig, Fitter, LoraConfig, ModelConfig, RowId, Sequence};
use serde_json::{Value, json};

/// As in the program.
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

/// One task that is timed.
#[derive(Clone, Copy)]
enum Work {
    /// Hidden states of some rows of tokens, and the logits of each row's last token.
    Prefill([usize; 2]),
    /// A step of fitting to some rows of tokens, with an adapter of a rank, or 0 for all weights.
    Train([usize; 2], usize),
    /// One token more for some sequences that have a number of tokens.
    Decode([usize; 2]),
}

/// The cases by name.
const CASES: [(&str, fn() -> Value, Work); 10] = [
    ("smollm2 prefill 1x512", smollm2, Work::Prefill([1, 512])),
    ("smollm2 train 8x256", smollm2, Work::Train([8, 256], 0)),
    ("smollm2 lora 4x256", smollm2, Work::Train([4, 256], 16)),
    ("smollm2 decode 1x128", smollm2, Work::Decode([1, 128])),
    ("smollm2 decode 32x128", smollm2, Work::Decode([32, 128])),
    ("small prefill 32x128", small, Work::Prefill([32, 128])),
    ("small train 32x128", small, Work::Train([32, 128], 0)),
    ("small decode 1x128", small, Work::Decode([1, 128])),
    ("small decode 128x128", small, Work::Decode([128, 128])),
    ("small decode 128x512", small, Work::Decode([128, 512])),
];

fn model(mut shape: Value, is_trained: bool) -> Decoder {
    shape["model_type"] = json!("llama");
    shape["max_position_embeddings"] = json!(4096);
    shape["tie_word_embeddings"] = json!(true);
    let config = ModelConfig::parse(&shape.to_string()).expect("the shape is valid");
    let device = open(Backend::Flex, 0).expect("the CPU is always there").device;
    let device = if is_trained { device.autodiff() } else { device };
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

/// Appends one token to each sequence and reads their logits.
fn append(model: &Decoder, cache: &mut Cache, rows: &[RowId], step: usize) {
    let ids = tokens(rows.len(), model, step);
    let new: Vec<(RowId, &[u32])> = rows.iter().copied().zip(ids.chunks(1)).collect();
    let hidden = model.extend(cache, &new).expect("the context is longer");
    black_box(read(model.logits(hidden)).expect("the CPU can be read"));
}

/// Prefill or training, once a call.
fn whole(shape: fn() -> Value, work: Work) -> Box<dyn FnMut()> {
    match work {
        Work::Prefill([rows, length]) => {
            let model = model(shape(), false);
            let all: Vec<Vec<u32>> = (0..rows).map(|row| tokens(length, &model, row)).collect();
            Box::new(move || {
                let all: Vec<&[u32]> = all.iter().map(Vec::as_slice).collect();
                let hidden = model.hidden(&all).expect("the context is longer");
                let width = hidden.dims()[1];
                let last = hidden.reshape([rows, length, width]).narrow(1, length - 1, 1);
                let logits = model.logits(last.reshape([rows, width]));
                black_box(read(logits).expect("the CPU can be read"));
            })
        }
        Work::Train([rows, length], rank) => {
            let mut model = model(shape(), true);
            let all: Vec<Sequence> = (0..rows)
                .map(|row| Sequence::whole(tokens(length + 1, &model, row)).expect("it is long"))
                .collect();
            if rank > 0 {
                let lora = LoraConfig { rank, ..LoraConfig::default() };
                model = model.with_lora(&lora, 0).expect("the targets are known");
            }
            let mut fitter =
                Fitter::new(model, &FitConfig::default(), 1000).expect("the settings are valid");
            Box::new(move || {
                let all: Vec<&Sequence> = all.iter().collect();
                black_box(fitter.step(&all).expect("the loss is finite"));
            })
        }
        Work::Decode(_) => unreachable!("decoding has a cache that grows"),
    }
}

/// One token a sequence, its logits on the host, after `context` to `context + 32` tokens of each.
fn decode(group: &mut BenchmarkGroup<WallTime>, name: &str, model: &Decoder, shape: [usize; 2]) {
    const STEPS: u64 = 32;
    let batch = shape[0];
    group.throughput(Throughput::Elements(batch as u64));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|steps| {
            let mut spent = Duration::ZERO;
            for first in (0..steps).step_by(STEPS as usize) {
                let (mut cache, rows) = filled(model, shape);
                let start = Instant::now();
                for step in first..steps.min(first + STEPS) {
                    append(model, &mut cache, &rows, step as usize);
                }
                spent += start.elapsed();
            }
            spent
        });
    });
}

fn all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lm");
    group.sample_size(10);
    for (name, shape, work) in CASES {
        match work {
            Work::Decode(sizes) => decode(&mut group, name, &model(shape(), false), sizes),
            Work::Prefill(sizes) | Work::Train(sizes, _) => {
                group.throughput(Throughput::Elements((sizes[0] * sizes[1]) as u64));
                let mut call = whole(shape, work);
                group.bench_function(name, |bencher| bencher.iter(&mut call));
            }
        }
    }
    group.finish();
}

/// Seconds that the process spent on CPUs, where the system tells.
fn cpu_seconds() -> Option<f64> {
    let line = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name in parentheses; times are in hundredths of a second.
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    let time = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((time(11)? + time(12)?) / 100.0)
}

/// Runs a case for some seconds, after a call that is not timed, and prints one line of JSON.
fn run_alone(name: &str) {
    let case = CASES.iter().find(|case| case.0 == name).expect("the case is one of CASES");
    let (_, shape, work) = *case;
    let (mut call, tokens): (Box<dyn FnMut()>, usize) = match work {
        Work::Decode(sizes) => {
            let model = model(shape(), false);
            let (mut cache, rows) = filled(&model, sizes);
            let mut step = 0;
            let call = move || {
                append(&model, &mut cache, &rows, step);
                step += 1;
            };
            (Box::new(call), sizes[0])
        }
        Work::Prefill([rows, length]) | Work::Train([rows, length], _) => {
            (whole(shape, work), rows * length)
        }
    };
    call();
    let (start, spent) = (Instant::now(), cpu_seconds());
    let mut calls = 0;
    while calls < 3 || (start.elapsed().as_secs_f64() < 5.0 && calls < 64) {
        call();
        calls += 1;
    }
    let done = (calls * tokens) as f64;
    let cpu = cpu_seconds().zip(spent).map(|(now, then)| done / (now - then));
    let wall = done / start.elapsed().as_secs_f64();
    println!("{}", json!({ "case": name, "wall": wall, "cpu": cpu }));
}

criterion_group!(benches, all);

fn main() {
    proxmo_mimalloc_pages::keep_pages();
    match std::env::var("PROXMO_LM_CASE") {
        Ok(name) => run_alone(&name),
        Err(_) => {
            benches();
            Criterion::default().configure_from_args().final_summary();
        }
    }
}
