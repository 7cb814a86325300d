//! A program that is run again and again leaves nothing behind. The only test of its file, as it counts
//! what the whole process holds.

#![cfg(target_os = "linux")]

#[path = "../it/support/process/mod.rs"]
mod process;

use std::fs;
use std::time::Duration;

use process::{Fake, python, runs};
use proxmo::env::Environment;

/// How many open files and threads this process has.
fn held() -> (usize, usize) {
    let count = |folder| fs::read_dir(folder).unwrap().count();
    (count("/proc/self/fd"), count("/proc/self/task"))
}

#[test]
fn fifty_restarts_leave_no_thread_file_or_process() {
    if !python() {
        return;
    }
    let fake = Fake::new("die at reset");
    let before = held();
    let environment = fake.open(1, 60.0).unwrap();
    let running = held();
    assert!(running > before, "a program takes pipes and threads");
    for _ in 0..50 {
        fake.strike_again();
        let error = environment.start(0, 0).err().unwrap();
        assert!(error.to_string().contains("signal: 9"), "{error}");
    }
    environment.start(0, 0).unwrap();
    // A thread that has done its work may take a moment to be gone.
    let settles = |expected| {
        (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            held() == expected
        })
    };
    assert!(settles(running), "{running:?} at first, {:?} after 50 restarts", held());
    drop(environment);
    assert!(settles(before), "{before:?} before, {:?} at the end", held());
    let pids = fake.pids();
    assert_eq!(pids.len(), 51);
    assert_eq!(pids.into_iter().filter(|&pid| runs(pid)).count(), 0);
}
