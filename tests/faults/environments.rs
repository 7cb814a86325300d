//! What goes wrong around a run: environments, numbers, files. Nothing is lost, nothing is silently
//! wrong, and what went wrong is said plainly.

mod common;
mod fault_support;

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use common::Balls;
use fault_support::{Fault, Faulty};
use proxmo::device::{Backend, Opened, open};
use proxmo::env::Environment;
use proxmo::error::Error;
use proxmo::policy::Sampling;
use proxmo::policy::scorer::{Scorer, ScorerEncoder, ScorerInputs, Vocabulary};
use proxmo::rollout::{EpisodeRecord, Limits, Plan, RolloutBatch, collect, collect_with};
use proxmo::stream::{Purpose, Stream};
use proxmo::train::checkpoint::{self, Choice};
use proxmo::train::{
    Config, Event, Exam, Lesson, Run, Trainer, Watch, evaluate_with, read_metrics,
};
use rand::Rng;

const BALLS: Balls = Balls { tasks: 16, max_steps: 8 };

fn config() -> Config {
    let mut config = Config::default();
    config.run.iterations = 6;
    config.run.checkpoint_every = 2;
    config.rollout.groups = 6;
    config.rollout.episodes = 6;
    config.policy.embedding = 8;
    config.policy.hidden = 8;
    config.update.minibatch = 64;
    config.update.schedule = proxmo::train::Schedule::Constant;
    config.eval.every = 2;
    config.eval.split = "balls".into();
    config
}

fn player(device: &Device) -> (Scorer, ScorerEncoder) {
    let vocabulary = Vocabulary::from_environment(&BALLS, 16, 100, 0).unwrap();
    let scorer = Scorer::new(&config().policy.network(vocabulary.len()), 0, device);
    (scorer, ScorerEncoder { vocabulary, max_steps: BALLS.max_steps })
}

fn trainer(config: Config) -> Trainer<Scorer> {
    let (scorer, encoder) = player(&Device::flex().autodiff());
    Trainer::new(config, scorer, encoder)
}

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

/// Episodes without their names, which tell their places.
fn nameless(records: Vec<EpisodeRecord>) -> Vec<EpisodeRecord> {
    let nameless = |record| EpisodeRecord { trajectory: String::new(), ..record };
    records.into_iter().map(nameless).collect()
}

#[test]
fn an_environment_that_goes_wrong_loses_its_own_episode_and_nothing_else() {
    let sound = play(&BALLS, &Limits::default()).unwrap();
    for (fault, says) in Fault::ALL {
        // Few that hang, as each is waited for.
        let hangs = *fault == Fault::Hang;
        let strikes = if hangs { |seed| seed % 16 == 0 } else { |seed| seed % 5 == 0 };
        let faulty = Faulty::new(BALLS, *fault, strikes);
        let limits = Limits { step_timeout: if hangs { 2.0 } else { 0.0 }, ..MANY };
        let batch = play(&faulty, &limits).unwrap();
        assert!(!batch.errors.is_empty(), "{fault:?}");
        let lost: Vec<usize> =
            batch.errors.iter().map(|error| 8 * error.group + error.episode).collect();
        let records = nameless(sound.records()).into_iter().enumerate();
        let expected: Vec<_> =
            records.filter(|(at, _)| !lost.contains(at)).map(|(_, r)| r).collect();
        assert_eq!(nameless(batch.records()), expected, "{fault:?}");
        assert_eq!(batch.episodes() + batch.errors.len(), sound.episodes());
        assert_eq!(batch.episode_offsets.last(), Some(&batch.rows()));
        assert_eq!(batch.group_offsets.last(), Some(&batch.episodes()));
        for error in &batch.errors {
            let said = error.to_string();
            let task = BALLS.task_name(TASKS[error.group]);
            assert!(said.contains(says), "{fault:?}: {said}");
            assert!(said.contains(&format!("task '{task}'")), "{fault:?}: {said}");
        }
    }
}

