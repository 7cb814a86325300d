//! Ranks that are processes, through MPI.
//!
//! All calls of MPI come from one thread, which has initialised it. So the rest of the program can wait
//! for an answer with a time limit: a call of MPI that waits for a dead process never returns.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::{Duration, Instant};

use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::datatype::{Partition, PartitionMut};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives as _};

use super::communicator::Communicator;
use crate::error::{Error, Result};

/// Bytes that a rank receives in one call. MPI counts in 31 bits.
const BYTES_AT_ONCE: usize = 1 << 30;

/// Numbers that are added in one call.
const NUMBERS_AT_ONCE: usize = BYTES_AT_ONCE / size_of::<f32>();

/// The time limit until it is set, and that of the end of MPI.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// Time that the end of MPI may take.
const TIME_TO_END: Duration = Duration::from_secs(30);

/// Each rank waits this much longer than the one before, so that one of them reports a loss first.
const LATER: Duration = Duration::from_secs(2);

/// A call of MPI, which sends its result to the thread that has asked for it.
type Call = Box<dyn FnOnce(&SimpleCommunicator) + Send>;

/// The place of a process.
struct Place {
    rank: usize,
    size: usize,
    local_rank: usize,
}

/// The communicator of the processes that `mpirun` or `srun` has started.
pub struct MpiCommunicator {
    place: Place,
    limit: Mutex<Duration>,
    /// `None` once MPI is to end.
    calls: Mutex<Option<Sender<Call>>>,
    thread: Option<JoinHandle<()>>,
    /// Whether a call of MPI does not return.
    hangs: AtomicBool,
}

impl MpiCommunicator {
    /// Initialises MPI, which a process can do once.
    ///
    /// # Errors
    /// Fails if MPI was initialised before.
    pub fn start() -> Result<Self> {
        let (calls, taken) = channel();
        let (tell, told) = channel();
        let thread = Builder::new().name("mpi".into()).spawn(move || serve(&tell, &taken));
        let thread =
            thread.map_err(|error| Error::Run(format!("cannot start a thread: {error}")))?;
        let place = told.recv().ok().flatten();
        let place = place.ok_or_else(|| Error::Run("MPI cannot be initialised".into()))?;
        Ok(Self {
            place,
            limit: Mutex::new(TIME_LIMIT),
            calls: Mutex::new(Some(calls)),
            thread: Some(thread),
            hangs: AtomicBool::new(false),
        })
    }

    /// Has the thread of MPI call it, and waits for the result.
    fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&SimpleCommunicator) -> T + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = channel();
        let call: Call = Box::new(move |world| {
            // After the time limit nothing waits for the result.
            let _ = answer.send(call(world));
        });
        let limit = *self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let reply = match calls.as_ref().is_some_and(|calls| calls.send(call).is_ok()) {
            true => answered.recv_timeout(limit + LATER * self.place.rank as u32),
            false => Err(RecvTimeoutError::Disconnected),
        };
        self.hangs.fetch_or(reply.is_err(), Ordering::Relaxed);
        reply.map_err(|error| match error {
            RecvTimeoutError::Timeout => Error::Run(format!(
                "rank {} has waited {} seconds for the other ranks: one of them is lost or hangs; the \
                 run can be resumed from its last checkpoint",
                self.place.rank,
                limit.as_secs_f64()
            )),
            RecvTimeoutError::Disconnected => Error::Run("MPI has ended".into()),
        })
    }
}

impl Communicator for MpiCommunicator {
    fn rank(&self) -> usize {
        self.place.rank
    }

    fn size(&self) -> usize {
        self.place.size
    }

    fn local_rank(&self) -> usize {
        self.place.local_rank
    }

    fn all_gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        self.ask(move |world| all_gather(world, &bytes))
    }

    fn all_to_all(&self, bytes: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        self.ask(move |world| all_to_all(world, &bytes))
    }

    /// MPI requires that all ranks get the same numbers.
    fn all_reduce(&self, values: Vec<f32>) -> Result<Vec<f32>> {
        self.ask(move |world| all_reduce(world, &values))
    }

    fn set_time_limit(&self, limit: Duration) {
        *self.limit.lock().unwrap_or_else(PoisonError::into_inner) = limit;
    }
}

impl Drop for MpiCommunicator {
    /// Ends MPI, unless a call of it does not return.
    fn drop(&mut self) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (begun, Some(thread)) = (Instant::now(), self.thread.take()) else { return };
        // A process that ends without the end of MPI ends the others too.
        let may_end = !self.hangs.load(Ordering::Relaxed);
        while may_end && !thread.is_finished() && begun.elapsed() < TIME_TO_END {
            sleep(Duration::from_millis(1));
        }
    }
}

