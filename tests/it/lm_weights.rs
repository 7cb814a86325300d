//! Weights in files, and embeddings in parts.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::Tensor;
use proxmo::device::{Backend, Opened, open};
use proxmo::lm::{Decoder, ModelConfig, ModelFiles, save, score};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::json;
use tempfile::TempDir;

/// A model with few parameters.
fn config(tied: bool) -> ModelConfig {
    let config = json!({
        "model_type": "llama", "vocab_size": 101, "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 32, "tie_word_embeddings": tied,
    });
    ModelConfig::parse(&config.to_string()).unwrap()
}

/// A folder with an untrained model of that shape.
fn folder(tied: bool) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    save(&Decoder::untrained(&config(tied), 3, &flex().device).unwrap(), folder.path(), None)
        .unwrap();
    folder
}

fn flex() -> Opened {
    open(Backend::Flex, 0).unwrap()
}

const ROWS: [&[u32]; 3] = [&[5, 6, 7, 100, 0, 34, 33], &[99], &[67, 66, 68, 1, 2, 3, 4]];

/// A limit that holds 34 of the embedding's 101 rows, and every other weight: three parts of 34, 34 and
/// 33 rows.
const SMALL: Option<u64> = Some(34 * 16 * 4);

fn loaded(folder: &Path, opened: &Opened, max_binding: Option<u64>) -> Decoder {
    Decoder::of_files(&ModelFiles::open(folder).unwrap(), &opened.device, max_binding).unwrap()
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    proxmo::device::read(tensor).unwrap()
}

/// Compares a model in one piece with one whose embedding and head are in parts.
fn parts_change_nothing_on(backend: Backend, tolerance: f32) {
    let Ok(opened) = open(backend, 0) else {
        println!("SKIPPED: no device for {backend:?}");
        return;
    };
    for tied in [false, true] {
        let folder = folder(tied);
        let whole = loaded(folder.path(), &opened, None);
        let parts = loaded(folder.path(), &opened, SMALL);
        let count = |model: &Decoder| model.num_params();
        assert_eq!(count(&whole), count(&parts));
        let (one, other) =
            (score(&whole, &ROWS, true).unwrap(), score(&parts, &ROWS, true).unwrap());
        let close = |one: &[f32], other: &[f32]| {
            assert_eq!(one.len(), other.len());
            let far = one.iter().zip(other).find(|(a, b)| (*a - *b).abs() > tolerance);
            assert!(far.is_none(), "{far:?}");
        };
        for (one, other) in one.iter().zip(&other) {
            close(&one.log_probs, &other.log_probs);
            close(&one.entropy, &other.entropy);
            close(one.logits_last.as_ref().unwrap(), other.logits_last.as_ref().unwrap());
        }
        let saved = tempfile::tempdir().unwrap();
        save(&parts, saved.path(), None).unwrap();
        let bytes = |folder: &Path| fs::read(folder.join("model.safetensors")).unwrap();
        assert_eq!(bytes(saved.path()), bytes(folder.path()));
    }
}

#[test]
fn a_model_whose_embedding_is_in_parts_scores_the_same_and_saves_one_weight_on_the_cpu() {
    parts_change_nothing_on(Backend::Flex, 1e-5);
}

#[cfg(feature = "wgpu")]
#[test]
fn a_model_whose_embedding_is_in_parts_scores_the_same_and_saves_one_weight_on_vulkan() {
    parts_change_nothing_on(Backend::Vulkan, 1e-5);
}

/// Gradients of every weight by the loss `Σ hidden² + Σ logits²`, tables joined, in the order of modules.
fn gradients(model: &Decoder) -> Vec<f32> {
    use burn::module::{ModuleVisitor, Param};
    struct Reader<'a> {
        gradients: &'a burn::tensor::Gradients,
        found: Vec<f32>,
    }
    impl ModuleVisitor for Reader<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = param.val().grad(self.gradients).expect("every weight has a gradient");
            self.found.extend(numbers(gradient));
        }
    }
    let hidden = model.hidden(&ROWS).unwrap();
    let logits = model.logits(hidden.clone());
    let loss = (hidden.clone() * hidden).sum() + (logits.clone() * logits).sum();
    let gradients = loss.backward();
    let mut reader = Reader { gradients: &gradients, found: Vec::new() };
    model.visit(&mut reader);
    reader.found
}

fn parts_have_the_gradients_of_the_whole_on(backend: Backend) {
    let Ok(mut opened) = open(backend, 0) else {
        println!("SKIPPED: no device for {backend:?}");
        return;
    };
    opened.device = opened.device.autodiff();
    for tied in [false, true] {
        let folder = folder(tied);
        let whole = gradients(&loaded(folder.path(), &opened, None));
        let parts = gradients(&loaded(folder.path(), &opened, SMALL));
        assert_eq!(whole.len(), parts.len());
        let largest = whole.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        let far = whole.iter().zip(&parts).find(|(a, b)| (*a - *b).abs() > 1e-5 * largest);
        assert!(far.is_none() && largest > 0.0, "{far:?}, largest {largest}");
    }
}

#[test]
fn an_embedding_in_parts_has_the_gradients_of_the_whole_on_the_cpu() {
    parts_have_the_gradients_of_the_whole_on(Backend::Flex);
}

