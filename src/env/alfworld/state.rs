//! The state of a world: what actions change.

use super::relation::Relation;
use super::world::NONE;

/// What has been done to an object, as bits.
pub(crate) mod mark {
    pub(crate) const CLEAN: u8 = 1;
    pub(crate) const HOT: u8 = 2;
    pub(crate) const COOL: u8 = 4;
    pub(crate) const SLICED: u8 = 8;
    pub(crate) const TOGGLED: u8 = 16;
}

/// Where everything is and what has been done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// Where the agent is, or [`NONE`].
    pub(crate) location: u8,
    held: u8,
    /// Which objects (second) are in which receptacle (first). The games' worlds have objects that
    /// lie in two receptacles at once.
    pub(crate) inside: Relation,
    /// Which objects (second) are at which location (first). The games' worlds keep this apart from
    /// where an object's receptacle stands, and the two differ at times.
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
    /// A state in which nothing is anywhere.
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

    /// The object in hand.
    pub(crate) fn held(&self) -> Option<u8> {
        (self.held != NONE).then_some(self.held)
    }

    /// Whether a receptacle has been opened.
    pub(crate) fn is_open(&self, receptacle: u8) -> bool {
        self.open.get(receptacle as usize).copied().unwrap_or(false)
    }

    pub(crate) fn set_open(&mut self, receptacle: u8, open: bool) {
        self.open[receptacle as usize] = open;
    }

    /// Whether an object bears any of `marks`.
    pub(crate) fn bears(&self, object: u8, marks: u8) -> bool {
        self.marks.get(object as usize).is_some_and(|have| have & marks != 0)
    }

    pub(crate) fn set(&mut self, object: u8, marks: u8) {
        self.marks[object as usize] |= marks;
    }

    pub(crate) fn replace(&mut self, object: u8, marks: u8, instead_of: u8) {
        self.marks[object as usize] &= !instead_of;
        self.set(object, marks);
    }

    pub(crate) fn take(&mut self, object: u8, receptacle: u8) {
        self.inside.remove(receptacle, object);
        self.left.insert(receptacle, object);
        self.at.remove(self.location, object);
        self.held = object;
    }

    pub(crate) fn put(&mut self, object: u8, receptacle: u8) {
        self.inside.insert(receptacle, object);
        self.left.remove(receptacle, object);
        self.at.insert(self.location, object);
        self.held = NONE;
    }
}
