//! How much work it can take to check a goal, before it is checked for the first time.

use super::super::world::World;
use super::{Goal, Search, Step, Test, is_of_kind};

/// How many tests may be needed to check a goal once. The published games need at most 15,000.
const MAX_CHECKS: u64 = 2_000_000;

impl Goal {
    /// Refuses a goal that could take too long to check, and says what is expected.
    pub(super) fn expect_few_checks(&self, world: &World) -> Result<(), String> {
        if self.search.checks(world) <= MAX_CHECKS {
            return Ok(());
        }
        Err(format!(
            "the goal can take more than {MAX_CHECKS} tests to check in this world: expected fewer \
             variables, or kinds for them"
        ))
    }
}

impl Search {
    /// How many tests are made at most. Of the tests, only those for a kind are known to fail
    /// whatever is done: an object stays what it is.
    fn checks(&self, world: &World) -> u64 {
        let sum = |tests: &[Test]| {
            tests.iter().map(|test| test.checks(world)).fold(1u64, u64::saturating_add)
        };
        let (mut checks, mut tried) = (sum(&self.before), 1u64);
        for step in &self.steps {
            let values = tried.saturating_mul(step.sort.count(world) as u64);
            checks = checks.saturating_add(values.saturating_mul(sum(&step.tests)));
            tried = tried.saturating_mul(step.of_kind(world));
        }
        checks
    }
}

impl Step {
    /// How many things of the sort are of the kinds that the tests ask for.
    fn of_kind(&self, world: &World) -> u64 {
        let fits = |value: usize| {
            self.tests.iter().all(|test| match test {
                Test::Kind { variable, sort, kind } if *variable == self.variable => {
                    is_of_kind(world, *sort, value, *kind)
                }
                _ => true,
            })
        };
        (0..self.sort.count(world)).filter(|&value| fits(value)).count() as u64
    }
}

impl Test {
    fn checks(&self, world: &World) -> u64 {
        match self {
            Test::Any(searches) => {
                searches.iter().map(|search| search.checks(world)).fold(1, u64::saturating_add)
            }
            _ => 1,
        }
    }
}
