//! Words and their weights.

use std::collections::HashMap;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::words::for_each_word;
use crate::env::{Environment, Session, Texts};
use crate::error::Result;
use crate::stream::{Purpose, Stream};

/// Number of buckets into which unknown words are hashed. There are several, so that two unknown
/// words of one sentence are usually distinguished.
pub const UNKNOWN_BUCKETS: usize = 16;

/// The words of a scorer, with inverse document frequencies. Words `0..UNKNOWN_BUCKETS` are the buckets
/// for unknown words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Vocabulary {
    words: Vec<String>,
    weights: Vec<f32>,
    index: HashMap<String, u32>,
}

/// The serialized form of a vocabulary.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    words: Vec<String>,
    weights: Vec<f32>,
}

impl TryFrom<Stored> for Vocabulary {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        if stored.words.len() != stored.weights.len() {
            return Err(format!(
                "a vocabulary of {} words has {} weights",
                stored.words.len(),
                stored.weights.len()
            ));
        }
        if let Some(weight) = stored.weights.iter().find(|weight| !weight.is_finite()) {
            return Err(format!("a word's weight is {weight}, expected a finite number"));
        }
        Ok(Self::new(stored.words, stored.weights))
    }
}

impl From<Vocabulary> for Stored {
    fn from(vocabulary: Vocabulary) -> Self {
        Self { words: vocabulary.words, weights: vocabulary.weights }
    }
}

impl Vocabulary {
    fn new(words: Vec<String>, weights: Vec<f32>) -> Self {
        let index = words
            .iter()
            .enumerate()
            .map(|(place, word)| (word.clone(), (place + UNKNOWN_BUCKETS) as u32))
            .collect();
        Self { words, weights, index }
    }

    /// Collects a vocabulary from the texts of an environment: goals, observations and admissible
    /// actions of random play on up to `max_tasks` tasks, a few dozen steps each. The `max_words` most
    /// frequent words are kept, ties in alphabetical order.
    ///
    /// # Errors
    /// Fails if the environment fails repeatedly on a task.
    pub fn from_environment(
        environment: &dyn Environment,
        max_tasks: usize,
        max_words: usize,
        seed: u64,
    ) -> Result<Self> {
        let mut counts = WordCounts::default();
        let count = environment.tasks().min(max_tasks);
        let plan = |place: usize| {
            let mut rng = Stream::new(seed, Purpose::Weights).of(place, 0).rng();
            // Spread over all tasks, because neighbours in the list tend to be similar.
            PlannedTask { task: place * environment.tasks() / count, seed: rng.random(), rng }
        };
        let plans: Vec<PlannedTask> = (0..count).map(plan).collect();
        for plans in plans.chunks(CONCURRENT_TASKS) {
            counts.add_walks(environment, plans.to_vec())?;
        }
        Ok(counts.finish(max_words))
    }

    /// Number of words, including the buckets for unknown words.
    pub fn len(&self) -> usize {
        self.words.len() + UNKNOWN_BUCKETS
    }

    /// Whether there are no words except the buckets.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The index of a word, in `0..len()`.
    pub fn word(&self, word: &str) -> u32 {
        self.index.get(word).copied().unwrap_or_else(|| bucket(word))
    }

    /// The weight of a word: ln(texts / texts that contain it), 0 for a number. An unknown word weighs
    /// as much as the rarest known one.
    pub fn weight(&self, word: u32) -> f32 {
        match (word as usize).checked_sub(UNKNOWN_BUCKETS) {
            Some(place) => self.weights.get(place).copied().unwrap_or(0.0),
            None => self.weights.iter().copied().fold(1.0, f32::max),
        }
    }
}

/// FNV-1a, so that a word falls into the same bucket on every machine.
fn bucket(word: &str) -> u32 {
    let hash = word.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash % UNKNOWN_BUCKETS as u64) as u32
}

/// Number of tasks that are played concurrently, for environments that support it.
const CONCURRENT_TASKS: usize = 128;

/// Maximum number of attempts to play a task. The vocabulary depends on all tasks, so a task on which
/// the environment fails cannot be left out.
const MAX_ATTEMPTS: usize = 3;

/// Number of texts that contain each word.
#[derive(Default)]
struct WordCounts {
    texts: usize,
    counts: HashMap<String, usize>,
    seen: Vec<String>,
}

/// Steps per task: enough to open a few receptacles of a household; more steps add no words.
const STEPS_PER_TASK: usize = 24;

impl WordCounts {
    fn add(&mut self, text: &str) {
        self.texts += 1;
        self.seen.clear();
        for_each_word(text, |word| {
            if !self.seen.iter().any(|seen| seen == word) {
                self.seen.push(word.to_string());
            }
        });
        for word in self.seen.drain(..) {
            *self.counts.entry(word).or_default() += 1;
        }
    }

