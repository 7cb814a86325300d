//! Times a few updates of a run on a device.

use burn::tensor::Device;
use web_time::Instant;

use crate::env::Environment;
use crate::error::{Error, Result};
use crate::policy::{InputsOf, PolicyDescription, PolicySpec, Sampling, SpecVisitor};
use crate::rollout::{Plan, RolloutBatch, collect};
use crate::stream::{Purpose, Stream};
use crate::train::{Config, Trainer, UpdateBatch};

/// Updates before timing starts: the first ones compile kernels and allocate memory.
const WARM_UP: usize = 2;
/// Number of timed updates.
const TIMED: usize = 5;
/// Seconds after which timing ends early.
const LONG_ENOUGH: f64 = 2.0;

/// Times the updates of a policy of any kind.
pub(super) trait UpdateTimer {
    /// The median time of an update on a device, in milliseconds.
    fn milliseconds(&self, device: &Device) -> Result<f64>;
}

/// A timer for the updates of a run. An untrained policy plays as many of the run's tasks as make a
/// minibatch, on the CPU.
///
/// # Errors
/// Fails if the environment fails or the policy cannot be built.
pub(super) fn new_timer(
    description: &PolicyDescription,
    config: &Config,
    environment: &dyn Environment,
) -> Result<Box<dyn UpdateTimer>> {
    description.visit(NewTimer { config, environment })
}

struct NewTimer<'a> {
    config: &'a Config,
    environment: &'a dyn Environment,
}

impl SpecVisitor for NewTimer<'_> {
    type Output = Result<Box<dyn UpdateTimer>>;

    fn visit<S: PolicySpec>(self, spec: &S) -> Self::Output {
        let Self { config, environment } = self;
        let mut config = config.clone();
        config.update.epochs = 1;
        let (policy, encoder) = spec.build(config.run.seed, &Device::flex())?;
        let (rollout, max_steps) = (&config.rollout, environment.max_steps());
        let groups = config.update.minibatch.div_ceil((rollout.group_size * max_steps).max(1));
        let groups = groups.min(rollout.groups).min(environment.tasks());
        let tasks: Vec<usize> = (0..groups).collect();
        let plan = Plan {
            tasks: &tasks,
            first_group: 0,
            episodes: rollout.group_size,
            sampling: Sampling::Temperature(rollout.temperature),
            seed: config.run.seed,
            iteration: 0,
        };
        let batch = collect(environment, &policy, &encoder, &plan)?;
        // The time of an update does not depend on the advantages.
        let advantage = |row: usize| if row.is_multiple_of(2) { 1.0 } else { -1.0 };
        let advantages = (0..batch.rows()).map(advantage).collect();
        Ok(Box::new(SpecTimer { config, spec: spec.clone(), batch, advantages }))
    }
}

/// Rows that an untrained policy played, and their advantages.
struct SpecTimer<S: PolicySpec> {
    config: Config,
    spec: S,
    batch: RolloutBatch<InputsOf<S::Policy>>,
    advantages: Vec<f32>,
}

impl<S: PolicySpec> UpdateTimer for SpecTimer<S> {
    fn milliseconds(&self, device: &Device) -> Result<f64> {
        let config = &self.config;
        let values = config.credit.needs_values();
        let (policy, encoder) = self.spec.build(config.run.seed, &device.clone().autodiff())?;
        let mut learner = Trainer::new(config.clone(), policy, encoder).learner;
        let mut times = Vec::new();
        for pass in 0..WARM_UP + TIMED {
            // Rows have the same order in every pass, because minibatches of other shapes may need other
            // kernels, whose compilation is not to be timed.
            let begun = Instant::now();
            let stats = learner.learn(&UpdateBatch {
                batch: &self.batch,
                advantages: &self.advantages,
                // Nor does it depend on the returns that values are trained towards.
                returns: if values { &self.advantages } else { &[] },
                temperature: config.rollout.temperature,
                config: &config.update,
                learning_rate: config.update.learning_rate,
                shuffle: Stream::new(config.run.seed, Purpose::Minibatches),
            })?;
            let updates = stats.updates + stats.skipped;
            if pass >= WARM_UP && updates > 0 {
                times.push(begun.elapsed().as_secs_f64() / updates as f64);
            }
            if times.iter().sum::<f64>() > LONG_ENOUGH {
                break;
            }
        }
        times.sort_by(f64::total_cmp);
        let median = times.get(times.len() / 2);
        // Whole microseconds, which the cache file preserves exactly.
        let milliseconds = median.map(|seconds| (1e6 * seconds).round().max(1.0) / 1e3);
        milliseconds.ok_or_else(|| Error::Run("the timed updates had no rows".into()))
    }
}
