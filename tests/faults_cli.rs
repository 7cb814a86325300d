//! What goes wrong around a process that trains: the disk is full, the games are gone.

#![cfg(all(feature = "cli", unix))]

#[allow(dead_code, reason = "other tests share it too")]
mod alfworld_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use alfworld_support::{game_file, put_game};

fn proxmo() -> PathBuf {
    assert_cmd::cargo::cargo_bin("proxmo")
}

const HOUSEHOLD: &str = "train --backend flex --tasks 40 --held-out 6 --groups 4 --episodes 4 \
    --difficulty easy --max-steps 20 --policy-embedding 8 --hidden 8 --schedule constant \
    --entropy-weight 0.01 --checkpoint-every 2 --iterations 4";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Trains where no file may grow beyond `blocks` of 512 bytes (of 1,024 in some shells); 0 for no limit.
fn train(run: &Path, blocks: u64, arguments: &str) -> Output {
    let limit = match blocks {
        0 => String::new(),
        // A write beyond the limit then fails as on a full disk, and does not end the process.
        _ => format!("trap '' XFSZ; ulimit -f {blocks};"),
    };
    let script = format!("{limit} exec \"$0\" {arguments} --quiet --run \"$1\"");
    Command::new("sh").args(["-c", &script]).arg(proxmo()).arg(run).output().unwrap()
}

fn weights(run: &Path) -> Vec<u8> {
    fs::read(run.join("checkpoints/000004/weights.safetensors")).unwrap()
}

#[test]
fn a_full_disk_is_said_and_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    assert!(train(&whole, 0, HOUSEHOLD).status.success());

    // Room for the weights, and none for the optimizer once that has a state.
    let ended = train(&parts, 32, HOUSEHOLD);
    let text = said(&ended);
    assert_eq!(ended.status.code(), Some(1), "{text}");
    assert!(text.contains("cannot write") && text.contains("optimizer.bpk"), "{text}");
    assert!(parts.join("checkpoints/000000/manifest.json").is_file());
    assert!(!parts.join("checkpoints/000002").exists());

    // Still no room; then there is.
    assert_eq!(train(&parts, 32, "train --resume").status.code(), Some(1));
    let resumed = train(&parts, 0, "train --resume");
    assert!(resumed.status.success(), "{}", said(&resumed));
    assert!(weights(&whole) == weights(&parts), "the weights differ");

    // Episodes that find no room end the run too, before its metrics tell of them.
    let third = folder.path().join("third");
    let many = HOUSEHOLD.replace("--groups 4", "--groups 16 --save-episodes");
    let ended = train(&third, 32, &many);
    let text = said(&ended);
    assert_eq!(ended.status.code(), Some(1), "{text}");
    assert!(text.contains("episodes/000001.jsonl"), "{text}");
    assert_eq!(fs::read_dir(third.join("episodes")).unwrap().count(), 0);
    let resumed = train(&third, 0, "train --resume");
    assert!(resumed.status.success(), "{}", said(&resumed));
    assert_eq!(fs::read_dir(third.join("episodes")).unwrap().count(), 4);
}

#[test]
fn games_may_go_while_they_are_played() {
    let Some(game) = game_file() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (games, away, run) =
        (folder.path().join("games"), folder.path().join("away"), folder.path().join("run"));
    for split in ["train", "valid_seen"] {
        put_game(&games, &format!("{split}/pick-1/trial-1"), &game);
    }
    let arguments = format!(
        "train --backend flex --groups 1 --episodes 4 --max-steps 10 --policy-embedding 8 --hidden 8 \
         --env alfworld --games {} --iterations 1000000",
        games.display()
    );
    let mut child = Command::new(proxmo())
        .args(arguments.split_whitespace())
        .args(["--quiet", "--run"])
        .arg(&run)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut wait_for = |lines: usize| {
        let there = || fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
        while there().lines().count() < lines {
            assert!(child.try_wait().unwrap().is_none(), "the run ended by itself");
            std::thread::sleep(Duration::from_millis(20));
        }
        there().lines().count()
    };
    let so_far = wait_for(2);
    fs::rename(&games, &away).unwrap();
    // They were read when the run began.
    wait_for(so_far + 3);
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    assert!(child.wait().unwrap().success());

    let refused = train(&run, 0, "train --resume");
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains(&games.display().to_string()), "{}", said(&refused));
    fs::rename(&away, &games).unwrap();
    let done = fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().count();
    let resumed = train(&run, 0, &format!("train --resume --iterations {done}"));
    assert!(resumed.status.success(), "{}", said(&resumed));
}