    /// Plays tasks at random, concurrently, and counts their words.
    fn add_walks(
        &mut self,
        environment: &dyn Environment,
        mut plans: Vec<PlannedTask>,
    ) -> Result<()> {
        for attempt in 1.. {
            let episodes: Vec<_> = plans.iter().map(|plan| (plan.task, plan.seed)).collect();
            environment.announce(&episodes);
            let walks = plans.iter().map(|plan| RandomWalk::begin(environment, plan)).collect();
            let (mut failed, mut last) = (Vec::new(), None);
            for (plan, walked) in plans.into_iter().zip(walk_all(walks)) {
                match walked {
                    Ok(walk) => self.merge(walk.counts),
                    Err(error) => {
                        failed.push(plan);
                        last = Some(error);
                    }
                }
            }
            match last {
                None => break,
                Some(error) if attempt == MAX_ATTEMPTS => return Err(error),
                Some(_) => plans = failed,
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.texts += other.texts;
        for (word, count) in other.counts {
            *self.counts.entry(word).or_default() += count;
        }
    }

    fn finish(self, max_words: usize) -> Vocabulary {
        let mut counted: Vec<(String, usize)> = self.counts.into_iter().collect();
        counted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        counted.truncate(max_words);
        let texts = self.texts as f32;
        let weigh = |(word, count): &(String, usize)| {
            if word.starts_with(char::is_numeric) { 0.0 } else { (texts / *count as f32).ln() }
        };
        let weights = counted.iter().map(weigh).collect();
        Vocabulary::new(counted.into_iter().map(|(word, _)| word).collect(), weights)
    }
}

/// A task to play at random.
#[derive(Clone)]
struct PlannedTask {
    task: usize,
    /// Seed of the environment.
    seed: u64,
    /// Stream of the actions.
    rng: ChaCha8Rng,
}

/// One task under way.
struct RandomWalk {
    session: Box<dyn Session>,
    rng: ChaCha8Rng,
    counts: WordCounts,
    /// The next action; `None` at the end.
    action: Option<String>,
}

/// Plays all walks to their ends, in lock-step. A walk that fails returns its error.
fn walk_all(mut walks: Vec<Result<RandomWalk>>) -> Vec<Result<RandomWalk>> {
    for _ in 0..STEPS_PER_TASK {
        walks.iter_mut().flatten().for_each(RandomWalk::choose);
        for walk in &mut walks {
            if let Ok(Err(error)) = walk.as_mut().map(RandomWalk::step) {
                *walk = Err(error);
            }
        }
    }
    walks
}

impl RandomWalk {
    fn begin(environment: &dyn Environment, plan: &PlannedTask) -> Result<Self> {
        let session = environment.start(plan.task, plan.seed)?;
        let mut counts = WordCounts::default();
        counts.add(session.goal());
        Ok(Self { session, rng: plan.rng.clone(), counts, action: Some(String::new()) })
    }

    /// Counts the current texts and chooses the next action.
    fn choose(&mut self) {
        if self.action.take().is_none() {
            return;
        }
        let (mut observation, mut admissible) = (String::new(), Texts::new());
        self.session.observe(&mut observation);
        self.session.choices(&mut admissible);
        self.counts.add(&observation);
        admissible.iter().for_each(|action| self.counts.add(action));
        if !admissible.is_empty() {
            let action = admissible.get(self.rng.random_range(0..admissible.len()));
            let action = action.unwrap_or_default().to_string();
            self.session.announce(&action);
            self.action = Some(action);
        }
    }

    fn step(&mut self) -> Result<()> {
        if let Some(action) = &self.action
            && self.session.step(action)?.ended()
        {
            self.action = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_words_weigh_more_and_numbers_have_weight_zero() {
        let mut counts = WordCounts::default();
        ["go to shelf 1", "go to desk 1", "go to lamp 2"].iter().for_each(|text| counts.add(text));
        let vocabulary = counts.finish(100);
        let weight = |word: &str| vocabulary.weight(vocabulary.word(word));
        assert!(weight("lamp") > weight("go"));
        assert_eq!(weight("go"), 0.0);
        assert_eq!(weight("2"), 0.0);
        assert!((vocabulary.word("zebra") as usize) < UNKNOWN_BUCKETS);
        assert_eq!(weight("zebra"), 3f32.ln().max(1.0));
    }

    #[test]
    fn a_vocabulary_round_trips_and_a_malformed_one_is_refused() {
        let mut counts = WordCounts::default();
        counts.add("open the drawer");
        let vocabulary = counts.finish(2);
        assert_eq!(vocabulary.len(), 2 + UNKNOWN_BUCKETS);
        let json = serde_json::to_string(&vocabulary).unwrap();
        assert_eq!(serde_json::from_str::<Vocabulary>(&json).unwrap(), vocabulary);
        let error = serde_json::from_str::<Vocabulary>(r#"{"words":["a"],"weights":[]}"#);
        assert!(error.unwrap_err().to_string().contains("1 words has 0 weights"));
    }
}
