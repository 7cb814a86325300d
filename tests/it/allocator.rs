//! The allocator of the program.

use std::process::Command;

/// Run by the other test in processes of its own, for the allocator reads its environment once.
#[test]
#[ignore = "run by another test"]
fn prints_its_delay() {
    proxmo_mimalloc_pages::keep_pages();
    println!("delay {}.", proxmo_mimalloc_pages::purge_delay());
}

#[test]
fn pages_are_kept_unless_the_environment_says_otherwise() {
    let delay = |environment: Option<&str>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "allocator::prints_its_delay", "--ignored", "--nocapture"]);
        command.env_remove("MIMALLOC_PURGE_DELAY");
        command.envs(environment.map(|delay| ("MIMALLOC_PURGE_DELAY", delay)));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(delay(None).contains("delay -1."), "{}", delay(None));
    assert!(delay(Some("7")).contains("delay 7."), "{}", delay(Some("7")));
}
