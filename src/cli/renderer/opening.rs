//! The lines about a training before it begins.

use std::path::Path;

use crate::cli::terminal::tell;
use crate::env::Environment;
use crate::runs::RunStart;
use crate::runs::auto::DeviceChoice;
use crate::train::Config;

/// What is trained, where and on which device.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// All settings.
    pub config: &'a Config,
    /// The device.
    pub choice: &'a DeviceChoice,
    /// The tasks to train on.
    pub training: &'a dyn Environment,
    /// The tasks to evaluate on.
    pub held_out: &'a dyn Environment,
    /// The number of demonstrations, if some are imitated.
    pub demonstrations: Option<usize>,
    /// Folder of the run.
    pub folder: &'a Path,
}

impl Opening<'_> {
    /// Whether a GPU trains, which compiles kernels in the first iteration.
    pub fn is_on_gpu(&self) -> bool {
        self.choice.opened.adapter.max_invocations > 0
    }
}

/// Prints the opening.
pub fn tell_opening(opening: &Opening) {
    let &Opening { config, choice, training, held_out, demonstrations, folder } = opening;
    let (adapter, reason) = (&choice.opened.adapter, &choice.reason);
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    tell!("proxmo {}, estimator {}", env!("CARGO_PKG_VERSION"), config.credit.estimator);
    tell!(
        "  tasks   {}: {} for training, {} held out ({})",
        config.env.name(),
        training.tasks(),
        held_out.tasks(),
        match held_out.splits().as_slice() {
            [one] => one.name.clone(),
            _ => config.eval.split.clone(),
        }
    );
    tell!("  device  {} on {}{reason}", adapter.backend, adapter.name);
    let rollout = &config.rollout;
    if config.imitation.from.is_empty() {
        let episodes = rollout.groups.min(training.tasks()) * rollout.group_size;
        tell!("  rollout {episodes} episodes an iteration, in groups of {}", rollout.group_size);
    }
    tell!("  run     {}", folder.display());
    if let Some(count) = demonstrations {
        tell!("  imitate {count} demonstrations from {}", config.imitation.from);
    }
}

/// Prints the policy, and what a resume means.
pub fn tell_start(start: &RunStart) {
    let policy = start.policy;
    tell!("  policy  {}, {} weights, {}", policy.kind, policy.parameters, policy.details);
    if start.iteration > 0 {
        tell!("  resumed after iteration {}", start.iteration);
    }
    for (key, (before, after)) in start.changes {
        tell!("  changed {key} from {before} to {after}");
    }
}
