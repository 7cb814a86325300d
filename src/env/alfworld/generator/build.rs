//! Builds a generated task: a room, its contents, a goal and a walkthrough.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::super::action::{Action, Verb};
use super::super::goal::Goal;
use super::super::relation::Relation;
use super::super::state::State;
use super::super::task_kind::TaskKind;
use super::super::world::{Object, Receptacle, World, WorldParts, device};
use super::config::{GeneratorConfig, Ranges};
use super::rooms::{LAMP, OBJECTS, ObjectKind, RECEPTACLES, ReceptacleKind, room};
use super::solve::{goal, solve, treatment, type_of};
use crate::error::{Error, Result};

/// A generated task without its texts.
pub(super) struct Draft {
    pub(super) kind: TaskKind,
    pub(super) object: &'static str,
    /// The kind of the target receptacle, empty for tasks with a lamp.
    pub(super) receptacle: &'static str,
    pub(super) world: World,
    pub(super) goal: Goal,
    pub(super) walkthrough: Vec<Action>,
}

/// An object and its initial receptacle.
struct PlacedObject {
    kind: &'static ObjectKind,
    /// An index into the receptacles of the room.
    receptacle: usize,
}

/// Maximum number of rooms to try. Small rooms often lack a second place for an object, or a surface
/// for a lamp.
const ATTEMPTS: usize = 1000;

/// Builds a random task.
///
/// # Errors
/// Returns [`Error::Setting`] if no room has enough objects and places for the task.
pub(super) fn build(config: &GeneratorConfig, rng: &mut ChaCha8Rng) -> Result<Draft> {
    let kind = config.mix.draw(rng);
    for _ in 0..ATTEMPTS {
        if let Some(draft) = attempt(kind, &config.ranges(), rng)? {
            return Ok(draft);
        }
    }
    let message = format!("no room has enough objects and places for a task of kind {kind:?}");
    Err(Error::setting("env.household.receptacles", message))
}

/// Builds a task in a random room, or returns `None` if the room does not suit the task.
fn attempt(kind: TaskKind, ranges: &Ranges, rng: &mut ChaCha8Rng) -> Result<Option<Draft>> {
    let rooms: &[u8] = match kind {
        TaskKind::Heat | TaskKind::Cool => &[room::KITCHEN],
        TaskKind::Clean => &[room::KITCHEN, room::BATH],
        TaskKind::Look => &[room::BEDROOM, room::LIVING],
        TaskKind::Pick | TaskKind::Pick2 => &room::ALL,
    };
    let here = rooms[rng.random_range(0..rooms.len())];
    let receptacles = furnish(here, kind, ranges, rng);
    let mut room = Room { here, receptacles, objects: Vec::new() };
    let Some((object, target)) = room.choose_goal(kind, rng) else { return Ok(None) };
    let target = target.map(|target| room.receptacles[target]);
    for _ in 0..if kind == TaskKind::Pick2 { 2 } else { 1 } {
        room.place(object, target, ranges.hidden, rng);
    }
    if kind == TaskKind::Look {
        if room.places(&LAMP, None).is_empty() {
            return Ok(None);
        }
        room.place(&LAMP, None, 0.0, rng);
    }
    room.clutter(kind, object, target, ranges, rng);
    let world = room.world();
    let goal = goal(kind, object, target, &world)?;
    let walkthrough = solve(kind, object, target, &world, &goal)?;
    let receptacle = target.map_or("", |kind| kind.name);
    Ok(Some(Draft { kind, object: object.name, receptacle, world, goal, walkthrough }))
}

/// Draws the receptacles of a room, in the order in which the world numbers them.
fn furnish(
    here: u8,
    kind: TaskKind,
    ranges: &Ranges,
    rng: &mut ChaCha8Rng,
) -> Vec<&'static ReceptacleKind> {
    let needed = treatment(kind).map_or(0, |(_, _, device)| device);
    let fitting: Vec<&ReceptacleKind> =
        RECEPTACLES.iter().filter(|kind| kind.rooms & here != 0).collect();
    let mut found: Vec<&ReceptacleKind> =
        fitting.iter().copied().filter(|kind| kind.device & needed != 0).collect();
    // A room gets one receptacle of each kind before it gets several of one kind.
    let mut order = fitting.clone();
    order.shuffle(rng);
    let count = rng.random_range(ranges.receptacles.clone());
    order.retain(|kind| !found.iter().any(|have| have.name == kind.name));
    found.extend(order);
    found.truncate(count);
    while found.len() < count {
        let have = |kind: &ReceptacleKind| found.iter().filter(|h| h.name == kind.name).count();
        let more: Vec<_> = fitting.iter().filter(|kind| have(kind) < kind.max_count).collect();
        let Some(&&kind) = more.choose(rng) else { break };
        found.push(kind);
    }
    found.sort_by_cached_key(|kind| sort_key(kind.name));
    found
}