#[test]
fn credit_and_updates_know_nothing_of_a_lost_episode() {
    // Where all episodes of a group are lost, too: task 3 never begins.
    let faulty = Faulty::new(BALLS, Fault::RefusesToStart, |_| true).only(3);
    let mut trainer = trainer(config());
    let mut lost = 0;
    for _ in 0..6 {
        let (line, batch) = trainer.iterate(&faulty, 0.0).unwrap();
        assert_eq!(line.environment_errors, batch.errors.len());
        assert!(line.loss.is_finite() && line.skipped_updates == 0);
        let won = batch.success.iter().filter(|&&won| won).count();
        assert_eq!(line.success, won as f64 / batch.episodes() as f64);
        lost += line.environment_errors;
    }
    assert!(lost > 0 && lost % 6 == 0, "{lost}");
}

#[test]
fn too_many_errors_end_the_run_and_say_where() {
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

    // An iteration that lost everything teaches nothing, whatever the limit.
    let broken = Faulty::new(BALLS, Fault::Error, |_| true);
    let mut config = config();
    config.rollout.max_env_errors = 1000;
    let error = trainer(config).iterate(&broken, 0.0).unwrap_err().to_string();
    assert!(error.contains("every other episode was lost too"), "{error}");
}

#[test]
fn a_slow_environment_is_waited_for() {
    let slow = Faulty::new(BALLS, Fault::Slow, |seed| seed % 5 == 0);
    let sound = play(&BALLS, &Limits::default()).unwrap();
    for step_timeout in [0.0, 30.0] {
        let batch = play(&slow, &Limits { max_errors: 0, step_timeout }).unwrap();
        assert_eq!(batch.records(), sound.records());
    }
}

#[test]
fn an_evaluation_leaves_out_what_was_lost() {
    let (policy, encoder) = player(&Device::flex());
    let tasks: Vec<usize> = (0..16).collect();
    let evaluate = |environment: &dyn Environment, limits| {
        let exam = Exam { tasks: &tasks, sampling: Sampling::Greedy, seed: 0, limits };
        let mut episodes = Vec::new();
        let mut watch = Watch { progress: &mut |_| {}, episodes: Some(&mut episodes) };
        let result = evaluate_with(environment, &policy, &encoder, &exam, &mut watch);
        result.map(|evaluation| (evaluation, episodes))
    };
    let (sound, _) = evaluate(&BALLS, Limits::default()).unwrap();
    let faulty = Faulty::new(BALLS, Fault::Panic, |_| true).only(3);
    let (judged, episodes) = evaluate(&faulty, MANY).unwrap();
    let expected: Vec<_> =
        sound.outcomes.iter().copied().filter(|outcome| outcome.task != 3).collect();
    assert_eq!(judged.outcomes, expected);
    assert_eq!(judged.errors.len(), 1);
    assert!(
        episodes
            .iter()
            .map(|episode| &episode.group)
            .eq(tasks.iter().filter(|&&task| task != 3).map(|&task| BALLS.task_name(task)))
    );
    assert_eq!(judged.metrics(&faulty, "balls").environment_errors, 1);
    evaluate(&faulty, Limits::default()).unwrap_err();
}

fn flex() -> Opened {
    open(Backend::Flex, 0).unwrap()
}

/// Trains to the end, and gives what was warned of.
fn finish(run: Run) -> (proxmo::Result<()>, Vec<String>) {
    let mut warnings = Vec::new();
    let mut observe = |event: Event| {
        if let Event::Warning(text) = event {
            warnings.push(text.to_string());
        }
    };
    let result = run.train(&|| false, &mut observe).map(drop);
    (result, warnings)
}

fn weights(run: &Path, iteration: u64) -> Vec<u8> {
    fs::read(checkpoint::folder(run, iteration).join("weights.safetensors")).unwrap()
}

