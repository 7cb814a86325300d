//! A planning problem, within a game's file whose grammar is sound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxmo::fuzzing::{GRAMMAR, game_file};

fuzz_target!(|bytes: &[u8]| {
    if let Some(problem) = proxmo_fuzz::text(bytes) {
        proxmo_fuzz::read_and_play(&game_file(problem, GRAMMAR));
    }
});
