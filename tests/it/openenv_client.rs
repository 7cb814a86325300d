//! OpenEnv servers as environments: fields, sessions, seeds, faults, and training.

use std::time::Duration;

use assert_cmd::Command;
use predicates::str::contains;
use proxmo::Result;
use proxmo::device::{Backend, open};
use proxmo::env::household::HouseholdConfig;
use proxmo::env::openenv::{OpenEnv, OpenEnvConfig, Threshold};
use proxmo::env::{Environment, Session};
use proxmo::policy::scorer::ScorerConfig;
use proxmo::prelude::*;
use serde_json::Value;

use crate::openenv_server::Served;
use crate::support::alfworld::{admissible, observation};
use crate::support::fake_openenv::{Fake, Fault};

fn config(url: String) -> OpenEnvConfig {
    OpenEnvConfig { url, ..OpenEnvConfig::default() }
}

fn fake_config(fake: &Fake) -> OpenEnvConfig {
    let success_above = Threshold::At(0.5);
    OpenEnvConfig { success_above, sessions: 4, seeds: 10, ..config(fake.url()) }
}

/// One iteration of training: the number of episodes that were kept, of errors and of replays.
fn iterate(environment: &OpenEnv, config: &OpenEnvConfig) -> Result<(usize, usize, usize)> {
    let mut settings = Config { env: config.clone().into(), ..Config::default() };
    (settings.rollout.groups, settings.rollout.group_size) = (2, 4);
    let device = open(Backend::Flex, 0)?.device.autodiff();
    let (policy, encoder) = ScorerConfig::default().spec(environment, 0)?.build(0, &device)?;
    let (_, batch) = Trainer::new(settings, policy, encoder).iterate(environment, 0.0)?;
    Ok((batch.episodes(), batch.errors.len(), batch.replayed.len()))
}

#[test]
fn episodes_over_the_network_are_those_of_the_environment_itself() {
    let served = Served::new(8, Duration::from_secs(600));
    let own = HouseholdConfig { tasks: 20, held_out: 5, ..HouseholdConfig::default() };
    for (split, tasks) in [("train", 20), ("valid", 5)] {
        let world = own.generate(Some(split)).unwrap();
        let remote = OpenEnv::open(&config(served.url()), Some(split)).unwrap();
        assert_eq!((remote.name(), remote.tasks()), ("household", tasks));
        assert_eq!(remote.max_sessions(), 8, "as many as the server allows");
        assert!(remote.notes()[0].contains("allows 8 sessions at a time"), "{:?}", remote.notes());
        for task in 0..5 {
            let mut session = world.session(task, 0).unwrap();
            let mut played = remote.start(task, 0).unwrap();
            assert_eq!(played.goal(), session.goal());
            for action in world.walkthrough(task) {
                assert_eq!(observation(&*played), observation(&session));
                assert_eq!(admissible(&*played), admissible(&session));
                assert_eq!(played.step(action).unwrap(), session.step(action).unwrap());
            }
        }
    }
    assert_eq!(OpenEnv::open(&config(served.url()), None).unwrap().tasks(), 25);
}

#[test]
fn a_server_of_one_session_plays_episodes_one_after_the_other() {
    let fake = Fake::new(Fault::None, 1);
    let config = fake_config(&fake);
    let environment = OpenEnv::open(&config, Some("train")).unwrap();
    assert_eq!(environment.tasks(), 8, "four fifths of the seeds");
    assert!(environment.notes()[0].contains("allows 1 session at a time"));
    assert_eq!(iterate(&environment, &config).unwrap(), (8, 0, 0));
    let held_out = OpenEnv::open(&config, Some("valid")).unwrap();
    assert_eq!(held_out.tasks(), 2);
    let mut session = held_out.start(0, 0).unwrap();
    assert_eq!(observation(&*session), "press blue", "seed 8");
    let done = session.step("blue").unwrap();
    assert_eq!((done.reward, done.terminated, done.success), (1.0, true, Some(true)));
    assert_eq!(fake.together(), 1);
    drop((environment, held_out, session));
    let other = OpenEnv::open(&OpenEnvConfig { sessions: 1, ..config }, Some("train")).unwrap();
    assert!(other.notes().is_empty(), "the session is free again");
}

#[test]
fn a_server_that_ignores_seeds_is_refused_unless_it_is_told_not_to_check() {
    let fake = Fake::new(Fault::IgnoresSeeds, 4);
    let config = fake_config(&fake);
    let message = OpenEnv::open(&config, Some("train")).err().unwrap().to_string();
    assert!(message.contains("two episodes of the server ws://127.0.0.1"), "{message}");
    assert!(message.contains("mix different tasks"), "{message}");
    let config = OpenEnvConfig { check_seeds: false, ..config };
    let environment = OpenEnv::open(&config, Some("train")).unwrap();
    let notes = environment.notes();
    assert!(notes.iter().any(|note| note.contains("warning: two episodes")), "{notes:?}");
    assert_eq!(iterate(&environment, &config).unwrap(), (8, 0, 0));
}

