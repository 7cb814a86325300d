//! The typed world of one game: its entities and their constant facts.

use super::action::{Action, Verb};
use super::id::{NONE, Renumbering};
use super::names::Names;
use super::relation::Relation;
use super::state::{State, mark};

/// The abilities of an object, as bits.
pub(crate) mod ability {
    pub(crate) const PICK_UP: u8 = 1;
    pub(crate) const CLEAN: u8 = 2;
    pub(crate) const HEAT: u8 = 4;
    pub(crate) const COOL: u8 = 8;
    pub(crate) const TOGGLE: u8 = 16;
    pub(crate) const SLICE: u8 = 32;
    /// It can contain other objects.
    pub(crate) const CONTAIN: u8 = 64;
    /// It can slice other objects.
    pub(crate) const CUT: u8 = 128;
}

/// The functions of a receptacle besides holding objects, as bits.
pub(crate) mod device {
    pub(crate) const SINK: u8 = 1;
    pub(crate) const MICROWAVE: u8 = 2;
    pub(crate) const FRIDGE: u8 = 4;
    pub(crate) const OPENABLE: u8 = 8;
}

/// A receptacle's constant facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receptacle {
    /// Its kind, as a number of [`World::receptacle_kinds`], or [`NONE`].
    pub(crate) kind: u8,
    /// Its location, or [`NONE`].
    pub(crate) location: u8,
    /// Bits of [`device`].
    pub(crate) device: u8,
}

/// An object's constant facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Object {
    /// Its kind, as a number of [`World::object_kinds`], or [`NONE`].
    pub(crate) kind: u8,
    /// Bits of [`ability`].
    pub(crate) ability: u8,
}

/// The constant part of a game's world, and the initial state.
///
/// Receptacles and objects are numbered in the order of their ids in the problem. Texts list them in
/// this order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct World {
    pub(crate) receptacles: Box<[Receptacle]>,
    pub(crate) objects: Box<[Object]>,
    pub(crate) locations: u8,
    pub(crate) receptacle_names: Names,
    pub(crate) object_names: Names,
    pub(crate) receptacle_kinds: Names,
    pub(crate) object_kinds: Names,
    /// Which kind of receptacle (first) can hold which kind of object (second).
    pub(crate) fits: Relation,
    /// Which objects (second) are inside which object (first).
    pub(crate) nested: Relation,
    /// Which receptacles (second) are at which location (first).
    pub(crate) receptacles_at: Relation,
    /// Receptacles sorted by name.
    by_name: Box<[u8]>,
    /// The rank of each receptacle's name, then of each object's name, among all names.
    ranks: Box<[u16]>,
    pub(crate) start: State,
}

/// The parts of a [`World`].
#[derive(Debug, Clone, Default)]
pub(crate) struct WorldParts {
    pub(crate) receptacles: Vec<Receptacle>,
    pub(crate) objects: Vec<Object>,
    pub(crate) locations: u8,
    pub(crate) receptacle_names: Vec<String>,
    pub(crate) object_names: Vec<String>,
    pub(crate) receptacle_kinds: Names,
    pub(crate) object_kinds: Names,
    pub(crate) fits: Relation,
    pub(crate) nested: Relation,
    pub(crate) start: State,
}

impl World {
    /// Builds a world. The lists of names have the lengths of the lists of entities.
    pub(crate) fn new(parts: WorldParts) -> Self {
        let count = parts.receptacles.len();
        let names: Vec<&String> =
            parts.receptacle_names.iter().chain(&parts.object_names).collect();
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by_key(|&entity| names[entity]);
        let mut ranks = vec![0; names.len()];
        for (rank, &entity) in order.iter().enumerate() {
            ranks[entity] = rank as u16;
        }
        let mut receptacles_at = Relation::default();
        for (id, receptacle) in parts.receptacles.iter().enumerate() {
            receptacles_at.insert(receptacle.location, id as u8);
        }
        Self {
            receptacles_at,
            by_name: order.iter().filter(|&&entity| entity < count).map(|&id| id as u8).collect(),
            ranks: ranks.into(),
            receptacles: parts.receptacles.into(),
            objects: parts.objects.into(),
            locations: parts.locations,
            receptacle_names: parts.receptacle_names.iter().collect(),
            object_names: parts.object_names.iter().collect(),
            receptacle_kinds: parts.receptacle_kinds,
            object_kinds: parts.object_kinds,
            fits: parts.fits,
            nested: parts.nested,
            start: parts.start,
        }
    }