#[test]
fn a_run_outlives_its_environment() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    finish(Run::create(&whole, config(), &flex(), &BALLS, &BALLS).unwrap()).0.unwrap();

    // The environment dies in the fourth iteration, between two checkpoints.
    let dying = Faulty::new(BALLS, Fault::Panic, |_| true).after(3 * 36);
    let run = Run::create(&parts, config(), &flex(), &dying, &BALLS).unwrap();
    let (result, _) = finish(run);
    let said = result.unwrap_err().to_string();
    assert!(said.contains("a lamp fell over"), "{said}");
    assert_eq!(checkpoint::list(&parts).unwrap().last(), Some(&3), "what was learnt is kept");

    let (result, warnings) =
        finish(Run::resume(&parts, config(), &flex(), &BALLS, &BALLS).unwrap());
    result.unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert!(weights(&whole, 6) == weights(&parts, 6), "the weights differ");
}

#[test]
fn an_evaluation_that_fails_costs_no_training() {
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

#[test]
fn errors_that_are_put_up_with_are_counted_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = Faulty::new(BALLS, Fault::NanReward, |seed| seed % 40 == 0);
    let run = Run::create(folder.path(), config(), &flex(), &faulty, &faulty).unwrap();
    let (result, warnings) = finish(run);
    result.unwrap();
    let text = fs::read(folder.path().join("metrics.jsonl")).unwrap();
    let lines = read_metrics(&mut &*text, "metrics.jsonl").unwrap();
    let lost = |line: &proxmo::train::IterationMetrics| {
        let held_out = line.evaluation.as_ref().map_or(0, |judged| judged.environment_errors);
        usize::from(line.environment_errors > 0) + usize::from(held_out > 0)
    };
    assert_eq!(lines.iter().map(lost).sum::<usize>(), warnings.len());
    assert!(warnings[0].contains("paid a reward of NaN"), "{warnings:?}");
}

/// Makes every weight NaN.
struct Poison;

impl ModuleMapper for Poison {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.mul_scalar(f32::NAN))
    }
}

#[test]
fn a_policy_whose_numbers_are_not_finite_ends_the_run() {
    let mut trainer = trainer(config());
    trainer.learner.policy = trainer.learner.policy.clone().map(&mut Poison);
    let error = trainer.iterate(&BALLS, 0.0).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("not finite"), "{error}");
    // Nor is it written down as if it were something to go on from.
    let folder = tempfile::tempdir().unwrap();
    let description = describe(&trainer);
    let error = checkpoint::save(folder.path(), &trainer, &description, 0.0, None).unwrap_err();
    assert!(error.to_string().contains("holds a number that is not finite"), "{error}");
    assert_eq!(checkpoint::list(folder.path()).unwrap(), Vec::<u64>::new());
}

fn describe(trainer: &Trainer<Scorer>) -> checkpoint::PolicyDescription {
    checkpoint::PolicyDescription {
        kind: "scorer".into(),
        size: trainer.config.policy.clone(),
        max_steps: trainer.encoder.max_steps,
        vocabulary: trainer.encoder.vocabulary.clone(),
    }
}

#[test]
fn an_update_that_is_not_finite_is_skipped_counted_and_traced() {
    let mut trainer = trainer(config());
    let (_, batch) = trainer.iterate(&BALLS, 0.0).unwrap();
    let rows = batch.rows();
    let before = trainer.learner.policy.clone();
    let learn = |trainer: &mut Trainer<Scorer>, advantages: &[f32], max_bad_updates: usize| {
        let mut update = trainer.config.update.clone();
        update.max_bad_updates = max_bad_updates;
        update.minibatch = 1_000_000;
        trainer.learner.learn(&Lesson {
            batch: &batch,
            advantages,
            temperature: 1.0,
            config: &update,
            learning_rate: 0.01,
            shuffle: Stream::new(0, Purpose::Minibatches),
        })
    };
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut advantages = vec![0.5; rows];
        advantages[7] = bad;
        // Two epochs of one minibatch each.
        let stats = learn(&mut trainer, &advantages, 3).unwrap();
        assert_eq!((stats.skipped, stats.updates), (2, 0));
        assert_eq!(trainer.learner.bad_updates, 2);
        let error = learn(&mut trainer, &advantages, 3).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("3 updates in a row"), "{said}");
        assert!(said.contains("row 7 (group 0, episode"), "{said}");
        assert!(said.contains(&format!("its advantage is {bad}")), "{said}");
        assert_eq!(error.exit_code(), 1);
        assert!(bytes(&before) == bytes(&trainer.learner.policy), "the weights changed");
        // One good update, and the count begins again.
        let stats = learn(&mut trainer, &vec![0.0; rows], 3).unwrap();
        assert_eq!((stats.skipped, trainer.learner.bad_updates), (0, 0));
        trainer.learner.policy = before.clone();
    }
}

