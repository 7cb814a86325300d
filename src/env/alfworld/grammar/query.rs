//! Queries: the conditions and lists of a grammar, evaluated on the typed world.

use std::cell::RefCell;

use rand_chacha::ChaCha8Rng;

use super::super::predicate::{Predicate, Sort};
use super::super::state::State;
use super::super::world::World;

/// Maximum number of variables in a grammar.
pub(crate) const MAX_SLOTS: usize = 16;

/// The values of the variables, by slot.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bindings {
    values: [u8; MAX_SLOTS],
    bound: u16,
}

impl Bindings {
    /// Sets the value of a slot.
    pub(crate) fn set(&mut self, slot: u8, value: u8) {
        self.values[slot as usize % MAX_SLOTS] = value;
        self.bound |= 1 << (slot as usize % MAX_SLOTS);
    }

    /// The value of a slot, or 0 if it has none.
    pub(crate) fn get(&self, slot: u8) -> u8 {
        self.values[slot as usize % MAX_SLOTS]
    }

    /// Whether one of the slots in `mask` has the value `value`.
    fn uses(&self, mask: u16, value: u8) -> bool {
        let mut slots = self.bound & mask;
        while slots != 0 {
            let slot = slots.trailing_zeros();
            if self.values[slot as usize] == value {
                return true;
            }
            slots &= slots - 1;
        }
        false
    }
}

/// An argument of a condition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Argument {
    pub(crate) slot: u8,
    pub(crate) sort: Sort,
    /// Whether the condition assigns the value. Otherwise the variable already has one.
    pub(crate) free: bool,
    /// The other slots of this sort, as bits. Different variables have different values.
    pub(crate) distinct_from: u16,
}

/// A condition on one or two arguments.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    pub(crate) predicate: Predicate,
    pub(crate) first: Argument,
    pub(crate) second: Option<Argument>,
}

/// The world, state and task line for which texts are written.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) world: &'a World,
    pub(crate) state: &'a State,
    /// The task line.
    pub(crate) task: &'a str,
    /// The generator that shuffles lists. Without it entries keep the order of their ids.
    pub(crate) shuffle: Option<&'a RefCell<ChaCha8Rng>>,
}

impl Scene<'_> {
    /// Calls `found` with each answer of a query, in the order of ids, until it returns false. Returns
    /// false if `found` did.
    pub(crate) fn for_each_answer(
        &self,
        query: &[Condition],
        bindings: &Bindings,
        found: &mut dyn FnMut(&Bindings) -> bool,
    ) -> bool {
        let Some((condition, rest)) = query.split_first() else { return found(bindings) };
        let Some(second) = condition.second else {
            return self.for_each_value(condition.first, bindings, &mut |value, bindings| {
                !condition.predicate.holds(self.world, self.state, value, 0)
                    || self.for_each_answer(rest, bindings, found)
            });
        };
        // The contents of a known receptacle, by far the most frequent query, are adjacent.
        if condition.predicate == Predicate::Inside && condition.first.free && !second.free {
            return self.state.inside.of(bindings.get(second.slot)).all(|object| {
                bind(condition.first, object, bindings)
                    .is_none_or(|bindings| self.for_each_answer(rest, &bindings, found))
            });
        }
        self.for_each_value(condition.first, bindings, &mut |first_value, bindings| {
            self.for_each_value(second, bindings, &mut |value, bindings| {
                !condition.predicate.holds(self.world, self.state, first_value, value)
                    || self.for_each_answer(rest, bindings, found)
            })
        })
    }

    /// Whether a query has an answer.
    pub(crate) fn has_answer(&self, query: &[Condition], bindings: &Bindings) -> bool {
        !self.for_each_answer(query, bindings, &mut |_| false)
    }

    /// Calls `found` with each possible value of an argument, until it returns false.
    fn for_each_value(
        &self,
        argument: Argument,
        bindings: &Bindings,
        found: &mut dyn FnMut(u8, &Bindings) -> bool,
    ) -> bool {
        if !argument.free {
            return found(bindings.get(argument.slot), bindings);
        }
        (0..argument.sort.count(self.world)).all(|value| {
            let value = value as u8;
            bind(argument, value, bindings).is_none_or(|bindings| found(value, &bindings))
        })
    }
}

/// Adds a value to `bindings`, unless a variable of the same sort has it.
fn bind(argument: Argument, value: u8, bindings: &Bindings) -> Option<Bindings> {
    if bindings.uses(argument.distinct_from, value) {
        return None;
    }
    let mut bindings = *bindings;
    bindings.set(argument.slot, value);
    Some(bindings)
}
