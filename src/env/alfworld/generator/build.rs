//! One generated task: a room, what is in it, what to do there, and how.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::super::action::{Action, Verb};
use super::super::goal::{Goal, TaskKind};
use super::super::names::Names;
use super::super::pddl::tokens::Tokens;
use super::super::relation::Relation;
use super::super::state::State;
use super::super::world::{Object, Parts, Receptacle, World, ability, device};
use super::rooms::{LAMP, OBJECTS, ObjectKind, RECEPTACLES, ReceptacleKind, room};
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

/// What a task needs to have done to the object on its way.
fn treatment(kind: TaskKind) -> Option<(Verb, u8, u8)> {
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
        fitting.iter().copied().filter(|kind| kind.device & needed & !device::OPENABLE != 0).collect();
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
    found.sort_by_key(|kind| order_of(kind.name));
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
                        && target.device & device & !device::OPENABLE == 0
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

    /// Adds what the task does not need: objects that are easily taken for the wanted one, and
    /// others.
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
        for number in 0..objects {
            let is_distractor = number < distractors;
            // What lies in the right place but has not been treated looks like the goal itself.
            let untreated = is_distractor && treatment(kind).is_some() && rng.random_bool(0.25);
            if let (true, Some(target)) = (untreated, target) {
                let there = |&place: &usize| self.receptacles[place].name == target.name;
                let places: Vec<usize> = self.places(wanted, None).into_iter().filter(there).collect();
                if let Some(&receptacle) = places.choose(rng) {
                    self.objects.push(Placed { kind: wanted, receptacle });
                    continue;
                }
            }
            let kinds = if is_distractor && !alike.is_empty() { &alike } else { &others };
            if let Some(kind) = kinds.choose(rng) {
                self.place(kind, None, ranges.hidden, rng);
            }
        }
    }

    fn world(mut self) -> World {
        self.objects.sort_by_key(|object| order_of(object.kind.name));
        let receptacle_kinds = kinds(self.receptacles.iter().map(|kind| kind.name));
        let object_kinds = kinds(self.objects.iter().map(|object| object.kind.name));
        let number = |kinds: &[String], name: &str| {
            kinds.iter().position(|kind| *kind == type_of(name)).unwrap_or(0) as u8
        };
        let mut start = State::new(self.receptacles.len(), self.objects.len());
        let mut fits = Relation::default();
        let mut receptacles = Vec::new();
        for (id, kind) in self.receptacles.iter().enumerate() {
            let type_number = number(&receptacle_kinds, kind.name);
            receptacles.push(Receptacle {
                kind: type_number,
                location: id as u8,
                device: kind.device,
            });
            for object in self.objects.iter().filter(|object| object.kind.fits(kind)) {
                fits.insert(type_number, number(&object_kinds, object.kind.name));
            }
        }
        for (id, object) in self.objects.iter().enumerate() {
            start.inside.insert(object.receptacle as u8, id as u8);
            start.at.insert(object.receptacle as u8, id as u8);
        }
        // The agent starts where no receptacle is.
        start.location = self.receptacles.len() as u8;
        let objects = self.objects.iter().map(|object| Object {
            kind: number(&object_kinds, object.kind.name),
            ability: object.kind.ability,
        });
        World::new(Parts {
            objects: objects.collect(),
            receptacles,
            locations: self.receptacles.len() as u8 + 1,
            receptacle_names: numbered(self.receptacles.iter().map(|kind| kind.name)),
            object_names: numbered(self.objects.iter().map(|object| object.kind.name)),
            receptacle_kinds: receptacle_kinds.iter().collect::<Names>(),
            object_kinds: object_kinds.iter().collect::<Names>(),
            fits,
            nested: Relation::default(),
            start,
        })
    }
}

/// The domain's name of a kind.
fn type_of(name: &str) -> String {
    format!("{name}type")
}

/// The types of a sorted list of kinds, each once.
fn kinds(names: impl Iterator<Item = &'static str>) -> Vec<String> {
    let mut kinds: Vec<String> = names.map(type_of).collect();
    kinds.dedup();
    kinds
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

/// The goal in the notation of the games' problems, read as theirs are.
fn goal(
    kind: TaskKind,
    object: &ObjectKind,
    target: Option<&ReceptacleKind>,
    world: &World,
) -> Result<Goal> {
    let treated = match kind {
        TaskKind::Clean => "(isclean ?o)",
        TaskKind::Heat => "(ishot ?o)",
        TaskKind::Cool => "(iscool ?o)",
        _ => "",
    };
    let object = type_of(object.name);
    let receptacle = type_of(target.map_or("", |target| target.name));
    let there = |variable: &str| format!("(objecttype {variable} {object}) (inreceptacle {variable} ?r)");
    let formula = match kind {
        TaskKind::Look => format!(
            "(exists (?t - object ?r - receptacle ?l - location ?a - agent ?o - object) (and \
             (toggleable ?t) (istoggled ?t) (inreceptacle ?t ?r) (receptacleatlocation ?r ?l) \
             (atlocation ?a ?l) (objecttype ?o {object}) (holds ?a ?o)))"
        ),
        TaskKind::Pick2 => format!(
            "(exists (?r - receptacle ?o - object ?p - object) (and (receptacletype ?r \
             {receptacle}) {} {} (not (= ?o ?p))))",
            there("?o"),
            there("?p"),
        ),
        _ => format!(
            "(exists (?r - receptacle ?o - object) (and (receptacletype ?r {receptacle}) {} \
             {treated}))",
            there("?o")
        ),
    };
    Goal::parse(&mut Tokens::new(&format!("{formula})")), world)
}

/// A player that knows where everything is.
struct Solver<'a> {
    world: &'a World,
    state: State,
    actions: Vec<Action>,
}

