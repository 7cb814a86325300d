//! The compiled form of a goal: an ordered search for values that satisfy all tests.

use super::super::id::NONE;
use super::super::predicate::{Predicate, Sort};
use super::super::state::State;
use super::super::world::World;

/// Maximum number of variables in a goal.
pub(super) const MAX_VARIABLES: usize = 16;

/// Assigns values to variables one after the other. Each test runs as soon as the values that it
/// needs are assigned, so that most candidate values are rejected at once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Search {
    /// Tests that need no variable of this search.
    pub(super) before: Box<[Test]>,
    pub(super) steps: Box<[Step]>,
}

/// One variable and the tests that its value makes possible.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) variable: u8,
    pub(super) sort: Sort,
    pub(super) tests: Box<[Test]>,
}

/// A condition on the values of variables, which are given by their numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// An object or a receptacle is of a kind. The kind is [`NONE`] if the world has nothing of it.
    Kind { variable: u8, sort: Sort, kind: u8 },
    /// A predicate holds for one or two variables.
    Fact(Predicate, u8, u8),
    /// Two variables have the same value, or two different ones.
    Same { first: u8, second: u8, same: bool },
    /// At least one of the searches succeeds.
    Any(Box<[Search]>),
}

/// The value of each variable.
pub(super) type Values = [u8; MAX_VARIABLES];

impl Search {
    /// The tests of this search, without those of searches inside them.
    pub(super) fn tests(&self) -> impl Iterator<Item = &Test> {
        self.before.iter().chain(self.steps.iter().flat_map(|step| &step.tests))
    }

    /// The search with another kind in place of the kind `old` of objects or receptacles.
    pub(super) fn with_kind(&self, wanted: Sort, old: u8, new: u8) -> Self {
        let replaced = |tests: &[Test]| -> Box<[Test]> {
            tests.iter().map(|test| test.with_kind(wanted, old, new)).collect()
        };
        let steps = self.steps.iter().map(|step| Step { tests: replaced(&step.tests), ..*step });
        Self { before: replaced(&self.before), steps: steps.collect() }
    }

    /// The search in the notation of a problem.
    #[cfg(feature = "fs")]
    pub(super) fn formula(&self, world: &World) -> String {
        let tests: Vec<String> = self.tests().map(|test| test.formula(world)).collect();
        let tests = format!("(and {})", tests.join(" "));
        if self.steps.is_empty() {
            return tests;
        }
        let variables: Vec<String> = self
            .steps
            .iter()
            .map(|step| format!("?v{} - {}", step.variable, step.sort.name()))
            .collect();
        format!("(exists ({}) {tests})", variables.join(" "))
    }

    /// Whether there are values for which all tests hold.
    pub(super) fn succeeds(&self, world: &World, state: &State, values: &mut Values) -> bool {
        all_hold(&self.before, world, Some(state), values)
            && try_steps(&self.steps, world, Some(state), values)
    }

    /// Whether there are values for which all tests of constant facts hold.
    pub(super) fn is_possible(&self, world: &World, values: &mut Values) -> bool {
        all_hold(&self.before, world, None, values) && try_steps(&self.steps, world, None, values)
    }
}

impl Test {
    fn with_kind(&self, wanted: Sort, old: u8, new: u8) -> Self {
        match self {
            Test::Kind { variable, sort, kind } if *sort == wanted && *kind == old => {
                Test::Kind { variable: *variable, sort: wanted, kind: new }
            }
            Test::Any(searches) => {
                Test::Any(searches.iter().map(|one| one.with_kind(wanted, old, new)).collect())
            }
            other => other.clone(),
        }
    }

    #[cfg(feature = "fs")]
    fn formula(&self, world: &World) -> String {
        match self {
            // The world has no name for such a kind; an empty "or" is never true.
            Test::Kind { kind: NONE, .. } => "(or)".to_string(),
            Test::Kind { variable, sort: Sort::Receptacle, kind } => {
                format!("(receptacletype ?v{variable} {})", world.receptacle_kinds.get(*kind))
            }
            Test::Kind { variable, kind, .. } => {
                format!("(objecttype ?v{variable} {})", world.object_kinds.get(*kind))
            }
            Test::Fact(predicate, first, second) => {
                let second =
                    if predicate.is_binary() { format!(" ?v{second}") } else { String::new() };
                format!("({} ?v{first}{second})", predicate.name())
            }
            Test::Same { first, second, same: true } => format!("(= ?v{first} ?v{second})"),
            Test::Same { first, second, same: false } => format!("(not (= ?v{first} ?v{second}))"),
            Test::Any(searches) => {
                let formulas: Vec<String> =
                    searches.iter().map(|search| search.formula(world)).collect();
                format!("(or {})", formulas.join(" "))
            }
        }
    }
}

/// Without a state, only the tests of constant facts count.
fn try_steps(steps: &[Step], world: &World, state: Option<&State>, values: &mut Values) -> bool {
    let Some((step, rest)) = steps.split_first() else { return true };
    (0..step.sort.count(world)).any(|value| {
        values[step.variable as usize] = value as u8;
        all_hold(&step.tests, world, state, values) && try_steps(rest, world, state, values)
    })
}

fn all_hold(tests: &[Test], world: &World, state: Option<&State>, values: &mut Values) -> bool {
    tests.iter().all(|test| match test {
        Test::Kind { variable, sort, kind } => {
            is_of_kind(world, *sort, values[*variable as usize] as usize, *kind)
        }
        Test::Fact(predicate, first, second) => {
            let state = match state {
                Some(state) => state,
                None if predicate.is_constant() => &world.start,
                None => return true,
            };
            predicate.holds(world, state, values[*first as usize], values[*second as usize])
        }
        Test::Same { first, second, same } => {
            (values[*first as usize] == values[*second as usize]) == *same
        }
        Test::Any(searches) => searches.iter().any(|search| {
            all_hold(&search.before, world, state, values)
                && try_steps(&search.steps, world, state, values)
        }),
    })
}

/// Whether the thing number `value` of a sort is of a kind.
pub(super) fn is_of_kind(world: &World, sort: Sort, value: usize, kind: u8) -> bool {
    let found = match sort {
        Sort::Receptacle => world.receptacles[value].kind,
        _ => world.objects[value].kind,
    };
    found == kind && found != NONE
}
