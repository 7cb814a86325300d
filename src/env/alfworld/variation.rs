//! Variations of a game: another goal, fewer receptacles, objects in other places.
//!
//! A player of the same games again and again can learn by heart where things are. In a variation it has
//! to read and to look.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::game::{Game, Published, Rules};
use super::goal::Goal;
use super::id::{NONE, Renumbering};
use super::predicate::Sort;
use super::state::mark;
use super::task_kind::TaskKind;
use super::world::{World, ability, device};

/// Probability that a variation asks for another object and another target.
const OTHER_GOAL: f64 = 0.5;

/// Number of goals that are tried. One that is reached at the start is not taken.
const GOAL_ATTEMPTS: usize = 4;

/// Maximum probability of a receptacle to be missing.
const MAX_MISSING: f64 = 0.4;

/// An object that can change places, and its receptacle.
#[derive(Clone, Copy)]
struct Placed {
    object: u8,
    receptacle: u8,
}

/// A variation of a game. It has no walkthrough. A game with other rules than the published ones stays
/// as it is, as does one whose variation would be won at the start.
pub(super) fn varied(game: &Game, rng: &mut ChaCha8Rng) -> Game {
    let Rules::Published(published) = &game.rules else { return game.clone() };
    let mut varied = published.clone();
    let mut task = game.task.clone();
    if rng.random_bool(OTHER_GOAL)
        && let Some((goal, line)) = (0..GOAL_ATTEMPTS).find_map(|_| other_goal(&varied, &task, rng))
    {
        (varied.goal, task) = (goal, line);
    }
    remove_receptacles(&mut varied, rng);
    exchange(&mut varied, rng);
    let (world, goal) = (&varied.world, &varied.goal);
    if !goal.is_possible(world) || goal.is_reached(world, &world.start) {
        return game.clone();
    }
    Game { name: game.name.clone(), task, rules: Rules::Published(varied), walkthrough: Vec::new() }
}

/// The numbers of the kinds that a goal names: of the object, and of the target receptacle.
type Named = (Option<u8>, Option<u8>);

fn named(game: &Published) -> Named {
    let world = &game.world;
    let [object, target, _] = game.goal.named_kinds(world);
    (
        object.and_then(|kind| world.object_kinds.position(kind)),
        target.and_then(|kind| world.receptacle_kinds.position(kind)),
    )
}

/// A goal of the same kind about another object and another target, and its task line. `None` if the task
/// line does not name its object and its target once, or if nothing else was found to ask for.
fn other_goal(game: &Published, task: &str, rng: &mut ChaCha8Rng) -> Option<(Goal, Box<str>)> {
    let (object, target) = named(game);
    let object = object.filter(|_| !game.goal.requires(mark::SLICED))?;
    let world = &game.world;
    let new_object = *wanted_kinds(game).choose(rng)?;
    let word = |kind: &str| kind.strip_suffix("type").unwrap_or(kind).to_string();
    let object_word = |kind| word(world.object_kinds.get(kind));
    let mut line = with_word(task, &object_word(object), &object_word(new_object))?;
    let mut goal = game.goal.with_kind(Sort::Object, object, new_object);
    if let Some(target) = target {
        let new_target = *target_kinds(world, new_object).choose(rng)?;
        let target_word = |kind| word(world.receptacle_kinds.get(kind));
        line = with_word(&line, &target_word(target), &target_word(new_target))?;
        goal = goal.with_kind(Sort::Receptacle, target, new_target);
    }
    let is_reached = goal.is_reached(world, &world.start);
    (!is_reached).then(|| (goal, line.into()))
}

/// The kinds of object that a goal of the same kind can ask for.
fn wanted_kinds(game: &Published) -> Vec<u8> {
    let world = &game.world;
    let (ability, count) = match game.goal.kind() {
        TaskKind::Clean => (ability::CLEAN, 1),
        TaskKind::Heat => (ability::HEAT, 1),
        TaskKind::Cool => (ability::COOL, 1),
        TaskKind::Pick2 => (ability::PICK_UP, 2),
        _ => (ability::PICK_UP, 1),
    };
    let placed = placed(game);
    let of_kind = |kind: u8| {
        let is_wanted = |one: &&Placed| {
            world.objects[one.object as usize].kind == kind
                && world.can(one.object, ability)
                && !world.can(one.object, ability::TOGGLE)
        };
        placed.iter().filter(is_wanted).count()
    };
    let kinds = 0..world.object_kinds.len() as u8;
    kinds.filter(|&kind| of_kind(kind) >= count).collect()
}

/// The kinds of receptacle in the world that can hold a kind of object.
fn target_kinds(world: &World, object: u8) -> Vec<u8> {
    let exists =
        |kind: u8| world.receptacles.iter().any(|one| one.kind == kind && one.location != NONE);
    let kinds = 0..world.receptacle_kinds.len() as u8;
    kinds.filter(|&kind| world.fits.contains(kind, object) && exists(kind)).collect()
}

