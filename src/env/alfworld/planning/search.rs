//! The compiled form of formulas: a search for values that makes most decisions early.

use std::sync::Arc;

use super::facts::{Facts, Key, argument, key};
use super::formula::{Atom, Formula, MAX_VARIABLES, Predicate, Term, Variable};
use super::problem::Objects;

/// The value of each variable.
pub(super) type Values = [u16; MAX_VARIABLES];

/// An argument of a test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Arg {
    Slot(u8),
    Object(u16),
    /// An object that the problem does not declare. No fact mentions it.
    Absent,
}

impl Arg {
    fn value(self, values: &Values) -> Option<u16> {
        match self {
            Arg::Slot(slot) => Some(values[slot as usize]),
            Arg::Object(object) => Some(object),
            Arg::Absent => None,
        }
    }
}

/// A fact with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fact {
    pub(super) predicate: u16,
    pub(super) args: Box<[Arg]>,
}

impl Fact {
    pub(super) fn new(atom: &Atom, objects: &Objects) -> Self {
        let arg = |term: &Term| match term {
            Term::Slot(slot) => Arg::Slot(*slot),
            Term::Name(name) => objects.find(name).map_or(Arg::Absent, Arg::Object),
        };
        Self { predicate: atom.predicate, args: atom.terms.iter().map(arg).collect() }
    }

    /// The key of the fact, or `None` if an argument is absent.
    pub(super) fn key(&self, values: &Values) -> Option<Key> {
        if self.args.contains(&Arg::Absent) {
            return None;
        }
        Some(key(self.args.iter().filter_map(|arg| arg.value(values))))
    }
}

/// An argument of a fact that gets a value: its place, its slot, and which objects have its type.
type FreeArgument = (usize, u8, Arc<[bool]>);

/// One step of a search.
#[derive(Debug, Clone)]
enum Step {
    /// For each fact: the arguments in `free` get values of their types.
    Facts { fact: Fact, free: Box<[FreeArgument]> },
    /// For each object.
    Objects { slot: u8, objects: Arc<[u16]> },
    /// Only if a test holds.
    Test(Test),
}

/// A condition on the values of variables.
#[derive(Debug, Clone)]
enum Test {
    Fact(Fact),
    Same(Arg, Arg),
    Not(Box<Test>),
    Any(Box<[Search]>),
}

/// A search for values of variables.
#[derive(Debug, Clone)]
pub(super) struct Search {
    steps: Box<[Step]>,
    /// Upper bound on the number of checks.
    checks: u64,
    /// Upper bound on the number of answers.
    answers: u64,
}

/// Compiles formulas for a problem.
pub(super) struct SearchCompiler<'a> {
    pub(super) predicates: &'a [Predicate],
    pub(super) objects: &'a Objects,
    pub(super) start: &'a Facts,
    /// Whether facts that actions can change are taken as possible, true and false.
    pub(super) relaxed: bool,
}

/// The parts of a conjunction: variables, and formulas with whether they must hold or must not.
#[derive(Default)]
struct Parts<'f> {
    variables: Vec<Variable>,
    formulas: Vec<(&'f Formula, bool)>,
}

impl<'f> Parts<'f> {
    fn add(&mut self, formula: &'f Formula, holds: bool) {
        match (formula, holds) {
            (Formula::All(parts), true) | (Formula::Any(parts), false) => {
                parts.iter().for_each(|part| self.add(part, holds));
            }
            (Formula::Exists(variables, part), true)
            | (Formula::Forall(variables, part), false) => {
                self.variables.extend(variables);
                self.add(part, holds);
            }
            (Formula::Not(part), _) => self.add(part, !holds),
            _ => self.formulas.push((formula, holds)),
        }
    }
}