impl Solver<'_> {
    fn act(&mut self, verb: Verb, first: u8, second: u8) -> Result<()> {
        let action = Action::new(verb, first, second);
        let mut possible = Vec::new();
        self.world.possible(&self.state, verb, &mut possible);
        if !possible.contains(&action) {
            return Err(Error::Environment(format!("a generated task stops at {action:?}")));
        }
        self.world.apply(&mut self.state, action);
        self.actions.push(action);
        Ok(())
    }

    fn go(&mut self, receptacle: u8) -> Result<()> {
        if self.world.receptacles[receptacle as usize].location == self.state.location {
            return Ok(());
        }
        self.act(Verb::GoTo, receptacle, 0)
    }

    /// Goes to a receptacle and opens it where it is shut.
    fn reach(&mut self, receptacle: u8) -> Result<()> {
        self.go(receptacle)?;
        if self.world.is_accessible(&self.state, receptacle) {
            return Ok(());
        }
        self.act(Verb::Open, receptacle, 0)
    }

    fn fetch(&mut self, object: u8) -> Result<()> {
        let place = self.place_of(object)?;
        self.reach(place)?;
        self.act(Verb::Take, object, place)
    }

    fn place_of(&self, object: u8) -> Result<u8> {
        let place = self.state.inside.pairs().find(|&(_, inside)| inside == object);
        place
            .map(|(receptacle, _)| receptacle)
            .ok_or_else(|| Error::Environment("a generated object is nowhere".into()))
    }
}

/// Solves a task and checks that the last action reaches the goal, and none before it.
fn solve(
    kind: TaskKind,
    object: &ObjectKind,
    target: Option<&ReceptacleKind>,
    world: &World,
    goal: &Goal,
) -> Result<Vec<Action>> {
    let missing = || Error::Environment("a generated room lacks what its task needs".into());
    let receptacle = |wanted: &dyn Fn(u8) -> bool| {
        (0..world.receptacles.len() as u8).find(|&id| wanted(id)).ok_or_else(missing)
    };
    let kind_of = |id: u8| world.receptacle_kinds.get(world.receptacles[id as usize].kind);
    let target = match target {
        Some(target) => Some(receptacle(&|id| kind_of(id) == type_of(target.name))?),
        None => None,
    };
    let type_number = world.object_kinds.position(&type_of(object.name)).ok_or_else(missing)?;
    let mut solver = Solver { world, state: world.start.clone(), actions: Vec::new() };
    // Objects of the kind that lie where they should already have not been treated: they stay.
    let wanted: Vec<u8> = (0..world.objects.len() as u8)
        .filter(|&id| world.objects[id as usize].kind == type_number)
        .filter(|&id| {
            let place = solver.place_of(id).ok();
            target.is_none_or(|target| place.is_some_and(|p| kind_of(p) != kind_of(target)))
        })
        .take(if kind == TaskKind::Pick2 { 2 } else { 1 })
        .collect();
    for object in wanted {
        solver.fetch(object)?;
        if let Some((verb, _, device)) = treatment(kind) {
            let device = receptacle(&|id| world.is(id, device))?;
            solver.go(device)?;
            solver.act(verb, object, device)?;
        }
        if let Some(target) = target {
            solver.reach(target)?;
            solver.act(Verb::Move, object, target)?;
        }
    }
    if kind == TaskKind::Look {
        let is_lamp = |id: &u8| world.can(*id, ability::TOGGLE);
        let lamp = (0..world.objects.len() as u8).find(is_lamp).ok_or_else(missing)?;
        let place = solver.place_of(lamp)?;
        solver.go(place)?;
        solver.act(Verb::Use, lamp, place)?;
    }
    if !goal.is_reached(world, &solver.state) || goal.is_reached(world, &world.start) {
        return Err(Error::Environment("a generated task's walkthrough does not solve it".into()));
    }
    Ok(solver.actions)
}
