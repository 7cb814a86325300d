//! Runs and trainers of a tiny policy on a tiny environment.

use burn::tensor::Device;
use proxmo::device::{Backend, Opened, open};
use proxmo::policy::scorer::{Scorer, ScorerEncoder, Vocabulary};
use proxmo::runs::{Event, Run};
use proxmo::train::{Config, Trainer};

use crate::support::balls::Balls;

pub const BALLS: Balls = Balls { tasks: 16, max_steps: 8 };

pub fn config() -> Config {
    let mut config = Config::default();
    config.run.iterations = 6;
    config.run.checkpoint_every = 2;
    config.rollout.groups = 6;
    config.rollout.group_size = 6;
    config.policy.embedding = 8;
    config.policy.hidden = 8;
    config.update.minibatch = 64;
    config.update.schedule = proxmo::train::Schedule::Constant;
    config.eval.every = 2;
    config.eval.split = "balls".into();
    config
}

pub fn player(device: &Device) -> (Scorer, ScorerEncoder) {
    let vocabulary = Vocabulary::from_environment(&BALLS, 16, 100, 0).unwrap();
    let scorer = Scorer::new(&config().policy.network(vocabulary.len()), 0, device);
    (scorer, ScorerEncoder { vocabulary, max_steps: BALLS.max_steps })
}

pub fn trainer(config: Config) -> Trainer<Scorer> {
    let (scorer, encoder) = player(&Device::flex().autodiff());
    Trainer::new(config, scorer, encoder)
}

pub fn flex() -> Opened {
    open(Backend::Flex, 0).unwrap()
}

/// Trains to the end, and gives what was warned of.
pub fn finish(run: Run) -> (proxmo::Result<()>, Vec<String>) {
    let mut warnings = Vec::new();
    let mut observe = |event: Event| {
        if let Event::Warning(text) = event {
            warnings.push(text.to_string());
        }
    };
    let result = run.train(&|| false, &mut observe).map(drop);
    (result, warnings)
}
