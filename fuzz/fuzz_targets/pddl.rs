//! A planning problem, within a game's file whose grammar is sound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxmo::fuzzing::game_of;
use proxmo_fuzz::read_and_play;

fuzz_target!(|bytes: &[u8]| {
    if let Some(problem) = proxmo_fuzz::text(bytes) {
        read_and_play(bytes.len(), || game_of(problem));
    }
});
