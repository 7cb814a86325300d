//! Training learns, and computes the same numbers on every backend.

#[cfg(feature = "wgpu")]
use std::cell::Cell;

#[cfg(feature = "wgpu")]
use crate::cross_backend::devices::on_every_device;
use crate::support::balls::Balls;
use burn::module::Module;
use burn::tensor::Device;
use proxmo::credit::{Embedding, Engine, Estimator};
#[cfg(feature = "ndarray")]
use proxmo::device::{Backend, open};
use proxmo::env::Environment;
use proxmo::episodes::RecordBatch;
use proxmo::policy::scorer::{Scorer, ScorerConfig, ScorerEncoder};
use proxmo::policy::{Policy, PolicyKind, PolicySpec, Sampling};
use proxmo::rollout::{Plan, collect};
use proxmo::train::{Config, EvaluationPlan, IterationMetrics, Trainer, evaluate};
use proxmo::verify::{TESTS, training};

fn config(iterations: u64) -> Config {
    let mut config = Config::default();
    config.run.iterations = iterations;
    config.rollout.groups = 6;
    config.rollout.group_size = 6;
    config.policy = size().into();
    config.update.minibatch = 128;
    config.update.learning_rate = 0.003;
    config
}

const BALLS: Balls = Balls { tasks: 16, max_steps: 8 };

fn size() -> ScorerConfig {
    ScorerConfig { embedding: 16, hidden: 16, ..ScorerConfig::default() }
}

fn scorer(config: &Config, device: &Device) -> (Scorer, ScorerEncoder) {
    let spec = size().spec(&BALLS, config.run.seed).unwrap();
    let spec = if config.credit.needs_values() { spec.with_value_head().unwrap() } else { spec };
    spec.build(config.run.seed, device).unwrap()
}

fn trainer(config: Config, device: &Device) -> Trainer<Scorer> {
    let (scorer, encoder) = scorer(&config, &device.clone().autodiff());
    Trainer::new(config, scorer, encoder)
}

fn train(config: Config, device: &Device) -> (Trainer<Scorer>, Vec<IterationMetrics>) {
    let iterations = config.run.iterations;
    let mut trainer = trainer(config, device);
    let progress = |done: u64| done as f64 / iterations as f64;
    let metrics =
        (0..iterations).map(|done| trainer.iterate(&BALLS, progress(done)).unwrap().0).collect();
    (trainer, metrics)
}

/// All weights end to end.
fn weights(policy: &Scorer) -> Vec<f32> {
    training::weights(&policy.valid()).unwrap()
}

fn success(trainer: &Trainer<Scorer>) -> f64 {
    let tasks: Vec<usize> = (0..BALLS.tasks()).collect();
    let policy = trainer.learner.policy.valid();
    let encoder = &trainer.encoder;
    let plan = EvaluationPlan::new(&tasks);
    let result = evaluate(&BALLS, &policy, encoder, &plan, &mut |_| {});
    result.unwrap().overall().success.unwrap()
}

#[test]
fn an_evaluation_tells_how_far_it_is_at_every_step() {
    // More tasks than are played at the same time.
    let balls = Balls { tasks: 150, max_steps: 8 };
    let (policy, encoder) = scorer(&config(1), &Device::flex());
    let tasks: Vec<usize> = (0..balls.tasks).collect();
    let plan =
        EvaluationPlan { sampling: Sampling::Temperature(1.0), ..EvaluationPlan::new(&tasks) };
    let mut told = Vec::new();
    let result = evaluate(&balls, &policy, &encoder, &plan, &mut |now| told.push(now)).unwrap();
    assert!(told.len() >= 2 * balls.max_steps, "{}", told.len());
    assert!(told.iter().all(|now| now.tasks == 150));
    assert!(told.is_sorted_by_key(|now| now.done) && told.is_sorted_by(|a, b| a.share <= b.share));
    let (first, last) = (told[0], told[told.len() - 1]);
    assert_eq!((first.done, first.won, first.share), (0, None, 0.0));
    assert_eq!((last.done, last.won, last.share), (150, Some(result.overall().won), 1.0));
    // The last tasks end at the step limit, and before that their steps count.
    let half = told[balls.max_steps / 2];
    assert!(half.share > half.done as f64 / 150.0, "{half:?}");
}

