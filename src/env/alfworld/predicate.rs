//! The predicates of the domain, evaluated on a world and its state.

use super::state::{State, mark};
use super::world::{World, ability, device};

/// The type of a variable: the set of things that it ranges over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    Object,
    Receptacle,
    Agent,
    Location,
}

impl Sort {
    /// The sort with the given name in the domain.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Sort::Object, Sort::Receptacle, Sort::Agent, Sort::Location]
            .into_iter()
            .find(|sort| sort.name() == name)
    }

    /// The name of the sort in the domain.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Sort::Object => "object",
            Sort::Receptacle => "receptacle",
            Sort::Agent => "agent",
            Sort::Location => "location",
        }
    }

    /// The number of things of this sort in a world.
    pub(crate) fn count(self, world: &World) -> usize {
        match self {
            Sort::Object => world.objects.len(),
            Sort::Receptacle => world.receptacles.len(),
            Sort::Agent => 1,
            Sort::Location => world.locations as usize,
        }
    }
}

/// A predicate that texts and goals can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Predicate {
    AgentAt,
    ReceptacleAt,
    ObjectAt,
    Inside,
    /// An object was taken out of a receptacle and not put back.
    Left,
    Nested,
    Holds,
    HoldsAny,
    Openable,
    Opened,
    /// An object has a mark: one bit of [`mark`].
    Marked(u8),
    /// An object has an ability: one bit of [`ability`].
    Able(u8),
    /// Never holds: no action can make it true.
    Never,
}

use Predicate::{Able, Marked};

/// Each predicate with its name in lower case and the sorts of its arguments.
///
/// A negated predicate (`not_…`) holds only after an action has made the plain one false. It does not
/// hold for an object that was never in the receptacle. Only the two negated predicates that the
/// published games use are known.
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
    /// The predicate with the given name, and the sorts of its arguments.
    pub(crate) fn parse(name: &str) -> Option<(Self, &'static [Sort])> {
        let found = PREDICATES.iter().find(|(known, ..)| *known == name)?;
        Some((found.1, found.2))
    }

    /// The name of the predicate in the domain.
    #[cfg(feature = "fs")]
    pub(crate) fn name(self) -> &'static str {
        PREDICATES.iter().find(|found| found.1 == self).map_or("", |found| found.0)
    }

    /// Whether the predicate takes two arguments.
    #[cfg(feature = "fs")]
    pub(crate) fn is_binary(self) -> bool {
        PREDICATES.iter().any(|(_, predicate, sorts)| *predicate == self && sorts.len() == 2)
    }

    /// Whether no action changes the predicate.
    pub(crate) fn is_constant(self) -> bool {
        match self {
            Predicate::ReceptacleAt
            | Predicate::Nested
            | Predicate::Openable
            | Predicate::Able(_)
            | Predicate::Never => true,
            Predicate::AgentAt
            | Predicate::ObjectAt
            | Predicate::Inside
            | Predicate::Left
            | Predicate::Holds
            | Predicate::HoldsAny
            | Predicate::Opened
            | Predicate::Marked(_) => false,
        }
    }

    /// Whether the predicate holds. A predicate of one argument ignores `second`.
    pub(crate) fn holds(self, world: &World, state: &State, first: u8, second: u8) -> bool {
        match self {
            Predicate::AgentAt => state.location == second,
            Predicate::ReceptacleAt => world.receptacles_at.contains(second, first),
            Predicate::ObjectAt => state.at.contains(second, first),
            Predicate::Inside => state.inside.contains(second, first),
            Predicate::Left => state.left.contains(second, first),
            Predicate::Nested => world.nested.contains(second, first),
            Predicate::Holds => state.held() == Some(second),
            Predicate::HoldsAny => state.held().is_some(),
            Predicate::Openable => world.is(first, device::OPENABLE),
            Predicate::Opened => state.is_open(first),
            Marked(marks) => state.has_mark(first, marks),
            Able(abilities) => world.can(first, abilities),
            Predicate::Never => false,
        }
    }
}
