//! A training on several ranks ends with the bytes of one process. The ranks are threads here; `tests/mpi`
//! has those that are processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use proxmo::credit::{Embedding, Engine, Estimator};
use proxmo::device::{Backend, Opened, open};
use proxmo::env::{Environment, Session};
use proxmo::policy::lm::LmConfig;
use proxmo::policy::scorer::ScorerConfig;
use proxmo::ranks::{GradientSum, Ranks, threads};
use proxmo::rollout::Demonstration;
use proxmo::runs::{FollowerResources, Run, dismiss, follow};
use proxmo::train::{Config, EXPERT};
use proxmo::{Error, Result};

use crate::support::balls::Balls;
use crate::support::runs::{all_metrics, assert_same, distance, metrics};

const BALLS: Balls = Balls { tasks: 16, max_steps: 8 };

fn config() -> Config {
    let mut config = Config::default();
    config.run.iterations = 3;
    config.run.checkpoint_every = 1;
    config.rollout.groups = 5;
    config.rollout.group_size = 4;
    config.policy = ScorerConfig { embedding: 8, hidden: 8, ..ScorerConfig::default() }.into();
    config.credit.temperature = proxmo::credit::Temperature::Auto;
    config.update.minibatch = 64;
    config.update.learning_rate = 0.01;
    config.eval.every = 2;
    config.eval.split = "balls".into();
    config.eval.temperature = 1.0;
    config.distributed.parts = 4;
    config.distributed.timeout = 60.0;
    config
}

fn flex() -> Opened {
    open(Backend::Flex, 0).unwrap()
}

/// What a run on threads does with its environments.
struct Plan<'a> {
    config: Config,
    environment: &'a (dyn Fn(usize) -> Box<dyn Environment> + Sync),
    demonstrations: Vec<Demonstration>,
    resumes: bool,
}

impl Plan<'_> {
    fn of(config: Config) -> Self {
        let environment = &|_| Box::new(BALLS) as Box<dyn Environment>;
        Plan { config, environment, demonstrations: Vec::new(), resumes: false }
    }

    fn lead(&self, ranks: &Ranks, folder: &Path) -> Result<()> {
        let environment = (self.environment)(0);
        let (environment, config) = (&*environment, self.config.clone());
        let begin = if self.resumes { Run::resume_on } else { Run::create_on };
        let mut run = begin(ranks, folder, config, &flex(), environment, environment)?;
        if !self.demonstrations.is_empty() {
            run = run.imitating(&self.demonstrations)?;
        }
        run.train(&|| false).map(drop)
    }

    /// Trains on `size` ranks. Returns the result of the leader, and the exit codes of the others.
    fn train(&self, folder: &Path, size: usize) -> (Result<()>, Vec<Result<u8>>) {
        let mut communicators = threads(size).into_iter();
        let leader = Ranks::new(communicators.next().unwrap());
        thread::scope(|scope| {
            let spawn = |communicator| {
                scope.spawn(move || {
                    let ranks = Ranks::new(communicator);
                    let open = |_: &Config| {
                        let environment = || (self.environment)(ranks.rank());
                        Ok(FollowerResources {
                            environment: environment(),
                            held_out: environment(),
                            opened: flex(),
                        })
                    };
                    follow(&ranks, &open, &|| false)
                })
            };
            let others: Vec<_> = communicators.map(spawn).collect();
            let result = self.lead(&leader, folder);
            dismiss(&leader, &result);
            drop(leader);
            (result, others.into_iter().map(|rank| rank.join().unwrap()).collect())
        })
    }

    /// Trains on `size` ranks, which must succeed.
    fn train_well(&self, folder: &Path, size: usize) {
        let (result, others) = self.train(folder, size);
        result.unwrap();
        others.into_iter().for_each(|code| assert_eq!(code.unwrap(), 0));
    }
}

/// Trains on 1, 2, 3 and 4 ranks, and compares the runs.
fn assert_same_on_ranks(plan: &Plan) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let run = |size: usize| -> PathBuf { folder.path().join(size.to_string()) };
    for size in 1..=4 {
        plan.train_well(&run(size), size);
        assert_same(&run(1), &run(size));
    }
    folder
}

#[test]
fn a_scorer_has_the_same_bytes_on_any_number_of_ranks() {
    let folder = assert_same_on_ranks(&Plan::of(config()));
    let all = metrics(&folder.path().join("1"));
    assert!(all.iter().any(|line| line.gradient_norm > 0.0), "nothing is learned");
    assert!(all.iter().any(|line| line.success.is_some_and(|rate| rate > 0.0)));
    let ranks = all_metrics(&folder.path().join("3")).pop().unwrap().ranks.unwrap();
    assert_eq!(ranks.count, 3);
    assert!(ranks.steps_per_second.0 > 0.0 && ranks.exchange_bytes.0 > 0, "{ranks:?}");
}

