//! A grammar in a game file with a valid problem. A text after an initial `+` is appended to a valid
//! grammar and replaces single rules and actions of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxmo::fuzzing::{GRAMMAR, game_file, read_game};
use proxmo_fuzz::read_and_play;

const PROBLEM: &str = include_str!("../seeds/pddl/kitchen");

fuzz_target!(|bytes: &[u8]| {
    let Some(text) = proxmo_fuzz::text(bytes) else { return };
    let file = match text.strip_prefix('+') {
        Some(rules) => game_file(PROBLEM, &format!("{GRAMMAR}{rules}")),
        None => game_file(PROBLEM, text),
    };
    read_and_play(file.len(), || read_game(&file));
});
