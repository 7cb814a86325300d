//! Failing environments: each loses its own episode and nothing else.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use burn::tensor::Device;
use proxmo::env::Environment;
use proxmo::episodes::EpisodeRecord;
use proxmo::policy::Sampling;
use proxmo::policy::scorer::ScorerInputs;
use proxmo::rollout::{CollectionProgress, Limits, Plan, RolloutBatch, collect, collect_with};
use proxmo::runs::checkpoint;
use proxmo::runs::{Recorder, Run};
use proxmo::train::{EvaluationPlan, EvaluationProgress, evaluate, read_metrics};

use super::faulty::{Fault, Faulty, Shared};
use super::runs::{BALLS, config, finish, flex, player, trainer};

const TASKS: [usize; 6] = [0, 3, 5, 8, 9, 14];

fn plan() -> Plan<'static> {
    let sampling = Sampling::Temperature(1.0);
    Plan { tasks: &TASKS, first_group: 0, episodes: 8, sampling, seed: 1, iteration: 2 }
}

fn play(
    environment: &dyn Environment,
    limits: &Limits,
) -> proxmo::Result<RolloutBatch<ScorerInputs>> {
    let (policy, encoder) = player(&Device::flex());
    collect_with(environment, &policy, &encoder, &plan(), limits)
}

const MANY: Limits = Limits { max_errors: 1000, step_timeout: 0.0 };

/// Episodes without their names, which depend on their position.
fn nameless(records: Vec<EpisodeRecord>) -> Vec<EpisodeRecord> {
    let nameless = |record| EpisodeRecord { trajectory: String::new(), ..record };
    records.into_iter().map(nameless).collect()
}

#[test]
fn a_failing_environment_loses_its_own_episode_and_nothing_else() {
    let fault_free = play(&BALLS, &Limits::default()).unwrap();
    for (fault, says) in Fault::ALL {
        // Few that hang, as each is waited for.
        let hangs = matches!(fault, Fault::Hang | Fault::HangsAtStart);
        let strikes = if hangs { |seed| seed % 16 == 0 } else { |seed| seed % 5 == 0 };
        let faulty = Shared(Arc::new(Faulty::new(BALLS, *fault, strikes)));
        let limits = Limits { step_timeout: if hangs { 2.0 } else { 0.0 }, ..MANY };
        let batch = play(&faulty, &limits).unwrap();
        assert!(!batch.errors.is_empty(), "{fault:?}");
        let lost: Vec<usize> =
            batch.errors.iter().map(|error| 8 * error.group + error.episode).collect();
        let records = nameless(fault_free.records()).into_iter().enumerate();
        let expected: Vec<_> =
            records.filter(|(at, _)| !lost.contains(at)).map(|(_, r)| r).collect();
        assert_eq!(nameless(batch.records()), expected, "{fault:?}");
        assert_eq!(batch.episodes() + batch.errors.len(), fault_free.episodes());
        assert_eq!(batch.data.groups(), batch.groups());
        for error in &batch.errors {
            let said = error.to_string();
            let task = BALLS.task_name(TASKS[error.group]);
            assert!(said.contains(says), "{fault:?}: {said}");
            assert!(said.contains(&format!("task '{task}'")), "{fault:?}: {said}");
        }
    }
}

#[test]
fn credit_and_updates_ignore_lost_episodes() {
    // Also if all episodes of a group are lost: task 3 never begins.
    let faulty = Faulty::new(BALLS, Fault::RefusesToStart, |_| true).only(3);
    let mut trainer = trainer(config());
    let mut lost = 0;
    for _ in 0..6 {
        let (line, batch) = trainer.iterate(&faulty, 0.0).unwrap();
        assert_eq!(line.environment_errors, batch.errors.len());
        assert!(line.loss.is_finite() && line.skipped_updates == 0);
        let won = batch.data.success().iter().filter(|&&won| won).count();
        assert_eq!(line.success, Some(won as f64 / batch.episodes() as f64));
        lost += line.environment_errors;
    }
    assert!(lost > 0 && lost % 6 == 0, "{lost}");
}

#[test]
fn too_many_errors_end_the_run_and_the_last_is_named() {
    let faulty = Faulty::new(BALLS, Fault::Panic, |seed| seed % 5 == 0);
    let lost = play(&faulty, &MANY).unwrap().errors.len();
    let at_most = |max_errors| play(&faulty, &Limits { max_errors, step_timeout: 0.0 });
    at_most(lost).unwrap();
    let error = at_most(lost - 1).unwrap_err();
    let said = error.to_string();
    assert_eq!(error.exit_code(), 1);
    for part in ["task '", "step 2", "panicked: a lamp fell over", "rollout.max_env_errors allows"]
    {
        assert!(said.contains(part), "{said}");
    }
    // Without limits the first error ends it.
    let (policy, encoder) = player(&Device::flex());
    collect(&faulty, &policy, &encoder, &plan()).unwrap_err();

    // An iteration that loses all episodes fails with any limit.
    let broken = Faulty::new(BALLS, Fault::Error, |_| true);
    let mut config = config();
    config.rollout.max_env_errors = 1000;
    let error = trainer(config).iterate(&broken, 0.0).unwrap_err().to_string();
    assert!(error.contains("every other episode was lost too"), "{error}");
}

#[test]
fn a_slow_environment_is_waited_for() {
    let slow = Faulty::new(BALLS, Fault::Slow, |seed| seed % 5 == 0);
    let fault_free = play(&BALLS, &Limits::default()).unwrap();
    for step_timeout in [0.0, 30.0] {
        let batch = play(&slow, &Limits { max_errors: 0, step_timeout }).unwrap();
        assert_eq!(batch.records(), fault_free.records());
    }
}

