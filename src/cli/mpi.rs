//! A command on several ranks through MPI.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::signals::asked_to_stop;
use super::terminal::{silence, unsilence};
use crate::error::{Error, Result};
use crate::ranks::launch::launched;
use crate::ranks::{MpiCommunicator, Ranks};

/// Runs work on all ranks. An error that a rank has is that of all, unless the connection is lost: the leader
/// reports it, and ends with its exit code.
///
/// # Errors
/// Returns, on the leader, its error. Fails if the ranks run other builds, or if there are several and this
/// build runs in one process.
pub fn on_ranks(work: impl FnOnce(&Ranks) -> Result<()>) -> Result<()> {
    if launched().is_none() {
        return work(&Ranks::alone());
    }
    let ranks = Ranks::new(MpiCommunicator::start()?);
    let result = ranks.expect_same_build().and_then(|()| work(&ranks));
    match (result, ranks.is_lost()) {
        (Err(error), true) => Err(report_loss(&ranks, error)),
        // If a process ended with the exit code of an error before the leader, the launcher would end the
        // leader, perhaps before it has reported.
        (Err(_), false) if !ranks.is_leader() => Ok(()),
        (result, _) => result,
    }
}

/// Reports that the connection to other ranks is lost, unless another process has: all of them see it, and
/// the launcher then ends the others. The leader's line comes first.
fn report_loss(ranks: &Ranks, error: Error) -> Error {
    if ranks.is_leader() {
        if is_ended_by_launcher(2 * SIGTERM_AFTER) {
            silence();
        }
    } else if !is_ended_by_launcher(5 * SIGTERM_AFTER) {
        unsilence();
    }
    error
}

/// Time after which `mpirun` sends SIGTERM to processes that it ends. It first wakes those that were
/// stopped, whose time limit is then over.
const SIGTERM_AFTER: Duration = Duration::from_secs(1);

/// Whether a process that has lost the others learns within some time that the launcher ends it: then
/// another process has reported the loss.
fn is_ended_by_launcher(within: Duration) -> bool {
    let begun = Instant::now();
    while !asked_to_stop() && begun.elapsed() < within {
        sleep(Duration::from_millis(50));
    }
    asked_to_stop()
}
