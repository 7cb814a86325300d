//! Upper bounds on the work of checking a goal, computed before its first check.

use super::super::world::World;
use super::search::{Search, Step, Test, is_of_kind};

/// Maximum number of tests for one check of a goal. The published games need at most 15,000.
const MAX_CHECKS: u64 = 2_000_000;

/// Returns an error message if a goal could take too long to check.
pub(super) fn check_cost(goal: &Search, world: &World) -> Result<(), String> {
    if goal.checks(world) <= MAX_CHECKS {
        return Ok(());
    }
    Err(format!(
        "the goal can take more than {MAX_CHECKS} tests to check in this world: expected fewer \
         variables, or kinds for them"
    ))
}

impl Search {
    /// Maximum number of tests. Only tests for a kind reduce the number of values, because kinds
    /// never change.
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
    /// The number of things of the sort that have the kinds that the tests require.
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
