//! What goes wrong around a process that trains: the disk is full or read-only, the clock jumps, the
//! games are gone.

#[allow(dead_code, reason = "other tests share it too")]
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::support::alfworld::{game_file, put_game};

fn proxmo() -> PathBuf {
    assert_cmd::cargo::cargo_bin("proxmo")
}

const HOUSEHOLD: &str = "train --backend flex --train-tasks 40 --held-out 6 --groups 4 --group-size 4 \
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

/// A log that finds no room, or a reader who has left, must not end a training of hours.
#[test]
#[cfg(target_os = "linux")]
fn what_cannot_be_said_ends_no_training() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, run) = (folder.path().join("whole"), folder.path().join("run"));
    assert!(train(&whole, 0, HOUSEHOLD).status.success());
    let sh = |script: &str| {
        let script = script.replace("$HOUSEHOLD", HOUSEHOLD);
        Command::new("bash").args(["-c", &script]).arg(proxmo()).arg(&run).output().unwrap()
    };
    let silent = sh("\"$0\" $HOUSEHOLD --run \"$1\" 2>/dev/full");
    assert!(silent.status.success(), "{silent:?}");
    assert!(weights(&whole) == weights(&run), "the weights differ");
    // What a command was run for is another matter.
    let eval = "\"$0\" eval --run \"$1\" --eval-tasks 2";
    let full = sh(&format!("{eval} >/dev/full"));
    assert_eq!(full.status.code(), Some(1), "{full:?}");
    assert!(said(&full).contains("cannot write standard output: No space left"), "{full:?}");
    for command in [eval, "\"$0\" verify --backend flex --json", "\"$0\" env list"] {
        let left = sh(&format!("{command} | true; exit ${{PIPESTATUS[0]}}"));
        assert!(left.status.success(), "{command}: {left:?}");
        assert!(!said(&left).contains("panicked"), "{left:?}");
    }
}

/// Runs a script as root of a namespace of its own, where it may mount. What it mounts is gone with it.
#[cfg(target_os = "linux")]
fn with_mounts(script: &str, arguments: &[&Path]) -> Option<Output> {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c"]).env("HOUSEHOLD", HOUSEHOLD);
    match command.arg(script).args(arguments).output() {
        Ok(output) if output.status.code() != Some(99) && !said(&output).contains("unshare") => {
            Some(output)
        }
        failed => {
            assert!(std::env::var_os("CI").is_none(), "cannot mount: {failed:?}");
            println!("skipped: this user may not mount ({failed:?})");
            None
        }
    }
}

/// Whichever write it is that finds no room: the run ends with a clear message, what is there stays
/// sound, and with room again it ends as it would have.
#[test]
#[cfg(target_os = "linux")]
fn a_disk_of_any_size_fills_up_without_harm() {
    const SCRIPT: &str = r#"
        disk=$1 size=$2 out=$3
        mount -t tmpfs -o "size=${size}k" disk "$disk" || exit 99
        "$0" $HOUSEHOLD --quiet --run "$disk/run"; first=$?
        mount -o remount,size=64m disk "$disk" || exit 99
        # Where not even the settings found room there is nothing to go on with.
        again="train --resume"
        test -e "$disk/run/config.toml" || again="$HOUSEHOLD"
        "$0" $again --quiet --run "$disk/run"; echo "$first $?"
        cp "$disk/run/checkpoints/000004/weights.safetensors" "$out"
        ls -A "$disk/run" "$disk/run/checkpoints"
    "#;
    let folder = tempfile::tempdir().unwrap();
    let (whole, disk, out) =
        (folder.path().join("whole"), folder.path().join("disk"), folder.path().join("out"));
    fs::create_dir(&disk).unwrap();
    assert!(train(&whole, 0, HOUSEHOLD).status.success());
    let (mut full, mut ended_well) = (0, false);
    for size in (4..).step_by(24) {
        let program = proxmo();
        let size = PathBuf::from(format!("{size}"));
        let Some(output) = with_mounts(SCRIPT, &[&program, &disk, &size, &out]) else { return };
        let (text, listed) = (said(&output), String::from_utf8_lossy(&output.stdout).into_owned());
        let codes = listed.lines().find(|line| line.split(' ').count() == 2).unwrap_or_default();
        assert!(matches!(codes, "0 0" | "1 0"), "{} KiB: {codes}: {text}", size.display());
        assert!(weights(&whole) == fs::read(&out).unwrap(), "the weights differ");
        for left in [".unfinished-", ".filling", ".removed", ".damaged"] {
            assert!(!listed.contains(left), "{} KiB: {listed}", size.display());
        }
        if codes == "0 0" {
            ended_well = true;
            break;
        }
        assert!(text.contains("No space left on device"), "{} KiB: {text}", size.display());
        full += 1;
    }
    println!("{full} sizes too small");
    assert!(full > 5 && ended_well);
}

