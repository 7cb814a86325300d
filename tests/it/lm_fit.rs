//! Fitting language models: agreement with PyTorch, adapters, recomputation, accumulation.

use std::fs;
use std::path::Path;

use crate::support::shared::shared;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use proxmo::device::{Backend, open, read};
use proxmo::lm::{
    Decoder, FitConfig, FitStep, Fitter, LoraConfig, SaveOptions, Sequence, StoredType,
    save_adapter, save_as, score,
};
use proxmo::train::Schedule;
use serde_json::Value;

const MODELS: [&str; 4] = ["llama", "llama3-sharded-bf16", "qwen2", "qwen3"];

fn reference(folder: &Path) -> Value {
    let file = fs::File::open(folder.join("reference.json.xz")).unwrap();
    serde_json::from_reader(liblzma::read::XzDecoder::new(file)).unwrap()
}

fn numbers<T>(value: &Value, of: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap().iter().map(of).collect()
}

/// The sequences, losses and gradient norms of a reference model's training.
fn training(folder: &Path) -> (Vec<Sequence>, Vec<f64>, Vec<f64>) {
    let training = reference(folder)["training"].take();
    let ids = numbers(&training["ids"], |row| numbers(row, |id| id.as_u64().unwrap() as u32));
    let masks = numbers(&training["mask"], |row| numbers(row, |one| one.as_u64() == Some(1)));
    let sequences = ids.into_iter().zip(masks).map(|(ids, mask)| Sequence::new(ids, mask).unwrap());
    let floats = |name: &str| numbers(&training[name], |value| value.as_f64().unwrap());
    (sequences.collect(), floats("losses"), floats("gradient_norms"))
}

/// The settings of the reference trainings.
fn settings() -> FitConfig {
    FitConfig {
        batch: 3,
        learning_rate: 3e-3,
        weight_decay: 0.01,
        schedule: Schedule::Constant,
        max_gradient_norm: 0.0,
        shuffle: false,
        ..FitConfig::default()
    }
}

fn device(backend: Backend) -> Option<Device> {
    match open(backend, 0) {
        Ok(opened) => Some(opened.device.autodiff()),
        Err(_) => {
            println!("SKIPPED: no device for {backend:?}");
            None
        }
    }
}

fn flex() -> Device {
    open(Backend::Flex, 0).unwrap().device.autodiff()
}

/// Fits a model for some steps with all sequences in each.
fn fitted(
    model: Decoder,
    config: &FitConfig,
    sequences: &[Sequence],
    steps: u64,
) -> (Decoder, Vec<FitStep>) {
    let mut fitter = Fitter::new(model, config, steps).unwrap();
    let batch: Vec<&Sequence> = sequences.iter().collect();
    let all = (0..steps).map(|_| fitter.step(&batch).unwrap()).collect();
    (fitter.model(), all)
}

fn agrees_on(backend: Backend) {
    let Some(models) = shared("lm/models") else { return };
    let Some(device) = device(backend) else { return };
    for name in MODELS {
        let folder = models.join(name);
        let (sequences, losses, norms) = training(&folder);
        for recompute in [false, true] {
            let model = Decoder::open(&folder, &device).unwrap();
            let config = FitConfig { recompute, ..settings() };
            let (_, steps) = fitted(model, &config, &sequences, 5);
            for ((step, loss), norm) in steps.iter().zip(&losses).zip(&norms) {
                let close = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-3;
                assert!(close(step.loss, *loss), "{name}: {step:?}, expected the loss {loss}");
                assert!(
                    close(step.gradient_norm, *norm),
                    "{name}: {step:?}, expected the norm {norm}"
                );
            }
        }
    }
}

#[test]
fn five_steps_of_adamw_give_the_losses_and_gradient_norms_of_pytorch_on_the_cpu() {
    agrees_on(Backend::Flex);
}

#[cfg(feature = "wgpu")]
#[test]
fn five_steps_of_adamw_give_the_losses_and_gradient_norms_of_pytorch_on_vulkan() {
    agrees_on(Backend::Vulkan);
}

/// All weights of a model with their names.
fn weights(model: &Decoder) -> Vec<(String, Vec<f32>)> {
    struct Visitor(Vec<String>, Vec<(String, Vec<f32>)>);
    impl ModuleVisitor for Visitor {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.push(name.to_string());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.push((self.0.join("."), read(param.val()).unwrap()));
        }
    }
    let mut visitor = Visitor(Vec::new(), Vec::new());
    model.visit(&mut visitor);
    visitor.1
}

