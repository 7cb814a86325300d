//! Imitation: demonstrations are replayed exactly, and a policy learns from them.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use proxmo::env::Environment;
use proxmo::env::alfworld::{AlfWorld, GeneratorConfig, generate};
use proxmo::episodes::read_episodes;
use proxmo::policy::Inputs;
use proxmo::policy::scorer::{ScorerEncoder, Vocabulary};
use proxmo::rollout::{Demonstration, RolloutBatch, replay};
use proxmo::runs::demonstrations;
use proxmo::train::{ImitationConfig, IterationMetrics, read_metrics};

fn proxmo(arguments: &str) -> Command {
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.args(arguments.split(' '));
    command
}

/// Household tasks that are learned quickly.
const TASKS: &str = "--train-tasks 40 --held-out 10";

/// The host half of a scorer for the tasks of `world`.
fn encoder(world: &AlfWorld) -> ScorerEncoder {
    ScorerEncoder {
        vocabulary: Vocabulary::from_environment(world, world.tasks(), 500, 0).unwrap(),
        max_steps: world.max_steps(),
        mentions: false,
    }
}

#[test]
fn demonstrations_are_replayed_exactly() {
    let world = generate(&GeneratorConfig::default(), 3, 12).unwrap();
    let encoder = encoder(&world);
    for from in ["expert", "walkthroughs"] {
        let config = ImitationConfig { from: from.into(), ..ImitationConfig::default() };
        let mut played = 0;
        let found = demonstrations(&world, &config, 0, 0, &mut |done| played = done).unwrap().list;
        assert!(found.len() >= 10, "{from}: {}", found.len());
        assert_eq!(played, if from == "expert" { 12 } else { 0 });
        let batch = replay(&world, &encoder, &found, 0).unwrap();
        assert!(batch.data.success().iter().all(|&won| won), "{from}: a demonstration fails");
        assert_eq!(batch.rows(), batch.inputs.len());
        for (record, demonstration) in batch.records().iter().zip(&found) {
            let actions: Vec<&str> = record.steps.iter().map(|step| &*step.action).collect();
            assert_eq!(actions, demonstration.actions);
        }
        // The response is the index of the action among the admissible actions.
        for row in 0..batch.rows() {
            let place = batch.responses.tokens[row] as usize;
            assert!(place < batch.inputs.action_range(row).len());
        }
    }
    let some =
        ImitationConfig { from: "walkthroughs".into(), tasks: 5, ..ImitationConfig::default() };
    assert_eq!(demonstrations(&world, &some, 0, 0, &mut |_| {}).unwrap().list.len(), 5);
}

#[test]
fn the_expert_wins_in_spite_of_random_actions_and_they_are_not_imitated() {
    let world = generate(&GeneratorConfig::default(), 3, 60).unwrap();
    let encoder = encoder(&world);
    let config = ImitationConfig { from: "expert".into(), noise: 0.3, ..Default::default() };
    let play =
        |iteration: u64| demonstrations(&world, &config, 0, iteration, &mut |_| {}).unwrap().list;
    let found = play(0);
    assert!(found.len() >= 55, "{} of 60 tasks are won", found.len());
    assert_eq!(found, play(0));
    assert_ne!(found, play(1));

    let batch = replay(&world, &encoder, &found, 0).unwrap();
    assert!(batch.data.success().iter().all(|&won| won));
    let mut left_out = Vec::new();
    let mut row = 0;
    for demonstration in &found {
        left_out.extend(demonstration.unimitated.iter().map(|step| row + step));
        row += demonstration.actions.len();
    }
    assert_eq!(batch.left_out, left_out);
    let share = left_out.len() as f64 / batch.rows() as f64;
    assert!((0.25..0.35).contains(&share), "{share} of the actions are random");

    let half = |parity: usize| {
        let mut half = batch.clone();
        half.retain_groups(|_, group| group % 2 == parity);
        half
    };
    let chosen = |batch: &RolloutBatch<_>| -> Vec<String> {
        batch.left_out.iter().map(|&row| batch.actions.get(row).unwrap().to_string()).collect()
    };
    let (mut even, odd) = (half(0), half(1));
    let apart = [chosen(&even), chosen(&odd)].concat();
    even.append(odd).unwrap();
    assert_eq!(chosen(&even), apart);
    assert_eq!(even.left_out.len(), batch.left_out.len());
}

