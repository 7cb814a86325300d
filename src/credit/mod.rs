//! Credit assignment: what each step of an episode was worth.
//!
//! [`assign`] reads the rows of one iteration ([`CreditBatch`]) and says how much better each step
//! was than what its group does in the same place ([`Credit`]). An advantage has two parts that
//! combine freely:
//!
//! ```text
//! advantage = episode_weight · episode part + step_weight · step part
//! ```
//!
//! The *episode part* compares an episode's total reward with its group's, and can be modulated by
//! the group's success rate. The *step part* compares a step's return with a baseline of its state.
//! Each estimator is one file that reads top to bottom beside its paper's equations:
//!
//! | estimator | episode part | step part |
//! |---|---|---|
//! | `proxmo` | modulated | soft baseline over near states |
//! | `gigpo` | plain | mean over the same observation |
//! | `hgpo` | none, or within the step part | means over the same history, ever longer |
//! | `g2po` | plain | change of value between states |
//! | `graphgpo` | plain | distance to the goal, mean over the same observation |
//! | `grpo` | plain | none |
//! | `dr-grpo` | never scaled | none |
//! | `rloo` | against the other episodes | none |
//! | `reinforce-pp` | scaled over the batch | none |
//! | `reinforce-pp-baseline` | less the group's mean, scaled over the batch | none |
//!
//! The paper's ablations are settings: `proxmo` with `modulation = "off"` has soft baselines alone,
//! `gigpo` with modulation on has modulation alone, `gigpo` is neither.
//!
//! ```
//! use proxmo::credit::{CreditBatch, CreditConfig, assign};
//!
//! // One group of two episodes: both begin in the hall, one finds the key.
//! let batch = CreditBatch {
//!     group_offsets: &[0, 2],
//!     episode_offsets: &[0, 2, 4],
//!     rewards: &[0.0, 1.0, 0.0, 0.0],
//!     success: &[true, false],
//!     valid: &[true; 4],
//!     observations: &[0, 1, 0, 2],
//!     texts: &["the hall", "the study, with a key on the desk", "the cellar"],
//!     final_observations: None,
//!     embeddings: None,
//! };
//! let credit = assign(&batch, &CreditConfig::default())?;
//! assert!(credit.advantages[0] > 0.0 && credit.advantages[2] < 0.0);
//! # Ok::<(), proxmo::error::Error>(())
//! ```
//!
//! # Edge cases
//!
//! Every advantage is finite, whatever the batch (`reinforce-pp` compares with the whole batch where
//! the table says group):
//!
//! | case | what happens |
//! |---|---|
//! | a group of one episode | there is nobody to compare it with: no episode part |
//! | all episodes of a group earn the same | no episode part, scaled or not |
//! | a state that no other row of the group shares | no step part where states are matched exactly; a soft baseline looks at near ones |
//! | an observation without words | a state like any other where states are matched exactly; as an embedding zero, at cosine 0 to all |
//! | an episode without steps | it counts in its group with a reward of 0, and has no row to be credited |
//! | an episode that an error cut short | credit cannot tell it from a failure: its steps are credited with what they earned. Leave it out of the batch if it should not count |
//!
//! Nothing here knows of environments, policies or devices. Sums run in f64, and in an order that
//! does not depend on threads.

mod assign;
mod batch;
mod clusters;
mod config;
mod diagnostics;
mod dr_grpo;
mod episode;
mod g2po;
mod gigpo;
mod graphgpo;
mod group;
mod grpo;
mod hgpo;
mod kernel;
mod modulation;
mod neighbours;
mod nodes;
mod part;
mod prior;
mod proximity;
mod proxmo;
mod reinforce_pp;
mod returns;
mod rloo;
mod settings;
mod similarity;
mod states;
mod temperature;

pub use assign::{Credit, assign, assign_with};
pub use batch::{CreditBatch, Embeddings, MAX_REWARD, check};
pub use config::{CreditConfig, Distance, Embedding, Estimator, Inclusion, Normalize, Statistics};
pub use diagnostics::CreditDiagnostics;
pub use episode::GroupModulation;
pub use modulation::Curve;
pub use neighbours::{Neighbour, neighbours};
pub use returns::discounted;
pub use settings::{Beta, Modulation, SuccessPrior, Temperature};
pub use temperature::CreditState;