impl SearchCompiler<'_> {
    /// A search for values of `variables` and of those inside `formula` for which it holds. The
    /// variables in `bound` have values.
    pub(super) fn search(&self, variables: &[Variable], formula: &Formula, bound: u32) -> Search {
        let mut parts = Parts { variables: variables.to_vec(), ..Parts::default() };
        parts.add(formula, true);
        self.order(parts, bound)
    }

    fn order(&self, parts: Parts, mut bound: u32) -> Search {
        let Parts { mut variables, mut formulas } = parts;
        let mut steps = Vec::new();
        let (mut checks, mut answers) = (1u64, 1u64);
        loop {
            variables.retain(|one| bound & 1 << one.slot == 0);
            formulas.retain(|&(formula, holds)| {
                if formula.needs() & !bound != 0 {
                    return true;
                }
                if let Some((test, cost)) = self.test(formula, holds, bound) {
                    checks = checks.saturating_add(answers.saturating_mul(cost));
                    steps.push(Step::Test(test));
                }
                false
            });
            let Some(first) = variables.first().copied() else { break };
            let facts = formulas.iter().filter_map(|&(formula, holds)| match formula {
                Formula::Fact(atom) if holds && !self.is_open(atom.predicate) => {
                    Some((self.matches(atom, &variables, bound)?, atom))
                }
                _ => None,
            });
            let best = facts.min_by_key(|(count, _)| *count);
            let objects = self.objects.count(first.kind);
            if let Some((count, atom)) = best {
                let fact = Fact::new(atom, self.objects);
                let mut free = Vec::new();
                for (position, arg) in fact.args.iter().enumerate() {
                    let Arg::Slot(slot) = *arg else { continue };
                    if bound & 1 << slot == 0 {
                        let kind = variables.iter().find(|one| one.slot == slot);
                        let kind = kind.and_then(|one| one.kind);
                        free.push((position, slot, self.objects.membership(kind)));
                    }
                }
                free.iter().for_each(|(_, slot, _)| bound |= 1 << slot);
                let scanned = self.scanned(atom);
                checks = checks.saturating_add(answers.saturating_mul(scanned));
                answers = answers.saturating_mul(count);
                // A variable that occurs twice needs the test, which the next round adds.
                steps.push(Step::Facts { fact, free: free.into() });
            } else {
                checks = checks.saturating_add(answers.saturating_mul(objects));
                answers = answers.saturating_mul(objects);
                bound |= 1 << first.slot;
                steps
                    .push(Step::Objects { slot: first.slot, objects: self.objects.of(first.kind) });
            }
        }
        Search { steps: steps.into(), checks, answers }
    }

    fn is_open(&self, predicate: u16) -> bool {
        self.relaxed && self.predicates[predicate as usize].fluent
    }

    /// Maximum number of facts of a predicate.
    fn scanned(&self, atom: &Atom) -> u64 {
        let predicate = &self.predicates[atom.predicate as usize];
        if predicate.fluent {
            let counts = predicate.kinds.iter().map(|&kind| self.objects.count(kind));
            counts.fold(1, u64::saturating_mul)
        } else {
            self.start.of(atom.predicate).len() as u64
        }
    }

    /// Maximum number of values that the facts of an atom give to free variables, or `None` if it has
    /// no free variable.
    fn matches(&self, atom: &Atom, variables: &[Variable], bound: u32) -> Option<u64> {
        let is_free = |term: &Term| matches!(term, Term::Slot(slot) if bound & 1 << slot == 0);
        if !atom.terms.iter().any(is_free) {
            return None;
        }
        if self.predicates[atom.predicate as usize].fluent {
            let count = |term: &Term| match term {
                Term::Slot(slot) if bound & 1 << slot == 0 => {
                    let kind = variables.iter().find(|one| one.slot == *slot);
                    self.objects.count(kind.and_then(|one| one.kind))
                }
                _ => 1,
            };
            return Some(atom.terms.iter().map(count).fold(1, u64::saturating_mul));
        }
        let fixed: Vec<usize> =
            (0..atom.terms.len()).filter(|&place| !is_free(&atom.terms[place])).collect();
        Some(largest_group(self.start.of(atom.predicate), &fixed))
    }

    /// The test of a formula, with its cost. `None` if it always holds.
    fn test(&self, formula: &Formula, holds: bool, bound: u32) -> Option<(Test, u64)> {
        let (test, cost) = match formula {
            Formula::Fact(atom) if self.is_open(atom.predicate) => return None,
            Formula::Fact(atom) => (Test::Fact(Fact::new(atom, self.objects)), 1),
            Formula::Same(first, second) => {
                let pair = Atom { predicate: 0, terms: vec![first.clone(), second.clone()] };
                let fact = Fact::new(&pair, self.objects);
                (Test::Same(fact.args[0], fact.args[1]), 1)
            }
            Formula::Any(parts) if holds => return Some(self.any(parts, true, bound)),
            Formula::All(parts) if !holds => return Some(self.any(parts, false, bound)),
            // Only "exists" that must not hold and "forall" that must hold remain.
            other => {
                let mut parts = Parts::default();
                parts.add(other, !holds);
                let search = self.order(parts, bound);
                let cost = search.checks;
                // In a relaxed search both a formula and its opposite can be possible.
                if self.relaxed {
                    return None;
                }
                return Some((Test::Not(Box::new(Test::Any([search].into()))), cost));
            }
        };
        Some((if holds { test } else { Test::Not(Box::new(test)) }, cost))
    }

    fn any(&self, parts: &[Formula], holds: bool, bound: u32) -> (Test, u64) {
        let searches: Box<[Search]> = parts
            .iter()
            .map(|part| {
                let mut inner = Parts::default();
                inner.add(part, holds);
                self.order(inner, bound)
            })
            .collect();
        let cost = searches.iter().map(|search| search.checks).fold(1, u64::saturating_add);
        (Test::Any(searches), cost)
    }
}