#[test]
fn a_policy_learns_what_its_goal_says() {
    let config = config(60);
    let untrained = success(&trainer(config.clone(), &Device::flex()));
    let (trained, metrics) = train(config, &Device::flex());
    assert!(untrained <= 0.5, "an untrained policy wins {untrained}");
    assert!(success(&trained) >= 0.9, "a trained policy wins {}", success(&trained));
    let last = metrics.last().unwrap();
    let (first, last) = (metrics[0].success.unwrap(), last.success.unwrap());
    assert!(last > first + 0.3, "{first} {last}");
    assert!(metrics.iter().all(|line| line.loss.is_finite() && line.skipped_updates == 0));
}

#[test]
fn a_trainer_keeps_the_credit_of_its_last_iteration() {
    let mut trainer = trainer(config(2), &Device::flex());
    assert!(trainer.last_credit.is_none());
    for done in 0..2 {
        let (metrics, batch) = trainer.iterate(&BALLS, f64::from(done) / 2.0).unwrap();
        let credit = trainer.last_credit.as_ref().unwrap();
        assert_eq!(credit.advantages.len(), batch.rows());
        assert_eq!(serde_json::to_value(&credit.diagnostics).unwrap(), metrics.credit);
    }
}

#[test]
fn every_estimator_trains_by_the_same_loop() {
    for &estimator in Estimator::ALL {
        let mut config = config(20);
        config.credit.estimator = estimator;
        let (_, metrics) = train(config, &Device::flex());
        let (first, last) = (metrics[0].success, metrics[19].success);
        assert!(last > first, "{estimator}: {first:?} then {last:?}");
    }
}

/// A training that needs values, with little else than the seed in common with others.
fn value_config(estimator: Estimator, value_weight: f64, iterations: u64) -> Config {
    let mut config = config(iterations);
    config.credit.estimator = estimator;
    config.credit.value_weight = value_weight;
    config
}

#[test]
fn ppo_learns_what_its_goal_says_and_its_values_predict_returns() {
    let (trained, metrics) = train(value_config(Estimator::Ppo, 0.0, 60), &Device::flex());
    assert!(success(&trained) >= 0.9, "a trained policy wins {}", success(&trained));
    // Later the returns are nearly equal, so that nothing is left to explain.
    let explained = metrics.iter().filter_map(|line| line.value.unwrap().explained_variance);
    let explained: Vec<f64> = explained.take(30).collect();
    let most = explained.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    assert!(explained[0] < 0.05 && most > 0.15, "{explained:?}");
    assert!(metrics.iter().all(|line| line.value.unwrap().loss.is_finite()));
}

#[test]
fn baselines_can_be_mixed_with_learned_values() {
    let (_, mixed) = train(value_config(Estimator::Proxmo, 0.5, 20), &Device::flex());
    assert!(mixed[19].success > mixed[0].success);
    let (_, plain) = train(config(20), &Device::flex());
    assert_eq!(mixed[0].success, plain[0].success, "the first rollout is the same");
    assert_ne!(mixed[0].policy_loss, plain[0].policy_loss, "and its credit is not");
    assert!(mixed.iter().all(|line| line.value.is_some()));
    assert!(plain.iter().all(|line| line.value.is_none()));
}

#[test]
fn a_value_head_that_nothing_needs_changes_no_result() {
    let run = |head: bool| {
        let config = config(3);
        let device = Device::flex().autodiff();
        let spec = size().spec(&BALLS, 0).unwrap();
        let spec = if head { spec.with_value_head().unwrap() } else { spec };
        let (scorer, encoder) = spec.build(0, &device).unwrap();
        let mut trainer = Trainer::new(config, scorer, encoder);
        let metrics: Vec<_> =
            (0..3).map(|_| timeless(trainer.iterate(&BALLS, 0.0).unwrap().0)).collect();
        (weights(&trainer.learner.policy), metrics)
    };
    let ((plain, expected), (with_head, found)) = (run(false), run(true));
    assert_eq!(expected, found);
    // The weights of the head come last.
    assert!(with_head.len() > plain.len());
    assert_eq!(plain, with_head[..plain.len()]);
}

#[test]
fn values_are_those_of_the_policy_that_played_and_bootstrap_truncated_episodes() {
    let config = value_config(Estimator::Ppo, 0.0, 1);
    let (mut trainer, _) = train(config, &Device::flex());
    let policy = trainer.learner.policy.valid();
    let (metrics, batch) = trainer.iterate(&BALLS, 0.0).unwrap();
    let values = batch.data.values().unwrap();
    let rows: Vec<usize> = (0..batch.rows()).collect();
    let expected = policy.values(&batch.inputs, &rows).unwrap().into_data();
    for (found, expected) in values.states.iter().zip(expected.try_to_vec::<f32>().unwrap()) {
        assert!((found - f64::from(expected)).abs() < 1e-5, "{found} {expected}");
    }
    let success = metrics.success.unwrap();
    assert!(success > 0.0 && success < 1.0, "{success}");
    for (&end, &won) in values.ends.iter().zip(batch.data.success()) {
        assert_eq!(end == 0.0, won, "only an episode that is cut short goes on");
    }
    // They are in the records of the episodes too, from which the same credit follows.
    let records = batch.records();
    let credit = &trainer.config.credit;
    let read = RecordBatch::new(&records, credit.required_fields(), &|_| String::new()).unwrap();
    let again = read.batch.values().unwrap();
    for (found, expected) in [&again.states[..], &again.ends]
        .concat()
        .iter()
        .zip([&values.states[..], &values.ends].concat())
    {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }
}