fn largest_difference(a: &Decoder, b: &Decoder) -> f32 {
    let pairs = weights(a).into_iter().zip(weights(b));
    pairs
        .flat_map(|(a, b)| a.1.into_iter().zip(b.1))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

fn lora() -> LoraConfig {
    LoraConfig { rank: 4, alpha: 8.0, ..LoraConfig::default() }
}

#[test]
fn parts_of_a_batch_and_recomputed_layers_give_the_same_weights() {
    let Some(folder) = shared("lm/models/qwen2") else { return };
    let (mut sequences, ..) = training(&folder);
    // Ragged rows with different numbers of counted tokens.
    sequences[1] = Sequence::whole(sequences[1].ids()[..6].to_vec()).unwrap();
    for adapter in [None, Some(lora())] {
        let results =
            [(1, false), (2, false), (3, true), (1, true)].map(|(accumulate, recompute)| {
                let mut model = Decoder::open(&folder, &flex()).unwrap();
                if let Some(lora) = &adapter {
                    model = model.with_lora(lora, 1).unwrap();
                }
                // Without the second moment's normalisation a difference of gradients stays visible.
                let config = FitConfig { accumulate, recompute, ..settings() };
                fitted(model, &config, &sequences, 3)
            });
        for (model, steps) in &results[1..] {
            for (step, expected) in steps.iter().zip(&results[0].1) {
                assert!(
                    (step.loss - expected.loss).abs() < 1e-5,
                    "{step:?}, expected {expected:?}"
                );
                let norms = step.gradient_norm / expected.gradient_norm;
                assert!((norms - 1.0).abs() < 1e-5, "{step:?}, expected {expected:?}");
                assert_eq!(step.tokens, expected.tokens);
            }
            let difference = largest_difference(model, &results[0].0);
            assert!(difference < 1e-4, "{difference}");
        }
    }
}

#[test]
fn an_adapter_trains_alone_and_the_frozen_weights_keep_every_bit() {
    let Some(folder) = shared("lm/models/qwen3") else { return };
    let (sequences, ..) = training(&folder);
    let before = Decoder::open(&folder, &flex()).unwrap().with_lora(&lora(), 1).unwrap();
    let (after, steps) = fitted(before.clone(), &settings(), &sequences, 4);
    assert!(steps[3].loss < steps[0].loss - 0.05, "{steps:?}");
    for ((name, before), (_, after)) in weights(&before).into_iter().zip(weights(&after)) {
        let is_adapter = name.contains(".lora.");
        assert_eq!(before != after, is_adapter, "{name}");
    }
}

#[test]
fn a_new_adapter_changes_nothing_and_a_switched_off_or_removed_one_neither() {
    let Some(folder) = shared("lm/models/llama") else { return };
    let (sequences, ..) = training(&folder);
    let rows: [&[u32]; 1] = [sequences[0].ids()];
    // Softmax differs in its last digits with autodiff and without.
    let scores = |model: &Decoder| score(&model.valid(), &rows, false).unwrap();
    let plain = Decoder::open(&folder, &flex()).unwrap();
    let expected = scores(&plain);
    let new = plain.with_lora(&lora(), 1).unwrap();
    assert_eq!(scores(&new), expected);
    let (mut trained, _) = fitted(new, &settings(), &sequences, 2);
    let with = scores(&trained);
    assert_ne!(with, expected);
    trained.switch_adapter(false);
    assert_eq!(scores(&trained), expected);
    trained.switch_adapter(true);
    assert_eq!(scores(&trained), with);
    let merged = scores(&trained.merged());
    for (merged, with) in merged[0].log_probs.iter().zip(&with[0].log_probs) {
        assert!((merged - with).abs() < 1e-5, "{merged}, expected {with}");
    }
    trained.remove_adapter();
    assert!(!trained.has_adapter());
    assert_eq!(scores(&trained), expected);
}

/// The name and the bytes of each file of a folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

fn adapter_agrees_on(backend: Backend) {
    let Some(folder) = shared("lm/models/qwen2") else { return };
    let Some(device) = device(backend) else { return };
    let model = Decoder::open(&folder, &device).unwrap();
    let model = model.with_adapter(&folder.join("adapter")).unwrap();
    let mut compared = 0;
    for sequence in reference(&folder)["sequences"].as_array().unwrap() {
        let Some(expected) = sequence.get("adapter_logits_last") else { continue };
        let ids = numbers(&sequence["ids"], |id| id.as_u64().unwrap() as u32);
        let scores = score(&model, &[&ids], true).unwrap();
        let expected = numbers(expected, |value| value.as_f64().unwrap() as f32);
        for (found, expected) in scores[0].logits_last.as_ref().unwrap().iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-4, "{found}, expected {expected}");
            compared += 1;
        }
    }
    assert!(compared > 0);
}

