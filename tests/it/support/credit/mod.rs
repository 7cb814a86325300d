//! What the tests of credit assignment share: batches that own their arrays, episodes drawn at
//! random, shared data, and the reference.

#![allow(dead_code, reason = "each test uses its part")]

pub mod reference;

use std::collections::HashMap;
use std::path::PathBuf;

use proxmo::credit::{CreditBatch, Embeddings};
use proxmo::stream::{Purpose, Stream};
use rand::Rng;
use rand::seq::IndexedRandom;

/// The arrays behind a [`CreditBatch`].
#[derive(Debug, Clone, Default)]
pub struct Owned {
    pub group_offsets: Vec<usize>,
    pub episode_offsets: Vec<usize>,
    pub rewards: Vec<f32>,
    pub success: Vec<bool>,
    pub valid: Vec<bool>,
    pub observations: Vec<u32>,
    pub texts: Vec<String>,
    pub final_observations: Vec<u32>,
    /// Numbers a row, and how many to each.
    pub embeddings: Option<(Vec<f32>, usize)>,
}

/// One step, written out.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub observation: String,
    pub reward: f32,
    pub valid: bool,
}

/// One episode, written out.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    pub steps: Vec<Step>,
    pub success: bool,
    pub final_observation: Option<String>,
}

impl Owned {
    /// Flattens groups of episodes.
    pub fn of(groups: &[Vec<Episode>]) -> Self {
        let mut owned =
            Self { group_offsets: vec![0], episode_offsets: vec![0], ..Self::default() };
        let mut numbers = HashMap::new();
        for group in groups {
            for episode in group {
                for step in &episode.steps {
                    owned.rewards.push(step.reward);
                    owned.valid.push(step.valid);
                    let number = number(&mut numbers, &mut owned.texts, &step.observation);
                    owned.observations.push(number);
                }
                owned.success.push(episode.success);
                if let Some(last) = &episode.final_observation {
                    owned.final_observations.push(number(&mut numbers, &mut owned.texts, last));
                }
                owned.episode_offsets.push(owned.rewards.len());
            }
            owned.group_offsets.push(owned.success.len());
        }
        owned
    }

    /// Hands the arrays over as a batch; `texts` is memory for the borrowed texts.
    pub fn batch<'a>(&'a self, texts: &'a mut Vec<&'a str>) -> CreditBatch<'a> {
        texts.extend(self.texts.iter().map(String::as_str));
        let complete = self.final_observations.len() == self.success.len();
        CreditBatch {
            group_offsets: &self.group_offsets,
            episode_offsets: &self.episode_offsets,
            rewards: &self.rewards,
            success: &self.success,
            valid: &self.valid,
            observations: &self.observations,
            texts,
            final_observations: complete.then_some(&self.final_observations),
            embeddings: self
                .embeddings
                .as_ref()
                .map(|(values, width)| Embeddings::Steps { values, width: *width }),
        }
    }
}

fn number(numbers: &mut HashMap<String, u32>, texts: &mut Vec<String>, text: &str) -> u32 {
    *numbers.entry(text.to_string()).or_insert_with(|| {
        texts.push(text.to_string());
        texts.len() as u32 - 1
    })
}

/// The folder of shared data, or nothing (said aloud) where it is not there. On a build server its
/// absence is a failure.
pub fn shared(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("PROXMO_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = root.join(folder);
    if path.is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", path.display());
    println!("SKIPPED: {} is not there", path.display());
    None
}

/// What episodes drawn at random are like.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    pub groups: usize,
    pub episodes: usize,
    pub steps: usize,
    /// How many different observations there are, one of them empty.
    pub observations: usize,
    /// What a success earns.
    pub success_value: f32,
    /// Whether other steps earn something too.
    pub step_rewards: bool,
}

impl Draw {
    /// Something small, and different for every seed.
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

    /// Groups of up to as many episodes of up to as many steps.
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
            let mut reward = if self.step_rewards { 0.125 * time as f32 } else { 0.0 };
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