#[test]
fn learned_values_are_the_same_on_any_number_of_ranks() {
    for (estimator, value_weight) in [(Estimator::Ppo, 0.0), (Estimator::Proxmo, 0.5)] {
        let mut config = config();
        (config.credit.estimator, config.credit.value_weight) = (estimator, value_weight);
        config.update.value_clip = 0.2;
        let folder = assert_same_on_ranks(&Plan::of(config));
        let all = metrics(&folder.path().join("4"));
        let mut trained = all.iter().filter(|line| line.iteration > 0);
        assert!(trained.all(|line| line.value.is_some_and(|value| value.loss > 0.0)));
    }
}

#[test]
fn the_policys_embeddings_are_the_same_on_any_number_of_ranks() {
    for engine in [Engine::Host, Engine::Device] {
        let mut config = config();
        (config.credit.embedding, config.credit.engine) = (Embedding::Policy, engine);
        // Several parts to embed.
        config.update.minibatch = 16;
        assert_same_on_ranks(&Plan::of(config));
    }
}

#[test]
fn resampled_and_dropped_groups_are_the_same_on_any_number_of_ranks() {
    let mut config = config();
    config.rollout.max_resampling_rounds = 2;
    config.rollout.drop_zero_variance = true;
    config.update.shards = 3;
    config.distributed.parts = 3;
    assert_same_on_ranks(&Plan::of(config));
}

#[test]
fn a_language_model_has_the_same_bytes_on_any_number_of_ranks() {
    let mut config = config();
    config.policy =
        LmConfig { layers: 1, width: 16, heads: 2, vocabulary: 300, ..LmConfig::default() }.into();
    config.run.iterations = 2;
    assert_same_on_ranks(&Plan::of(config));
}

#[test]
fn imitation_has_the_same_bytes_on_any_number_of_ranks() {
    let demonstration = |task: usize| {
        let goal = BALLS.start(task, 0).unwrap().goal().to_string();
        let words: Vec<&str> = goal.split(' ').collect();
        let actions = [format!("take {} ball", words[2]), format!("put ball in {}", words[6])];
        let source = format!("task {task}");
        Demonstration { task, actions: actions.into(), unimitated: Vec::new(), source }
    };
    let mut config = config();
    config.imitation.from = EXPERT.into();
    let demonstrations = (0..13).map(demonstration).collect();
    assert_same_on_ranks(&Plan { demonstrations, ..Plan::of(config) });
}

#[test]
fn a_run_resumes_on_another_number_of_ranks_and_keeps_its_parts() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let mut config = config();
    config.update.schedule_iterations = 6;
    config.run.iterations = 6;
    Plan::of(config.clone()).train_well(&whole, 1);
    config.distributed.parts = 0;
    config.run.iterations = 2;
    Plan::of(config.clone()).train_well(&parts, 4);
    // A run that ends at its limit adds an evaluation, and the other one has it too.
    for (iterations, size) in [(4, 1), (6, 3)] {
        config.run.iterations = iterations;
        Plan { resumes: true, ..Plan::of(config.clone()) }.train_well(&parts, size);
    }
    assert_same(&whole, &parts);
    let settings = fs::read_to_string(parts.join("config.toml")).unwrap();
    assert!(settings.contains("parts = 4"), "{settings}");
}

/// Sums of 32-bit numbers in another order differ by about 1e-7 of their terms. AdamW magnifies that where
/// a gradient is not much more than rounding.
const WEIGHT_BOUND: f32 = 1e-4;

#[test]
fn gradients_added_by_rank_give_all_ranks_the_same_weights_near_those_of_the_order_of_parts() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str| folder.path().join(name);
    let mut config = config();
    for (by, gradient_sum) in [("part", GradientSum::ByPart), ("rank", GradientSum::ByRank)] {
        config.distributed.gradient_sum = gradient_sum;
        for size in 1..=4 {
            // The weights of the ranks are compared before every checkpoint.
            Plan::of(config.clone()).train_well(&run(&format!("{by}-{size}")), size);
        }
    }
    // One process adds in the order of its parts in both ways.
    assert_same(&run("part-1"), &run("rank-1"));
    let bytes = |name: &str| all_metrics(&run(name))[1].ranks.unwrap().exchange_bytes.1;
    for size in 2..=4 {
        let (part, rank) = (format!("part-{size}"), format!("rank-{size}"));
        let distance = distance(&run(&part), &run(&rank), 3);
        assert!(distance <= WEIGHT_BOUND, "{size} ranks: {distance}");
        assert!(size == 4 || bytes(&rank) < bytes(&part), "{size} ranks have several parts");
    }
}

