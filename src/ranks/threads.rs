//! Ranks that are threads of one process.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::communicator::Communicator;
use crate::error::{Error, Result};

/// The default of the time after which a rank counts as lost.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// The communicator of a rank that is a thread.
pub struct ThreadCommunicator {
    rank: usize,
    /// `[ranks]`: to each rank.
    to: Vec<Mutex<Sender<Vec<u8>>>>,
    /// `[ranks]`: from each rank.
    from: Vec<Mutex<Receiver<Vec<u8>>>>,
    limit: Mutex<Duration>,
}

/// The communicators of `size` ranks, each for a thread of its own.
pub fn threads(size: usize) -> Vec<ThreadCommunicator> {
    let mut to: Vec<Vec<_>> = (0..size).map(|_| Vec::with_capacity(size)).collect();
    let mut from: Vec<Vec<_>> = (0..size).map(|_| Vec::with_capacity(size)).collect();
    for sender in &mut to {
        for receiver in &mut from {
            let (send, receive) = channel();
            sender.push(Mutex::new(send));
            receiver.push(Mutex::new(receive));
        }
    }
    let ends = to.into_iter().zip(from).enumerate();
    ends.map(|(rank, (to, from))| ThreadCommunicator {
        rank,
        to,
        from,
        limit: Mutex::new(TIME_LIMIT),
    })
    .collect()
}

impl Communicator for ThreadCommunicator {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn local_rank(&self) -> usize {
        self.rank
    }

    fn all_gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        self.all_to_all(vec![bytes; self.size()])
    }

    fn all_to_all(&self, bytes: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        for (rank, (to, bytes)) in self.to.iter().zip(bytes).enumerate() {
            let to = to.lock().unwrap_or_else(PoisonError::into_inner);
            to.send(bytes).map_err(|_| ended(rank))?;
        }
        let limit = *self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        let receive = |(rank, from): (usize, &Mutex<Receiver<Vec<u8>>>)| {
            let from = from.lock().unwrap_or_else(PoisonError::into_inner);
            from.recv_timeout(limit).map_err(|error| match error {
                RecvTimeoutError::Disconnected => ended(rank),
                RecvTimeoutError::Timeout => {
                    let seconds = limit.as_secs_f64();
                    Error::Run(format!("rank {rank} gave no answer within {seconds} seconds"))
                }
            })
        };
        self.from.iter().enumerate().map(receive).collect()
    }

    fn set_time_limit(&self, limit: Duration) {
        *self.limit.lock().unwrap_or_else(PoisonError::into_inner) = limit;
    }
}

fn ended(rank: usize) -> Error {
    Error::Run(format!("rank {rank} has ended"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_that_ends_or_does_not_answer_is_an_error_of_the_others() {
        let mut ranks = threads(2);
        let (second, first) = (ranks.pop().unwrap(), ranks.pop().unwrap());
        first.set_time_limit(Duration::from_millis(20));
        let error = first.all_gather(vec![1]).unwrap_err().to_string();
        assert_eq!(error, "rank 1 gave no answer within 0.02 seconds");
        drop(second);
        let error = first.all_gather(vec![1]).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.exit_code()), ("rank 1 has ended", 1));
    }
}