/// A text with another word in place of the word `old`, or `None` if the text does not have it once.
fn with_word(text: &str, old: &str, new: &str) -> Option<String> {
    let is_other = |letter: char| !letter.is_alphanumeric();
    let mut places = text.match_indices(old).filter(|(start, _)| {
        text[..*start].chars().next_back().is_none_or(is_other)
            && text[start + old.len()..].chars().next().is_none_or(is_other)
    });
    let (start, _) = places.next().filter(|_| !old.is_empty())?;
    let is_single = places.next().is_none();
    is_single.then(|| format!("{}{new}{}", &text[..start], &text[start + old.len()..]))
}

/// Removes random receptacles with their contents. Those that the goal needs stay.
fn remove_receptacles(game: &mut Published, rng: &mut ChaCha8Rng) {
    let world = &game.world;
    let (wanted, target) = named(game);
    let placed = placed(game);
    let mut targets =
        (0..world.receptacles.len()).filter(|&id| Some(world.receptacles[id].kind) == target);
    let first_target = targets.next();
    let holds_only_unwanted = |receptacle: u8| {
        world.start.inside.of(receptacle).all(|object| {
            let is_placed = placed.iter().any(|one| one.object == object);
            is_placed
                && Some(world.objects[object as usize].kind) != wanted
                && !world.can(object, ability::TOGGLE)
        })
    };
    let may_go = |id: usize| {
        Some(id) != first_target
            && !world.is(id as u8, device::SINK | device::MICROWAVE | device::FRIDGE)
            && holds_only_unwanted(id as u8)
    };
    let probability = rng.random_range(0.0..MAX_MISSING);
    let receptacles: Vec<bool> = (0..world.receptacles.len())
        .map(|id| !(rng.random_bool(probability) && may_go(id)))
        .collect();
    let mut objects = vec![true; world.objects.len()];
    for one in placed.iter().filter(|one| !receptacles[one.receptacle as usize]) {
        objects[one.object as usize] = false;
    }
    game.world =
        world.keeping(&Renumbering::keeping(&receptacles), &Renumbering::keeping(&objects));
}

/// Exchanges each object with a random one, where both fit: receptacles hold as many objects as before,
/// and only kinds that they can hold. An object of the goal does not come into a receptacle of the goal.
fn exchange(game: &mut Published, rng: &mut ChaCha8Rng) {
    let goal = named(game);
    let mut placed = placed(game);
    let mut order: Vec<usize> = (0..placed.len()).collect();
    order.shuffle(rng);
    for one in order {
        let other = rng.random_range(0..placed.len());
        let (a, b) = (placed[one], placed[other]);
        if may_hold(&game.world, goal, a.receptacle, b.object)
            && may_hold(&game.world, goal, b.receptacle, a.object)
        {
            relocate(game, a, b.receptacle);
            relocate(game, b, a.receptacle);
            (placed[one].receptacle, placed[other].receptacle) = (b.receptacle, a.receptacle);
        }
    }
}

/// The objects that can be picked up, are in one receptacle, at its location, and neither hold nor are in
/// another object.
fn placed(game: &Published) -> Vec<Placed> {
    let world = &game.world;
    let start = &world.start;
    let is_nested =
        |object: u8| world.nested.pairs().any(|(outer, inner)| outer == object || inner == object);
    let place = |object: u8| {
        let mut holders = start.inside.pairs().filter(|&(_, inside)| inside == object);
        let (receptacle, _) = holders.next()?;
        let location = world.receptacles[receptacle as usize].location;
        let mut locations = start.at.pairs().filter(|&(_, at)| at == object);
        let is_single = holders.next().is_none()
            && locations.next() == Some((location, object))
            && locations.next().is_none();
        let is_free = world.can(object, ability::PICK_UP)
            && world.objects[object as usize].kind != NONE
            && !is_nested(object);
        (is_single && is_free).then_some(Placed { object, receptacle })
    };
    (0..world.objects.len() as u8).filter_map(place).collect()
}

/// Whether a receptacle can hold an object, and the object in it does not help to reach the goal.
fn may_hold(world: &World, goal: Named, receptacle: u8, object: u8) -> bool {
    let receptacle = world.receptacles[receptacle as usize].kind;
    let object = world.objects[object as usize].kind;
    let helps = goal == (Some(object), Some(receptacle));
    receptacle != NONE && world.fits.contains(receptacle, object) && !helps
}

/// Moves an object to another receptacle.
fn relocate(game: &mut Published, from: Placed, to: u8) {
    let world = &mut game.world;
    let location = |receptacle: u8| world.receptacles[receptacle as usize].location;
    let (old, new) = (location(from.receptacle), location(to));
    world.start.inside.remove(from.receptacle, from.object);
    world.start.at.remove(old, from.object);
    world.start.inside.insert(to, from.object);
    world.start.at.insert(new, from.object);
}