/// The largest number of facts that agree in the arguments at the positions `fixed`.
pub(super) fn largest_group(facts: &[Key], fixed: &[usize]) -> u64 {
    let group = |&fact: &Key| key(fixed.iter().map(|&position| argument(fact, position)));
    let mut groups: Vec<Key> = facts.iter().map(group).collect();
    groups.sort_unstable();
    groups.chunk_by(|a, b| a == b).map(<[Key]>::len).max().unwrap_or(0) as u64
}

impl Search {
    /// Upper bound on the number of checks of one search.
    pub(super) fn checks(&self) -> u64 {
        self.checks
    }

    /// Upper bound on the number of answers of one search.
    pub(super) fn answers(&self) -> u64 {
        self.answers
    }

    /// Calls `found` with the values of each answer until it returns false. Returns false if `found`
    /// did.
    pub(super) fn each(
        &self,
        facts: &Facts,
        values: &mut Values,
        found: &mut dyn FnMut(&Values) -> bool,
    ) -> bool {
        each(&self.steps, facts, values, found)
    }

    /// Whether there is an answer.
    pub(super) fn succeeds(&self, facts: &Facts, values: &mut Values) -> bool {
        !self.each(facts, values, &mut |_| false)
    }
}

fn each(
    steps: &[Step],
    facts: &Facts,
    values: &mut Values,
    found: &mut dyn FnMut(&Values) -> bool,
) -> bool {
    let Some((step, rest)) = steps.split_first() else { return found(values) };
    match step {
        Step::Test(test) => !test.holds(facts, values) || each(rest, facts, values, found),
        Step::Objects { slot, objects } => objects.iter().all(|&object| {
            values[*slot as usize] = object;
            each(rest, facts, values, found)
        }),
        Step::Facts { fact, free } => {
            let first_is_free = free.first().is_some_and(|(position, ..)| *position == 0);
            let matching = match fact.args.first() {
                Some(first) if !first_is_free => match first.value(values) {
                    Some(first) => facts.starting(fact.predicate, first),
                    None => &[],
                },
                _ => facts.of(fact.predicate),
            };
            matching.iter().all(|&found_key| {
                for (position, slot, is_of) in free {
                    let value = argument(found_key, *position);
                    if !is_of.get(value as usize).copied().unwrap_or(false) {
                        return true;
                    }
                    values[*slot as usize] = value;
                }
                fact.key(values) != Some(found_key) || each(rest, facts, values, found)
            })
        }
    }
}

impl Test {
    fn holds(&self, facts: &Facts, values: &mut Values) -> bool {
        match self {
            Test::Fact(fact) => {
                fact.key(values).is_some_and(|key| facts.contains(fact.predicate, key))
            }
            Test::Same(first, second) => match (first.value(values), second.value(values)) {
                (Some(first), Some(second)) => first == second,
                _ => false,
            },
            Test::Not(test) => !test.holds(facts, values),
            Test::Any(searches) => searches.iter().any(|search| search.succeeds(facts, values)),
        }
    }
}
