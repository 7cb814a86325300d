//! Writes tasks as game files in the layout of the published games.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::game::Published;
use super::game_file::{self, GAME, TRAJECTORY};
use super::id::NONE;
use super::names::Names;
use super::reword::reword;
use super::state::mark;
use super::world::{World, ability, device};
use super::{AlfWorld, AlfWorldConfig};
use crate::env::Environment;
use crate::error::{Error, Result};

/// Types in the actions of the domain. Every problem must declare them.
const NAMED_BY_DOMAIN: [&str; 6] =
    ["sinktype", "sinkbasintype", "microwavetype", "fridgetype", "knifetype", "butterknifetype"];

/// The names of the kinds of task in the published games, in the order of the kinds of [`AlfWorld`].
/// The original package finds a game only next to a file with its kind.
const TASK_TYPES: [&str; 6] = [
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
];

/// Writes `tasks` as `<split>/<task>/<trial>/game.tw-pddl` below `out`, with the domain, the grammar
/// and the task lines of the published games in `like`. Returns the number of games.
///
/// # Errors
/// Returns an error if `like` has no games, or if a file cannot be written.
pub fn write_games(tasks: &AlfWorld, like: &Path, out: &Path) -> Result<usize> {
    let models = AlfWorld::load(like, None, AlfWorldConfig::default())?;
    let domain = models.domain.as_deref();
    let domain = domain
        .ok_or_else(|| Error::file(like, "found no games with the rules of the published games"))?;
    for task in 0..tasks.tasks() {
        let game = &reword(tasks.game(task)?, &models.games)?;
        let published = game.published()?;
        let file = json!({
            "pddl_domain": domain,
            "grammar": published.grammar.source(&game.task),
            "pddl_problem": problem(published),
            "solvable": true,
            "walkthrough": game.walkthrough,
        });
        let kind = json!({ "task_type": TASK_TYPES[game.kind() as usize] });
        let folder = out.join(&game.name);
        game_file::write(&folder, GAME, &file)?;
        game_file::write(&folder, TRAJECTORY, &kind)?;
    }
    Ok(tasks.tasks())
}

/// The ids of entities. Parsing them again gives the same names.
fn ids(names: &Names) -> Vec<String> {
    let id = |name: &str| {
        let Some((base, number)) = name.rsplit_once(' ') else { return name.to_string() };
        // Numbers decrease in the order of ids. The id of a basin ends with its name.
        let Ok(number) = number.parse::<u32>() else { return base.to_string() };
        let place = 9999u32.saturating_sub(number);
        let place = format!("_bar__plus_{:02}_dot_{:02}", place / 100, place % 100);
        match base.strip_suffix("basin").filter(|short| !short.is_empty()) {
            Some(short) => format!("{short}{place}_bar_{base}"),
            None => format!("{base}{place}"),
        }
    };
    names.iter().map(id).collect()
}

/// The problem of a game in the notation of the published games.
fn problem(game: &Published) -> String {
    let world = &game.world;
    let (receptacles, objects) = (ids(&world.receptacle_names), ids(&world.object_names));
    let mut text =
        String::from("(define (problem generated)\n(:domain alfred)\n(:objects\nagent1 - agent\n");
    let mut declare = |ids: &mut dyn Iterator<Item = &str>, sort: &str| {
        for id in ids {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{id} - {sort}");
        }
    };
    declare(&mut world.object_kinds.iter(), "otype");
    declare(&mut world.receptacle_kinds.iter(), "rtype");
    let known = |kind: &&str| {
        world.object_kinds.position(kind).is_none()
            && world.receptacle_kinds.position(kind).is_none()
    };
    declare(&mut NAMED_BY_DOMAIN.into_iter().filter(known), "rtype");
    declare(&mut objects.iter().map(String::as_str), "object");
    declare(&mut receptacles.iter().map(String::as_str), "receptacle");
    let locations: Vec<String> = (0..world.locations).map(|id| format!("loc_bar_{id}")).collect();
    declare(&mut locations.iter().map(String::as_str), "location");
    text.push_str(")\n(:init\n");
    for fact in facts(world, &receptacles, &objects) {
        let _ = writeln!(text, "({fact})");
    }
    let _ = writeln!(text, ")\n(:goal {}))", game.goal.formula(world));
    text
}

/// The facts of the initial state in the notation of a problem.
fn facts(world: &World, receptacles: &[String], objects: &[String]) -> Vec<String> {
    let state = &world.start;
    let mut facts = Vec::new();
    if state.location != NONE {
        facts.push(format!("atlocation agent1 loc_bar_{}", state.location));
    }
    for (first, second) in world.fits.pairs() {
        let (receptacle, object) =
            (world.receptacle_kinds.get(first), world.object_kinds.get(second));
        facts.push(format!("cancontain {receptacle} {object}"));
    }
    for (number, (receptacle, id)) in world.receptacles.iter().zip(receptacles).enumerate() {
        if receptacle.kind != NONE {
            let kind = world.receptacle_kinds.get(receptacle.kind);
            facts.push(format!("receptacletype {id} {kind}"));
        }
        if receptacle.location != NONE {
            facts.push(format!("receptacleatlocation {id} loc_bar_{}", receptacle.location));
        }
        if receptacle.device & device::OPENABLE != 0 {
            facts.push(format!("openable {id}"));
        }
        if state.is_open(number as u8) {
            facts.push(format!("opened {id}"));
        }
    }
    for (number, (object, id)) in world.objects.iter().zip(objects).enumerate() {
        if object.kind != NONE {
            facts.push(format!("objecttype {id} {}", world.object_kinds.get(object.kind)));
        }
        for (bit, name) in ABILITIES {
            facts.extend((object.ability & bit != 0).then(|| format!("{name} {id}")));
        }
        for (bit, name) in MARKS {
            facts.extend(state.has_mark(number as u8, bit).then(|| format!("{name} {id}")));
        }
    }
    let object = |id: u8| objects.get(id as usize).map_or("", String::as_str);
    let receptacle = |id: u8| receptacles.get(id as usize).map_or("", String::as_str);
    let inside = state.inside.pairs();
    facts.extend(inside.map(|(at, id)| format!("inreceptacle {} {}", object(id), receptacle(at))));
    let nested = world.nested.pairs();
    facts
        .extend(nested.map(|(at, id)| format!("inreceptacleobject {} {}", object(id), object(at))));
    let at = state.at.pairs();
    facts.extend(at.map(|(at, id)| format!("objectatlocation {} loc_bar_{at}", object(id))));
    facts
}

/// The predicate of each ability.
const ABILITIES: [(u8, &str); 7] = [
    (ability::PICK_UP, "pickupable"),
    (ability::CLEAN, "cleanable"),
    (ability::HEAT, "heatable"),
    (ability::COOL, "coolable"),
    (ability::TOGGLE, "toggleable"),
    (ability::SLICE, "sliceable"),
    (ability::CONTAIN, "isreceptacleobject"),
];

/// The predicate of each mark.
const MARKS: [(u8, &str); 5] = [
    (mark::CLEAN, "isclean"),
    (mark::HOT, "ishot"),
    (mark::COOL, "iscool"),
    (mark::SLICED, "issliced"),
    (mark::TOGGLED, "istoggled"),
];
