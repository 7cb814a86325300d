//! Parsing of the games' planning problems (PDDL).

pub(crate) mod domain;
pub(crate) mod names;
pub(crate) mod problem;

pub(crate) use problem::{Problem, parse};
