//! Credit assignment: the advantage of each step of an episode.
//!
//! [`ProxMo`] assigns credit to a batch of episodes as published. [`assign`] does so with any of the
//! estimators below, as configured by [`CreditConfig`]. An advantage has two parts that combine freely:
//!
//! ```text
//! advantage = episode_weight · episode part + step_weight · step part
//! ```
//!
//! The *episode part* compares an episode's total reward with its group's, and can be modulated by
//! the group's success rate. The *step part* compares a step's return with a baseline of its state.
//! Each estimator is one file with its paper's equations:
//!
//! | estimator | episode part | step part |
//! |---|---|---|
//! | `proxmo` | modulated | soft baseline over near states |
//! | `gigpo` | plain | mean over the same observation |
//! | `hgpo` | none, or within the step part | means over the same history, of increasing length |
//! | `g2po` | plain | change of value between states |
//! | `graphgpo` | plain | distance to the goal, mean over the same observation |
//! | `grpo` | plain | none |
//! | `dr-grpo` | never scaled | none |
//! | `rloo` | relative to the other episodes | none |
//! | `reinforce-pp` | scaled over the batch | none |
//! | `reinforce-pp-baseline` | minus the group's mean, scaled over the batch | none |
//! | `ppo` | none | generalized advantages from learned values, scaled over the batch |
//!
//! The paper's ablations are settings: `proxmo` with `modulation = "off"` has soft baselines alone,
//! `gigpo` with modulation on has modulation alone, `gigpo` has neither. With `value_weight`, the step
//! baselines of `proxmo` and `gigpo` are mixed with learned values of the states. These come with the batch
//! ([`Batch::with_values`](crate::episodes::Batch::with_values)); in training a policy with a value head
//! estimates them.
//!
//! ```
//! use proxmo::credit::{CreditConfig, Estimator, assign};
//! use proxmo::episodes::{Batch, Episode};
//!
//! // One group of two episodes: both begin in the hall, one finds the key.
//! let batch = Batch::builder()
//!     .group([
//!         Episode::new().step("the hall", 0.0).step("the study, with a key", 1.0).success(true),
//!         Episode::new().step("the hall", 0.0).step("the cellar", 0.0),
//!     ])
//!     .build()?;
//! let credit = assign(&batch, &CreditConfig::of(Estimator::Gigpo))?;
//! assert!(credit.advantages[0] > 0.0 && credit.advantages[2] < 0.0);
//! # Ok::<(), proxmo::Error>(())
//! ```
//!
//! # Edge cases
//!
//! Every advantage is finite for every batch. (`reinforce-pp` compares with the whole batch where the
//! table says group, and `ppo` compares with values.)
//!
//! | case | result |
//! |---|---|
//! | a group of one episode | no episode part |
//! | a zero-variance group (all episodes have the same total reward) | no episode part, scaled or not |
//! | a state that is unique in its group | no step part with exact matching; a soft baseline uses near states |
//! | an observation without words | an ordinary state with exact matching; as an embedding zero, with cosine 0 to all |
//! | an episode without steps | counts in its group with a reward of 0, and has no row |
//! | an episode that an error cut short | counts as a failure with the rewards it has. Leave it out of the batch if it should not count |
//!
//! This module does not depend on environments, policies or devices. Sums run in f64, in an order that
//! does not depend on threads.

mod assign;
mod blend;
mod clusters;
mod config;
pub(crate) mod diagnostics;
mod dr_grpo;
pub(crate) mod episode;
mod front;
mod g2po;
pub(crate) mod gigpo;
mod graphgpo;
mod group;
mod grpo;
mod hgpo;
mod kernel_sums;
mod modulation;
mod neighbours;
pub(crate) mod nodes;
pub(crate) mod parts;
mod ppo;
pub(crate) mod prior;
mod proximity;
mod proxmo;
mod reinforce_pp;
mod result;
pub(crate) mod returns;
mod rloo;
mod settings;
mod similarity;
mod states;
pub(crate) mod temperature;
pub(crate) mod weighted;

#[cfg(feature = "burn")]
pub(crate) use assign::combine;
pub use assign::{assign, assign_with};
pub use config::{
    CreditConfig, Distance, Embedding, Engine, Estimator, Inclusion, Normalize, Statistics,
};
pub use diagnostics::CreditDiagnostics;
pub use front::ProxMo;
pub use modulation::{Curve, GroupModulation};
pub use neighbours::{Neighbour, neighbours};
pub use result::Credit;
pub use returns::discounted;
pub use settings::{Beta, Modulation, SuccessPrior, Temperature};
pub use temperature::CreditState;
