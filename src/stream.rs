//! Named streams of random numbers.
//!
//! Every random draw comes from a stream that is named by its purpose and position, not by the time of
//! the draw. Results therefore do not depend on threads, the order of a batch or the speed of a backend.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The purpose of a stream. Streams of different purposes are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// The tasks of an iteration.
    Tasks = 1,
    /// The actions of an episode.
    Actions = 2,
    /// The randomness of an environment.
    Environment = 3,
    /// The order of rows in minibatches.
    Minibatches = 4,
    /// Initial weights.
    Weights = 5,
    /// Generated tasks.
    Generator = 6,
    /// The tokens that a language model writes.
    Tokens = 7,
    /// Initial weights of an adapter.
    Adapter = 8,
    /// The random actions in demonstrations.
    Noise = 9,
    /// Variations of tasks.
    Variation = 10,
    /// The settings of trials.
    Sweep = 11,
}

/// The name of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// The run's seed.
    pub seed: u64,
    /// The purpose.
    pub purpose: Purpose,
    /// The iteration, or 0 outside training.
    pub iteration: u64,
    /// The group within the iteration, or another index that the purpose defines.
    pub group: u32,
    /// The episode within the group.
    pub episode: u32,
}

impl Stream {
    /// The stream of a purpose with all indices 0.
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        Self { seed, purpose, iteration: 0, group: 0, episode: 0 }
    }

    /// The stream of an iteration.
    pub fn at(self, iteration: u64) -> Self {
        Self { iteration, ..self }
    }

    /// The stream of one episode of one group.
    pub fn of(self, group: usize, episode: usize) -> Self {
        Self { group: group as u32, episode: episode as u32, ..self }
    }

    /// The generator. Its 256-bit key is the name, so different names have different keys.
    pub fn rng(self) -> ChaCha8Rng {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&self.iteration.to_le_bytes());
        key[16..20].copy_from_slice(&self.group.to_le_bytes());
        key[20..24].copy_from_slice(&self.episode.to_le_bytes());
        key[24..28].copy_from_slice(&(self.purpose as u32).to_le_bytes());
        ChaCha8Rng::from_seed(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngCore;

    #[test]
    fn streams_differ_if_and_only_if_their_names_differ() {
        let base = Stream::new(7, Purpose::Actions);
        let names = [
            base,
            base.at(1),
            base.of(1, 0),
            base.of(0, 1),
            Stream::new(8, Purpose::Actions),
            Stream::new(7, Purpose::Tasks),
        ];
        let first: Vec<u64> = names.iter().map(|name| name.rng().next_u64()).collect();
        for (i, a) in first.iter().enumerate() {
            assert!(first[..i].iter().all(|b| a != b), "stream {i} repeats another");
        }
        assert_eq!(first[1], base.at(1).rng().next_u64());
    }
}
