//! Words and their weights.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::words::for_each_word;
use crate::env::Environment;
use crate::error::Result;
use crate::policy::walks::{TextCollector, random_texts};

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
        let counts: WordCounts = random_texts(environment, max_tasks, seed)?;
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

/// Number of texts that contain each word.
#[derive(Default)]
struct WordCounts {
    texts: usize,
    counts: HashMap<String, usize>,
    seen: Vec<String>,
}

impl TextCollector for WordCounts {
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

    fn merge(&mut self, other: Self) {
        self.texts += other.texts;
        for (word, count) in other.counts {
            *self.counts.entry(word).or_default() += count;
        }
    }
}

impl WordCounts {
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
