//! A program that is restarted many times leaks nothing. The only test of this binary, because it counts
//! the files and threads of the whole process.

#![cfg(target_os = "linux")]

#[path = "../it/support/process/mod.rs"]
mod process;

use std::fs;
use std::time::Duration;

use process::{Fake, python, runs};
use proxmo::env::Environment;

/// Numbers of open files and threads of this process.
fn open_handles() -> (usize, usize) {
    let count = |folder| fs::read_dir(folder).unwrap().count();
    (count("/proc/self/fd"), count("/proc/self/task"))
}

#[test]
fn fifty_restarts_leak_no_thread_file_or_process() {
    if !python() {
        return;
    }
    let fake = Fake::new("die at reset");
    let before = open_handles();
    let environment = fake.open(1, 60.0).unwrap();
    let running = open_handles();
    assert!(running > before, "a program takes pipes and threads");
    for _ in 0..50 {
        fake.strike_again();
        let error = environment.start(0, 0).err().unwrap();
        assert!(error.to_string().contains("signal: 9"), "{error}");
    }
    environment.start(0, 0).unwrap();
    // A finished thread may take a moment to disappear.
    let settles = |expected| {
        (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            open_handles() == expected
        })
    };
    assert!(settles(running), "{running:?} at first, {:?} after 50 restarts", open_handles());
    drop(environment);
    assert!(settles(before), "{before:?} before, {:?} at the end", open_handles());
    let pids = fake.pids();
    assert_eq!(pids.len(), 51);
    assert_eq!(pids.into_iter().filter(|&pid| runs(pid)).count(), 0);
}