#[test]
fn a_demonstration_of_another_task_is_refused_with_its_step() {
    let world = generate(&GeneratorConfig::default(), 3, 2).unwrap();
    let encoder = encoder(&world);
    let refuse = |actions: Vec<String>| {
        let one = Demonstration {
            task: 0,
            actions,
            unimitated: vec![],
            source: "d.jsonl: episode 7".into(),
        };
        replay(&world, &encoder, &[one], 0).unwrap_err().to_string()
    };
    let message = refuse(vec!["look".into(), "fly to the moon".into()]);
    assert!(message.contains("d.jsonl: episode 7: steps[1].action"), "{message}");
    assert!(message.contains("'fly to the moon' is not admissible"), "{message}");
    let mut after = world.walkthrough(0).to_vec();
    after.push("look".into());
    assert!(refuse(after).contains("comes after the episode's end"));
}

fn metrics(run: &Path) -> Vec<IterationMetrics> {
    let text = fs::read(run.join("metrics.jsonl")).unwrap();
    let mut lines = read_metrics(&mut &text[..], "metrics.jsonl").unwrap();
    lines.iter_mut().for_each(|line| line.seconds = Default::default());
    lines
}

#[test]
fn imitation_learns_resumes_and_initializes_a_training() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str| folder.path().join(name);
    let file = run("expert.jsonl");
    let eval = "eval --player expert --split train --train-tasks 40 --held-out 10 --episode-file";
    proxmo(eval).arg(&file).assert().success();

    let clone = |name: &str, more: &str| {
        let mut command = proxmo(&format!(
            "clone {TASKS} --backend flex --minibatch 64 --learning-rate 0.003 {more} --run"
        ));
        command.arg(run(name)).arg("--quiet").assert().success();
        metrics(&run(name))
    };
    let whole = clone("whole", "--iterations 12");
    let (first, last) = (&whole[1], &whole[12]);
    assert!(last.loss < 0.6 * first.loss, "{} then {}", first.loss, last.loss);
    let success = |line: &IterationMetrics| line.evaluation.as_ref().unwrap().success;
    assert!(success(last) > success(&whole[0]), "imitation did not improve the policy");

    let from_file = clone("file", &format!("--iterations 12 --imitate {}", file.display()));
    assert_eq!(from_file, whole, "imitating the expert's episodes equals imitating the expert");
    let stopped = clone("stopped", "--iterations 5 --schedule constant");
    proxmo("clone --resume --iterations 12 --quiet --run").arg(run("stopped")).assert().success();
    let resumed = metrics(&run("stopped"));
    assert_eq!(resumed[..5], stopped[..5], "the last line has an evaluation of the end");
    assert_eq!(resumed.len(), 13);

    let train = format!(
        "train {TASKS} --iterations 1 --groups 2 --group-size 2 --learning-rate 1e-5 --quiet --init"
    );
    proxmo(&train).arg(run("whole")).arg("--run").arg(run("trained")).assert().success();
    let trained = metrics(&run("trained"));
    assert_eq!(
        success(&trained[0]),
        success(last),
        "training did not start from the cloned policy"
    );
    // Another seed samples other words from the tasks, but the vocabulary is the initial policy's.
    let again = train.replace("--iterations 1", "--iterations 2 --seed 5 --paraphrase 0.5");
    proxmo(&again).arg(run("whole")).arg("--run").arg(run("again")).assert().success();
    proxmo("train --resume --iterations 3 --quiet --run").arg(run("again")).assert().success();
    assert_eq!(metrics(&run("again")).len(), 4);
    assert!(trained[1].kl < 0.01, "the reference is not the cloned policy: {}", trained[1].kl);
}

#[test]
fn a_resumed_imitation_of_new_demonstrations_equals_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str| folder.path().join(name);
    let begin = |name: &str, iterations: u64| {
        let mut command = proxmo(&format!(
            "clone {TASKS} --backend flex --expert-noise 0.2 --vary-tasks --schedule constant \
             --eval-every 2 --quiet --iterations {iterations} --run"
        ));
        command.arg(run(name)).assert().success();
    };
    begin("whole", 4);
    begin("stopped", 2);
    proxmo("clone --resume --iterations 4 --quiet --run").arg(run("stopped")).assert().success();
    assert_eq!(metrics(&run("stopped")), metrics(&run("whole")));
    let weights =
        |name: &str| fs::read(run(name).join("checkpoints/000004/weights.safetensors")).unwrap();
    assert!(weights("stopped") == weights("whole"), "weights differ");
    // The demonstrations of an iteration depend on its number.
    let losses: Vec<f64> = metrics(&run("whole")).iter().map(|line| line.loss).collect();
    begin("once", 1);
    assert_eq!(metrics(&run("once"))[1].loss, losses[1]);
}