/// The sort key of a kind: the order of the ids in a written problem.
fn sort_key(name: &str) -> String {
    format!("{name}_bar_")
}

struct Room {
    here: u8,
    receptacles: Vec<&'static ReceptacleKind>,
    objects: Vec<PlacedObject>,
}

impl Room {
    /// The receptacles in which an object of a kind can start: those in which it fits, apart from
    /// receptacles of the kind `except`.
    fn places(&self, object: &ObjectKind, except: Option<&ReceptacleKind>) -> Vec<usize> {
        let allowed = |receptacle: &ReceptacleKind| {
            object.fits(receptacle) && except.is_none_or(|except| except.name != receptacle.name)
        };
        (0..self.receptacles.len()).filter(|&index| allowed(self.receptacles[index])).collect()
    }

    /// The kinds of object of this room.
    fn kinds(&self) -> impl Iterator<Item = &'static ObjectKind> + use<> {
        let here = self.here;
        OBJECTS.iter().filter(move |kind| kind.rooms & here != 0)
    }

    /// Draws the kind of the wanted object and its target receptacle.
    fn choose_goal(
        &self,
        kind: TaskKind,
        rng: &mut ChaCha8Rng,
    ) -> Option<(&'static ObjectKind, Option<usize>)> {
        let (_, ability, device) = treatment(kind).unwrap_or((Verb::Take, 0, 0));
        let mut choices = Vec::new();
        for object in self.kinds().filter(|object| object.can(ability)) {
            if kind == TaskKind::Look {
                let somewhere = !self.places(object, None).is_empty();
                choices.extend(somewhere.then_some((object, vec![None])));
                continue;
            }
            let targets: Vec<Option<usize>> = (0..self.receptacles.len())
                .filter(|&index| {
                    let target = self.receptacles[index];
                    object.fits(target)
                        && target.device & device == 0
                        && !self.places(object, Some(target)).is_empty()
                })
                .map(Some)
                .collect();
            choices.extend((!targets.is_empty()).then_some((object, targets)));
        }
        let (object, targets) = choices.choose(rng)?;
        Some((*object, *targets.choose(rng)?))
    }

    /// Places an object at random, with the probability `hidden` behind a door if there is one.
    fn place(
        &mut self,
        kind: &'static ObjectKind,
        except: Option<&ReceptacleKind>,
        hidden: f64,
        rng: &mut ChaCha8Rng,
    ) {
        let places = self.places(kind, except);
        let behind_door = rng.random_bool(hidden);
        let wanted: Vec<usize> = places
            .iter()
            .copied()
            .filter(|&place| {
                (self.receptacles[place].device & device::OPENABLE != 0) == behind_door
            })
            .collect();
        let chosen = wanted.choose(rng).or_else(|| places.choose(rng));
        if let Some(&receptacle) = chosen {
            self.objects.push(PlacedObject { kind, receptacle });
        }
    }

    /// Adds objects that the task does not need: distractors that resemble the wanted object, surplus
    /// objects of its kind, and others.
    fn clutter(
        &mut self,
        kind: TaskKind,
        wanted: &'static ObjectKind,
        target: Option<&'static ReceptacleKind>,
        ranges: &Ranges,
        rng: &mut ChaCha8Rng,
    ) {
        let others: Vec<&'static ObjectKind> = self
            .kinds()
            .filter(|object| object.name != wanted.name && !self.places(object, None).is_empty())
            .collect();
        let fits = |object: &&ObjectKind| target.is_none_or(|target| object.fits(target));
        let similar: Vec<&'static ObjectKind> = others.iter().copied().filter(fits).collect();
        let objects = rng.random_range(ranges.objects.clone());
        let distractors = rng.random_range(ranges.distractors.clone()).min(objects);
        let spare = rng.random_range(ranges.spare.clone()).min(objects - distractors);
        for _ in 0..distractors {
            match target.filter(|_| treatment(kind).is_some() && rng.random_bool(0.25)) {
                Some(target) => self.place_untreated(wanted, target, rng),
                None => {
                    self.place_any(if similar.is_empty() { &others } else { &similar }, ranges, rng)
                }
            }
        }
        for _ in 0..spare {
            self.place(wanted, target, ranges.hidden, rng);
        }
        for _ in distractors + spare..objects {
            self.place_any(&others, ranges, rng);
        }
    }

    fn place_any(&mut self, kinds: &[&'static ObjectKind], ranges: &Ranges, rng: &mut ChaCha8Rng) {
        if let Some(kind) = kinds.choose(rng) {
            self.place(kind, None, ranges.hidden, rng);
        }
    }

    /// Places an untreated object of the wanted kind in a target receptacle, so that it resembles the
    /// goal.
    fn place_untreated(
        &mut self,
        wanted: &'static ObjectKind,
        target: &ReceptacleKind,
        rng: &mut ChaCha8Rng,
    ) {
        let count = self.receptacles.len();
        let there = |&index: &usize| self.receptacles[index].name == target.name;
        let places: Vec<usize> = (0..count).filter(there).collect();
        if let Some(&receptacle) = places.choose(rng) {
            self.objects.push(PlacedObject { kind: wanted, receptacle });
        }
    }

    fn world(mut self) -> World {
        self.objects.sort_by_cached_key(|object| sort_key(object.kind.name));
        let receptacle_kinds =
            DistinctKinds::of(self.receptacles.iter().copied(), |kind| kind.name);
        let object_kinds =
            DistinctKinds::of(self.objects.iter().map(|object| object.kind), |k| k.name);
        let mut fits = Relation::default();
        for (receptacle_number, receptacle) in receptacle_kinds.kinds.iter().enumerate() {
            for (object_number, object) in object_kinds.kinds.iter().enumerate() {
                if object.fits(receptacle) {
                    fits.insert(receptacle_number as u8, object_number as u8);
                }
            }
        }
        let mut start = State::new(self.receptacles.len(), self.objects.len());
        // The agent starts at a location without receptacles.
        start.location = self.receptacles.len() as u8;
        for (id, object) in self.objects.iter().enumerate() {
            start.inside.insert(object.receptacle as u8, id as u8);
            start.at.insert(object.receptacle as u8, id as u8);
        }
        let receptacles = self.receptacles.iter().zip(&receptacle_kinds.numbers).enumerate();
        let objects = self.objects.iter().zip(&object_kinds.numbers);
        World::new(WorldParts {
            receptacles: receptacles
                .map(|(id, (receptacle, &kind))| Receptacle {
                    kind,
                    location: id as u8,
                    device: receptacle.device,
                })
                .collect(),
            objects: objects
                .map(|(object, &kind)| Object { kind, ability: object.kind.ability })
                .collect(),
            locations: self.receptacles.len() as u8 + 1,
            receptacle_names: numbered(self.receptacles.iter().map(|kind| kind.name)),
            object_names: numbered(self.objects.iter().map(|object| object.kind.name)),
            receptacle_kinds: receptacle_kinds
                .kinds
                .iter()
                .map(|kind| type_of(kind.name))
                .collect(),
            object_kinds: object_kinds.kinds.iter().map(|kind| type_of(kind.name)).collect(),
            fits,
            nested: Relation::default(),
            start,
        })
    }
}

/// The distinct kinds in a sorted list of things, and the number of each thing's kind.
struct DistinctKinds<T: 'static> {
    kinds: Vec<&'static T>,
    numbers: Vec<u8>,
}

impl<T> DistinctKinds<T> {
    fn of(things: impl Iterator<Item = &'static T>, name: fn(&T) -> &'static str) -> Self {
        let mut found = Self { kinds: Vec::new(), numbers: Vec::new() };
        for kind in things {
            if found.kinds.last().is_none_or(|last| name(last) != name(kind)) {
                found.kinds.push(kind);
            }
            found.numbers.push(found.kinds.len() as u8 - 1);
        }
        found
    }
}

/// Names with numbers that decrease within a kind, as in the published games.
fn numbered(names: impl DoubleEndedIterator<Item = &'static str>) -> Vec<String> {
    let mut last = ("", 0);
    let mut numbered: Vec<String> = names
        .rev()
        .map(|name| {
            last = (name, if last.0 == name { last.1 + 1 } else { 1 });
            format!("{name} {}", last.1)
        })
        .collect();
    numbered.reverse();
    numbered
}
