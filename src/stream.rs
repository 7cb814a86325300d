//! Named streams of random numbers.
//!
//! Every draw in the crate comes from a stream that is named by what it is for, never by when it is
//! taken: results do not depend on threads, on the order of a batch or on the speed of a backend.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// What a stream is used for. Two purposes never share numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// Which tasks an iteration plays.
    Tasks = 1,
    /// Which actions an episode samples.
    Actions = 2,
    /// What an environment leaves to chance.
    Environment = 3,
    /// How rows are shuffled into minibatches.
    Minibatches = 4,
    /// Initial weights.
    Weights = 5,
    /// Generated tasks.
    Generator = 6,
}

/// The name of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// The run's seed.
    pub seed: u64,
    /// What the numbers are for.
    pub purpose: Purpose,
    /// The iteration, or 0 outside training.
    pub iteration: u64,
    /// The group within the iteration, or any index that the purpose counts by.
    pub group: u32,
    /// The episode within the group.
    pub episode: u32,
}

impl Stream {
    /// A stream of `purpose` with all indices 0.
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        Self { seed, purpose, iteration: 0, group: 0, episode: 0 }
    }

    /// The same purpose at an iteration.
    pub fn at(self, iteration: u64) -> Self {
        Self { iteration, ..self }
    }

    /// The same purpose for one episode of one group.
    pub fn of(self, group: usize, episode: usize) -> Self {
        Self { group: group as u32, episode: episode as u32, ..self }
    }

    /// The generator itself. Its 256-bit key *is* the name, so different names never collide.
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
    fn names_tell_streams_apart_and_nothing_else_does() {
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
