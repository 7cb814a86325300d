//! The operations that ranks need of each other.

use std::ops::Range;
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

    /// Gives each rank the sum of the vectors of all ranks, which have the same length. The implementation
    /// chooses the order in which numbers are added; all ranks get the same bits.
    ///
    /// Unless it is implemented in another way, each rank adds up one slice, by rank, and the slices are
    /// gathered.
    ///
    /// # Errors
    /// Fails if another rank is lost.
    fn all_reduce(&self, values: Vec<f32>) -> Result<Vec<f32>> {
        let slices = (0..self.size()).map(|rank| slice(values.len(), rank, self.size()));
        let outgoing = slices.map(|slice| bytemuck::cast_slice(&values[slice]).to_vec());
        let incoming = self.all_to_all(outgoing.collect())?;
        let mut sum = vec![0.0; slice(values.len(), self.rank(), self.size()).len()];
        for bytes in &incoming {
            let addend = bytemuck::pod_collect_to_vec::<u8, f32>(bytes);
            sum.iter_mut().zip(&addend).for_each(|(sum, value)| *sum += value);
        }
        let slices = self.all_gather(bytemuck::cast_slice(&sum).to_vec())?;
        Ok(slices.iter().flat_map(|bytes| bytemuck::pod_collect_to_vec::<u8, f32>(bytes)).collect())
    }

    /// Sets the time after which a rank that this one waits for counts as lost.
    fn set_time_limit(&self, _limit: Duration) {}
}

/// The slice of a vector of `total` numbers that a rank of `ranks` adds up.
pub(super) fn slice(total: usize, rank: usize, ranks: usize) -> Range<usize> {
    total * rank / ranks..total * (rank + 1) / ranks
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
