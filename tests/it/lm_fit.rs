//! Fitting language models: agreement with PyTorch, adapters, recomputation, accumulation.

use std::fs;
use std::path::Path;

use crate::support::shared::shared;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use proxmo::device::{Backend, open, read};
use proxmo::lm::{Decoder, FitConfig, FitStep, Fitter, LoraConfig, Sequence, score};
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
