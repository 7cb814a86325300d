//! Train multi-turn agents with ProxMO on any GPU that WebGPU reaches, or on the CPU.
//!
//! ProxMO ([arXiv 2602.19225](https://arxiv.org/abs/2602.19225)) is group-based policy optimisation
//! with better credit assignment: an episode's advantage is scaled by the difficulty of its task, and
//! each step is compared with a baseline over all steps of its group, weighted by the proximity of their
//! states.
//!
//! # Quick start
//!
//! An agent learns household tasks that the crate generates:
//!
#![cfg_attr(feature = "burn", doc = "```")]
#![cfg_attr(not(feature = "burn"), doc = "```ignore")]
//! use proxmo::device::{Backend, open};
//! use proxmo::env::household::HouseholdConfig;
//! use proxmo::policy::scorer::ScorerConfig;
//! use proxmo::prelude::*;
//!
//! # fn main() -> proxmo::Result<()> {
//! let mut config = Config::default();
//! config.env = HouseholdConfig { tasks: 20, ..HouseholdConfig::default() }.into();
//! config.rollout.groups = 2;
//! let tasks = config.env.open("train")?;
//!
//! let device = open(Backend::Flex, 0)?.device.autodiff();
//! let (policy, encoder) = ScorerConfig::default().spec(&*tasks, 0)?.build(0, &device)?;
//!
//! let mut trainer = Trainer::new(config, policy, encoder);
//! let (metrics, episodes) = trainer.iterate(&*tasks, 0.0)?;
//! assert_eq!((metrics.iteration, episodes.episodes()), (1, 16));
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//!
//! | module | contents | feature |
//! |---|---|---|
//! | [`credit`] | advantages of steps: ProxMO and related estimators, one file each | |
//! | [`embed`] | observations as vectors | |
//! | [`env`](mod@env) | environments: the traits, household tasks, ALFWorld, other programs | |
//! | [`episodes`] | episodes in memory and in files | |
//! | `device` | backends and devices | `burn` |
//! | `kernels` | credit on a device: WGSL compute shaders, CPU and portable bodies | `burn` |
//! | `lm` | language models: load, score | `lm` |
//! | `policy` | policies: the traits, the registry, a small text scorer | `burn` |
//! | `rollout` | groups of episodes, played in lock-step | `burn` |
//! | `train` | trainer, loss, evaluation | `burn` |
//! | `verify` | comparison of backends with 64-bit references | `burn` |
//! | `serve` | language models for other programs, over HTTP | `serve` |
//! | `runs` | run folders, checkpoints, resuming, recorders | `burn`, `fs` |
//! | `report` | learning curves, comparisons, `report.html` | `cli` |
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `burn` | yes | tensors: devices, kernels, policies, rollouts, training |
//! | `wgpu` | yes | GPUs: Vulkan, Metal, DX12, GL |
//! | `cli` | yes | the `proxmo` command and its reports |
//! | `parallel` | with `cli` | threads: environments step in parallel, and so do CPU kernels |
//! | `fs` | with `cli` | game files, run folders, checkpoints |
//! | `process` | with `cli` | programs as environments |
//! | `openenv` | with `cli` | environments over the network, in OpenEnv's form |
//! | `lm` | with `cli` | language models |
//! | `serve` | with `cli` | language models for other programs |
//! | `mpi` | no | training on several processes |
//! | `fusion`, `autotune` | no | burn's features of the same names |
//! | `ndarray` | no | burn's ndarray backend, for comparisons |
//!
//! A library needs `default-features = false` and, for training on GPUs,
//! `features = ["wgpu", "parallel"]`. Without any feature the crate is credit assignment, embeddings,
//! environments and episode files, and has no tensor library among its dependencies.

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "process")]
mod command_line;
pub mod credit;
#[cfg(feature = "burn")]
pub mod device;
#[cfg(feature = "burn")]
pub mod device_check;
pub mod embed;
pub mod env;
pub mod episodes;
pub mod error;
#[cfg(feature = "fs")]
#[cfg_attr(not(feature = "burn"), allow(dead_code, reason = "run folders use the rest"))]
mod files;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "burn")]
mod gradients;
mod json_scan;
#[cfg(feature = "burn")]
pub mod kernels;
mod lines;
#[cfg(feature = "lm")]
pub mod lm;
#[cfg(feature = "burn")]
mod optimizer;
mod parallel;
#[cfg(feature = "burn")]
pub mod policy;
pub mod prelude;
#[cfg(feature = "burn")]
pub mod ranks;
#[cfg(feature = "cli")]
pub mod report;
#[cfg(feature = "burn")]
pub mod rollout;
#[cfg(all(feature = "burn", feature = "fs"))]
pub mod runs;
#[cfg(feature = "burn")]
mod schedule;
#[cfg(feature = "serve")]
pub mod serve;
pub mod settings;
pub mod stream;
#[cfg(feature = "burn")]
pub mod train;
#[cfg(feature = "burn")]
pub mod verify;

pub use error::{Error, Result};

/// The Rust code of the README, as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