#[test]
fn a_policy_without_a_value_head_is_refused_where_values_are_needed() {
    let config = value_config(Estimator::Ppo, 0.0, 1);
    let (scorer, encoder) = scorer(&self::config(1), &Device::flex().autodiff());
    let error = Trainer::new(config, scorer, encoder).iterate(&BALLS, 0.0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "setting 'credit.estimator': is 'ppo', which needs the value of every state; this policy has no \
         value head"
    );
}

#[test]
fn credit_can_compare_the_policys_embeddings() {
    let mut config = config(20);
    config.credit.embedding = Embedding::Policy;
    let (_, metrics) = train(config.clone(), &Device::flex());
    assert!(metrics[19].success > metrics[0].success);
    config.credit.embedding = Embedding::Tfidf;
    let (_, other) = train(config, &Device::flex());
    assert_eq!(metrics[0].success, other[0].success, "the first rollout is the same");
    assert_ne!(metrics[0].policy_loss, other[0].policy_loss, "and its credit is not");
}

/// The metrics without the seconds.
fn timeless(mut line: IterationMetrics) -> IterationMetrics {
    line.seconds = Default::default();
    line
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_others() {
    let run = |seed| {
        let mut config = config(3);
        config.run.seed = seed;
        let (trainer, metrics) = train(config, &Device::flex());
        let metrics: Vec<_> = metrics.into_iter().map(timeless).collect();
        (weights(&trainer.learner.policy), metrics)
    };
    let (first, again, other) = (run(1), run(1), run(2));
    assert_eq!(first, again);
    assert_ne!(first.0, other.0);
}

#[test]
#[cfg(feature = "parallel")]
fn the_number_of_threads_changes_no_episode() {
    let config = config(1);
    let (policy, encoder) = scorer(&config, &Device::flex());
    let tasks: Vec<usize> = (0..12).collect();
    let plan = Plan {
        tasks: &tasks,
        first_group: 0,
        episodes: 8,
        sampling: Sampling::Temperature(1.0),
        seed: 3,
        iteration: 5,
    };
    let play = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| collect(&BALLS, &policy, &encoder, &plan).unwrap())
    };
    let (one, four) = (play(1), play(4));
    assert_eq!(one.records(), four.records());
    assert_eq!(one.responses, four.responses);
}

#[test]
#[cfg(feature = "parallel")]
fn the_number_of_threads_changes_no_bit_of_the_training() {
    let run = |config: Config, threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (trainer, metrics) = pool.install(|| train(config, &Device::flex()));
        (weights(&trainer.learner.policy), metrics.into_iter().map(timeless).collect::<Vec<_>>())
    };
    for config in [
        config(3),
        embedding_config(Engine::Host),
        embedding_config(Engine::Device),
        value_config(Estimator::Ppo, 0.0, 3),
        value_config(Estimator::Proxmo, 0.5, 3),
    ] {
        assert_eq!(run(config.clone(), 1), run(config, 4));
    }
}

#[test]
fn groups_played_apart_and_put_together_are_groups_played_together() {
    let config = config(1);
    let (policy, encoder) = scorer(&config, &Device::flex());
    let play = |tasks: &[usize], first_group| {
        let sampling = Sampling::Temperature(1.0);
        let plan = Plan { tasks, first_group, episodes: 3, sampling, seed: 3, iteration: 5 };
        collect(&BALLS, &policy, &encoder, &plan).unwrap()
    };
    let mut whole = play(&[4, 9, 1, 7], 0);
    let mut parts = play(&[4, 9], 0);
    parts.append(play(&[1, 7], 2)).unwrap();
    assert_eq!(parts.records(), whole.records());
    for batch in [&mut whole, &mut parts] {
        batch.retain_groups(|batch, group| batch.tasks[group] != 9);
        assert_eq!(batch.tasks, [4, 1, 7]);
        assert_eq!((batch.groups(), batch.episodes()), (3, 9));
    }
    assert_eq!(parts.records(), whole.records());
    assert_eq!(parts.responses.tokens, whole.responses.tokens);
    // The policy's inputs are put together too: its log-probabilities are those of the rollout.
    let rows: Vec<usize> = (0..parts.rows()).collect();
    let scores = policy.evaluate(&parts.inputs, &rows, &parts.responses, 1.0);
    let found = scores.log_probs.into_data().try_to_vec::<f32>().unwrap();
    for (found, drawn) in found.iter().zip(&parts.responses.log_probs) {
        assert!((found - drawn).abs() < 1e-5, "{found} and {drawn}");
    }
}