/// A policy's weights, as a checkpoint has them.
fn bytes(policy: &Scorer) -> Vec<u8> {
    use burn::store::{ModuleSnapshot, SafetensorsStore};
    let mut store = SafetensorsStore::from_bytes(None).clear_metadata();
    policy.valid().save_into(&mut store).unwrap();
    store.get_bytes().unwrap().to_vec()
}

/// A run with checkpoints 0, 2 and 4.
fn three_checkpoints(folder: &Path) -> PathBuf {
    let run = folder.join("run");
    let mut config = config();
    config.run.iterations = 4;
    finish(Run::create(&run, config, &flex(), &BALLS, &BALLS).unwrap()).0.unwrap();
    assert_eq!(checkpoint::list(&run).unwrap(), [0, 2, 4]);
    run
}

/// Reads all that a checkpoint has to give.
fn load(folder: &Path) -> proxmo::Result<()> {
    checkpoint::read_state(folder)?;
    let (scorer, _) = checkpoint::read_description(folder)?.scorer(1, &Device::flex());
    checkpoint::load_weights(scorer, folder)?;
    checkpoint::restore(&mut trainer(config()), folder).map(drop)
}

const FILES: [&str; 6] = [
    "manifest.json",
    "state.json",
    "policy.json",
    "weights.safetensors",
    "reference.safetensors",
    "optimizer.bpk",
];

#[test]
fn a_file_that_was_cut_or_changed_is_named_and_never_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let run = three_checkpoints(folder.path());
    let newest = checkpoint::folder(&run, 4);
    let mut rng = Stream::new(0, Purpose::Environment).rng();
    load(&newest).unwrap();
    for file in FILES {
        let path = newest.join(file);
        let whole = fs::read(&path).unwrap();
        let length = whole.len();
        let lengths = [0, 1, 7, 8, 9, 100, length / 2, length - 2, length - 1];
        let cut = lengths.iter().map(|&length| whole[..length].to_vec());
        let longer = [&whole[..], b"\n"].concat();
        // Every byte of the manifest, and of the others many.
        let places: Vec<usize> = match file {
            "manifest.json" => (0..length).collect(),
            _ => (0..60).map(|_| rng.random_range(0..length)).chain(0..20).collect(),
        };
        let flipped = places.into_iter().map(|place| {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << rng.random_range(0..8);
            bytes
        });
        for bytes in cut.chain([longer]).chain(flipped.collect::<Vec<_>>()) {
            fs::write(&path, bytes).unwrap();
            if file == "manifest.json" && load(&newest).is_ok() {
                // Only a manifest that says the same is as good.
                let left: serde_json::Value =
                    serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                assert_eq!(left, serde_json::from_slice::<serde_json::Value>(&whole).unwrap());
                continue;
            }
            let error = load(&newest).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{error}");
            assert!(error.to_string().contains("000004"), "{error}");
            let found = checkpoint::newest_whole(&run).unwrap();
            assert_eq!(found.whole, Some(checkpoint::folder(&run, 2)));
            assert_eq!(found.damaged[0].0, newest);
            let refused = checkpoint::find(&run, Choice::Latest).unwrap_err().to_string();
            assert!(
                refused.contains("is damaged") && refused.contains("--checkpoint 2"),
                "{refused}"
            );
        }
        fs::remove_file(&path).unwrap();
        load(&newest).unwrap_err();
        assert_eq!(checkpoint::newest_whole(&run).unwrap().damaged.len(), 1);
        fs::write(&path, whole).unwrap();
    }
    load(&newest).unwrap();
}

