//! The state of a world, which actions change.

use super::id::{NONE, Renumbering};
use super::relation::Relation;

/// The marks that actions leave on an object, as bits.
pub(crate) mod mark {
    pub(crate) const CLEAN: u8 = 1;
    pub(crate) const HOT: u8 = 2;
    pub(crate) const COOL: u8 = 4;
    pub(crate) const SLICED: u8 = 8;
    pub(crate) const TOGGLED: u8 = 16;
}

/// The locations of all things, and the marks on objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// The location of the agent, or [`NONE`].
    pub(crate) location: u8,
    held: u8,
    /// Which objects (second) are in which receptacle (first). In the published games an object can
    /// be in two receptacles at once.
    pub(crate) inside: Relation,
    /// Which objects (second) are at which location (first). The published games state this apart
    /// from the location of the object's receptacle, and the two can differ.
    pub(crate) at: Relation,
    /// Which objects (second) have been taken from which receptacle (first) and not put back.
    pub(crate) left: Relation,
    /// Bits of [`mark`] for each object.
    marks: Vec<u8>,
    open: Vec<bool>,
}

impl Default for State {
    fn default() -> Self {
        Self::new(0, 0)
    }
}

impl State {
    /// A state in which no object and no agent has a place.
    pub(crate) fn new(receptacles: usize, objects: usize) -> Self {
        Self {
            location: NONE,
            held: NONE,
            inside: Relation::default(),
            at: Relation::default(),
            left: Relation::default(),
            marks: vec![0; objects],
            open: vec![false; receptacles],
        }
    }

    /// The state of the receptacles and objects that are kept. The object in hand must be among them.
    pub(crate) fn keeping(&self, receptacles: &Renumbering, objects: &Renumbering) -> Self {
        let in_receptacle = |relation: &Relation| {
            relation.renumbered(|number| receptacles.of(number), |number| objects.of(number))
        };
        Self {
            location: self.location,
            held: objects.of(self.held).unwrap_or(NONE),
            inside: in_receptacle(&self.inside),
            at: self.at.renumbered(Some, |number| objects.of(number)),
            left: in_receptacle(&self.left),
            marks: objects.kept(self.marks.iter().copied()).collect(),
            open: receptacles.kept(self.open.iter().copied()).collect(),
        }
    }

    /// The object in hand.
    pub(crate) fn held(&self) -> Option<u8> {
        (self.held != NONE).then_some(self.held)
    }

    /// Whether a receptacle is open.
    pub(crate) fn is_open(&self, receptacle: u8) -> bool {
        self.open.get(receptacle as usize).copied().unwrap_or(false)
    }

    /// Opens or closes a receptacle.
    pub(crate) fn set_open(&mut self, receptacle: u8, open: bool) {
        self.open[receptacle as usize] = open;
    }

    /// Whether an object has any of `marks`.
    pub(crate) fn has_mark(&self, object: u8, marks: u8) -> bool {
        self.marks.get(object as usize).is_some_and(|found| found & marks != 0)
    }

    /// Adds marks to an object.
    pub(crate) fn add_marks(&mut self, object: u8, marks: u8) {
        self.marks[object as usize] |= marks;
    }

    /// Adds marks to an object and removes others.
    pub(crate) fn replace_marks(&mut self, object: u8, added: u8, removed: u8) {
        self.marks[object as usize] &= !removed;
        self.add_marks(object, added);
    }

    /// Takes an object out of a receptacle at the agent's location.
    pub(crate) fn take(&mut self, object: u8, receptacle: u8) {
        self.inside.remove(receptacle, object);
        self.left.insert(receptacle, object);
        self.at.remove(self.location, object);
        self.held = object;
    }

    /// Puts the object in hand into a receptacle at the agent's location.
    pub(crate) fn put(&mut self, object: u8, receptacle: u8) {
        self.inside.insert(receptacle, object);
        self.left.remove(receptacle, object);
        self.at.insert(self.location, object);
        self.held = NONE;
    }
}
