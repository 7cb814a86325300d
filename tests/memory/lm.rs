//! Memory of language models: loading, headers of untrusted files, and the estimates for training.

use std::fs;
use std::path::Path;

use proxmo::device::{Backend, open};
use proxmo::lm::memory::{BatchShape, Memory};
use proxmo::lm::{
    Chat, ChatTemplate, Decoder, FitConfig, Fitter, ModelConfig, ModelFiles, SaveOptions, Sequence,
    StoredType, save_as,
};
use serde_json::json;

use super::{CONSTANT, FACTOR, MIB, alone, peak};

fn config(vocabulary: usize, hidden: usize) -> ModelConfig {
    let config = json!({
        "model_type": "llama", "vocab_size": vocabulary, "hidden_size": hidden,
        "intermediate_size": 3 * hidden, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 512, "tie_word_embeddings": true,
    });
    ModelConfig::parse(&config.to_string()).unwrap()
}

fn flex() -> burn::tensor::Device {
    open(Backend::Flex, 0).unwrap().device
}

#[test]
fn loading_a_model_takes_the_size_of_its_weights_and_little_more() {
    let _alone = alone();
    let config = config(20_000, 256);
    let weights = 4 * config.parameters() as usize;
    for stored in [StoredType::F32, StoredType::Bf16] {
        let folder = tempfile::tempdir().unwrap();
        let model = Decoder::untrained(&config, 1, &flex()).unwrap();
        let options = SaveOptions { stored, ..SaveOptions::default() };
        save_as(&model, folder.path(), None, &options).unwrap();
        drop(model);
        let (model, taken) = peak(|| Decoder::open(folder.path(), &flex()).unwrap());
        println!("{stored:?}: weights of {weights} bytes took {taken}");
        assert!(taken <= weights + 4 * MIB, "{weights} took {taken}");
        drop(model);
        let (files, taken) = peak(|| ModelFiles::open(folder.path()).unwrap());
        println!("{stored:?}: headers took {taken}");
        assert!(taken < MIB / 4 && files.config == config, "{taken}");
    }
}

/// Headers of some mebibytes, made to take as much memory as possible.
fn hungry_headers() -> Vec<(&'static str, Vec<u8>)> {
    let weight = json!({ "dtype": "F32", "shape": [0], "data_offsets": [0, 0] });
    let weights: std::collections::BTreeMap<String, _> =
        (0..MIB / 32).map(|number| (number.to_string(), weight.clone())).collect();
    let header = serde_json::to_vec(&weights).unwrap();
    let safetensors = [&(header.len() as u64).to_le_bytes()[..], &header].concat();
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let start = |weights: u64, entries: u64| {
        let counts = [weights.to_le_bytes(), entries.to_le_bytes()].concat();
        [&b"GGUF"[..], &3u32.to_le_bytes(), &counts].concat()
    };
    // An array of type 9, of elements of a type.
    let array = |kind: u32, values: Vec<u8>| {
        let head = [9u32.to_le_bytes(), kind.to_le_bytes()].concat();
        [start(0, 1), text("all"), head, u64::MAX.to_le_bytes().to_vec(), values].concat()
    };
    let info = |number: usize| {
        let name = text(&number.to_string());
        let (one, two) = (1u32.to_le_bytes(), 1u64.to_le_bytes());
        [&name[..], &one, &two, &0u32.to_le_bytes(), &0u64.to_le_bytes()].concat()
    };
    let infos = (0..MIB / 16).flat_map(info).collect::<Vec<u8>>();
    vec![
        ("model.safetensors", safetensors),
        ("texts.gguf", array(8, vec![0; 4 * MIB])),
        ("bytes.gguf", array(0, vec![0; 4 * MIB])),
        ("floats.gguf", array(6, vec![0; 4 * MIB])),
        ("weights.gguf", [start(u64::MAX, 0), infos].concat()),
    ]
}

#[test]
fn reading_a_header_takes_at_most_the_stated_multiple_of_its_size() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let written = config(100, 32).to_json("float32").to_string();
    fs::write(folder.path().join("config.json"), written).unwrap();
    for (name, bytes) in hungry_headers() {
        let path = folder.path().join(name);
        fs::write(&path, &bytes).unwrap();
        let from: &Path = if name.ends_with("gguf") { &path } else { folder.path() };
        let (model, taken) = peak(|| Decoder::open(from, &flex()).map(drop));
        println!("{name}: {} bytes took {taken}, {model:?}", bytes.len());
        assert!(model.is_err() && taken <= FACTOR * bytes.len() + CONSTANT, "{name} took {taken}");
    }
}