/// What is read into memory is bounded by what the manifest says was written, and the manifest by 64
/// KiB: a file of a tebibyte is refused as quickly as any.
#[test]
fn a_huge_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let run = three_checkpoints(folder.path());
    let newest = checkpoint::folder(&run, 4);
    for file in FILES {
        let path = newest.join(file);
        let whole = fs::read(&path).unwrap();
        // A hole, which takes no room on the disk.
        let sparse = fs::File::options().write(true).open(&path).unwrap();
        if sparse.set_len(1 << 40).is_err() {
            println!("skipped: this file system has no sparse files");
            return;
        }
        let error = load(&newest).unwrap_err().to_string();
        assert!(error.contains("bytes"), "{error}");
        assert_eq!(checkpoint::newest_whole(&run).unwrap().damaged.len(), 1);
        fs::write(&path, whole).unwrap();
    }
    load(&newest).unwrap();
}

#[test]
fn a_checkpoint_of_another_kind_is_refused_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let run = three_checkpoints(folder.path());
    let resume = |change: &dyn Fn(&mut Config), environment: &dyn Environment| {
        let mut config = config();
        change(&mut config);
        let opened = flex();
        let error = Run::resume(&run, config, &opened, environment, &BALLS).err().unwrap();
        assert_eq!(error.exit_code(), 2, "{error}");
        error.to_string()
    };
    let wider = resume(&|config| config.policy.hidden = 16, &BALLS);
    assert!(wider.contains("has policy.hidden 8, the settings ask for 16"), "{wider}");
    let words = resume(&|_| (), &Balls { tasks: 4, max_steps: 8 });
    assert!(words.contains("another vocabulary"), "{words}");

    // Of another version; as it was written, but for that.
    let newest = checkpoint::folder(&run, 4);
    let state = fs::read_to_string(newest.join("state.json")).unwrap();
    let older = state.replacen("\"version\": 2", "\"version\": 1", 1);
    fs::write(newest.join("state.json"), &older).unwrap();
    fs::remove_file(newest.join("manifest.json")).unwrap();
    let version = resume(&|_| (), &BALLS);
    assert!(version.contains("checkpoint version 1, this program reads version 2"), "{version}");
    assert_eq!(checkpoint::list(&run).unwrap(), [0, 2, 4], "nothing is set aside");
}

#[test]
fn a_reference_policy_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut without = config();
    without.update.kl_weight = 0.0;
    without.run.iterations = 2;
    finish(Run::create(&run, without, &flex(), &BALLS, &BALLS).unwrap()).0.unwrap();
    let error = Run::resume(&run, config(), &flex(), &BALLS, &BALLS).err().unwrap().to_string();
    assert!(error.contains("no reference policy") && error.contains("kl_weight"), "{error}");
}

#[test]
fn a_second_run_in_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = Run::create(folder.path(), config(), &flex(), &BALLS, &BALLS).unwrap();
    let error = Run::resume(folder.path(), config(), &flex(), &BALLS, &BALLS).err().unwrap();
    assert!(error.to_string().contains("another process is training"), "{error}");
    let error = Run::create(folder.path(), config(), &flex(), &BALLS, &BALLS).err().unwrap();
    assert!(error.to_string().contains("already holds a run"), "{error}");
    drop(first);
    Run::resume(folder.path(), config(), &flex(), &BALLS, &BALLS).unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let create = |run: &Path| match Run::create(run, config(), &flex(), &BALLS, &BALLS) {
        Err(error @ Error::Io { .. }) => (error.exit_code(), error.to_string()),
        other => panic!("{:?}", other.err()),
    };
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let (code, said) = create(&file.join("run"));
    assert!(code == 2 && said.contains("cannot create"), "{said}");

    let mut closed = fs::metadata(folder.path()).unwrap().permissions();
    closed.set_readonly(true);
    fs::set_permissions(folder.path(), closed.clone()).unwrap();
    if fs::write(folder.path().join("probe"), "x").is_ok() {
        println!("skipped in part: this user may write into read-only folders");
    } else {
        let (code, said) = create(&folder.path().join("run"));
        assert!(code == 2 && said.contains("cannot create"), "{said}");
    }
    #[allow(clippy::permissions_set_readonly_false)] // A folder of this test alone.
    closed.set_readonly(false);
    fs::set_permissions(folder.path(), closed).unwrap();
}
