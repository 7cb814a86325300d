//! Upper bounds on the length of a grammar's texts in a world and on the work of writing them.
//!
//! The bounds assume that a free variable can have every value of its sort, unless its condition
//! allows fewer values.

use super::super::action::Verb;
use super::super::names::Names;
use super::super::predicate::{Predicate, Sort};
use super::super::world::World;
use super::command::{Command, Piece};
use super::compiled::Grammar;
use super::query::{Argument, Condition};
use super::render::{List, Node, Template};
use crate::error::{Error, Result};

/// Maximum number of condition checks for one text. The published games need 20,000.
const MAX_CHECKS: u64 = 20_000_000;

/// Maximum number of bytes of one text, or of all commands together. The published games need
/// 170,000.
const MAX_BYTES: u64 = 16 << 20;

/// Upper bounds for a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// The number of condition checks.
    pub(crate) checks: u64,
    /// The length.
    pub(crate) bytes: u64,
}

impl Cost {
    fn text(bytes: usize) -> Self {
        Self { checks: 0, bytes: bytes as u64 }
    }

    /// The cost of both texts.
    fn and(self, other: Self) -> Self {
        Self {
            checks: self.checks.saturating_add(other.checks),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// The cost of the more expensive text.
    fn or(self, other: Self) -> Self {
        Self { checks: self.checks.max(other.checks), bytes: self.bytes.max(other.bytes) }
    }

    /// The cost of `count` such texts.
    fn times(self, count: u64) -> Self {
        Self { checks: self.checks.saturating_mul(count), bytes: self.bytes.saturating_mul(count) }
    }
}

/// The sizes of a world on which costs depend.
struct Sizes<'w> {
    world: &'w World,
    /// Length in bytes of the longest name of an object.
    object: usize,
    /// Length in bytes of the longest name of a receptacle.
    receptacle: usize,
    /// Length in bytes of the task line.
    task: usize,
}

impl<'w> Sizes<'w> {
    fn new(world: &'w World, task: &str) -> Self {
        let longest = |names: &Names| names.iter().map(str::len).max().unwrap_or(0);
        Self {
            world,
            object: longest(&world.object_names),
            receptacle: longest(&world.receptacle_names),
            task: task.len(),
        }
    }

    fn count(&self, sort: Sort) -> u64 {
        sort.count(self.world) as u64
    }
}

impl Grammar {
    /// Returns an error if a text could take too long or become too long in a world.
    pub(crate) fn check_costs(&self, world: &World, task: &str) -> Result<()> {
        for (rule, cost) in self.costs(world, task) {
            let (unit, max) = match cost {
                Cost { checks, .. } if checks > MAX_CHECKS => ("condition checks", MAX_CHECKS),
                Cost { bytes, .. } if bytes > MAX_BYTES => ("bytes", MAX_BYTES),
                _ => continue,
            };
            let message = format!("in this world its text can take more than {max} {unit}");
            return Err(Error::input(format!("grammar, rule '{rule}'"), message));
        }
        Ok(())
    }

    /// The cost of each text in a world, and of all commands together.
    pub(crate) fn costs(&self, world: &World, task: &str) -> Vec<(&'static str, Cost)> {
        let sizes = Sizes::new(world, task);
        let feedback = Verb::ALL.into_iter().zip(&self.feedback);
        let commands = self.groups.iter().flatten();
        let commands = commands.fold(Cost::default(), |all, form| all.and(form.cost(&sizes)));
        [("intro", self.intro.cost(&sizes)), ("template", commands)]
            .into_iter()
            .chain(feedback.map(|(verb, feedback)| (verb.name(), feedback.template.cost(&sizes))))
            .collect()
    }
}

impl Template {
    fn cost(&self, sizes: &Sizes) -> Cost {
        self.0.iter().fold(Cost::default(), |cost, node| cost.and(node.cost(sizes)))
    }
}

impl Node {
    fn cost(&self, sizes: &Sizes) -> Cost {
        match self {
            Node::Text(text) => Cost::text(text.len()),
            Node::Task => Cost::text(sizes.task),
            Node::Object(_) => Cost::text(sizes.object),
            Node::Receptacle(_) => Cost::text(sizes.receptacle),
            Node::Choice(branches) => {
                let queries = branches.iter().filter_map(|branch| branch.query.as_deref());
                let checks =
                    queries.map(|query| search(query, sizes).1).fold(0, u64::saturating_add);
                let texts = branches.iter().map(|branch| branch.template.cost(sizes));
                texts.fold(Cost::default(), Cost::or).and(Cost { checks, bytes: 0 })
            }
            Node::List(list) => list.cost(sizes),
        }
    }
}

impl List {
    fn cost(&self, sizes: &Sizes) -> Cost {
        let (answers, checks) = search(&self.query, sizes);
        let separator = self.separator.cost(sizes).or(self.last_separator.cost(sizes));
        // An answer costs work even if its text is empty.
        let entry = self.body.cost(sizes).and(separator).and(Cost { checks: 1, bytes: 0 });
        let entries = entry.times(answers).or(self.empty.cost(sizes));
        entries.and(Cost { checks, bytes: 0 })
    }
}

impl Command {
    /// The cost of the commands of this form if all of them were admissible at once.
    fn cost(&self, sizes: &Sizes) -> Cost {
        let (objects, receptacles) = (sizes.count(Sort::Object), sizes.count(Sort::Receptacle));
        let count = match self.verb {
            Verb::Look | Verb::Inventory | Verb::Help | Verb::ExamineObject => 1,
            Verb::Take => objects * receptacles,
            Verb::Use | Verb::Slice => objects,
            _ => receptacles,
        };
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::FirstObject | Piece::SecondObject => sizes.object,
            Piece::FirstReceptacle | Piece::SecondReceptacle => sizes.receptacle,
        };
        Cost::text(self.pieces.iter().map(piece).sum()).times(count)
    }
}

/// Maximum number of answers of a query, and of condition checks to find them.
fn search(query: &[Condition], sizes: &Sizes) -> (u64, u64) {
    query.iter().fold((1, 0), |(answers, checks): (u64, u64), condition| {
        let tried = free_arguments(condition).map(|argument| sizes.count(argument.sort));
        let tried = tried.fold(1, u64::saturating_mul);
        let true_values = max_true_values(condition, sizes).unwrap_or(tried).min(tried);
        let checks = checks.saturating_add(answers.saturating_mul(tried));
        (answers.saturating_mul(true_values), checks)
    })
}

/// The arguments without a value before the condition.
fn free_arguments(condition: &Condition) -> impl Iterator<Item = Argument> {
    [Some(condition.first), condition.second].into_iter().flatten().filter(|one| one.free)
}

/// Maximum number of values for which a condition holds at once, if it is small: there is one agent,
/// it is at one location and holds one object, and a receptacle is at one location.
fn max_true_values(condition: &Condition, sizes: &Sizes) -> Option<u64> {
    match condition.predicate {
        Predicate::AgentAt | Predicate::Holds | Predicate::HoldsAny => Some(1),
        Predicate::ReceptacleAt if condition.first.free => Some(sizes.count(Sort::Receptacle)),
        Predicate::ReceptacleAt => Some(1),
        _ => None,
    }
}
