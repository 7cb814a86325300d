//! The predicates of the domain, answered by a world and its state.

use super::state::{State, mark};
use super::world::{World, ability, device};

/// What a variable can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    Object,
    Receptacle,
    Agent,
    Location,
}

impl Sort {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Sort::Object, Sort::Receptacle, Sort::Agent, Sort::Location]
            .into_iter()
            .find(|sort| sort.name() == name)
    }

    /// The domain's name of the sort.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Sort::Object => "object",
            Sort::Receptacle => "receptacle",
            Sort::Agent => "agent",
            Sort::Location => "location",
        }
    }

    /// How many things of this sort a world has.
    pub(crate) fn count(self, world: &World) -> usize {
        match self {
            Sort::Object => world.objects.len(),
            Sort::Receptacle => world.receptacles.len(),
            Sort::Agent => 1,
            Sort::Location => world.locations as usize,
        }
    }
}

/// A predicate that texts and goals can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Predicate {
    AgentAt,
    ReceptacleAt,
    ObjectAt,
    Inside,
    /// Taken out of the receptacle and not put back.
    Left,
    Nested,
    Holds,
    HoldsAny,
    Openable,
    Opened,
    /// One bit of [`mark`].
    Marked(u8),
    /// One bit of [`ability`].
    Able(u8),
    /// What no action can bring about.
    Never,
}

use Predicate::{Able, Marked};

/// Each predicate with its name in lower case and the sorts of its arguments.
///
/// A negated predicate holds where an action has made the plain one false: an object that was never
/// in a receptacle is not "not in" it. Only the two that the games' texts use are known.
const PREDICATES: &[(&str, Predicate, &[Sort])] = &[
    ("atlocation", Predicate::AgentAt, &[Sort::Agent, Sort::Location]),
    ("receptacleatlocation", Predicate::ReceptacleAt, &[Sort::Receptacle, Sort::Location]),
    ("objectatlocation", Predicate::ObjectAt, &[Sort::Object, Sort::Location]),
    ("inreceptacle", Predicate::Inside, &[Sort::Object, Sort::Receptacle]),
    ("not_inreceptacle", Predicate::Left, &[Sort::Object, Sort::Receptacle]),
    ("inreceptacleobject", Predicate::Nested, &[Sort::Object, Sort::Object]),
    ("holds", Predicate::Holds, &[Sort::Agent, Sort::Object]),
    ("holdsany", Predicate::HoldsAny, &[Sort::Agent]),
    ("openable", Predicate::Openable, &[Sort::Receptacle]),
    ("opened", Predicate::Opened, &[Sort::Receptacle]),
    ("isclean", Marked(mark::CLEAN), &[Sort::Object]),
    ("ishot", Marked(mark::HOT), &[Sort::Object]),
    ("iscool", Marked(mark::COOL), &[Sort::Object]),
    ("issliced", Marked(mark::SLICED), &[Sort::Object]),
    ("istoggled", Marked(mark::TOGGLED), &[Sort::Object]),
    ("not_istoggled", Predicate::Never, &[Sort::Object]),
    ("isreceptacleobject", Able(ability::CONTAIN), &[Sort::Object]),
    ("pickupable", Able(ability::PICK_UP), &[Sort::Object]),
    ("cleanable", Able(ability::CLEAN), &[Sort::Object]),
    ("heatable", Able(ability::HEAT), &[Sort::Object]),
    ("coolable", Able(ability::COOL), &[Sort::Object]),
    ("toggleable", Able(ability::TOGGLE), &[Sort::Object]),
    ("sliceable", Able(ability::SLICE), &[Sort::Object]),
];

impl Predicate {
    /// The predicate of a name, and the sorts of its arguments.
    pub(crate) fn parse(name: &str) -> Option<(Self, &'static [Sort])> {
        let found = PREDICATES.iter().find(|(known, ..)| *known == name)?;
        Some((found.1, found.2))
    }

    /// The domain's name of the predicate.
    pub(crate) fn name(self) -> &'static str {
        PREDICATES.iter().find(|found| found.1 == self).map_or("", |found| found.0)
    }

    /// Whether the predicate takes two arguments.
    pub(crate) fn is_binary(self) -> bool {
        PREDICATES.iter().any(|(_, predicate, sorts)| *predicate == self && sorts.len() == 2)
    }

    /// Whether the predicate is true. Where it takes one argument, `second` does not count.
    pub(crate) fn holds(self, world: &World, state: &State, first: u8, second: u8) -> bool {
        match self {
            Predicate::AgentAt => state.location == second,
            Predicate::ReceptacleAt => world.standing.contains(second, first),
            Predicate::ObjectAt => state.at.contains(second, first),
            Predicate::Inside => state.inside.contains(second, first),
            Predicate::Left => state.left.contains(second, first),
            Predicate::Nested => world.nested.contains(second, first),
            Predicate::Holds => state.held() == Some(second),
            Predicate::HoldsAny => state.held().is_some(),
            Predicate::Openable => world.is(first, device::OPENABLE),
            Predicate::Opened => state.is_open(first),
            Marked(marks) => state.bears(first, marks),
            Able(abilities) => world.can(first, abilities),
            Predicate::Never => false,
        }
    }
}
