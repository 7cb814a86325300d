//! One generated task: a room, what is in it, what to do there, and how.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::super::action::{Action, Verb};
use super::super::goal::{Goal, TaskKind};
use super::super::relation::Relation;
use super::super::state::State;
use super::super::world::{Object, Parts, Receptacle, World, ability, device};
use super::rooms::{LAMP, OBJECTS, ObjectKind, RECEPTACLES, ReceptacleKind, room};
use super::solve::{goal, solve};
use super::{GeneratorConfig, Ranges};
use crate::error::{Error, Result};

/// A generated task before it gets its words.
pub(super) struct Draft {
    pub(super) kind: TaskKind,
    pub(super) object: &'static str,
    /// The kind of receptacle that the object goes to; of a lamp's task, nothing.
    pub(super) receptacle: &'static str,
    pub(super) world: World,
    pub(super) goal: Goal,
    pub(super) walkthrough: Vec<Action>,
}

/// An object and the receptacle that it starts in, by their kinds' tables.
struct Placed {
    kind: &'static ObjectKind,
    /// An index into the room's receptacles.
    receptacle: usize,
}

/// What a task needs to have done to the object on its way: the action, and what the object and the
/// receptacle must be good for.
pub(super) fn treatment(kind: TaskKind) -> Option<(Verb, u8, u8)> {
    match kind {
        TaskKind::Clean => Some((Verb::Clean, ability::CLEAN, device::SINK)),
        TaskKind::Heat => Some((Verb::Heat, ability::HEAT, device::MICROWAVE)),
        TaskKind::Cool => Some((Verb::Cool, ability::COOL, device::FRIDGE)),
        TaskKind::Pick | TaskKind::Look | TaskKind::Pick2 => None,
    }
}

/// How many rooms are tried before a configuration is given up: a small room often lacks a second
/// place for an object, or a surface for a lamp.
const ATTEMPTS: usize = 1000;

/// Builds the task that `rng` picks.
pub(super) fn build(config: &GeneratorConfig, rng: &mut ChaCha8Rng) -> Result<Draft> {
    let kind = config.mix.pick(rng);
    for _ in 0..ATTEMPTS {
        if let Some(draft) = attempt(kind, &config.ranges(), rng)? {
            return Ok(draft);
        }
    }
    let message = format!("no room has enough in it for a task of kind {kind:?}");
    Err(Error::setting("env.household.receptacles", message))
}

/// Builds a task in a random room, or `None` where the room does not suit it.
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

/// The receptacles of a room, sorted as the world numbers them.
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
    // A room has one of most of its kinds before it has several of one.
    let mut order = fitting.clone();
    order.shuffle(rng);
    let count = rng.random_range(ranges.receptacles.clone());
    order.retain(|kind| !found.iter().any(|have| have.name == kind.name));
    found.extend(order);
    found.truncate(count);
    while found.len() < count {
        let have = |kind: &ReceptacleKind| found.iter().filter(|h| h.name == kind.name).count();
        let more: Vec<_> = fitting.iter().filter(|kind| have(kind) < kind.most).collect();
        let Some(&&kind) = more.choose(rng) else { break };
        found.push(kind);
    }
    found.sort_by_cached_key(|kind| order_of(kind.name));
    found
}

/// Kinds sort as the ids of a written problem do.
fn order_of(name: &str) -> String {
    format!("{name}_bar_")
}

struct Room {
    here: u8,
    receptacles: Vec<&'static ReceptacleKind>,
    objects: Vec<Placed>,
}

impl Room {
    /// The places where an object of a kind may start: where it fits, but not in any receptacle of
    /// the kind `except`.
    fn places(&self, object: &ObjectKind, except: Option<&ReceptacleKind>) -> Vec<usize> {
        let allowed = |receptacle: &ReceptacleKind| {
            object.fits(receptacle) && except.is_none_or(|except| except.name != receptacle.name)
        };
        (0..self.receptacles.len()).filter(|&index| allowed(self.receptacles[index])).collect()
    }

    /// The kinds of object that belong into this room.
    fn kinds(&self) -> impl Iterator<Item = &'static ObjectKind> + use<> {
        let here = self.here;
        OBJECTS.iter().filter(move |kind| kind.rooms & here != 0)
    }

    /// What the task is about: a kind of object, and a receptacle of the kind that it goes to.
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

    /// Puts an object somewhere; behind a door with the probability `hidden`, where there is one.
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
            self.objects.push(Placed { kind, receptacle });
        }
    }

    /// Adds what the task does not need: objects that are easily taken for the wanted one, some of
    /// its own kind, and others.
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
        let alike: Vec<&'static ObjectKind> = others.iter().copied().filter(fits).collect();
        let objects = rng.random_range(ranges.objects.clone());
        let distractors = rng.random_range(ranges.distractors.clone()).min(objects);
        let spare = rng.random_range(ranges.spare.clone()).min(objects - distractors);
        for _ in 0..distractors {
            match target.filter(|_| treatment(kind).is_some() && rng.random_bool(0.25)) {
                Some(target) => self.place_untreated(wanted, target, rng),
                None => {
                    self.place_any(if alike.is_empty() { &others } else { &alike }, ranges, rng)
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

    /// Puts an object where the goal wants one, but without what it needs to have done to it: it
    /// looks like the goal itself.
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
            self.objects.push(Placed { kind: wanted, receptacle });
        }
    }

    fn world(mut self) -> World {
        self.objects.sort_by_cached_key(|object| order_of(object.kind.name));
        let receptacle_kinds = Kinds::of(self.receptacles.iter().copied(), |kind| kind.name);
        let object_kinds = Kinds::of(self.objects.iter().map(|object| object.kind), |k| k.name);
        let mut fits = Relation::default();
        for (receptacle_number, receptacle) in receptacle_kinds.kinds.iter().enumerate() {
            for (object_number, object) in object_kinds.kinds.iter().enumerate() {
                if object.fits(receptacle) {
                    fits.insert(receptacle_number as u8, object_number as u8);
                }
            }
        }
        let mut start = State::new(self.receptacles.len(), self.objects.len());
        // The agent starts where no receptacle is.
        start.location = self.receptacles.len() as u8;
        for (id, object) in self.objects.iter().enumerate() {
            start.inside.insert(object.receptacle as u8, id as u8);
            start.at.insert(object.receptacle as u8, id as u8);
        }
        let receptacles = self.receptacles.iter().zip(&receptacle_kinds.numbers).enumerate();
        let objects = self.objects.iter().zip(&object_kinds.numbers);
        World::new(Parts {
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

/// The kinds in a sorted list of things, each once, and the number of each thing's kind.
struct Kinds<T: 'static> {
    kinds: Vec<&'static T>,
    numbers: Vec<u8>,
}

impl<T> Kinds<T> {
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

/// The domain's name of a kind.
pub(super) fn type_of(name: &str) -> String {
    format!("{name}type")
}

/// Names with numbers that run backwards within a kind, as in the published games.
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
