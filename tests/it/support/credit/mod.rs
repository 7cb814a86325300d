//! Shared by the tests of credit assignment: random episodes and shared data.

#![allow(dead_code, reason = "each test uses its part")]

use proxmo::episodes::{self, Batch, Values};
use proxmo::stream::{Purpose, Stream};
use rand::Rng;
use rand::seq::IndexedRandom;

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub observation: String,
    pub reward: f64,
    pub valid: bool,
}

/// One episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    pub steps: Vec<Step>,
    pub success: bool,
    pub final_observation: Option<String>,
}

/// The groups as a batch, with a value for every state: a number in [0, 1) that depends on its text.
pub fn batch(groups: &[Vec<Episode>]) -> Batch {
    let batch = without_values(groups);
    let value = |text: &str| {
        let hash = text.bytes().fold(7u32, |hash, byte| hash.wrapping_mul(31) ^ u32::from(byte));
        f64::from(hash % 1024) / 1024.0
    };
    let of = |text: u32| value(&batch.texts()[text as usize]);
    let states = batch.observations().iter().map(|&text| of(text)).collect();
    // Failures are cut short.
    let ends = batch.final_observations().iter().zip(batch.success());
    let ends = ends.map(|(&text, &success)| if success { 0.0 } else { text.map_or(0.0, of) });
    let ends = ends.collect();
    batch.with_values(Values { states, ends }).unwrap()
}

/// The groups as a batch.
pub fn without_values(groups: &[Vec<Episode>]) -> Batch {
    let mut builder = Batch::builder();
    for group in groups {
        builder.push_group(group.iter().map(|episode| {
            let step = |step: &Step| {
                episodes::Step::new(step.observation.clone(), step.reward).valid(step.valid)
            };
            let steps = episode.steps.iter().map(step);
            let built = episodes::Episode::new().steps(steps).success(episode.success);
            match &episode.final_observation {
                Some(text) => built.final_observation(text),
                None => built,
            }
        }));
    }
    builder.build().unwrap()
}

/// The distribution of random episodes.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    pub groups: usize,
    pub episodes: usize,
    pub steps: usize,
    /// The number of different observations, one of them empty.
    pub observations: usize,
    /// The reward of a success.
    pub success_value: f64,
    /// Whether other steps have rewards too.
    pub step_rewards: bool,
}

impl Draw {
    /// A small distribution that differs from seed to seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Stream::new(seed, Purpose::Generator).rng();
        Self {
            groups: rng.random_range(1..=4),
            episodes: rng.random_range(1..=5),
            steps: rng.random_range(1..=7),
            observations: rng.random_range(1..=12),
            success_value: if rng.random() { 1.0 } else { 10.0 },
            step_rewards: rng.random_bool(0.3),
        }
    }

    /// Random groups.
    pub fn groups(&self, seed: u64) -> Vec<Vec<Episode>> {
        let mut rng = Stream::new(seed, Purpose::Tasks).rng();
        let texts: Vec<String> = (0..self.observations).map(|n| text(n, &mut rng)).collect();
        let mut pick = |rng: &mut dyn rand::RngCore| texts.choose(rng).cloned().unwrap_or_default();
        let mut group = |rng: &mut dyn rand::RngCore| -> Vec<Episode> {
            let easy = [0.0, 0.5, 1.0].choose(rng).copied().unwrap_or(0.5);
            let episodes = rng.random_range(1..=self.episodes);
            (0..episodes).map(|_| self.episode(easy, &mut pick, rng)).collect()
        };
        (0..self.groups).map(|_| group(&mut rng)).collect()
    }

    fn episode(
        &self,
        easy: f64,
        pick: &mut dyn FnMut(&mut dyn rand::RngCore) -> String,
        rng: &mut dyn rand::RngCore,
    ) -> Episode {
        let steps = rng.random_range(1..=self.steps);
        let success = rng.random_bool(easy);
        let step = |time: usize| {
            let mut reward = if self.step_rewards { 0.125 * time as f64 } else { 0.0 };
            if success && time + 1 == steps {
                reward = self.success_value;
            }
            Step { observation: pick(rng), reward, valid: rng.random_bool(0.8) }
        };
        let steps = (0..steps).map(step).collect();
        Episode { steps, success, final_observation: Some(pick(rng)) }
    }
}

fn text(number: usize, rng: &mut impl Rng) -> String {
    const WORDS: [&str; 12] = [
        "lamp",
        "Shelf",
        "drawer 1",
        "drawer 2",
        "key",
        "door",
        "open,",
        "closed.",
        "red",
        "caf\u{e9}",
        "a",
        "north_wing",
    ];
    if number == 0 {
        return String::new();
    }
    let words = rng.random_range(1..=9);
    let words: Vec<&str> = (0..words).filter_map(|_| WORDS.choose(rng).copied()).collect();
    words.join(" ")
}
