//! Ranks: processes that train one policy together.
//!
//! The processes of a training are numbered from 0, as in MPI. Rank 0, the *leader*, has the run's folder
//! and decides what is done; the others follow. Work is divided into *parts* whose number is a setting
//! ([`DistributedConfig::parts`](crate::train::DistributedConfig)), not the number of ranks: a part is
//! computed by one rank as a whole, and what the parts give is put together in their order. So the result
//! is the same, byte for byte, with any number of ranks, one included, unless [`GradientSum::ByRank`] is
//! chosen.
//!
//! [`Communicator`] is what this takes from MPI: three collective operations. [`Alone`] is that of a single
//! process, [`threads()`] gives those of threads of one process, for tests and for programs with ranks of
//! their own, and `MpiCommunicator` (feature `mpi`) is that of processes on one or several machines.

mod communicator;
mod frame;
mod group;
pub mod launch;
#[cfg(feature = "mpi")]
mod mpi;
mod sum;
mod threads;
mod wire;

pub use communicator::{Alone, Communicator};
pub use group::{Ranks, Traffic};
#[cfg(feature = "mpi")]
pub use mpi::MpiCommunicator;
pub(crate) use sum::Addend;
pub use sum::GradientSum;
pub use threads::{ThreadCommunicator, threads};
pub(crate) use wire::{decode, encode, join, split};