#[test]
fn zero_variance_groups_can_be_replaced_or_dropped() {
    let steps = |resample| {
        let mut config = config(1);
        config.rollout.max_resampling_rounds = resample;
        train(config, &Device::flex()).1[0].steps
    };
    assert!(steps(2) > steps(0), "no group was replaced");
    // A group of one episode compares nothing, so there is nothing to learn from.
    let mut config = config(1);
    config.rollout.group_size = 1;
    config.rollout.drop_zero_variance = true;
    let before = trainer(config.clone(), &Device::flex());
    let (after, metrics) = train(config, &Device::flex());
    assert_eq!(weights(&before.learner.policy), weights(&after.learner.policy));
    assert!(metrics[0].steps > 0 && metrics[0].loss == 0.0, "{:?}", metrics[0]);
}

#[test]
fn shards_change_only_rounding() {
    let run = |shards| {
        let mut config = config(1);
        config.update.shards = shards;
        let (trainer, mut metrics) = train(config, &Device::flex());
        (weights(&trainer.learner.policy), metrics.remove(0))
    };
    let ((whole, a), (cut, b)) = (run(1), run(5));
    for (a, b) in [
        (a.loss, b.loss),
        (a.kl, b.kl),
        (a.entropy, b.entropy),
        (a.clip_fraction, b.clip_fraction),
        (a.gradient_norm, b.gradient_norm),
    ] {
        assert!((a - b).abs() <= 1e-5 * a.abs().max(1.0), "{a} and {b}");
    }
    let worst = whole.iter().zip(&cut).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= PARITY_BOUND, "weights differ by {worst:e}");
}

/// Iterations after which the engines are compared: 24 updates.
const ENGINE_ITERATIONS: u64 = 4;

/// A training that compares the policy's embeddings, with an engine.
fn embedding_config(engine: Engine) -> Config {
    let mut config = config(ENGINE_ITERATIONS);
    config.credit.embedding = Embedding::Policy;
    config.credit.engine = engine;
    config
}

/// The device engine trains like the host engine on the same device: the same episodes, and credit
/// diagnostics and weights that differ by rounding. Returns how many shaders each engine launched.
fn assert_same_credit(name: &str, device: &Device) -> [u64; 2] {
    let before = launches();
    let (host, expected) = train(embedding_config(Engine::Host), device);
    let between = launches();
    let (other, found) = train(embedding_config(Engine::Device), device);
    let after = launches();
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(expected.success, found.success, "{name}: other episodes");
        for key in ["neighbours", "explained_variance", "leave_one_out_error"] {
            let [a, b] = [expected, found].map(|line| line.credit[key].as_f64().unwrap());
            assert!((a - b).abs() <= 1e-2 * a.abs().max(1.0), "{name}: {key} {a} and {b}");
        }
    }
    let (a, b) = (weights(&host.learner.policy), weights(&other.learner.policy));
    let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("{name}: the engines' weights differ by at most {worst:e}");
    // Adam turns a gradient that is 0 but for rounding into steps of up to the learning rate; that the
    // engines give the same advantages is tested elsewhere.
    let bound = 2.0 * embedding_config(Engine::Host).update.learning_rate as f32;
    assert!(a.len() == b.len() && worst <= bound, "{name}: weights differ by {worst:e}");
    [between - before, after - between]
}

fn launches() -> u64 {
    #[cfg(feature = "wgpu")]
    return proxmo::kernels::wgsl_launches();
    #[cfg(not(feature = "wgpu"))]
    return 0;
}

#[test]
fn the_device_engine_trains_like_the_host_engine_on_a_cpu() {
    assert_same_credit("flex", &Device::flex());
}