/// Initialises MPI, makes calls until there are no more, and ends MPI.
fn serve(tell: &Sender<Option<Place>>, calls: &Receiver<Call>) {
    let Some((universe, _)) = mpi::initialize_with_threading(Threading::Funneled) else {
        // The other side sees this or that the thread has ended.
        let _ = tell.send(None);
        return;
    };
    let world = universe.world();
    let local_rank = world.split_shared(world.rank()).rank() as usize;
    let place = Place { rank: world.rank() as usize, size: world.size() as usize, local_rank };
    if tell.send(Some(place)).is_err() {
        return;
    }
    calls.iter().for_each(|call| call(&world));
}

/// Counts and displacements of adjacent pieces. A round has less than 2³¹ bytes.
fn places(lengths: &[usize]) -> (Vec<i32>, Vec<i32>) {
    let counts: Vec<i32> = lengths.iter().map(|&length| length as i32).collect();
    let place = |next: &mut i32, &count: &i32| {
        let place = *next;
        *next += count;
        Some(place)
    };
    let displacements = counts.iter().scan(0, place).collect();
    (counts, displacements)
}

/// The piece of a byte string that travels in a round.
fn piece(length: usize, round: usize, size: usize) -> std::ops::Range<usize> {
    (round * size).min(length)..((round + 1) * size).min(length)
}

/// The longest of some lengths.
fn longest(lengths: &[u64]) -> usize {
    lengths.iter().copied().max().unwrap_or(0) as usize
}

fn all_gather(world: &SimpleCommunicator, bytes: &[u8]) -> Vec<Vec<u8>> {
    let ranks = world.size() as usize;
    let mut lengths = vec![0u64; ranks];
    world.all_gather_into(&(bytes.len() as u64), &mut lengths[..]);
    let size = BYTES_AT_ONCE / ranks;
    let mut all: Vec<Vec<u8>> =
        lengths.iter().map(|&length| Vec::with_capacity(length as usize)).collect();
    for round in 0..longest(&lengths).div_ceil(size) {
        let of_rank = |&length: &u64| piece(length as usize, round, size).len();
        let pieces: Vec<usize> = lengths.iter().map(of_rank).collect();
        let (counts, displacements) = places(&pieces);
        let mut received = vec![0u8; pieces.iter().sum()];
        let mut partition = PartitionMut::new(&mut received[..], counts, displacements);
        world.all_gather_varcount_into(&bytes[piece(bytes.len(), round, size)], &mut partition);
        hand_out(&received, &pieces, &mut all);
    }
    all
}

fn all_to_all(world: &SimpleCommunicator, bytes: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let ranks = world.size() as usize;
    let sent: Vec<u64> = bytes.iter().map(|bytes| bytes.len() as u64).collect();
    let mut lengths = vec![0u64; ranks];
    world.all_to_all_into(&sent[..], &mut lengths[..]);
    // All ranks take part in as many rounds.
    let most = longest(&sent) as u64;
    let mut most_of_all = vec![0u64; ranks];
    world.all_gather_into(&most, &mut most_of_all[..]);
    let size = BYTES_AT_ONCE / ranks;
    let mut all: Vec<Vec<u8>> =
        lengths.iter().map(|&length| Vec::with_capacity(length as usize)).collect();
    for round in 0..longest(&most_of_all).div_ceil(size) {
        let outgoing: Vec<&[u8]> =
            bytes.iter().map(|bytes| &bytes[piece(bytes.len(), round, size)]).collect();
        let out_lengths: Vec<usize> = outgoing.iter().map(|bytes| bytes.len()).collect();
        let outgoing = outgoing.concat();
        let of_rank = |&length: &u64| piece(length as usize, round, size).len();
        let pieces: Vec<usize> = lengths.iter().map(of_rank).collect();
        let mut received = vec![0u8; pieces.iter().sum()];
        let (counts, displacements) = places(&out_lengths);
        let from = Partition::new(&outgoing[..], counts, displacements);
        let (counts, displacements) = places(&pieces);
        let mut to = PartitionMut::new(&mut received[..], counts, displacements);
        world.all_to_all_varcount_into(&from, &mut to);
        hand_out(&received, &pieces, &mut all);
    }
    all
}

fn all_reduce(world: &SimpleCommunicator, values: &[f32]) -> Vec<f32> {
    let mut sum = vec![0.0; values.len()];
    let pieces = values.chunks(NUMBERS_AT_ONCE).zip(sum.chunks_mut(NUMBERS_AT_ONCE));
    pieces.for_each(|(own, sum)| world.all_reduce_into(own, sum, SystemOperation::sum()));
    sum
}

/// Appends the pieces that were received to the bytes of their ranks.
fn hand_out(received: &[u8], pieces: &[usize], all: &mut [Vec<u8>]) {
    let mut rest = received;
    for (bytes, &length) in all.iter_mut().zip(pieces) {
        let (piece, others) = rest.split_at(length);
        bytes.extend_from_slice(piece);
        rest = others;
    }
}
