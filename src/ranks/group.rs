//! What ranks do together, on top of a communicator.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use web_time::Instant;

use super::communicator::{Alone, Communicator};
use super::frame::{frame, open};
use super::sum::GradientSum;
use super::wire::{decode, encode, join, split};
use crate::error::{Error, Result};

/// A rank's place among the ranks, the number of parts that work is divided into, and how gradients are
/// added. Clones are handles to the same place.
///
/// If a rank fails in work that all do, all of them get its error.
#[derive(Clone)]
pub struct Ranks {
    shared: Arc<Shared>,
    parts: usize,
    gradient_sum: GradientSum,
}

struct Shared {
    communicator: Box<dyn Communicator>,
    /// Whether the error that is on its way up is known to all ranks.
    is_agreed: AtomicBool,
    /// Whether the connection is lost.
    is_lost: AtomicBool,
    bytes: AtomicU64,
    nanoseconds: AtomicU64,
}

/// What exchanges with other ranks have taken.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Traffic {
    /// Bytes that this rank has sent to others and received from them.
    pub bytes: u64,
    /// Seconds that it has spent in exchanges, the time in which it waited for others included.
    pub seconds: f64,
}

impl std::fmt::Debug for Ranks {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let (rank, size, parts) = (self.rank(), self.size(), self.parts);
        write!(f, "Ranks {{ rank: {rank}, size: {size}, parts: {parts} }}")
    }
}

impl Default for Ranks {
    fn default() -> Self {
        Self::alone()
    }
}

impl Ranks {
    /// A single process, whose work is one part.
    pub fn alone() -> Self {
        Self::new(Alone)
    }

