//! A whole game file: JSON with a grammar and a planning problem.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxmo::fuzzing::read_game;
use proxmo_fuzz::read_and_play;

fuzz_target!(|bytes: &[u8]| read_and_play(bytes.len(), || read_game(bytes)));
