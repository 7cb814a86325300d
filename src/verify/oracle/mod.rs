//! Credit assignment by its definitions, in 64 bits and without regard to speed: what the tests, `proxmo
//! verify` and the benches compare both engines with.
//!
//! Nothing here is shared with the code under test: no merging of rows, no kernels, no threads.

mod credit;
mod episodes;
mod graph;
pub(super) mod layers;
mod play;
mod proximity;
mod statistics;
mod texts;
mod token_log_probs;
mod values;

pub use credit::{CreditOracle, credit};
pub use episodes::{EpisodeParts, episode_advantages, returns};
pub use proximity::ProximityOracle;
pub use texts::difflib_ratio;
pub use token_log_probs::{TokenCase, TokenOracle};
