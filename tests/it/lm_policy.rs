//! A language model plays and learns in the loop of every policy.

use burn::module::Module;
use burn::tensor::Device;
use proxmo::credit::Embedding;
use proxmo::lm::LoraConfig;
use proxmo::policy::lm::{LmConfig, LmPolicy, PromptMode, ResponseMode};
use proxmo::policy::{PolicyKind, PolicySpec, Sampling};
use proxmo::rollout::{Plan, collect};
use proxmo::train::{Config, IterationMetrics, Trainer};

use crate::support::balls::Balls;
use crate::support::shared::shared;

const BALLS: Balls = Balls { tasks: 16, max_steps: 8 };

/// Bound of the mean difference between log-probabilities when sampled and when scored.
const MAX_RATIO_GAP: f64 = 1e-5;

fn tiny() -> LmConfig {
    LmConfig { layers: 2, width: 32, heads: 2, vocabulary: 300, ..LmConfig::default() }
}

fn trainer(policy: LmConfig, config: Config) -> Trainer<LmPolicy> {
    let spec = policy.spec(&BALLS, config.run.seed).unwrap();
    let (policy, encoder) = spec.build(config.run.seed, &Device::flex().autodiff()).unwrap();
    Trainer::new(config, policy, encoder)
}

fn train(policy: LmConfig, iterations: u64, change: fn(&mut Config)) -> Vec<IterationMetrics> {
    let mut config = Config::default();
    config.rollout.groups = 4;
    config.rollout.group_size = 6;
    config.update.minibatch = 64;
    config.update.learning_rate = 0.003;
    change(&mut config);
    let mut trainer = trainer(policy, config);
    (0..iterations).map(|_| trainer.iterate(&BALLS, 0.0).unwrap().0).collect()
}

#[test]
fn scoring_gives_the_log_probabilities_of_sampling_in_every_mode() {
    for response in [ResponseMode::Choice, ResponseMode::Free] {
        for prompt in [PromptMode::Append, PromptMode::Window] {
            for list in [false, true] {
                let policy = LmConfig { response, prompt, list, part_tokens: 500, ..tiny() };
                let metrics = train(policy.clone(), 2, |config| config.rollout.temperature = 0.7);
                for line in metrics {
                    assert!(line.ratio_gap < MAX_RATIO_GAP, "{policy:?}: {}", line.ratio_gap);
                    assert!(line.loss.is_finite() && line.skipped_updates == 0, "{policy:?}");
                    assert!(line.entropy > 0.0, "{policy:?}");
                }
            }
        }
    }
}

#[test]
fn a_language_model_learns_what_its_goal_says() {
    let metrics = train(tiny(), 25, |_| {});
    let (first, last) = (metrics[0].success.unwrap(), metrics[24].success.unwrap());
    assert!(last > first + 0.3, "{first} then {last}");
}

#[test]
fn an_adapter_of_a_pretrained_model_learns_and_the_model_keeps_its_weights() {
    let Some(folder) = shared("lm/models/qwen2") else { return };
    let lora = LoraConfig { rank: 4, ..LoraConfig::default() };
    let model = folder.display().to_string();
    let policy = LmConfig { model, lora, ..LmConfig::default() };
    let mut config = Config::default();
    config.rollout.groups = 2;
    config.rollout.group_size = 4;
    config.credit.embedding = Embedding::Policy;
    let mut trainer = trainer(policy, config);
    let frozen = |trainer: &Trainer<LmPolicy>| {
        let mut model = trainer.learner.policy.valid().model().clone();
        model.remove_adapter();
        let rows: [&[u32]; 1] = [&[5, 6, 7]];
        proxmo::lm::score(&model, &rows, true).unwrap()
    };
    let before = frozen(&trainer);
    let line = trainer.iterate(&BALLS, 0.0).unwrap().0;
    assert!(line.ratio_gap < MAX_RATIO_GAP && line.gradient_norm > 0.0, "{line:?}");
    assert_eq!(frozen(&trainer), before);
}

#[test]
fn episodes_are_the_same_whatever_is_played_beside_them() {
    let spec = tiny().spec(&BALLS, 0).unwrap();
    let (policy, encoder) = spec.build(0, &Device::flex()).unwrap();
    let play = |tasks: &[usize], first_group| {
        let plan = Plan {
            tasks,
            first_group,
            episodes: 3,
            sampling: Sampling::Temperature(1.0),
            seed: 1,
            iteration: 0,
        };
        let batch = collect(&BALLS, &policy, &encoder, &plan).unwrap();
        batch.actions.iter().map(str::to_string).collect::<Vec<_>>()
    };
    let (together, second) = (play(&[3, 9], 0), play(&[9], 1));
    assert_eq!(together[together.len() - second.len()..], second);
}
