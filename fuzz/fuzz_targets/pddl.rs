//! A planning problem in a game file with a valid grammar.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxmo::fuzzing::read_problem;
use proxmo_fuzz::read_and_play;

fuzz_target!(|bytes: &[u8]| {
    if let Some(problem) = proxmo_fuzz::text(bytes) {
        read_and_play(bytes.len(), || read_problem(problem));
    }
});