#[test]
fn an_evaluation_leaves_out_lost_tasks() {
    let (policy, encoder) = player(&Device::flex());
    let tasks: Vec<usize> = (0..16).collect();
    let evaluate = |environment: &dyn Environment, limits| {
        let plan = EvaluationPlan { limits, keep_episodes: true, ..EvaluationPlan::new(&tasks) };
        evaluate(environment, &policy, &encoder, &plan, &mut |_| {})
    };
    let fault_free = evaluate(&BALLS, Limits::default()).unwrap();
    let faulty = Faulty::new(BALLS, Fault::Panic, |_| true).only(3);
    let evaluation = evaluate(&faulty, MANY).unwrap();
    let expected: Vec<_> =
        fault_free.outcomes.iter().filter(|outcome| outcome.task != 3).cloned().collect();
    assert_eq!(evaluation.outcomes, expected);
    assert_eq!(evaluation.errors.len(), 1);
    assert!(
        evaluation
            .episodes
            .iter()
            .map(|episode| &episode.group)
            .eq(tasks.iter().filter(|&&task| task != 3).map(|&task| BALLS.task_name(task)))
    );
    assert_eq!(evaluation.metrics(&faulty, "balls").environment_errors, 1);
    let mut last = EvaluationProgress::default();
    let plan = EvaluationPlan { limits: MANY, ..EvaluationPlan::new(&tasks) };
    proxmo::train::evaluate(&faulty, &policy, &encoder, &plan, &mut |now| last = now).unwrap();
    assert_eq!((last.done, last.share), (16, 1.0), "a lost task is done");
    evaluate(&faulty, Limits::default()).unwrap_err();
}

fn weights(run: &Path, iteration: u64) -> Vec<u8> {
    fs::read(checkpoint::folder(run, iteration).join("weights.safetensors")).unwrap()
}

#[test]
fn a_run_resumes_after_its_environment_failed() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    finish(Run::create(&whole, config(), &flex(), &BALLS, &BALLS).unwrap()).0.unwrap();

    // The environment dies in the fourth iteration, between two checkpoints.
    let dying = Faulty::new(BALLS, Fault::Panic, |_| true).after(3 * 36);
    let run = Run::create(&parts, config(), &flex(), &dying, &BALLS).unwrap();
    let (result, _) = finish(run);
    let said = result.unwrap_err().to_string();
    assert!(said.contains("a lamp fell over"), "{said}");
    assert_eq!(checkpoint::list(&parts).unwrap().last(), Some(&3), "earlier iterations are saved");

    let (result, warnings) =
        finish(Run::resume(&parts, config(), &flex(), &BALLS, &BALLS).unwrap());
    result.unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert!(weights(&whole, 6) == weights(&parts, 6), "the weights differ");
}

#[test]
fn a_failed_evaluation_loses_no_training() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.run.checkpoint_every = 100;
    config.eval.every = 4;
    // The held-out tasks fail the second time that they are played.
    let dying = Faulty::new(BALLS, Fault::Error, |_| true).after(0);
    let run = Run::create(folder.path(), config.clone(), &flex(), &BALLS, &dying).unwrap();
    let (result, _) = finish(run);
    assert!(result.unwrap_err().to_string().contains("the lamp fell over"));
    assert_eq!(checkpoint::list(folder.path()).unwrap(), [0, 4]);
    let text = fs::read(folder.path().join("metrics.jsonl")).unwrap();
    assert_eq!(read_metrics(&mut &*text, "metrics.jsonl").unwrap().len(), 5);
}

/// Keeps what it hears about the collection of episodes.
struct Watcher(Rc<RefCell<Vec<CollectionProgress>>>);

impl Recorder for Watcher {
    fn collecting(&mut self, progress: &CollectionProgress) {
        self.0.borrow_mut().push(*progress);
    }
}

#[test]
fn recorders_hear_how_far_a_collection_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.run.iterations = 1;
    let heard = Rc::new(RefCell::new(Vec::new()));
    let run = Run::create(folder.path(), config, &flex(), &BALLS, &BALLS).unwrap();
    run.record(Watcher(heard.clone())).train(&|| false).unwrap();
    let heard = heard.take();
    assert!(heard.iter().all(|one| one.episodes == 36), "{heard:?}");
    assert_eq!((heard[0].started, heard[0].ended), (0, 0));
    assert!(heard.windows(2).all(|pair| pair[0].steps <= pair[1].steps));
    let last = heard.last().unwrap();
    let text = fs::read(folder.path().join("metrics.jsonl")).unwrap();
    let lines = read_metrics(&mut &*text, "metrics.jsonl").unwrap();
    assert_eq!((last.started, last.ended, last.steps as u64), (36, 36, lines[1].steps));
}

#[test]
fn tolerated_errors_are_counted_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = Faulty::new(BALLS, Fault::NanReward, |seed| seed % 40 == 0);
    let run = Run::create(folder.path(), config(), &flex(), &faulty, &faulty).unwrap();
    let (result, warnings) = finish(run);
    result.unwrap();
    let text = fs::read(folder.path().join("metrics.jsonl")).unwrap();
    let lines = read_metrics(&mut &*text, "metrics.jsonl").unwrap();
    let lost = |line: &proxmo::train::IterationMetrics| {
        let held_out = line.evaluation.as_ref().map_or(0, |one| one.environment_errors);
        usize::from(line.environment_errors > 0) + usize::from(held_out > 0)
    };
    assert_eq!(lines.iter().map(lost).sum::<usize>(), warnings.len());
    assert!(warnings[0].contains("paid a reward of NaN"), "{warnings:?}");
}
