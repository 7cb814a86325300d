//! A training, one iteration at a time.

use burn::module::Module;
use js_sys::Function;
use proxmo::device::{Backend, open};
use proxmo::env::{Environment, Texts, Transition};
use proxmo::episodes::EpisodeRecord;
use proxmo::policy::{PolicyDescription, PolicySpec, Sampling, scorer::Scorer};
use proxmo::rollout::ActedEpisode;
use proxmo::stream::{Purpose, Stream};
use proxmo::train::{Config, IterationMetrics, IterationProgress, Trainer};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use crate::error::{Result, json};
use crate::game::{AgentGame, AgentStep, SEED, state_of};

/// A training in progress.
#[wasm_bindgen]
pub struct Training {
    trainer: Trainer<Scorer>,
    tasks: Box<dyn Environment>,
    held_out: Box<dyn Environment>,
    parameters: usize,
}

/// Reads the text of a `config.toml` whose tasks a browser can generate.
pub fn read_config(settings: &str) -> Result<Config> {
    let config = Config::from_toml(settings, "settings")?;
    config.validate()?;
    Ok(config)
}

/// An iteration, for the page.
#[derive(Serialize)]
struct Iteration<'a> {
    metrics: &'a IterationMetrics,
    episode: Option<ShownEpisode>,
    /// The part of the training that is done, in [0, 1].
    done: f64,
}

/// An episode with the credit of its steps.
#[derive(Serialize)]
struct ShownEpisode {
    record: EpisodeRecord,
    /// The advantage of each step.
    advantages: Vec<f64>,
    /// The number of successful episodes of its group, and of all.
    group: (usize, usize),
}

#[wasm_bindgen]
impl Training {
    /// Begins a training on the CPU with settings, which are the text of a `config.toml`.
    ///
    /// # Errors
    /// Names the line and key of the first setting that is wrong.
    #[wasm_bindgen(constructor)]
    pub fn new(settings: &str) -> Result<Training> {
        let mut config = read_config(settings)?;
        config.fix_schedule();
        let tasks = config.env.open(config.env.split())?;
        let held_out = config.env.open(config.env.held_out_split())?;
        let device = open(Backend::Flex, 0)?.device.autodiff();
        let seed = config.run.seed;
        let PolicyDescription::Scorer(mut spec) = config.policy.describe(&*tasks, seed)?;
        spec.value_head |= config.credit.needs_values();
        let (policy, encoder) = spec.build(seed, &device)?;
        let parameters = policy.num_params();
        let trainer = Trainer::new(config, policy, encoder);
        Ok(Training { trainer, tasks, held_out, parameters })
    }

    /// The number of weights and of tasks, and all settings, as JSON.
    ///
    /// # Errors
    /// Fails if a setting cannot be written.
    pub fn about(&self) -> Result<String> {
        #[derive(Serialize)]
        struct About {
            parameters: usize,
            tasks: usize,
            held_out: usize,
            settings: String,
        }
        json(&About {
            parameters: self.parameters,
            tasks: self.tasks.tasks(),
            held_out: self.held_out.tasks(),
            settings: self.trainer.config.to_toml()?,
        })
    }

    /// One iteration: its metrics, an episode with its credit, and how much of the training is done, as
    /// JSON. `watch` is called with a text that says how far the iteration is.
    ///
    /// # Errors
    /// Fails if the device fails, or after too many skipped updates.
    pub async fn iterate(&mut self, watch: Function) -> Result<String> {
        let config = &self.trainer.config;
        let progress = config.schedule_done(self.trainer.iteration, 0.0);
        let mut last = String::new();
        let mut tell = |progress| {
            let text = describe(progress);
            if text != last {
                // The page may be gone: then there is nothing to tell.
                let _ = watch.call1(&JsValue::NULL, &JsValue::from_str(&text));
                last = text;
            }
        };
        let iterated = self.trainer.iterate_watched_async(&*self.tasks, progress, &mut tell);
        let (metrics, batch) = iterated.await?;
        let record = batch.last_record();
        let advantages = self.trainer.last_credit.as_ref().map(|credit| &credit.advantages);
        let episode = record.zip(advantages).map(|(record, advantages)| {
            // The last episode, as the record.
            let mut groups = (0..batch.groups()).rev().map(|one| batch.data.episodes_of_group(one));
            let group = groups.find(|group| !group.is_empty()).unwrap_or_default();
            let won = group.clone().filter(|&one| batch.data.success()[one]).count();
            let rows = batch.data.rows_of_episode(batch.episodes() - 1);
            ShownEpisode {
                record,
                advantages: advantages[rows].to_vec(),
                group: (won, group.len()),
            }
        });
        let done = self.trainer.config.run.share_done(self.trainer.iteration, 0.0);
        json(&Iteration { metrics: &metrics, episode, done })
    }

    /// Lets the agent play a held-out task, always with the action that it finds best: all steps, as JSON.
    ///
    /// # Errors
    /// Fails if there is no such task, or the device fails.
    pub async fn play(&self, task: usize) -> Result<String> {
        if task >= self.held_out.tasks() {
            return Err(JsError::new(&format!("there is no task {task}")));
        }
        let mut session = self.held_out.start(task, SEED)?;
        let policy = self.trainer.learner.policy.valid();
        let goal = session.goal().to_string();
        let draws = Stream::new(SEED, Purpose::Actions).rng();
        let encoder = &self.trainer.encoder;
        let mut agent = ActedEpisode::begin(&policy, encoder, &goal, Sampling::Greedy, draws);
        let (mut last, mut steps) = (Transition::default(), Vec::new());
        let mut observation = String::new();
        let mut actions = Texts::new();
        session.observe(&mut observation);
        while !last.ended() {
            actions.clear();
            session.choices(&mut actions);
            let act = agent.act_async(&observation, &actions).await?;
            last = session.step(&act.action)?;
            observation = state_of(&*session, last, 0).observation;
            let (action, probability) = (act.action, act.probability);
            steps.push(AgentStep { action, probability, observation: observation.clone() });
        }
        json(&AgentGame { iteration: self.trainer.iteration, steps, won: last.succeeded() })
    }
}

/// How far an iteration is, in words.
fn describe(progress: IterationProgress) -> String {
    match progress {
        IterationProgress::Collecting(progress) => {
            format!("playing: {} of {} episodes ended", progress.ended, progress.episodes)
        }
        IterationProgress::Updating(progress) => {
            format!("learning: update {} of {}", progress.done + 1, progress.total)
        }
    }
}
