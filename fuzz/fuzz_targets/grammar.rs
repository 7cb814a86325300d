//! A grammar, within a game's file whose problem is sound. A text that begins with `+` goes on after a
//! sound grammar, so that single rules and actions are replaced.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxmo::fuzzing::{GRAMMAR, game, game_file};
use proxmo_fuzz::read_and_play;

const PROBLEM: &str = include_str!("../seeds/pddl/kitchen");

fuzz_target!(|bytes: &[u8]| {
    let Some(text) = proxmo_fuzz::text(bytes) else { return };
    let file = match text.strip_prefix('+') {
        Some(own) => game_file(PROBLEM, &format!("{GRAMMAR}{own}")),
        None => game_file(PROBLEM, text),
    };
    read_and_play(file.len(), || game(&file));
});