    /// The ranks of a communicator, whose work is one part.
    pub fn new(communicator: impl Communicator + 'static) -> Self {
        let shared = Shared {
            communicator: Box::new(communicator),
            is_agreed: AtomicBool::new(false),
            is_lost: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared), parts: 1, gradient_sum: GradientSum::default() }
    }

    /// The same ranks with work of `parts` parts, at least 1.
    pub fn with_parts(&self, parts: usize) -> Self {
        Self { parts: parts.max(1), ..self.clone() }
    }

    /// The same ranks, which add gradients in this way.
    pub fn with_gradient_sum(&self, gradient_sum: GradientSum) -> Self {
        Self { gradient_sum, ..self.clone() }
    }

    /// Number of parts that work is divided into.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// How gradients are added.
    pub fn gradient_sum(&self) -> GradientSum {
        self.gradient_sum
    }

    /// Number of this rank.
    pub fn rank(&self) -> usize {
        self.shared.communicator.rank()
    }

    /// Number of ranks.
    pub fn size(&self) -> usize {
        self.shared.communicator.size()
    }

    /// Number of this rank among those of its machine.
    pub fn local_rank(&self) -> usize {
        self.shared.communicator.local_rank()
    }

    /// Whether this is the leader, rank 0.
    pub fn is_leader(&self) -> bool {
        self.rank() == 0
    }

    /// Whether this process trains alone.
    pub fn is_alone(&self) -> bool {
        self.size() == 1
    }

    /// Whether the connection to the other ranks is lost. Nothing can be exchanged any more.
    pub fn is_lost(&self) -> bool {
        self.shared.is_lost.load(Ordering::Relaxed)
    }

    /// Sets the time after which a rank that this one waits for counts as lost, in seconds.
    pub fn set_time_limit(&self, seconds: f64) {
        self.shared.communicator.set_time_limit(Duration::from_secs_f64(seconds));
    }

    /// What exchanges have taken since the last call.
    pub fn take_traffic(&self) -> Traffic {
        let Shared { bytes, nanoseconds, .. } = &*self.shared;
        let seconds = nanoseconds.swap(0, Ordering::Relaxed) as f64 / 1e9;
        Traffic { bytes: bytes.swap(0, Ordering::Relaxed), seconds }
    }

    /// The numbers of the pieces of work, of `count`, that this rank does.
    pub fn own(&self, count: usize) -> Vec<usize> {
        (self.rank()..count).step_by(self.size()).collect()
    }

    /// Gives each rank the bytes of all ranks, by rank.
    ///
    /// # Errors
    /// Returns, on all ranks, the error of the first rank that has one instead of bytes. Fails if a rank
    /// is lost.
    pub fn exchange(&self, own: Result<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        if self.is_alone() {
            return own.map(|bytes| vec![bytes]);
        }
        let (own, error) = match own {
            Ok(bytes) => (frame(Ok(bytes)), None),
            Err(error) => (frame(Err(&error)), Some(error)),
        };
        let frames = self.all_gather(own)?;
        let mut error = error;
        let mut all = Vec::with_capacity(frames.len());
        for (rank, frame) in frames.into_iter().enumerate() {
            let opened = match error.take_if(|_| rank == self.rank()) {
                Some(error) => Err(error),
                None => open(frame, rank),
            };
            match opened {
                Ok(bytes) => all.push(bytes),
                Err(error) => {
                    self.shared.is_agreed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(all)
    }

    /// Checks that all ranks run the same build. It is the first exchange, because builds may differ in
    /// what they exchange.
    ///
    /// # Errors
    /// Names the first rank of another build.
    #[cfg_attr(not(feature = "mpi"), allow(dead_code, reason = "threads have the same build"))]
    pub(crate) fn expect_same_build(&self) -> Result<()> {
        let commit = option_env!("PROXMO_COMMIT").unwrap_or_default();
        let build = format!("{} {commit}", env!("CARGO_PKG_VERSION"));
        let builds = self.all_gather(build.into_bytes())?;
        match builds.iter().position(|build| *build != builds[0]) {
            None => Ok(()),
            Some(rank) => {
                let name = |rank: usize| String::from_utf8_lossy(&builds[rank]).into_owned();
                let (first, other) = (name(0), name(rank));
                let message = format!("runs proxmo {other}, rank 0 runs {first}");
                Err(Error::input(format!("rank {rank}"), message))
            }
        }
    }

    /// Tells the other ranks, in their next exchange, that this one has failed.
    fn fail(&self, error: Error) -> Error {
        let message = "the ranks do not agree about an error".to_string();
        self.exchange(Err(error)).err().unwrap_or(Error::Run(message))
    }

    /// Ends work that all ranks do: an error that this rank alone has becomes that of all.
    ///
    /// # Errors
    /// Returns the error of the result.
    pub fn settle<T>(&self, result: Result<T>) -> Result<T> {
        let is_agreed = self.shared.is_agreed.swap(false, Ordering::Relaxed);
        let result = match result {
            Err(error) if !is_agreed && !self.is_lost() => Err(self.fail(error)),
            result => result,
        };
        self.shared.is_agreed.store(false, Ordering::Relaxed);
        result
    }

    /// Checks that all ranks have done what they had to.
    ///
    /// # Errors
    /// Returns, on all ranks, the error of the first rank that has one.
    pub(crate) fn agree(&self, result: Result<()>) -> Result<()> {
        self.exchange(result.map(|()| Vec::new())).map(drop)
    }

    /// The value of the leader, on all ranks. The others give `None`.
    ///
    /// # Errors
    /// Returns the leader's error on all ranks.
    pub(crate) fn of_leader<T: Serialize + DeserializeOwned>(
        &self,
        value: Option<Result<T>>,
    ) -> Result<T> {
        match value {
            Some(value) if self.is_alone() => value,
            Some(Err(error)) => Err(self.fail(error)),
            Some(Ok(value)) => self.exchange(encode(&value)).map(|_| value),
            None => {
                let bytes = self.exchange(Ok(Vec::new()))?;
                decode(bytes.first().map(Vec::as_slice).unwrap_or_default())
            }
        }
    }

    /// The results of `count` pieces of work, of which this rank has done its [own](Self::own), on all
    /// ranks. `write` and `read` turn a result into bytes and back; a rank keeps its own results as they
    /// are.
    ///
    /// # Errors
    /// Returns the error of the first rank that has one.
    pub(crate) fn gather<T>(
        &self,
        count: usize,
        own: Result<Vec<T>>,
        write: impl Fn(&T) -> Result<Vec<u8>>,
        read: impl Fn(&[u8]) -> Result<T>,
    ) -> Result<Vec<T>> {
        if self.is_alone() {
            return own;
        }
        let own = own.map_err(|error| self.fail(error))?;
        let bytes = own.iter().map(write).collect::<Result<Vec<_>>>().map(|parts| join(&parts));
        let frames = self.exchange(bytes)?;
        let frames = frames.iter().map(|frame| split(frame)).collect::<Result<Vec<_>>>()?;
        let mut frames: Vec<_> = frames.into_iter().map(Vec::into_iter).collect();
        let mut own = own.into_iter();
        let piece = |piece: usize| {
            let rank = piece % self.size();
            let bytes = frames[rank].next();
            match bytes.zip((rank == self.rank()).then(|| own.next())) {
                Some((_, Some(own))) => Ok(own),
                _ => bytes.map_or_else(|| Err(missing(rank)), &read),
            }
        };
        (0..count).map(piece).collect()
    }

    /// [`Ranks::gather`] for values that have a form as bytes.
    ///
    /// # Errors
    /// As [`Ranks::gather`].
    pub(crate) fn gather_values<T: Serialize + DeserializeOwned>(
        &self,
        count: usize,
        own: Result<Vec<T>>,
    ) -> Result<Vec<T>> {
        self.gather(count, own, |value| encode(value), decode)
    }

    pub(super) fn all_gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let sent = bytes.len() * (self.size() - 1);
        let moved = |received: &Vec<Vec<u8>>| sent + self.of_others(received);
        self.counted(|communicator| communicator.all_gather(bytes), moved)
    }

    pub(super) fn all_to_all(&self, bytes: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let sent = self.of_others(&bytes);
        let moved = |received: &Vec<Vec<u8>>| sent + self.of_others(received);
        self.counted(|communicator| communicator.all_to_all(bytes), moved)
    }

    /// Counts the bytes that such a sum moves at least; a library may move more.
    pub(super) fn all_reduce(&self, values: Vec<f32>) -> Result<Vec<f32>> {
        let share = size_of_val(values.as_slice()) * (self.size() - 1) / self.size();
        self.counted(|communicator| communicator.all_reduce(values), |_| 4 * share)
    }

    /// The bytes that are to or from other ranks.
    fn of_others(&self, bytes: &[Vec<u8>]) -> usize {
        let all: usize = bytes.iter().map(Vec::len).sum();
        all - bytes.get(self.rank()).map_or(0, Vec::len)
    }

    /// Calls an operation, and counts its time and the bytes that it moves.
    fn counted<T>(
        &self,
        call: impl FnOnce(&dyn Communicator) -> Result<T>,
        moved: impl FnOnce(&T) -> usize,
    ) -> Result<T> {
        let Shared { communicator, is_lost, bytes, nanoseconds, .. } = &*self.shared;
        if is_lost.load(Ordering::Relaxed) {
            return Err(Error::Run("the connection to the other ranks is lost".into()));
        }
        let begun = Instant::now();
        let received = call(&**communicator);
        nanoseconds.fetch_add(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        match &received {
            Ok(received) => {
                bytes.fetch_add(moved(received) as u64, Ordering::Relaxed);
            }
            Err(_) => is_lost.store(true, Ordering::Relaxed),
        }
        received
    }
}

fn missing(rank: usize) -> Error {
    Error::Run(format!("rank {rank} did less than its part of the work"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranks::threads;
    use std::thread;

    /// What each of `size` ranks returns.
    fn on_ranks<T: Send>(size: usize, work: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
        let communicators = threads(size);
        thread::scope(|scope| {
            let work = &work;
            let spawn = |one| scope.spawn(move || work(Ranks::new(one)));
            let ranks: Vec<_> = communicators.into_iter().map(spawn).collect();
            ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
        })
    }

    #[test]
    fn pieces_of_work_come_back_in_order_on_every_rank() {
        for size in 1..=5 {
            for count in [0, 1, 4, 7] {
                let all = on_ranks(size, |ranks| {
                    let own = ranks.own(count).into_iter().map(|piece| 10 * piece).collect();
                    ranks.gather_values(count, Ok(own)).unwrap()
                });
                let expected: Vec<usize> = (0..count).map(|piece| 10 * piece).collect();
                assert!(all.iter().all(|one| *one == expected), "{size} ranks: {all:?}");
            }
        }
    }

    #[test]
    fn the_error_of_one_rank_is_that_of_all() {
        let errors = on_ranks(3, |ranks| {
            let own = match ranks.rank() {
                1 => Err(Error::Environment("broke".into())),
                _ => Ok(vec![1]),
            };
            ranks.gather_values(3, own).unwrap_err().to_string()
        });
        assert_eq!(errors[1], "environment: broke");
        assert_eq!(errors[0], "environment: rank 1: broke");
        assert_eq!(errors[2], errors[0]);
    }

    #[test]
    fn an_error_between_two_exchanges_reaches_the_others_in_the_next() {
        let results = on_ranks(3, |ranks| {
            let work = || {
                if ranks.rank() == 2 {
                    return Err(Error::Run("lost its device".into()));
                }
                ranks.agree(Ok(()))
            };
            let first = ranks.settle(work()).unwrap_err().to_string();
            // Work goes on in step.
            let second = ranks.of_leader(ranks.is_leader().then_some(Ok(7))).unwrap();
            (first, second)
        });
        assert_eq!(results[2], ("lost its device".into(), 7));
        assert_eq!(results[0], ("rank 2: lost its device".into(), 7));
        assert_eq!(results[1], results[0]);
    }

    #[test]
    fn the_leaders_value_or_error_is_that_of_all() {
        let values = on_ranks(2, |ranks| {
            let leads = ranks.is_leader();
            let value: Result<f64> = ranks.of_leader(leads.then_some(Ok(0.1 + 0.2)));
            let error = leads.then(|| Err(Error::setting("a", "is wrong")));
            let error: Result<f64> = ranks.of_leader(error);
            (value.unwrap(), error.unwrap_err().to_string())
        });
        assert_eq!(values[0], (0.1 + 0.2, "setting 'a': is wrong".into()));
        assert_eq!(values[1], values[0]);
    }

    #[test]
    fn after_a_loss_nothing_is_waited_for() {
        let mut communicators = threads(2);
        drop(communicators.pop());
        let ranks = Ranks::new(communicators.pop().unwrap());
        assert!(!ranks.is_lost());
        assert_eq!(ranks.agree(Ok(())).unwrap_err().to_string(), "rank 1 has ended");
        assert!(ranks.is_lost());
        let error = ranks.settle::<()>(Err(Error::Run("x".into()))).unwrap_err();
        assert_eq!(error.to_string(), "x");
        let error = ranks.agree(Ok(())).unwrap_err().to_string();
        assert_eq!(error, "the connection to the other ranks is lost");
    }

    #[test]
    fn traffic_counts_what_leaves_and_reaches_a_rank() {
        let traffic = on_ranks(3, |ranks| {
            ranks.all_gather(vec![0; 10 * (ranks.rank() + 1)]).unwrap();
            let gathered = (ranks.take_traffic().bytes, ranks.take_traffic().bytes);
            ranks.all_reduce(vec![0.0; 9]).unwrap();
            (gathered, ranks.take_traffic().bytes)
        });
        // A sum sends two thirds of 36 bytes twice, and receives as many.
        assert_eq!(traffic, [((20 + 50, 0), 96), ((40 + 40, 0), 96), ((60 + 30, 0), 96)]);
        assert_eq!(Ranks::alone().take_traffic(), Traffic::default());
    }
}