#[test]
fn a_resumed_run_may_add_gradients_in_another_way_which_its_metrics_record() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut config = config();
    Plan::of(config.clone()).train_well(&run, 2);
    config.run.iterations = 4;
    config.distributed.gradient_sum = GradientSum::ByRank;
    Plan { resumes: true, ..Plan::of(config.clone()) }.train_well(&run, 3);
    let changes = &metrics(&run).pop().unwrap().changes;
    let change = ("\"by-part\"".to_string(), "\"by-rank\"".to_string());
    assert_eq!(changes.get("distributed.gradient_sum"), Some(&change));
    let settings = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(settings.contains("gradient_sum = \"by-rank\""), "{settings}");
}

/// Tasks that cannot be played after a number of starts.
struct Breaking {
    starts_left: AtomicUsize,
    other_tasks: bool,
}

impl Environment for Breaking {
    fn name(&self) -> &str {
        "balls"
    }

    fn tasks(&self) -> usize {
        BALLS.tasks()
    }

    fn task_name(&self, task: usize) -> &str {
        if self.other_tasks { "other" } else { BALLS.task_name(task) }
    }

    fn task_kind(&self, task: usize) -> usize {
        BALLS.task_kind(task)
    }

    fn kinds(&self) -> Vec<String> {
        BALLS.kinds()
    }

    fn max_steps(&self) -> usize {
        BALLS.max_steps()
    }

    fn start(&self, task: usize, seed: u64) -> Result<Box<dyn Session>> {
        let enough = |left: usize| left.checked_sub(1);
        match self.starts_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough) {
            Ok(_) => BALLS.start(task, seed),
            Err(_) => Err(Error::Environment("the table is broken".into())),
        }
    }
}

#[test]
fn an_error_of_one_rank_ends_all_with_a_checkpoint_to_resume_from() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.rollout.max_env_errors = 0;
    config.eval.every = 0;
    let broken = AtomicBool::new(true);
    let environment = |rank: usize| -> Box<dyn Environment> {
        match rank == 2 && broken.load(Ordering::Relaxed) {
            // One iteration of this rank's part, one group, and half of the next.
            true => Box::new(Breaking { starts_left: (4 + 2).into(), other_tasks: false }),
            false => Box::new(BALLS),
        }
    };
    let plan = Plan { environment: &environment, ..Plan::of(config.clone()) };
    let run = folder.path().join("run");
    let (result, others) = plan.train(&run, 3);
    let error = result.unwrap_err();
    assert!(error.to_string().starts_with("environment: rank 2: "), "{error}");
    assert!(error.to_string().contains("the table is broken"), "{error}");
    assert_eq!(others.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 1]);
    broken.store(false, Ordering::Relaxed);
    Plan { resumes: true, environment: &environment, ..Plan::of(config.clone()) }
        .train_well(&run, 2);
    let whole = folder.path().join("whole");
    Plan::of(config).train_well(&whole, 1);
    assert_same(&whole, &run);
}

#[test]
fn ranks_with_other_tasks_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let environment = |rank: usize| -> Box<dyn Environment> {
        let starts_left = AtomicUsize::new(usize::MAX);
        Box::new(Breaking { starts_left, other_tasks: rank == 1 })
    };
    let plan = Plan { environment: &environment, ..Plan::of(config()) };
    let (result, others) = plan.train(&folder.path().join("run"), 2);
    let error = result.unwrap_err();
    let expected =
        "rank 1: balls: its 16 tasks are not those of rank 0: all ranks need the same files";
    assert_eq!((error.to_string().as_str(), error.exit_code()), (expected, 2));
    assert_eq!(others.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [2]);
}

#[test]
fn bad_settings_of_the_leader_end_the_others_with_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.rollout.groups = 0;
    let (result, others) = Plan::of(config).train(folder.path(), 3);
    assert_eq!(result.unwrap_err().exit_code(), 2);
    assert_eq!(others.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn a_policy_whose_rows_cannot_travel_says_so() {
    use proxmo::policy::Inputs;

    #[derive(Default)]
    struct Rows;

    impl Inputs for Rows {
        fn len(&self) -> usize {
            0
        }

        fn reorder(&mut self, _: &[usize]) {}

        fn append(&mut self, _: Self) {}
    }

    let error = Rows.to_bytes().unwrap_err().to_string();
    assert!(error.contains("trains in one process only"), "{error}");
    assert!(Rows::from_bytes(&[]).is_err());
}