#[test]
fn an_adapter_of_peft_gives_the_logits_of_peft_on_the_cpu() {
    adapter_agrees_on(Backend::Flex);
}

#[cfg(feature = "wgpu")]
#[test]
fn an_adapter_of_peft_gives_the_logits_of_peft_on_vulkan() {
    adapter_agrees_on(Backend::Vulkan);
}

#[test]
fn an_adapter_of_peft_keeps_every_byte_of_its_weights_when_it_is_written_again() {
    let Some(folder) = shared("lm/models/qwen2") else { return };
    let theirs = folder.join("adapter");
    let open = || Decoder::open(&folder, &flex()).unwrap();
    let (once, twice) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    save_adapter(&open().with_adapter(&theirs).unwrap(), once.path(), Some("qwen2")).unwrap();
    save_adapter(&open().with_adapter(once.path()).unwrap(), twice.path(), Some("qwen2")).unwrap();
    assert_eq!(files(once.path()), files(twice.path()));
    let weights = |folder: &Path| fs::read(folder.join("adapter_model.safetensors")).unwrap();
    assert_eq!(weights(once.path()), weights(&theirs));
    let config: Value =
        serde_json::from_slice(&fs::read(once.path().join("adapter_config.json")).unwrap())
            .unwrap();
    assert_eq!(config["target_modules"], serde_json::json!(["q_proj", "v_proj"]));
    assert_eq!((&config["r"], &config["lora_alpha"]), (&4.into(), &8.into()));
}

#[test]
fn adapters_of_several_ranks_and_scales_are_read_and_written() {
    let Some(folder) = shared("lm/models/qwen2") else { return };
    let open = || Decoder::open(&folder, &flex()).unwrap();
    let config = LoraConfig {
        targets: "layers.0.self_attn.q_proj, down_proj".into(),
        rslora: true,
        ..lora()
    };
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    save_adapter(&open().with_lora(&config, 3).unwrap(), first.path(), None).unwrap();
    // One map with another rank and scale, as PEFT's patterns give it.
    let path = first.path().join("adapter_config.json");
    let mut description: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(
        description["target_modules"],
        serde_json::json!(["down_proj", "model.layers.0.self_attn.q_proj"])
    );
    assert_eq!(description["use_rslora"], true);
    description["alpha_pattern"] = serde_json::json!({ "self_attn.q_proj": 2.5 });
    fs::write(&path, description.to_string()).unwrap();
    let model = open().with_adapter(first.path()).unwrap();
    save_adapter(&model, second.path(), None).unwrap();
    let again = fs::read(second.path().join("adapter_config.json")).unwrap();
    let again: Value = serde_json::from_slice(&again).unwrap();
    // The first map is the common case now.
    assert_eq!(again["lora_alpha"], 2.5);
    let others = again["alpha_pattern"].as_object().unwrap();
    assert!(!others.is_empty() && others.keys().all(|name| name.ends_with("mlp.down_proj")));
    assert_eq!(largest_difference(&open().with_adapter(second.path()).unwrap(), &model), 0.0);
}

