//! The conditions and lists of a grammar, answered from the facts that texts show.

use std::sync::Arc;

use super::actions::State;
use super::facts::{argument, key};

/// Maximum number of variables in a grammar.
pub(super) const MAX_SLOTS: usize = 32;

/// The values of the variables, by slot.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bindings {
    values: [u16; MAX_SLOTS],
    bound: u32,
}

impl Bindings {
    /// Sets the value of a slot.
    pub(super) fn set(&mut self, slot: u8, value: u16) {
        self.values[slot as usize] = value;
        self.bound |= 1 << slot;
    }

    /// The value of a slot, or `None` if it has none.
    pub(super) fn get(&self, slot: u8) -> Option<u16> {
        (self.bound & 1 << slot != 0).then(|| self.values[slot as usize])
    }

    fn uses(&self, value: u16) -> bool {
        let mut slots = self.bound;
        while slots != 0 {
            if self.values[slots.trailing_zeros() as usize] == value {
                return true;
            }
            slots &= slots - 1;
        }
        false
    }
}

/// One condition of a query.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) predicate: u16,
    /// Whether the fact must have been made false.
    pub(super) denied: bool,
    /// The variables, and whether each object is of the type of the variable.
    pub(super) arguments: Box<[(u8, Arc<[bool]>)]>,
}

/// Calls `found` with each answer of a query, in the order of ids, until it returns false. Returns
/// false if `found` did. Different variables have different values.
pub(super) fn each_answer(
    query: &[Condition],
    state: &State,
    bindings: &Bindings,
    found: &mut dyn FnMut(&Bindings) -> bool,
) -> bool {
    let Some((condition, rest)) = query.split_first() else { return found(bindings) };
    let facts = if condition.denied { &state.denied } else { &state.shown };
    let known: Vec<Option<u16>> =
        condition.arguments.iter().map(|(slot, _)| bindings.get(*slot)).collect();
    // A condition without free variables is one look-up.
    if known.iter().all(Option::is_some) {
        let key = key(known.iter().copied().flatten());
        return !facts.contains(condition.predicate, key)
            || each_answer(rest, state, bindings, found);
    }
    let matching = match known.first() {
        Some(Some(first)) => facts.starting(condition.predicate, *first),
        _ => facts.of(condition.predicate),
    };
    matching.iter().all(|&fact| {
        let mut inner = *bindings;
        for (position, (slot, is_of)) in condition.arguments.iter().enumerate() {
            let value = argument(fact, position);
            match inner.get(*slot) {
                Some(known) if known == value => {}
                None if !inner.uses(value)
                    && is_of.get(value as usize).copied().unwrap_or(false) =>
                {
                    inner.set(*slot, value);
                }
                _ => return true,
            }
        }
        each_answer(rest, state, &inner, found)
    })
}
