//! Train multi-turn agents with ProxMO on any GPU that WebGPU reaches, or on the CPU.
//!
//! ProxMO ([arXiv 2602.19225](https://arxiv.org/abs/2602.19225)) is group-based policy optimisation
//! with better credit: an episode's advantage is scaled by how hard its task is, and each step is
//! compared with a baseline over all steps of its group, weighted by how near their states are.
//!
//! # Quick start
//!
//! An agent learns household tasks that the crate makes up:
//!
//! ```
//! use proxmo::device::{Backend, open};
//! use proxmo::env::Environment;
//! use proxmo::env::household::HouseholdConfig;
//! use proxmo::policy::scorer::{Scorer, ScorerEncoder, Vocabulary};
//! use proxmo::train::{Config, Trainer};
//!
//! # fn main() -> proxmo::Result<()> {
//! let mut config = Config::default();
//! config.env = HouseholdConfig { tasks: 20, ..HouseholdConfig::default() }.into();
//! config.rollout.groups = 2;
//! let tasks = config.env.open("train")?;
//!
//! let device = open(Backend::Flex, 0)?.device.autodiff();
//! let vocabulary = Vocabulary::from_environment(&*tasks, 20, 2048, 0)?;
//! let policy = Scorer::new(&config.policy.network(vocabulary.len()), 0, &device);
//! let encoder = ScorerEncoder { vocabulary, max_steps: tasks.max_steps() };
//!
//! let mut trainer = Trainer::new(config, policy, encoder);
//! let (metrics, episodes) = trainer.iterate(&*tasks, 0.0)?;
//! assert_eq!((metrics.iteration, episodes.episodes()), (1, 16));
//! # Ok(())
//! # }
//! ```
//!
//! # The rooms
//!
//! - [`credit`]: what each step was worth. Estimators without any device, one file each.
//! - [`embed`]: observations as vectors.
//! - [`env`](mod@env): environments; the ALFWorld engine and its task generator; any program as one
//!   ([`env::process`]).
//! - [`policy`]: policies; the small text scorer.
//! - [`rollout`]: groups of episodes, played in lock-step into flat rows.
//! - [`train`]: the loop, the loss, checkpoints, evaluation.
//! - [`kernels`]: credit on a device: WGSL compute shaders, with portable and CPU bodies.
//! - [`report`]: learning curves, comparisons, `report.html`.
//! - [`device`]: backends and devices.
//! - [`verify`]: whether every backend computes the same.
//!
//! # Features
//!
//! `cli` (the command), `wgpu` (GPUs) and `parallel` (threads) are on by default; `ndarray` adds
//! burn's older CPU backend for comparison. A library user wants
//! `default-features = false, features = ["wgpu", "parallel"]`.

#[cfg(feature = "cli")]
pub mod cli;
pub mod credit;
#[cfg(feature = "burn")]
pub mod device;
pub mod embed;
pub mod env;
pub mod episodes;
pub mod error;
#[cfg(feature = "fs")]
mod files;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "burn")]
pub mod kernels;
mod parallel;
#[cfg(feature = "burn")]
pub mod policy;
#[cfg(feature = "cli")]
pub mod report;
#[cfg(feature = "burn")]
pub mod rollout;
#[cfg(all(feature = "burn", feature = "fs"))]
pub mod runs;
pub mod stream;
#[cfg(feature = "burn")]
pub mod train;
#[cfg(feature = "burn")]
pub mod verify;

pub use error::{Error, Result};