#[test]
fn adapters_that_do_not_fit_the_model_are_refused_with_the_name_of_the_weight() {
    let Some(models) = shared("lm/models") else { return };
    let theirs = models.join("qwen2/adapter");
    let refusal = |model: &str, folder: &Path| {
        let model = Decoder::open(&models.join(model), &flex()).unwrap();
        let error = model.with_adapter(folder).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    };
    let message = refusal("llama", &theirs);
    assert!(message.contains("q_proj.lora_A.weight' has shape"), "{message}");

    let folder = tempfile::tempdir().unwrap();
    let config = fs::read_to_string(theirs.join("adapter_config.json")).unwrap();
    let weights = fs::read(theirs.join("adapter_model.safetensors")).unwrap();
    let write = |config: &str, weights: &[u8]| {
        fs::write(folder.path().join("adapter_config.json"), config).unwrap();
        fs::write(folder.path().join("adapter_model.safetensors"), weights).unwrap();
    };
    for (from, to, says) in [
        ("\"q_proj\",", "", "q_proj.lora_A.weight' is unknown to this model"),
        ("\"q_proj\",", "\"q_proj\", \"o_proj\",", "o_proj.lora_A.weight' is missing"),
        ("\"q_proj\",", "\"lm_head\",", "q_proj.lora_A.weight' is unknown"),
        ("\"r\": 4", "\"r\": 5", "lora_A.weight' has shape [4, 48], expected [5, 48]"),
        ("\"use_dora\": false", "\"use_dora\": true", "use_dora is true, which is not supported"),
    ] {
        assert!(config.contains(from), "{from}");
        write(&config.replace(from, to), &weights);
        let message = refusal("qwen2", folder.path());
        assert!(message.contains(says), "{message}, expected {says}");
    }
    write(&config, &weights[..weights.len() - 1]);
    assert!(refusal("qwen2", folder.path()).contains("adapter_model.safetensors: "));
    let mut spoiled = weights.clone();
    let end = spoiled.len();
    spoiled[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    write(&config, &spoiled);
    assert!(refusal("qwen2", folder.path()).contains("holds NaN, expected finite values"));
    fs::rename(
        folder.path().join("adapter_model.safetensors"),
        folder.path().join("adapter_model.bin"),
    )
    .unwrap();
    assert!(refusal("qwen2", folder.path()).contains("adapter_model.bin, which is not supported"));

    let model = Decoder::open(&models.join("qwen2"), &flex()).unwrap();
    let twice = model.with_adapter(&theirs).unwrap().with_adapter(&theirs).unwrap_err();
    assert!(twice.to_string().contains("has an adapter already"), "{twice}");
}

#[test]
fn unknown_targets_and_ranks_out_of_range_are_refused() {
    let Some(folder) = shared("lm/models/qwen2") else { return };
    let model = Decoder::open(&folder, &flex()).unwrap();
    for (config, says) in [
        (LoraConfig { targets: "lm_head".into(), ..lora() }, "'lm_head' names no linear map"),
        (LoraConfig { targets: "q_proj,".into(), ..lora() }, "'' names no linear map"),
        (LoraConfig { rank: 0, ..lora() }, "setting 'lora.rank': is 0"),
        (LoraConfig { alpha: f64::NAN, ..lora() }, "setting 'lora.alpha'"),
    ] {
        let message = model.clone().with_lora(&config, 0).unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn a_model_in_shards_and_in_16_bits_loads_with_the_rounded_weights() {
    let Some(models) = shared("lm/models") else { return };
    let rows: [&[u32]; 1] = [&[5, 6, 7]];
    for name in MODELS {
        let source = models.join(name);
        let model = Decoder::open(&source, &flex()).unwrap().valid();
        for (stored, tolerance) in
            [(StoredType::F32, 0.0), (StoredType::Bf16, 0.02), (StoredType::F16, 0.002)]
        {
            let folder = tempfile::tempdir().unwrap();
            let options = SaveOptions { stored, shard_bytes: 40_000 };
            save_as(&model, folder.path(), Some(&source), &options).unwrap();
            let written = files(folder.path());
            let shards = written.iter().filter(|(name, _)| name.ends_with(".safetensors"));
            // The embedding alone is larger, and has a shard of its own.
            assert!(shards.count() > 2, "{name}");
            let again = Decoder::open(folder.path(), &flex()).unwrap().valid();
            assert_eq!(again.config(), model.config());
            let (a, b) =
                (score(&model, &rows, false).unwrap(), score(&again, &rows, false).unwrap());
            for (a, b) in a[0].log_probs.iter().zip(&b[0].log_probs) {
                assert!((a - b).abs() <= tolerance, "{name}: {b}, expected {a}");
            }
        }
    }
}

#[test]
fn a_weight_that_the_stored_type_cannot_hold_is_refused_by_name() {
    struct Enlarge;
    impl ModuleMapper for Enlarge {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor.mul_scalar(1e7))
        }
    }
    let Some(source) = shared("lm/models/qwen2") else { return };
    let model = Decoder::open(&source, &flex()).unwrap().valid().map(&mut Enlarge);
    let folder = tempfile::tempdir().unwrap();
    let options = SaveOptions { stored: StoredType::F16, ..SaveOptions::default() };
    let error = save_as(&model, folder.path(), Some(&source), &options).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let message = error.to_string();
    assert!(message.contains("weight 'model.") && message.contains("float16"), "{message}");
}