#[cfg(feature = "wgpu")]
#[test]
fn an_embedding_in_parts_has_the_gradients_of_the_whole_on_vulkan() {
    parts_have_the_gradients_of_the_whole_on(Backend::Vulkan);
}

#[test]
fn a_weight_beyond_the_largest_binding_is_refused_before_anything_is_read() {
    let folder = folder(false);
    let files = ModelFiles::open(folder.path()).unwrap();
    for (limit, says) in [
        (16 * 16 * 4 - 1, "weight 'model.layers.0.self_attn.q_proj.weight' takes 1 MiB"),
        (63, "weight 'lm_head.weight' takes 1 MiB, and the device binds at most 1 MiB at once"),
    ] {
        let error = Decoder::of_files(&files, &flex().device, Some(limit)).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}

#[test]
fn a_model_beyond_the_memory_of_the_machine_is_refused_before_anything_is_allocated() {
    let huge = ModelConfig { hidden: 1 << 16, intermediate: 1 << 18, layers: 64, ..config(true) };
    let error = Decoder::untrained(&huge, 0, &flex().device).unwrap_err();
    assert!(error.to_string().contains("TiB as 32-bit floats, and "), "{error}");
    assert_eq!(error.exit_code(), 2);
}

/// The error of a folder's model. Every such error is one of the input, and one line.
fn refusal(folder: &Path) -> String {
    let error = Decoder::open(folder, &flex().device).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    assert!(!error.to_string().contains('\n'));
    error.to_string()
}

/// Writes a safetensors file of zeros.
fn write(path: &Path, weights: &[(&str, Dtype, Vec<usize>)]) {
    let zeros = vec![0; 1 << 16];
    let view = |(name, dtype, shape): &(&str, Dtype, Vec<usize>)| {
        let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (name.to_string(), TensorView::new(*dtype, shape.clone(), &zeros[..bytes]).unwrap())
    };
    let bytes = serialize(weights.iter().map(view), None::<HashMap<_, _>>).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn an_index_that_does_not_fit_its_shards_is_refused_with_the_weight() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("config.json"), config(true).to_json("float32").to_string()).unwrap();
    let norm = ("model.norm.weight", Dtype::F32, vec![16]);
    let table = ("model.embed_tokens.weight", Dtype::F32, vec![101, 16]);
    let index = |map: serde_json::Value| {
        let index = json!({ "weight_map": map });
        fs::write(at("model.safetensors.index.json"), index.to_string()).unwrap();
    };
    write(&at("a.safetensors"), std::slice::from_ref(&norm));
    write(&at("b.safetensors"), std::slice::from_ref(&table));

    index(json!({ norm.0: "a.safetensors", table.0: "c.safetensors" }));
    assert!(refusal(folder.path()).contains("index.json: shard 'c.safetensors' does not exist"));
    index(json!({ norm.0: "b.safetensors", table.0: "b.safetensors" }));
    let message = refusal(folder.path());
    assert!(message.contains("'model.norm.weight' is not in shard 'b.safetensors'"), "{message}");
    index(json!({ table.0: "../b.safetensors" }));
    assert!(refusal(folder.path()).contains("'../b.safetensors' is not a file name"));
    index(json!({ norm.0: "a.safetensors" }));
    let message = refusal(folder.path());
    assert!(message.contains("index.json: weight 'model.embed_tokens.weight' is missing"));
    write(&at("b.safetensors"), &[table.clone(), norm.clone()]);
    index(json!({ norm.0: "a.safetensors", table.0: "b.safetensors" }));
    let message = refusal(folder.path());
    assert!(message.contains("safetensors: weight 'model.norm.weight' is in "), "{message}");
    fs::write(at("model.safetensors.index.json"), "{\"weight_map\": 3}").unwrap();
    assert!(refusal(folder.path()).contains("model.safetensors.index.json: invalid type"));
}

#[test]
fn a_safetensors_header_that_does_not_fit_its_file_is_refused() {
    let folder = folder(true);
    let path = folder.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    let size = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let header = |header: &str, data: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    };
    let two = |first: [usize; 2], second: [usize; 2]| {
        json!({
            "a": {"dtype": "F32", "shape": [2], "data_offsets": first},
            "b": {"dtype": "F32", "shape": [2], "data_offsets": second},
        })
        .to_string()
    };
    let text = std::str::from_utf8(&whole[8..8 + size]).unwrap().to_string();
    for (bytes, says) in [
        (vec![], "is of 0 bytes, expected a safetensors file"),
        (whole[..8 + size / 2].to_vec(), "it is truncated"),
        (whole[..whole.len() - 1].to_vec(), "bytes of weights, but its header lists"),
        ([&u64::MAX.to_le_bytes()[..], &whole[8..]].concat(), "expected at most 16777216"),
        (header("{", 0), "invalid header: "),
        (header(&two([0, 8], [4, 12]), 12), "invalid header: "),
        (header(&two([0, 8], [1 << 40, (1 << 40) + 8]), 16), "invalid header: "),
        (header(&two([0, 8], [8, 16]), 8), "holds 8 bytes of weights, but its header lists 16"),
        (header(&text.replace("\"F32\"", "\"I32\""), whole.len() - 8 - size), "is of type I32"),
    ] {
        fs::write(&path, bytes).unwrap();
        let message = refusal(folder.path());
        assert!(message.contains(says), "{message} does not contain {says}");
    }
}
