//! The operations that ranks need of each other.

use std::time::Duration;

use crate::error::Result;

/// A rank's connection to the others. All ranks call the same operations in the same order.
pub trait Communicator: Send + Sync {
    /// Number of this rank, from 0.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn size(&self) -> usize;

    /// Number of this rank among those of its machine, from 0.
    fn local_rank(&self) -> usize;

    /// Gives each rank the bytes of all ranks, by rank.
    ///
    /// # Errors
    /// Fails if another rank is lost.
    fn all_gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>>;

    /// Gives rank `r` the bytes `bytes[r]`, and returns those that each rank has for this one, by rank.
    ///
    /// # Errors
    /// Fails if another rank is lost.
    fn all_to_all(&self, bytes: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>>;

    /// Sets the time after which a rank that this one waits for counts as lost.
    fn set_time_limit(&self, _limit: Duration) {}
}

/// The communicator of a single process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Communicator for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn local_rank(&self) -> usize {
        0
    }

    fn all_gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        Ok(vec![bytes])
    }

    fn all_to_all(&self, bytes: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        Ok(bytes)
    }
}
