//! What runs leave in their folders, and comparisons of it.

use std::fs;
use std::path::Path;

use proxmo::train::{IterationMetrics, read_metrics};
use safetensors::SafeTensors;

/// The metrics of a run as they are.
pub fn all_metrics(run: &Path) -> Vec<IterationMetrics> {
    let text = fs::read(run.join("metrics.jsonl")).unwrap();
    read_metrics(&mut text.as_slice(), "metrics.jsonl").unwrap()
}

/// The metrics of a run without times and the traffic of its ranks.
pub fn metrics(run: &Path) -> Vec<IterationMetrics> {
    let mut lines = all_metrics(run);
    for line in &mut lines {
        (line.seconds, line.ranks) = Default::default();
    }
    lines
}

/// The files of a checkpoint, without the time that the run took.
fn content(run: &Path, iteration: u64) -> Vec<(&'static str, Vec<u8>)> {
    let folder = run.join(format!("checkpoints/{iteration:06}"));
    let names = ["weights.safetensors", "optimizer.bpk", "policy.json", "reference.safetensors"];
    let read = |name: &'static str| Some((name, fs::read(folder.join(name)).ok()?));
    let mut all: Vec<_> = names.into_iter().filter_map(read).collect();
    let state = fs::read(folder.join("state.json")).unwrap();
    let mut state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    state.as_object_mut().unwrap().remove("elapsed").unwrap();
    all.push(("state.json", state.to_string().into_bytes()));
    all
}

/// The runs have the same metrics except times, and the same last checkpoint.
#[track_caller]
pub fn assert_same(one: &Path, other: &Path) {
    let (first, second) = (metrics(one), metrics(other));
    for (one, other) in first.iter().zip(&second) {
        assert_eq!(one, other);
    }
    assert_eq!(first.len(), second.len());
    let last = first.last().unwrap().iteration;
    let (first, second) = (content(one, last), content(other, last));
    for ((name, one), (_, other)) in first.iter().zip(&second) {
        assert!(one == other, "{name} differs");
    }
    assert_eq!(first.len(), second.len());
}

/// The weights of a run's checkpoint.
pub fn weights(run: &Path, iteration: u64) -> Vec<f32> {
    let path = run.join(format!("checkpoints/{iteration:06}/weights.safetensors"));
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut names = file.names();
    names.sort_unstable();
    let bytes = names.into_iter().flat_map(|name| file.tensor(name).unwrap().data());
    let bytes: Vec<u8> = bytes.copied().collect();
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// The largest difference between the weights of two runs.
pub fn distance(one: &Path, other: &Path, iteration: u64) -> f32 {
    let (one, other) = (weights(one, iteration), weights(other, iteration));
    assert_eq!(one.len(), other.len());
    one.iter().zip(&other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}