#[test]
fn auto_is_the_device_engine_on_a_cpu_bit_for_bit() {
    let run = |engine| {
        let (trainer, metrics) = train(embedding_config(engine), &Device::flex());
        (weights(&trainer.learner.policy), metrics.into_iter().map(timeless).collect::<Vec<_>>())
    };
    assert_eq!(run(Engine::Auto), run(Engine::Device));
    assert_ne!(run(Engine::Auto).0, run(Engine::Host).0, "the engines round differently");
}

#[test]
fn credit_settings_that_do_not_fit_training_are_refused_before_an_episode_is_played() {
    let refused = |change: fn(&mut Config)| {
        let mut config = config(1);
        change(&mut config);
        assert!(config.validate().is_err());
        trainer(config, &Device::flex()).iterate(&BALLS, 0.0).unwrap_err().to_string()
    };
    let given = refused(|config| config.credit.embedding = Embedding::Given);
    assert!(given.contains("'credit.embedding': is 'given'") && given.contains("'policy'"));
    let device = refused(|config| config.credit.engine = Engine::Device);
    assert!(device.contains("'credit.engine': is 'device', but the embeddings are computed"));
}

/// The number of iterations after which backends are compared, and the bound between their weights. Sums of
/// f32 in another order differ by about 1e-7 of the sum; after three iterations of six updates, with
/// AdamW's division by the gradient's own size, the measured distance is below a hundredth of this bound.
const PARITY_ITERATIONS: u64 = 3;
const PARITY_BOUND: f32 = 1e-3;

fn assert_same_training(name: &str, device: &Device) {
    let (flex, expected) = train(config(PARITY_ITERATIONS), &Device::flex());
    let (other, found) = train(config(PARITY_ITERATIONS), device);
    for (expected, found) in expected.iter().zip(&found) {
        let at = expected.iteration;
        assert_eq!(expected.success, found.success, "{name}: other episodes at iteration {at}");
        assert_eq!(expected.length, found.length, "{name}: other episodes at iteration {at}");
        for (what, a, b) in [
            ("loss", expected.loss, found.loss),
            ("kl", expected.kl, found.kl),
            ("entropy", expected.entropy, found.entropy),
            ("gradient norm", expected.gradient_norm, found.gradient_norm),
        ] {
            let bound = 1e-4 * a.abs().max(1.0);
            assert!((a - b).abs() <= bound, "{name}: {what} {a} and {b} at iteration {at}");
        }
    }
    let (a, b) = (weights(&flex.learner.policy), weights(&other.learner.policy));
    let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("{name}: weights differ by at most {worst:e}");
    assert!(a.len() == b.len() && worst <= PARITY_BOUND, "{name}: weights differ by {worst:e}");
    assert_same_updates(name, device);
}

/// Twenty updates on the same rows from the same weights, as `proxmo verify` compares them: losses,
/// gradients and weights of each, and both engines' credit.
fn assert_same_updates(name: &str, device: &Device) {
    let tests: Vec<_> = TESTS.iter().filter(|test| test.name.starts_with("training")).collect();
    assert_eq!((tests.len(), training::UPDATES), (4, 20));
    for test in tests {
        let found = test.on(device);
        println!("{name}: {}: {:?} of {:?}", found.test, found.worst_error, found.bound);
        assert!(found.ok, "{name}: {}: {:#?}", found.test, found.failures);
        assert!(found.compared >= 20, "{}", found.test);
    }
}

#[test]
fn flex_trains_the_same_twice() {
    assert_same_updates("flex", &Device::flex());
}

#[test]
#[cfg(feature = "wgpu")]
fn gpus_train_like_flex_and_assign_credit_through_shaders() {
    let done = Cell::new(false);
    on_every_device(|device, adapter| {
        // With autotune every shape is tried with many kernels, which takes a software GPU minutes, so
        // one GPU has to do.
        if adapter.max_invocations == 0 || (cfg!(feature = "autotune") && done.get()) {
            return;
        }
        done.set(true);
        let name = format!("{} on {}", adapter.backend, adapter.name);
        assert_same_training(&name, device);
        // The engines' runs have more shapes than autotune can try on a software GPU in minutes.
        if cfg!(feature = "autotune") {
            return;
        }
        // The host engine launches no kernel of this crate. The device engine launches six in every
        // iteration: two for episodes, and two for each of two proximities.
        let [host, device] = assert_same_credit(&name, device);
        assert_eq!((host, device), (0, 6 * ENGINE_ITERATIONS), "{name}");
    });
}

#[test]
#[cfg(feature = "ndarray")]
fn ndarray_trains_like_flex() {
    let opened = open(Backend::Ndarray, 0).unwrap();
    assert_same_training("ndarray", &opened.device);
    assert_same_credit("ndarray", &opened.device);
}
