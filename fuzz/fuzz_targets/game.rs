//! A game's file, whole: JSON around a grammar and a planning problem.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| proxmo_fuzz::read_and_play(bytes));
