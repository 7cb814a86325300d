//! The screen of a training in a real terminal. What it shows is tested beside its code.

use assert_cmd::Command;

use crate::support::process::python;

const CHECK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/checks/tui_pty.py");

#[test]
fn the_screen_of_a_training_answers_keys_and_every_end_restores_the_terminal() {
    if !python() {
        return;
    }
    let proxmo = assert_cmd::cargo::cargo_bin("proxmo");
    let mut check = Command::new("python3");
    check.arg(CHECK).arg(proxmo).assert().success();
}