/// What a step takes beside the loaded model, and what is estimated for it.
fn step(batch: BatchShape, recompute: bool) -> (f64, f64) {
    let config = config(512, 128);
    let estimate = Memory::of(&config, batch, 16);
    let full = if recompute { estimate.full_recomputed } else { estimate.full };
    let model = Decoder::untrained(&config, 1, &flex()).unwrap();
    let row = Sequence::whole((0..batch.tokens as u32).collect()).unwrap();
    let rows = vec![&row; batch.rows];
    let ((), taken) = peak(|| {
        let fit = FitConfig { recompute, batch: batch.rows, ..FitConfig::default() };
        let mut fitter = Fitter::new(model, &fit, 2).unwrap();
        fitter.step(&rows).unwrap();
        fitter.step(&rows).unwrap();
    });
    (taken as f64, (full - estimate.weights) as f64)
}

#[test]
fn training_takes_three_quarters_to_one_and_a_half_times_the_estimate() {
    let _alone = alone();
    let mut ratios = Vec::new();
    for (rows, tokens) in [(4, 128), (16, 64), (2, 384)] {
        for recompute in [false, true] {
            let (taken, estimate) = step(BatchShape { rows, tokens }, recompute);
            println!("{rows} × {tokens}, recompute {recompute}: {taken}, estimate {estimate}");
            ratios.push(taken / estimate);
        }
    }
    assert!(ratios.iter().all(|ratio| (0.75..=1.5).contains(ratio)), "{ratios:?}");
}

#[test]
fn training_few_tokens_takes_three_numbers_for_each_parameter_beside_the_weights() {
    let _alone = alone();
    let config = config(20_000, 256);
    let parameters = config.parameters() as usize;
    let largest = config.embedding_parameters() as usize;
    let row = Sequence::whole((0..9).collect()).unwrap();
    for recompute in [false, true] {
        let model = Decoder::untrained(&config, 1, &flex()).unwrap();
        let fit = FitConfig { recompute, batch: 1, ..FitConfig::default() };
        let ((), taken) = peak(|| {
            let mut fitter = Fitter::new(model, &fit, 3).unwrap();
            for _ in 0..3 {
                fitter.step(&[&row]).unwrap();
            }
        });
        println!(
            "recompute {recompute}: {} numbers a parameter and {} of the largest weight",
            taken / parameters / 4,
            (taken as f64 / 4.0 - 3.0 * parameters as f64) / largest as f64
        );
        // Gradient and moments; weights and moments are changed in place.
        assert!(taken <= 4 * (3 * parameters + largest), "{parameters} took {taken}");
    }
}

#[test]
fn values_that_a_template_builds_and_does_not_write_are_bounded() {
    let _alone = alone();
    let kept = "{% set ns = namespace(all=[]) %}{% for i in range(100000) %}";
    let templates = [
        format!("{kept}{{% set ns.all = ns.all + ['x' * 1000000] %}}{{% endfor %}}"),
        format!("{kept}{{% set ns.all = [ns.all, 'x' ~ i ~ 'y' * 5000] %}}{{% endfor %}}"),
        "{% set x = 'x' * 1000000 %}{% set y = x.replace('x', x) %}".into(),
        "{% set x = 'x' * 1000000 %}{% set y = x|replace('x', x) %}".into(),
        "{% set x = 'x' * 1000000 %}{% set y = x.join(range(100000)) %}".into(),
        "{% set x = ['x' * 1000000] * 1000000 %}{% set y = x|join|upper %}".into(),
    ];
    for template in templates {
        let parsed = ChatTemplate::parse(&template).unwrap();
        let chat = Chat::new([("user", "hello")]);
        let (rendered, taken) = peak(|| parsed.render(&chat, &Default::default()));
        println!("{template} took {taken}: {rendered:?}");
        assert!(rendered.is_err() && taken < 256 * MIB, "{template} took {taken}: {rendered:?}");
    }
}
