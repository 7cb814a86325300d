//! The goal of a generated task and its walkthrough.

use super::super::action::{Action, Verb};
use super::super::goal::Goal;
use super::super::pddl_tokens::Tokens;
use super::super::state::State;
use super::super::task_kind::TaskKind;
use super::super::world::{World, ability, device};
use super::rooms::{LAMP, ObjectKind, ReceptacleKind};
use crate::error::{Error, Result};

/// The treatment of the object in a task: the action, the ability that the object needs and the device
/// that performs it.
pub(super) fn treatment(kind: TaskKind) -> Option<(Verb, u8, u8)> {
    match kind {
        TaskKind::Clean => Some((Verb::Clean, ability::CLEAN, device::SINK)),
        TaskKind::Heat => Some((Verb::Heat, ability::HEAT, device::MICROWAVE)),
        TaskKind::Cool => Some((Verb::Cool, ability::COOL, device::FRIDGE)),
        TaskKind::Pick | TaskKind::Look | TaskKind::Pick2 => None,
    }
}

/// The name of a kind in the domain.
pub(super) fn type_of(name: &str) -> String {
    format!("{name}type")
}

/// The goal of a task, parsed from the notation of the published games.
pub(super) fn goal(
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
    let there =
        |variable: &str| format!("(objecttype {variable} {object}) (inreceptacle {variable} ?r)");
    let formula = match kind {
        TaskKind::Look => format!(
            "(exists (?t - object ?r - receptacle ?l - location ?a - agent ?o - object) (and \
             (objecttype ?t {}) (toggleable ?t) (istoggled ?t) (inreceptacle ?t ?r) \
             (receptacleatlocation ?r ?l) (atlocation ?a ?l) (objecttype ?o {object}) \
             (holds ?a ?o)))",
            type_of(LAMP.name),
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

/// Plays a task with full knowledge of the state.
struct Solver<'a> {
    world: &'a World,
    goal: &'a Goal,
    state: State,
    actions: Vec<Action>,
}

impl Solver<'_> {
    fn act(&mut self, verb: Verb, first: u8, second: u8) -> Result<()> {
        let action = Action::new(verb, first, second);
        let mut possible = Vec::new();
        self.world.possible(&self.state, verb, &mut possible);
        if !possible.contains(&action) || self.goal.is_reached(self.world, &self.state) {
            return Err(Error::Environment(format!(
                "a generated task cannot be solved: {action:?} is not possible or not needed"
            )));
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

    /// Goes to a receptacle and opens it if it is closed.
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
            .ok_or_else(|| Error::Environment("a generated object has no place".into()))
    }
}

/// Solves a task. Checks that the last action reaches the goal and no earlier action does.
pub(super) fn solve(
    kind: TaskKind,
    object: &ObjectKind,
    target: Option<&ReceptacleKind>,
    world: &World,
    goal: &Goal,
) -> Result<Vec<Action>> {
    let missing =
        || Error::Environment("a generated room lacks an object or receptacle of its task".into());
    let receptacle = |wanted: &dyn Fn(u8) -> bool| {
        (0..world.receptacles.len() as u8).find(|&id| wanted(id)).ok_or_else(missing)
    };
    let kind_of = |id: u8| world.receptacle_kinds.get(world.receptacles[id as usize].kind);
    let target = match target {
        Some(target) => Some(receptacle(&|id| kind_of(id) == type_of(target.name))?),
        None => None,
    };
    let type_number = world.object_kinds.position(&type_of(object.name)).ok_or_else(missing)?;
    let mut solver = Solver { world, goal, state: world.start.clone(), actions: Vec::new() };
    // Objects of the kind that start in a target receptacle are untreated and stay there.
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
    if !goal.is_reached(world, &solver.state) {
        return Err(Error::Environment("a generated task's walkthrough does not solve it".into()));
    }
    Ok(solver.actions)
}
