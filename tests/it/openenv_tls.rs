//! Encrypted OpenEnv servers.

use std::path::PathBuf;
use std::time::Duration;

use assert_cmd::Command;
use predicates::str::contains;
use proxmo::env::Environment;
use proxmo::env::openenv::{OpenEnv, OpenEnvConfig, Threshold};

use crate::openenv_server::Served;
use crate::support::alfworld::observation;
use crate::support::authority::Authority;
use crate::support::fake_openenv::Fake;

fn config(url: String, ca_file: PathBuf) -> OpenEnvConfig {
    let success_above = Threshold::At(0.5);
    OpenEnvConfig { url, ca_file, success_above, sessions: 4, seeds: 10, ..Default::default() }
}

fn refused(url: String, ca_file: PathBuf) -> String {
    OpenEnv::open(&config(url, ca_file), Some("train")).err().unwrap().to_string()
}

#[test]
fn an_encrypted_server_is_played_if_a_trusted_authority_signed_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    let authority = Authority::new();
    authority.write(&file);
    let fake = Fake::encrypted(4, authority.server("127.0.0.1"));
    let environment = OpenEnv::open(&config(fake.url(), file), Some("train")).unwrap();
    let mut session = environment.start(1, 0).unwrap();
    assert_eq!(observation(&*session), "press green");
    // An announced action is on its way while the session waits.
    session.announce("green");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(session.step("green").unwrap().success, Some(true));
    drop(session);
    for task in 0..8 {
        let mut session = environment.start(task, 0).unwrap();
        let wanted = observation(&*session).replace("press ", "");
        assert_eq!(session.step(&wanted).unwrap().reward, 1.0);
    }
    assert!(fake.together() <= 4);
}

#[test]
fn servers_that_prove_no_identity_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (file, other) = (folder.path().join("authority.pem"), folder.path().join("other.pem"));
    let authority = Authority::new();
    authority.write(&file);
    Authority::new().write(&other);
    let fake = Fake::encrypted(4, authority.server("127.0.0.1"));
    for untrusting in [PathBuf::new(), other] {
        let message = refused(fake.url(), untrusting);
        assert!(message.starts_with("setting 'env.ca_file': does not name"), "{message}");
        assert!(message.contains(&fake.url()), "{message}");
    }
    let elsewhere = Fake::encrypted(4, authority.server("elsewhere.example"));
    let message = refused(elsewhere.url(), file.clone());
    assert!(message.contains("certificate not valid for name"), "{message}");
    assert!(message.contains("elsewhere.example"), "{message}");
    let own = Fake::encrypted(4, authority.server_of_its_own());
    let message = refused(own.url(), file.clone());
    assert!(message.contains("basicConstraints=CA:FALSE"), "{message}");
    let plain = Served::new(4, Duration::from_secs(600));
    let message = refused(plain.url().replace("ws://", "wss://"), file.clone());
    assert!(message.contains("it does not speak TLS"), "{message}");
    let message = refused(plain.url(), file);
    assert!(message.contains("'env.ca_file': is set, and the server ws://"), "{message}");
    assert_eq!(fake.together(), 0, "nothing was asked of a server that is not trusted");
}

#[test]
fn an_encrypted_server_is_trained_on_and_evaluated_by_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let (file, run) = (folder.path().join("authority.pem"), folder.path().join("run"));
    let authority = Authority::new();
    authority.write(&file);
    let fake = Fake::encrypted(4, authority.server("127.0.0.1"));
    let url = fake.url();
    let proxmo = |arguments: &[&str]| {
        let mut command = Command::cargo_bin("proxmo").unwrap();
        command.current_dir(folder.path()).args(arguments);
        command
    };
    let settings = ["--env", "openenv", "--url", &url, "--success-above", "0.5"];
    let train = ["train", "--backend", "flex", "--iterations", "3", "--quiet", "--run", "run"];
    let trusting = ["--sessions", "4", "--ca-file", "authority.pem"];
    proxmo(&train).args(settings).args(trusting).assert().success().stderr("");
    proxmo(&["eval", "--run", "run", "--quiet"]).assert().success().stderr("");
    assert!(run.join("metrics.jsonl").exists());
    proxmo(&["play"])
        .args(settings)
        .assert()
        .code(2)
        .stderr(contains("(--ca-file): does not name the authority"));
}
