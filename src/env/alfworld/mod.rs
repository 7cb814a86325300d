//! ALFWorld: a native engine for household tasks in text.
//!
//! Games are loaded from files ([`AlfWorld::load`]). Each file contains a planning problem, which
//! becomes a typed world, and a grammar, which turns the state of that world into text. Tasks of the
//! same kinds with another wording are generated ([`generate`]). State and text are separate: actions
//! change a small state, and texts are written only on request.
//!
//! ```
//! use proxmo::env::alfworld::{GeneratorConfig, generate};
//! use proxmo::env::{Environment, Session, Texts};
//!
//! let world = generate(&GeneratorConfig::default(), 7, 10)?;
//! let mut session = world.start(0, 0)?;
//! let mut texts = Texts::new();
//! session.admissible(&mut texts);
//! assert!(texts.position("look").is_some());
//!
//! let mut success = false;
//! for command in world.walkthrough(0) {
//!     success = session.step(command)?.succeeded();
//! }
//! assert!(success);
//! # Ok::<(), proxmo::error::Error>(())
//! ```

mod action;
mod annotations;
#[cfg(feature = "fs")]
mod archive;
mod benchmark;
mod config;
mod environment;
mod expert;
mod game;
#[cfg(feature = "fs")]
mod game_file;
mod generator;
mod goal;
mod grammar;
mod id;
#[cfg(feature = "fs")]
mod list;
#[cfg(feature = "fs")]
mod load;
mod names;
mod paraphrase;
mod pddl;
mod pddl_tokens;
mod planning;
mod predicate;
mod relation;
mod reword;
mod session;
#[cfg(feature = "fs")]
mod source;
mod state;
mod task_kind;
mod variation;
mod world;
#[cfg(feature = "fs")]
mod write;

pub use annotations::Annotations;
pub use benchmark::BenchmarkConfig;
pub use config::AlfWorldConfig;
pub use environment::AlfWorld;
pub use generator::{Difficulty, GeneratorConfig, TaskMix, generate};
#[cfg(feature = "fs")]
pub use load::LoadOptions;
pub use session::AlfWorldSession;
#[cfg(feature = "fs")]
pub use write::write_games;

pub(super) use benchmark::load_models;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use generator::wording::HOUSEHOLD_GRAMMAR;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use game::GameReader;
