//! Variations of a game: its objects change places.
//!
//! A player of the same games again and again can learn by heart where things are. In a variation it has
//! to look.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::game::{Game, Published, Rules};
use super::id::NONE;
use super::world::ability;

/// An object that can change places, and its receptacle.
#[derive(Clone, Copy)]
struct Placed {
    object: u8,
    receptacle: u8,
}

/// The game with objects that have changed places with others. Receptacles hold as many objects as
/// before, and only kinds that they can hold. An object of the goal does not come into a receptacle of
/// the goal. The walkthrough is left out. A game with other rules than the published ones stays as it is.
pub(super) fn varied(game: &Game, rng: &mut ChaCha8Rng) -> Game {
    let Rules::Published(published) = &game.rules else { return game.clone() };
    let mut varied = published.clone();
    exchange(&mut varied, rng);
    if varied.goal.is_reached(&varied.world, &varied.world.start) {
        return game.clone();
    }
    Game {
        name: game.name.clone(),
        task: game.task.clone(),
        rules: Rules::Published(varied),
        walkthrough: Vec::new(),
    }
}

/// Exchanges each object with a random one, where both fit.
fn exchange(game: &mut Published, rng: &mut ChaCha8Rng) {
    let mut placed = placed(game);
    let mut order: Vec<usize> = (0..placed.len()).collect();
    order.shuffle(rng);
    for one in order {
        let other = rng.random_range(0..placed.len());
        let (a, b) = (placed[one], placed[other]);
        if may_hold(game, a.receptacle, b.object) && may_hold(game, b.receptacle, a.object) {
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
fn may_hold(game: &Published, receptacle: u8, object: u8) -> bool {
    let world = &game.world;
    let receptacle = world.receptacles[receptacle as usize].kind;
    let object = world.objects[object as usize].kind;
    let [wanted, target, _] = game.goal.named_kinds(world);
    let helps = receptacle != NONE
        && wanted == Some(world.object_kinds.get(object))
        && target == Some(world.receptacle_kinds.get(receptacle));
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