/// The settings of a run.
fn settings(run: &Path) -> toml::Table {
    fs::read_to_string(run.join("config.toml")).unwrap().parse().unwrap()
}

#[test]
fn a_language_models_training_takes_the_settings_of_the_policy_that_it_goes_on_from() {
    const SMALL: &str = "--quiet --backend flex --train-tasks 10 --held-out 2 --max-steps 4";
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str| folder.path().join(name);
    let sizes = "--lm-layers 1 --lm-width 16 --lm-heads 2 --lm-vocabulary 300 --max-cache 8";
    let clone = "clone --policy lm --iterations 1 --expert-noise 0";
    let mut command = proxmo(&format!("{clone} {SMALL} {sizes} --max-steps 50 --run"));
    command.arg(run("cloned")).assert().success();
    let cloned = settings(&run("cloned"));
    assert_eq!(cloned["imitation"]["observation_weight"].as_float(), Some(1.0));
    assert_eq!(cloned["imitation"]["noise"].as_float(), Some(0.0));
    assert_eq!(cloned["update"]["learning_rate"].as_float(), Some(0.002));

    let train = format!("train {SMALL} --iterations 1 --groups 2 --group-size 2 --init");
    let go_on = |name: &str, more: &[&str]| {
        let mut command = proxmo(&train);
        command.arg(run("cloned")).args(more).arg("--run").arg(run(name)).assert()
    };
    go_on("free", &["--response", "free", "--max-response-tokens", "4"]).success();
    let trained = settings(&run("free"));
    assert_eq!(trained["policy"]["response"].as_str(), Some("free"));
    assert_eq!(trained["policy"]["width"], cloned["policy"]["width"]);
    assert_eq!(trained["update"]["learning_rate"].as_float(), Some(0.0001));
    go_on("wider", &["--lm-width", "32"]).code(2).stderr(contains("policy.width"));
    go_on("scorer", &["--policy", "scorer"]).code(2).stderr(contains("(--policy) to 'lm'"));
}

#[test]
fn a_preset_leaves_cloning_an_imitation_of_the_expert() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut command =
        proxmo(&format!("clone --preset household {TASKS} --iterations 1 --quiet --run"));
    command.arg(&run).assert().success();
    let made = settings(&run);
    assert_eq!(made["imitation"]["from"].as_str(), Some("expert"));
    assert_eq!(made["update"]["epochs"].as_integer(), Some(1));
    // A file of settings that does not name demonstrations, too.
    let file = folder.path().join("file.toml");
    fs::write(&file, "[env]\nname = \"household\"\ntasks = 10\nheld_out = 2\n").unwrap();
    let again = folder.path().join("again");
    let mut command = proxmo("clone --iterations 1 --quiet --config");
    command.arg(&file).arg("--run").arg(&again).assert().success();
    assert_eq!(settings(&again)["imitation"]["from"].as_str(), Some("expert"));
}

#[test]
fn invalid_demonstrations_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &str, says: &str| {
        let one_line = predicate::function(|text: &str| text.trim_end().lines().count() == 1);
        let run = folder.path().join("run");
        let mut command = proxmo(&format!("clone {TASKS} --quiet {arguments} --run"));
        command.arg(run).assert().code(2).stderr(contains(says).and(one_line));
    };
    refused("--imitate missing.jsonl", "missing.jsonl");
    let file = folder.path().join("lost.jsonl");
    let line = r#"{"group":"elsewhere","trajectory":"t","success":SUCCESS,"steps":[]}"#;
    let from = format!("--imitate {}", file.display());
    fs::write(&file, line.replace("SUCCESS", "true")).unwrap();
    refused(&from, "its group 'elsewhere' is not a task of the training split");
    fs::write(&file, line.replace("SUCCESS", "false")).unwrap();
    refused(&from, "has no successful episode");
    assert!(read_episodes(&mut &fs::read(&file).unwrap()[..], "f").is_ok());
    let mut train = proxmo(&format!("train {TASKS} --quiet --init nowhere --run"));
    let run = folder.path().join("run");
    train.arg(run).assert().code(2).stderr(contains("there is no such run folder"));
}