    /// The world of the receptacles and objects that are kept. Their names are numbered anew, from 1 for
    /// each kind of name and in the order of the old numbers.
    pub(crate) fn keeping(&self, receptacles: &Renumbering, objects: &Renumbering) -> Self {
        Self::new(WorldParts {
            receptacles: receptacles.kept(self.receptacles.iter().copied()).collect(),
            objects: objects.kept(self.objects.iter().copied()).collect(),
            locations: self.locations,
            receptacle_names: numbered_anew(receptacles.kept(self.receptacle_names.iter())),
            object_names: numbered_anew(objects.kept(self.object_names.iter())),
            receptacle_kinds: self.receptacle_kinds.clone(),
            object_kinds: self.object_kinds.clone(),
            fits: self.fits.clone(),
            nested: self
                .nested
                .renumbered(|number| objects.of(number), |number| objects.of(number)),
            start: self.start.keeping(receptacles, objects),
        })
    }

    /// A number that sorts receptacles in the order of their names.
    pub(crate) fn receptacle_rank(&self, receptacle: u8) -> u16 {
        self.ranks[receptacle as usize]
    }

    /// A number that sorts objects and receptacles in the order of their names.
    pub(crate) fn object_rank(&self, object: u8) -> u16 {
        self.ranks[self.receptacles.len() + object as usize]
    }

    /// Whether the contents of a receptacle can be reached.
    pub(crate) fn is_accessible(&self, state: &State, receptacle: u8) -> bool {
        !self.is(receptacle, device::OPENABLE) || state.is_open(receptacle)
    }

    /// Whether a receptacle has one of the functions in `device`, bits of [`device`].
    pub(crate) fn is(&self, receptacle: u8, device: u8) -> bool {
        self.receptacles[receptacle as usize].device & device != 0
    }

    /// Whether an object has one of the abilities in `ability`, bits of [`ability`].
    pub(crate) fn can(&self, object: u8, ability: u8) -> bool {
        self.objects[object as usize].ability & ability != 0
    }

