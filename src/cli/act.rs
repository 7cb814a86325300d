//! `proxmo act`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::credit::STANDARD;
use super::device::CheckFlag;
use super::lm::lines::{Line, for_batches};
use super::settings::setting_summary;
use super::terminal::{hand_over, tell};
use crate::device::Backend;
use crate::env::Texts;
use crate::error::{Error, Result};
use crate::policy::Sampling;
use crate::runs::checkpoint::{self, CheckpointSelector};
use crate::runs::{PlayedEpisode, TrainedPolicy};
use crate::stream::{Purpose, Stream};

/// Let a run's policy act for another program, through JSON lines.
///
/// A line on standard input is a step of an episode, and is answered with a line on standard output:
///
///   {"id":0,"goal":"put a mug in the sink","observation":"You are in a kitchen.","admissible":["look","go to sink 1"]}
///   → {"id":0,"action":"go to sink 1","index":1,"probability":0.93}
///
/// A line with "goal" begins an episode; further lines of it leave "goal" out. "id" is any text or number,
/// and names the episode, so several run at a time; a program that plays one at a time leaves it out. The
/// policy remembers each episode as it does in training, and takes every answered action as done.
/// {"id":0,"end":true} ends an episode. The answers of `proxmo env serve` can be sent as they are: "session"
/// counts as "id", and "terminated" and "truncated" end an episode.
///
/// "index" is the action's place in "admissible", or null if it is none of them. "probability" is that of the
/// response. A line that cannot be answered gets {"id":0,"error":"…"}; unknown members are ignored.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, verbatim_doc_comment)]
pub struct Arguments {
    /// Folder of the run.
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// Checkpoint: latest, best or the number of an iteration [default: latest].
    #[arg(long, value_name = "WHICH")]
    checkpoint: Option<CheckpointSelector>,
    /// Temperature at which actions are drawn; 0 takes the most probable.
    #[arg(long, value_name = "T", default_value_t = 0.0, value_parser = temperature)]
    temperature: f32,
    /// Seed of the draws. Those of an episode depend on the number of episodes begun before it.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[arg(long, value_name = "NAME", default_value_t, help = setting_summary("run.backend"))]
    backend: Backend,
    #[arg(long, value_name = "N", default_value_t = 0, help = setting_summary("run.device"))]
    device: usize,
    #[command(flatten)]
    check: CheckFlag,
}

const EXAMPLES: &str = "\
Examples:
  proxmo act --run runs/household-1
  proxmo act --run runs/household-1 --checkpoint best --temperature 0.4 --seed 1
  python3 examples/acting_agent.py --run runs/household-1";

/// Most episodes at a time.
const MAX_EPISODES: usize = 1 << 16;

/// Episodes of an evaluation that share a number in the names of their random numbers.
const EVALUATED_TOGETHER: usize = 128;

fn temperature(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(temperature) if (0.0..=100.0).contains(&temperature) => Ok(temperature),
        _ => Err(format!("is '{text}', expected a number from 0 to 100")),
    }
}

/// A line.
#[derive(Debug, Deserialize)]
struct Step {
    #[serde(alias = "session", default)]
    id: Value,
    goal: Option<String>,
    /// The goal, if there is none and the line begins an episode.
    task: Option<String>,
    #[serde(default)]
    reset: bool,
    observation: Option<String>,
    admissible: Option<Texts>,
    #[serde(default)]
    end: bool,
    #[serde(default)]
    terminated: bool,
    #[serde(default)]
    truncated: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let checkpoint = checkpoint::find(&arguments.run, arguments.checkpoint.unwrap_or_default())?;
    let opened = arguments.check.open(arguments.backend, arguments.device)?;
    let policy = TrainedPolicy::load(&checkpoint, &opened.device)?;
    tell!(
        "proxmo: {} of {}, iteration {}, on {}",
        policy.kind(),
        arguments.run.display(),
        policy.iteration(),
        opened.adapter.name
    );
    let mut episodes = Episodes { arguments, policy: &policy, all: HashMap::new(), begun: 0 };
    for_batches(Path::new(STANDARD), 1, &mut |lines| {
        for line in lines {
            hand_over!("{}", episodes.answer(line));
        }
        Ok(())
    })
}

/// The episodes in progress, by their ids.
struct Episodes<'a> {
    arguments: &'a Arguments,
    policy: &'a TrainedPolicy,
    all: HashMap<String, Box<dyn PlayedEpisode + 'a>>,
    begun: usize,
}

impl Episodes<'_> {
    fn answer(&mut self, line: &Line) -> Value {
        let step: Step = match serde_json::from_str(&line.text) {
            Ok(step) => step,
            Err(error) => {
                return json!({ "error": Error::input(&line.place, error.to_string()).to_string() });
            }
        };
        match self.step(&step) {
            Ok(answer) => answer,
            Err(error) => json!({ "id": step.id, "error": error.to_string() }),
        }
    }

    fn step(&mut self, step: &Step) -> Result<Value> {
        let id = &step.id;
        let key = match id {
            Value::Null | Value::Number(_) | Value::String(_) => id.to_string(),
            _ => return Err(Error::input("id", "expected a text or a number")),
        };
        if step.end || step.terminated || step.truncated {
            self.all.remove(&key);
            return Ok(json!({ "id": id, "ended": true }));
        }
        let missing = |name: &str| Error::input(name, "is missing");
        let observation = step.observation.as_deref().ok_or_else(|| missing("observation"))?;
        let admissible = step.admissible.as_ref().ok_or_else(|| missing("admissible"))?;
        if admissible.is_empty() {
            return Err(Error::input("admissible", "is empty, expected at least one action"));
        }
        if step.goal.is_some() || step.reset {
            let goal = step.goal.as_deref().or(step.task.as_deref());
            self.begin(&key, goal.ok_or_else(|| missing("goal"))?)?;
        }
        let Some(episode) = self.all.get_mut(&key) else {
            let message = "there is no episode of this id: a line with \"goal\" begins one";
            return Err(Error::input("goal", message));
        };
        let act = episode.act(observation, admissible).inspect_err(|_| {
            self.all.remove(&key);
        })?;
        let (action, index, probability) = (act.action, act.index, act.probability);
        Ok(json!({ "id": id, "action": action, "index": index, "probability": probability }))
    }

    fn begin(&mut self, key: &str, goal: &str) -> Result<()> {
        if self.all.len() >= MAX_EPISODES && !self.all.contains_key(key) {
            let message = format!("{MAX_EPISODES} episodes run already: end one first");
            return Err(Error::input("id", message));
        }
        let (part, place) = (self.begun / EVALUATED_TOGETHER, self.begun % EVALUATED_TOGETHER);
        let stream = Stream::new(self.arguments.seed, Purpose::Actions);
        let draws = stream.at(part as u64).of(place, 0).rng();
        let sampling = Sampling::at(self.arguments.temperature);
        self.all.insert(key.to_string(), self.policy.begin(goal, sampling, draws));
        self.begun += 1;
        Ok(())
    }
}
