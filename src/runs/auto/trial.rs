//! A few updates of a run, for the clock.

use burn::tensor::Device;
use web_time::Instant;

use crate::env::Environment;
use crate::error::{Error, Result};
use crate::policy::Sampling;
use crate::policy::scorer::{Scorer, ScorerEncoder, ScorerInputs, Vocabulary};
use crate::rollout::{Plan, RolloutBatch, collect};
use crate::runs::run::read_vocabulary;
use crate::stream::{Purpose, Stream};
use crate::train::{Config, Lesson, Trainer};

/// Updates before the clock starts: kernels are compiled and memory is got in the first.
const WARM_UP: usize = 2;
/// Updates that are timed, or fewer once they have taken long enough.
const TIMED: usize = 5;
const LONG_ENOUGH: f64 = 2.0;

/// Rows that an untrained policy played, and what is learnt from them.
pub(super) struct Trial {
    config: Config,
    vocabulary: Vocabulary,
    max_steps: usize,
    batch: RolloutBatch<ScorerInputs>,
    advantages: Vec<f32>,
}

impl Trial {
    /// Plays as many of the run's tasks as make a minibatch, on the CPU.
    pub fn new(config: &Config, environment: &dyn Environment) -> Result<Self> {
        let mut config = config.clone();
        config.update.epochs = 1;
        let vocabulary = read_vocabulary(environment, &config)?;
        let max_steps = environment.max_steps();
        let encoder = ScorerEncoder { vocabulary: vocabulary.clone(), max_steps };
        let network = config.policy.network(vocabulary.len());
        let policy = Scorer::new(&network, config.run.seed, &Device::flex());
        let rollout = &config.rollout;
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
        // What a step is worth changes no clock.
        let worth = |row: usize| if row.is_multiple_of(2) { 1.0 } else { -1.0 };
        let advantages = (0..batch.rows()).map(worth).collect();
        Ok(Self { config, vocabulary, max_steps, batch, advantages })
    }

    /// The median of what an update takes on a device, in milliseconds.
    pub fn milliseconds(&self, device: &Device) -> Result<f64> {
        let config = &self.config;
        let network = config.policy.network(self.vocabulary.len());
        let policy = Scorer::new(&network, config.run.seed, &device.clone().autodiff());
        let encoder =
            ScorerEncoder { vocabulary: self.vocabulary.clone(), max_steps: self.max_steps };
        let mut learner = Trainer::new(config.clone(), policy, encoder).learner;
        let mut times = Vec::new();
        for pass in 0..WARM_UP + TIMED {
            // The same order each time: minibatches of other shapes may ask for kernels of their own,
            // which a run compiles once and the clock is not to see.
            let begun = Instant::now();
            let stats = learner.learn(&Lesson {
                batch: &self.batch,
                advantages: &self.advantages,
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
        // Whole microseconds: the cache is to give back the very number.
        let milliseconds = median.map(|seconds| (1e6 * seconds).round().max(1.0) / 1e3);
        milliseconds.ok_or_else(|| Error::Run("nothing was learnt".into()))
    }
}
