//! Language models: caches, sampling, stops and choices.

use std::fs;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use proxmo::device::{Backend, open, read};
use proxmo::lm::{Cache, Decoder, RowId};
use serde_json::Value;

use crate::support::shared::shared;

const MODELS: [&str; 4] = ["llama", "llama3-sharded-bf16", "qwen2", "qwen3"];
const TOLERANCE: f32 = 1e-4;

#[expect(dead_code)]
fn flex() -> Device {
    open(Backend::Flex, 0).unwrap().device
}

fn model(name: &str, device: &Device) -> Option<Decoder> {
    let folder = shared(&format!("lm/models/{name}"))?;
    Some(Decoder::open(&folder, device).unwrap())
}

fn assert_close(found: &[f32], expected: &[f32], subject: &str) {
    assert_eq!(found.len(), expected.len(), "{subject}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= TOLERANCE, "{subject}: {found}, expected {expected}");
    }
}

/// Arbitrary tokens of a vocabulary of 500.
fn tokens(count: usize, seed: u32) -> Vec<u32> {
    (0..count as u32).map(|at| (at * 7919 + seed * 104_729 + 13) % 500).collect()
}

/// Hidden states of sequences that grow together by the given pieces, joined by sequence.
fn grown(
    model: &Decoder,
    device: &Device,
    rows: &[Vec<u32>],
    pieces: &[&[usize]],
) -> Vec<Vec<f32>> {
    let width = model.config().hidden;
    let mut cache = Cache::new(model.config(), device);
    let ids: Vec<RowId> = rows.iter().map(|_| cache.add()).collect();
    let mut hidden = vec![Vec::new(); rows.len()];
    for sizes in pieces {
        let sized =
            rows.iter().zip(&ids).zip(*sizes).enumerate().filter(|(_, (_, size))| **size > 0);
        let new: Vec<(usize, RowId, &[u32])> = sized
            .map(|(index, ((row, &id), &size))| (index, id, &row[cache.tokens(id)..][..size]))
            .collect();
        let batch: Vec<(RowId, &[u32])> = new.iter().map(|&(_, id, ids)| (id, ids)).collect();
        let states = read(model.extend(&mut cache, &batch).unwrap()).unwrap();
        let mut states = states.chunks_exact(width);
        for (index, _, ids) in new {
            (0..ids.len()).for_each(|_| hidden[index].extend(states.next().unwrap()));
        }
    }
    hidden
}

fn caches_agree_on(backend: Backend) {
    let Ok(opened) = open(backend, 0) else {
        println!("SKIPPED: no device for {backend:?}");
        return;
    };
    for name in MODELS {
        let Some(model) = model(name, &opened.device) else { return };
        let rows = [tokens(70, 1), tokens(3, 2), tokens(41, 3)];
        let pieces: [&[usize]; 4] = [&[37, 1, 0], &[1, 1, 20], &[0, 1, 20], &[32, 0, 1]];
        let together = grown(&model, &opened.device, &rows, &pieces);
        for (row, together) in rows.iter().zip(&together) {
            let whole = read(model.hidden(&[row]).unwrap()).unwrap();
            assert_close(together, &whole, name);
        }
    }
}

#[test]
fn sequences_that_grow_in_a_cache_have_the_states_of_whole_sequences_on_the_cpu() {
    caches_agree_on(Backend::Flex);
}

#[cfg(feature = "wgpu")]
#[test]
fn sequences_that_grow_in_a_cache_have_the_states_of_whole_sequences_on_vulkan() {
    caches_agree_on(Backend::Vulkan);
}
