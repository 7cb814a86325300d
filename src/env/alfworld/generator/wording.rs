//! The wording of generated tasks.

/// The grammar of generated tasks, in the notation of the published games.
pub(crate) const HOUSEHOLD_GRAMMAR: &str = include_str!("household.twl");
