//! Runs and trainers of a tiny policy on a tiny environment.

use std::cell::RefCell;
use std::rc::Rc;

use burn::tensor::Device;
use proxmo::device::{Backend, Opened, open};
use proxmo::policy::scorer::{Scorer, ScorerConfig, ScorerEncoder, ScorerSpec};
use proxmo::policy::{PolicyKind, PolicySpec};
use proxmo::runs::{Recorder, Run};
use proxmo::train::{Config, Trainer};

use crate::support::balls::Balls;

pub const BALLS: Balls = Balls { tasks: 16, max_steps: 8 };

pub fn config() -> Config {
    let mut config = Config::default();
    config.run.iterations = 6;
    config.run.checkpoint_every = 2;
    config.rollout.groups = 6;
    config.rollout.group_size = 6;
    config.policy = size().into();
    config.update.minibatch = 64;
    config.update.schedule = proxmo::train::Schedule::Constant;
    config.eval.every = 2;
    config.eval.split = "balls".into();
    config
}

pub fn size() -> ScorerConfig {
    ScorerConfig { embedding: 8, hidden: 8, ..ScorerConfig::default() }
}

pub fn spec() -> ScorerSpec {
    size().spec(&BALLS, 0).unwrap()
}

pub fn player(device: &Device) -> (Scorer, ScorerEncoder) {
    spec().build(0, device).unwrap()
}

pub fn trainer(config: Config) -> Trainer<Scorer> {
    let (scorer, encoder) = player(&Device::flex().autodiff());
    Trainer::new(config, scorer, encoder)
}

pub fn flex() -> Opened {
    open(Backend::Flex, 0).unwrap()
}

/// Collects warnings.
struct Warnings(Rc<RefCell<Vec<String>>>);

impl Recorder for Warnings {
    fn warning(&mut self, text: &str) {
        self.0.borrow_mut().push(text.to_string());
    }
}

/// Trains to the end, and returns the warnings.
pub fn finish(run: Run) -> (proxmo::Result<()>, Vec<String>) {
    let warnings = Rc::new(RefCell::new(Vec::new()));
    let result = run.record(Warnings(warnings.clone())).train(&|| false).map(drop);
    (result, warnings.take())
}