#[test]
#[cfg(target_os = "linux")]
fn a_read_only_disk_is_said() {
    const SCRIPT: &str = r#"
        mount -t tmpfs disk "$1" || exit 99
        "$0" $HOUSEHOLD --quiet --run "$1/run" || exit 3
        mount -o remount,ro disk "$1" || exit 99
        "$0" train --resume --iterations 6 --quiet --run "$1/run"; echo "resume $?"
        "$0" $HOUSEHOLD --quiet --run "$1/other"; echo "other $?"
        "$0" eval --run "$1/run" --eval-tasks 2 --json >/dev/null; echo "eval $?"
    "#;
    let folder = tempfile::tempdir().unwrap();
    let Some(output) = with_mounts(SCRIPT, &[&proxmo(), folder.path()]) else { return };
    let codes = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = said(&output);
    assert!(
        ["resume 2", "other 2", "eval 0"].iter().all(|code| codes.contains(code)),
        "{codes}{text}"
    );
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("Read-only")).collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("cannot ")), "{text}");
}

/// The library that pretends another time to a program, if it is here (Debian: faketime).
#[cfg(target_os = "linux")]
fn faketime() -> Option<PathBuf> {
    let folders =
        ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let files = folders.map(|folder| Path::new(folder).join("faketime/libfaketimeMT.so.1"));
    let found = files.into_iter().find(|file| file.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "faketime is not here");
        println!("skipped: faketime is not here (Debian: apt-get install faketime)");
    }
    found
}

#[test]
#[cfg(target_os = "linux")]
fn a_clock_that_jumps_changes_nothing() {
    let Some(library) = faketime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (whole, jumped, clock) =
        (folder.path().join("whole"), folder.path().join("jumped"), folder.path().join("clock"));
    let many = HOUSEHOLD.replace("--iterations 4", "--iterations 40 --minutes 5");
    assert!(train(&whole, 0, &many).status.success());
    fs::write(&clock, "+0").unwrap();
    let mut child = Command::new(proxmo())
        .args(many.split_whitespace())
        .args(["--quiet", "--run"])
        .arg(&jumped)
        .env("LD_PRELOAD", &library)
        .env("FAKETIME_TIMESTAMP_FILE", &clock)
        .envs([("FAKETIME_NO_CACHE", "1"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut jumps = ["-30y", "+20y", "-1h", "+1d"].iter().cycle();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        // Whole at any moment, as it is read all the time.
        let next = clock.with_extension("next");
        fs::write(&next, jumps.next().unwrap()).unwrap();
        fs::rename(&next, &clock).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success());
    let last = |run: &Path| fs::read(run.join("checkpoints/000040/weights.safetensors")).unwrap();
    assert!(last(&whole) == last(&jumped), "the weights differ");
    let text = fs::read(jumped.join("metrics.jsonl")).unwrap();
    let lines = proxmo::train::read_metrics(&mut &*text, "metrics.jsonl").unwrap();
    let elapsed: Vec<f64> = lines.iter().map(|line| line.seconds.elapsed).collect();
    assert!(elapsed.windows(2).all(|pair| pair[0] <= pair[1]), "{elapsed:?}");
    assert!(elapsed.iter().all(|&seconds| (0.0..300.0).contains(&seconds)), "{elapsed:?}");
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
        "train --backend flex --groups 1 --group-size 4 --max-steps 10 --policy-embedding 8 --hidden 8 \
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
