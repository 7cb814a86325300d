//! A game's grammar: from state to text and from text to actions.
//!
//! A grammar is parsed ([`document`], [`text`]), resolved once ([`compile`]) and then only rendered
//! ([`render`]); the typed world answers its conditions and lists ([`query`]).

mod command;
mod compile;
mod compiled;
mod cost;
pub(crate) mod document;
mod query;
mod render;
pub(crate) mod text;

pub(crate) use compile::plain_rule;
pub(crate) use compiled::{Grammar, REFUSAL, texts_of};
pub(crate) use query::Scene;