    /// The receptacles at the agent's location.
    fn here<'a>(&'a self, state: &State) -> impl Iterator<Item = u8> + 'a {
        let location = state.location;
        self.receptacles_at.of(location).filter(move |_| location != NONE)
    }

    /// Appends all actions of one verb that are possible in `state`.
    pub(crate) fn possible(&self, state: &State, verb: Verb, out: &mut Vec<Action>) {
        match verb {
            Verb::Look | Verb::Inventory | Verb::Help => out.push(Action::new(verb, 0, 0)),
            Verb::ExamineReceptacle => {
                out.extend(self.here(state).map(|receptacle| Action::new(verb, receptacle, 0)));
            }
            Verb::ExamineObject => out.extend(state.held().map(|held| Action::new(verb, held, 0))),
            Verb::GoTo => out.extend(
                self.by_name
                    .iter()
                    .filter(|&&receptacle| {
                        let there = self.receptacles[receptacle as usize].location;
                        there != state.location && there != NONE
                    })
                    .map(|&receptacle| Action::new(verb, receptacle, 0)),
            ),
            Verb::Open | Verb::Close => out.extend(
                self.here(state)
                    .filter(|&receptacle| self.is(receptacle, device::OPENABLE))
                    .filter(|&receptacle| state.is_open(receptacle) == (verb == Verb::Close))
                    .map(|receptacle| Action::new(verb, receptacle, 0)),
            ),
            Verb::Take => self.possible_takes(state, out),
            Verb::Use => self.possible_uses(state, out),
            Verb::Move => self.possible_moves(state, out),
            Verb::Heat => self.possible_treatments(state, verb, out),
            Verb::Clean => self.possible_treatments(state, verb, out),
            Verb::Cool => self.possible_treatments(state, verb, out),
            Verb::Slice => self.possible_slices(state, out),
        }
    }

    fn possible_takes(&self, state: &State, out: &mut Vec<Action>) {
        if state.held().is_some() {
            return;
        }
        for receptacle in self.here(state).filter(|&id| self.is_accessible(state, id)) {
            let inside = state.inside.of(receptacle);
            let takeable = inside.filter(|&object| self.can(object, ability::PICK_UP));
            out.extend(takeable.map(|object| Action::new(Verb::Take, object, receptacle)));
        }
    }

    /// The domain allows the use of a switch inside a closed receptacle.
    fn possible_uses(&self, state: &State, out: &mut Vec<Action>) {
        let before = out.len();
        for receptacle in self.here(state) {
            for object in state.inside.of(receptacle) {
                let known = out[before..].iter().any(|action| action.first == object);
                if self.can(object, ability::TOGGLE) && !known {
                    out.push(Action::new(Verb::Use, object, receptacle));
                }
            }
        }
    }

    fn possible_moves(&self, state: &State, out: &mut Vec<Action>) {
        let Some(held) = state.held() else { return };
        let kind = self.objects[held as usize].kind;
        let takers = self.here(state).filter(|&id| self.is_accessible(state, id)).filter(|&id| {
            kind != NONE && self.fits.contains(self.receptacles[id as usize].kind, kind)
        });
        out.extend(takers.map(|receptacle| Action::new(Verb::Move, held, receptacle)));
    }

    fn possible_treatments(&self, state: &State, verb: Verb, out: &mut Vec<Action>) {
        let (ability, device) = match verb {
            Verb::Heat => (ability::HEAT, device::MICROWAVE),
            Verb::Clean => (ability::CLEAN, device::SINK),
            _ => (ability::COOL, device::FRIDGE),
        };
        let Some(held) = state.held().filter(|&held| self.can(held, ability)) else { return };
        let devices = self.here(state).filter(|&receptacle| self.is(receptacle, device));
        out.extend(devices.map(|receptacle| Action::new(verb, held, receptacle)));
    }

    fn possible_slices(&self, state: &State, out: &mut Vec<Action>) {
        let Some(knife) = state.held().filter(|&held| self.can(held, ability::CUT)) else { return };
        let food = state.at.of(state.location).filter(|&object| self.can(object, ability::SLICE));
        out.extend(food.map(|object| Action::new(Verb::Slice, object, knife)));
    }

    /// Applies an action to `state`. The action must be possible.
    pub(crate) fn apply(&self, state: &mut State, action: Action) {
        let Action { verb, first, second } = action;
        match verb {
            Verb::Look | Verb::Inventory | Verb::Help => {}
            Verb::ExamineReceptacle | Verb::ExamineObject => {}
            Verb::GoTo => state.location = self.receptacles[first as usize].location,
            Verb::Open => state.set_open(first, true),
            Verb::Close => state.set_open(first, false),
            Verb::Take => state.take(first, second),
            Verb::Move => state.put(first, second),
            Verb::Use => state.add_marks(first, mark::TOGGLED),
            Verb::Heat => state.replace_marks(first, mark::HOT, mark::COOL),
            Verb::Clean => state.add_marks(first, mark::CLEAN),
            Verb::Cool => state.replace_marks(first, mark::COOL, mark::HOT),
            Verb::Slice => state.add_marks(first, mark::SLICED),
        }
    }
}

/// Names such as "cabinet 3" with numbers from 1, in the order of the old numbers. Names without a number
/// stay as they are.
fn numbered_anew<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let parts: Vec<(&str, Option<u32>)> = names
        .map(|name| {
            let numbered = name
                .rsplit_once(' ')
                .and_then(|(word, number)| Some((word, Some(number.parse().ok()?))));
            numbered.unwrap_or((name, None))
        })
        .collect();
    let rank = |word: &str, number: u32| {
        let before = |&&(other, old): &&(&str, Option<u32>)| {
            other == word && old.is_some_and(|old| old < number)
        };
        1 + parts.iter().filter(before).count()
    };
    let name = |&(word, number): &(&str, Option<u32>)| match number {
        Some(number) => format!("{word} {}", rank(word, number)),
        None => word.to_string(),
    };
    parts.iter().map(name).collect()
}
