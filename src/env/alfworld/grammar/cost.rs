//! How long a grammar's texts can get in a world, and how much work they can take, before any is
//! written out.
//!
//! Each bound is a plain one: a variable that a condition has to find can stand for everything of its
//! sort, unless the condition itself leaves less.

use super::super::action::Verb;
use super::super::fact::{Predicate, Sort};
use super::super::names::Names;
use super::super::world::World;
use super::query::{Argument, Condition};
use super::render::{List, Node, Template};
use super::{Command, Grammar};
use crate::error::{Error, Result};

/// The most conditions that are looked at for one text. The published games need 20,000.
const MAX_CHECKS: u64 = 20_000_000;

/// The most bytes of one text, or of all commands together. The published games
/// need 170,000.
const MAX_BYTES: u64 = 16 << 20;

/// What a text can come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// How many conditions are looked at.
    pub(crate) checks: u64,
    pub(crate) bytes: u64,
}

impl Cost {
    fn text(bytes: usize) -> Self {
        Self { checks: 0, bytes: bytes as u64 }
    }

    /// One after the other.
    fn and(self, other: Self) -> Self {
        Self {
            checks: self.checks.saturating_add(other.checks),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// One or the other.
    fn or(self, other: Self) -> Self {
        Self { checks: self.checks.max(other.checks), bytes: self.bytes.max(other.bytes) }
    }

    fn times(self, count: u64) -> Self {
        Self { checks: self.checks.saturating_mul(count), bytes: self.bytes.saturating_mul(count) }
    }
}

/// What a world has of everything that texts are made of.
struct Sizes<'w> {
    world: &'w World,
    /// The bytes of the longest name of an object, of a receptacle, and of the task line.
    object: usize,
    receptacle: usize,
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
    /// Refuses a world in which a text would take too long or get too long.
    pub(crate) fn check_costs(&self, world: &World, task: &str) -> Result<()> {
        for (rule, cost) in self.costs(world, task) {
            let (what, most) = match cost {
                Cost { checks, .. } if checks > MAX_CHECKS => ("conditions to look at", MAX_CHECKS),
                Cost { bytes, .. } if bytes > MAX_BYTES => ("bytes", MAX_BYTES),
                _ => continue,
            };
            let message = format!("in this world its text can come to more than {most} {what}");
            return Err(Error::input(format!("grammar, rule '{rule}'"), message));
        }
        Ok(())
    }

    /// What each text can come to in a world, and all commands together.
    pub(crate) fn costs(&self, world: &World, task: &str) -> Vec<(&'static str, Cost)> {
        let sizes = Sizes::new(world, task);
        let answers = Verb::ALL.into_iter().zip(&self.answers);
        let commands = self.groups.iter().flatten();
        let commands = commands.fold(Cost::default(), |all, form| all.and(form.cost(&sizes)));
        [("intro", self.intro.cost(&sizes)), ("template", commands)]
            .into_iter()
            .chain(answers.map(|(verb, answer)| (verb.name(), answer.template.cost(&sizes))))
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
                let asked =
                    queries.map(|query| search(query, sizes).1).fold(0, u64::saturating_add);
                let texts = branches.iter().map(|branch| branch.template.cost(sizes));
                texts.fold(Cost::default(), Cost::or).and(Cost { checks: asked, bytes: 0 })
            }
            Node::List(list) => list.cost(sizes),
        }
    }
}

impl List {
    fn cost(&self, sizes: &Sizes) -> Cost {
        let (answers, checks) = search(&self.query, sizes);
        let separator = self.separator.cost(sizes).or(self.last_separator.cost(sizes));
        // An answer takes work even where nothing is written for it.
        let entry = self.body.cost(sizes).and(separator).and(Cost { checks: 1, bytes: 0 });
        let entries = entry.times(answers).or(self.empty.cost(sizes));
        entries.and(Cost { checks, bytes: 0 })
    }
}

impl Command {
    /// What the commands of this form come to, were all of them possible at once.
    fn cost(&self, sizes: &Sizes) -> Cost {
        let (objects, receptacles) = (sizes.count(Sort::Object), sizes.count(Sort::Receptacle));
        let count = match self.verb {
            Verb::Look | Verb::Inventory | Verb::Help | Verb::ExamineObject => 1,
            Verb::Take => objects * receptacles,
            Verb::Use | Verb::Slice => objects,
            _ => receptacles,
        };
        let piece = |piece: &super::Piece| match piece {
            super::Piece::Text(text) => text.len(),
            super::Piece::FirstObject | super::Piece::SecondObject => sizes.object,
            super::Piece::FirstReceptacle | super::Piece::SecondReceptacle => sizes.receptacle,
        };
        Cost::text(self.pieces.iter().map(piece).sum()).times(count)
    }
}

/// How many answers a query can have, and how many conditions are looked at to find them.
fn search(query: &[Condition], sizes: &Sizes) -> (u64, u64) {
    query.iter().fold((1, 0), |(answers, checks): (u64, u64), condition| {
        let tried = free(condition).map(|argument| sizes.count(argument.sort));
        let tried = tried.fold(1, u64::saturating_mul);
        let holding = holding(condition, sizes).unwrap_or(tried).min(tried);
        let checks = checks.saturating_add(answers.saturating_mul(tried));
        (answers.saturating_mul(holding), checks)
    })
}

/// The arguments that a condition has to find.
fn free(condition: &Condition) -> impl Iterator<Item = Argument> {
    [Some(condition.first), condition.second].into_iter().flatten().filter(|one| one.free)
}

/// For how many things a condition can hold at once, where it is for few: there is one agent, it is
/// at one place and holds one thing, and a receptacle stands at one place.
fn holding(condition: &Condition, sizes: &Sizes) -> Option<u64> {
    match condition.predicate {
        Predicate::AgentAt | Predicate::Holds | Predicate::HoldsAny => Some(1),
        Predicate::ReceptacleAt if condition.first.free => Some(sizes.count(Sort::Receptacle)),
        Predicate::ReceptacleAt => Some(1),
        _ => None,
    }
}