#[test]
fn lost_episodes_are_played_again_on_other_sessions() {
    for fault in [Fault::Hangs, Fault::EndsConnection, Fault::SaysNonsense, Fault::FailsOnce] {
        let fake = Fake::new(fault, 4);
        let config = OpenEnvConfig { answer_timeout: 1.0, ..fake_config(&fake) };
        let environment = OpenEnv::open(&config, Some("train")).unwrap();
        let policy_steps = 30;
        fake.strike_after(policy_steps);
        let (mut kept, mut errors, mut replayed) = (0, 0, 0);
        for _ in 0..6 {
            let played = iterate(&environment, &config).unwrap();
            kept += played.0;
            errors += played.1;
            replayed += played.2;
        }
        assert_eq!((kept, errors), (48, 0), "{fault:?}");
        assert_eq!(replayed, 1, "{fault:?}");
    }
}

#[test]
fn the_reason_of_a_lost_episode_is_told() {
    for (fault, says) in [
        (Fault::Hangs, "gave no answer within 0.5 seconds"),
        (Fault::EndsConnection, "ended the"),
        (Fault::SaysNonsense, "malformed answer: it is not JSON: <html>"),
        (Fault::FailsOnce, "says: the shelf fell down"),
    ] {
        let fake = Fake::new(fault, 4);
        let config = OpenEnvConfig { answer_timeout: 0.5, ..fake_config(&fake) };
        let environment = OpenEnv::open(&config, Some("train")).unwrap();
        fake.strike_after(0);
        let message = environment.start(0, 0).unwrap().step("red").unwrap_err().to_string();
        assert!(message.contains(says) && message.contains(&fake.url()), "{fault:?}: {message}");
    }
}

#[test]
fn an_action_that_does_not_fit_the_schema_is_an_invalid_step() {
    let fake = Fake::new(Fault::RefusesRed, 4);
    let config = OpenEnvConfig { max_steps: 2, ..fake_config(&fake) };
    let environment = OpenEnv::open(&config, Some("train")).unwrap();
    let mut session = environment.start(1, 0).unwrap();
    let refused = session.step("red").unwrap();
    assert!(!refused.valid && !refused.ended() && refused.reward == 0.0);
    assert_eq!(observation(&*session), "press green", "nothing has happened");
    assert!(session.step("red").unwrap().truncated, "the step limit counts such steps");
    let mut session = environment.start(1, 0).unwrap();
    assert_eq!(session.step("green").unwrap().success, Some(true));
}

#[test]
fn fields_that_are_unclear_and_servers_that_are_none_are_refused() {
    let fake = Fake::new(Fault::UnclearSchema, 4);
    let plain = Fake::new(Fault::None, 0);
    let refused =
        |config: &OpenEnvConfig| OpenEnv::open(config, Some("train")).err().unwrap().to_string();
    for (config, says) in [
        (config(fake.url()), "several fields: word, other"),
        (
            OpenEnvConfig { action_field: "word".into(), ..config(fake.url()) },
            "also require 'other'",
        ),
        (config(plain.url()), "has no free session (it allows 0)"),
        (
            OpenEnvConfig { observation_field: "nothing".into(), ..config(plain.url()) },
            "'nothing' is unknown, the server's observations have the fields: text, legal_actions",
        ),
        (config("ws://127.0.0.1:1".into()), "cannot be reached"),
        (config(format!("{}/nowhere", plain.url())), "gives no schema at /schema"),
    ] {
        let message = refused(&config);
        assert!(message.contains(says), "{message} does not say {says}");
    }
}

#[test]
fn a_server_is_trained_on_evaluated_and_resumed_by_the_commands() {
    let fake = Fake::new(Fault::None, 4);
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let proxmo = |arguments: &[&str]| {
        let mut command = Command::cargo_bin("proxmo").unwrap();
        command.args(arguments);
        command
    };
    let url = fake.url();
    let place = run.to_str().unwrap();
    let settings = ["--env", "openenv", "--url", &url, "--success-above", "0.5"];
    let train = ["train", "--backend", "flex", "--iterations", "30", "--quiet", "--run", place];
    let note = "allows 4 sessions at a time";
    proxmo(&train).args(settings).assert().success().stderr(contains(note));
    let evaluated = proxmo(&["eval", "--json", "--run", place]).assert().success();
    let evaluated: Value = serde_json::from_slice(&evaluated.get_output().stdout).unwrap();
    assert_eq!(evaluated["overall"]["tasks"], 20);
    assert!(evaluated["success"].as_f64().unwrap() > 0.9, "{evaluated}");
    let resumed = ["train", "--run", place, "--resume", "--iterations", "32", "--quiet"];
    proxmo(&resumed).assert().success();
    proxmo(&["train"])
        .args(&settings[..2])
        .assert()
        .code(2)
        .stderr(contains("(--url): is not set"));
    let free = ["--action-field", "text"];
    proxmo(&["play"])
        .args(settings)
        .args(free)
        .assert()
        .code(2)
        .stderr(contains("(--action-field)"));
}
