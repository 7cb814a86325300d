//! Conditions and lists of a grammar, answered by the typed world.

use std::cell::RefCell;

use rand_chacha::ChaCha8Rng;

use super::super::fact::{Predicate, Sort};
use super::super::state::State;
use super::super::world::World;

/// How many variables a grammar may use.
pub(crate) const SLOTS: usize = 16;

/// What the variables stand for, by slot.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bindings {
    values: [u8; SLOTS],
    bound: u16,
}

impl Bindings {
    pub(crate) fn set(&mut self, slot: u8, value: u8) {
        self.values[slot as usize % SLOTS] = value;
        self.bound |= 1 << (slot as usize % SLOTS);
    }

    pub(crate) fn get(&self, slot: u8) -> u8 {
        self.values[slot as usize % SLOTS]
    }

    /// Whether one of the slots in `mask` stands for `value` already.
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
    /// The condition finds the value; otherwise the value is known beforehand.
    pub(crate) free: bool,
    /// The other slots of this sort: two variables never stand for the same thing.
    pub(crate) rivals: u16,
}

/// One condition on one or two arguments.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    pub(crate) predicate: Predicate,
    pub(crate) first: Argument,
    pub(crate) second: Option<Argument>,
}

/// What a query is answered from.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) world: &'a World,
    pub(crate) state: &'a State,
    /// The task line.
    pub(crate) task: &'a str,
    /// What shuffles lists; without it they keep the order of their entries' ids.
    pub(crate) order: Option<&'a RefCell<ChaCha8Rng>>,
}

impl Scene<'_> {
    /// Finds the answers of a query in the order of their ids and hands each to `found`, until that
    /// returns false. Returns false where it did.
    pub(crate) fn answers(
        &self,
        query: &[Condition],
        bindings: &Bindings,
        found: &mut dyn FnMut(&Bindings) -> bool,
    ) -> bool {
        let Some((condition, rest)) = query.split_first() else { return found(bindings) };
        let Some(second) = condition.second else {
            return self.each(condition.first, bindings, &mut |value, bindings| {
                !condition.predicate.holds(self.world, self.state, value, 0)
                    || self.answers(rest, bindings, found)
            });
        };
        // Contents of a known receptacle, by far the most frequent question, lie side by side.
        if condition.predicate == Predicate::Inside && condition.first.free && !second.free {
            return self.state.inside.of(bindings.get(second.slot)).all(|object| {
                bind(condition.first, object, bindings)
                    .is_none_or(|bindings| self.answers(rest, &bindings, found))
            });
        }
        self.each(condition.first, bindings, &mut |first_value, bindings| {
            self.each(second, bindings, &mut |value, bindings| {
                !condition.predicate.holds(self.world, self.state, first_value, value)
                    || self.answers(rest, bindings, found)
            })
        })
    }

    /// Whether a query has an answer.
    pub(crate) fn any(&self, query: &[Condition], bindings: &Bindings) -> bool {
        !self.answers(query, bindings, &mut |_| false)
    }

    /// Goes through the values that an argument can have.
    fn each(
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

fn bind(argument: Argument, value: u8, bindings: &Bindings) -> Option<Bindings> {
    if bindings.uses(argument.rivals, value) {
        return None;
    }
    let mut bindings = *bindings;
    bindings.set(argument.slot, value);
    Some(bindings)
}
