//! The device engine against the host engine and the oracle, over random batches and settings.

use burn::tensor::Device;
use proxmo::credit::{
    Beta, Credit, CreditConfig, CreditState, Curve, Embedding, Estimator, Inclusion, Modulation,
    Normalize, Statistics, SuccessPrior, Temperature, assign_with,
};
use proxmo::device::Backend;
use proxmo::episodes::{Batch, Embeddings, Episode, Values};
use proxmo::kernels::{assign, unsupported};
use proxmo::stream::{Purpose, Stream};
use proxmo::verify::{distance, oracle};
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::devices::{matrix, on_every_device};

/// The bound of every vector of credit, as a share of its largest number, if nothing is scaled.
const BOUND: f64 = 1e-5;

/// The same if advantages are divided by deviations, which here are at least a hundredth of the returns.
const SCALED_BOUND: f64 = 1e-4;

/// A random batch with an embedding of every row: equal, opposite, close and zero ones among them.
fn batch(rng: &mut ChaCha8Rng) -> (Batch, usize) {
    let width = rng.random_range(1..=20);
    let number = |rng: &mut ChaCha8Rng| rng.random_range(-1.0..1.0f32);
    let mut states: Vec<Vec<f32>> =
        (0..8).map(|_| (0..width).map(|_| number(rng)).collect()).collect();
    states[0].fill(0.0);
    states[2] = states[1].iter().map(|value| -value).collect();
    states[3] = states[1].iter().map(|value| value + 0.01).collect();
    let step_rewards = rng.random_bool(0.3);
    let mut builder = Batch::builder();
    for _ in 0..rng.random_range(1..=5) {
        let chance = [0.0, 0.5, 1.0].choose(rng).copied().unwrap_or_default();
        let episodes = rng.random_range(1..=6);
        let mut group = Vec::new();
        for _ in 0..episodes {
            let success = rng.random_bool(chance);
            let mut episode = Episode::new().success(success);
            let steps = rng.random_range(0..=8);
            for step in 0..steps {
                let mut reward = if step_rewards { 0.125 * f64::from(step) } else { 0.0 };
                if success && step + 1 == steps {
                    reward += 10.0;
                }
                let room = rng.random_range(0..6);
                episode = episode.step(format!("a room with {room} doors"), reward);
            }
            group.push(episode);
        }
        builder.push_group(group);
    }
    // One row at least, and one that equals no other.
    builder.push_group([Episode::new().step("a garden", 1.0).success(true)]);
    let batch = builder.build().unwrap();
    let values = (0..batch.rows()).flat_map(|_| states.choose(rng).cloned().unwrap_or_default());
    let embeddings = Embeddings::Steps { values: values.collect(), width };
    let batch = batch.with_embeddings(embeddings).unwrap();
    let mut estimates =
        |count: usize| (0..count).map(|_| rng.random_range(-1.0..10.0)).collect::<Vec<f64>>();
    let values = Values { states: estimates(batch.rows()), ends: estimates(batch.episodes()) };
    (batch.with_values(values).unwrap(), width)
}

/// Random settings of an estimator that has kernels.
fn config(estimator: Estimator, rng: &mut ChaCha8Rng) -> CreditConfig {
    fn one<T: Copy>(of: &[T], rng: &mut ChaCha8Rng) -> T {
        of[rng.random_range(0..of.len())]
    }
    let inclusion = [Inclusion::Include, Inclusion::Exclude];
    let scaling: &[Normalize] = match estimator {
        Estimator::DrGrpo | Estimator::Rloo => &[Normalize::Mean, Normalize::Auto],
        _ => &[Normalize::Mean, Normalize::MeanStd, Normalize::Auto],
    };
    let curve = Curve { steepness: rng.random_range(0.5..5.0), range: rng.random_range(0.0..1.0) };
    let beta = Beta { successes: rng.random_range(0.0..3.0), failures: rng.random_range(0.0..3.0) };
    let temperature = Temperature::Fixed(rng.random_range(0.05..1.0));
    let normalize = one(scaling, rng);
    let divides = CreditConfig { normalize, ..CreditConfig::of(estimator) }.resolved().normalize
        == Normalize::MeanStd;
    CreditConfig {
        estimator,
        embedding: Embedding::Given,
        value_weight: if divides { 0.0 } else { one(&[0.0, 0.3, 1.0], rng) },
        gamma: one(&[0.0, 0.9, 0.95, 1.0], rng),
        step_weight: rng.random_range(0.0..2.0),
        episode_weight: rng.random_range(0.0..2.0),
        normalize,
        statistics: one(&[Statistics::Episode, Statistics::Step], rng),
        modulation: one(&[Modulation::Auto, Modulation::Off, Modulation::On(curve)], rng),
        success_prior: one(
            &[SuccessPrior::None, SuccessPrior::Beta(beta), SuccessPrior::Fitted],
            rng,
        ),
        temperature: one(&[temperature, temperature, Temperature::Auto], rng),
        self_weight: one(&inclusion, rng),
        same_episode: one(&inclusion, rng),
        similarity: one(&[None, Some(0.9)], rng),
        ..CreditConfig::default()
    }
}

/// The device engine's credit, from the batch's embeddings on the device.
fn on_device(
    batch: &Batch,
    width: usize,
    config: &CreditConfig,
    device: &Device,
    state: &mut CreditState,
) -> Credit {
    let Some(Embeddings::Steps { values, .. }) = batch.embeddings() else { unreachable!() };
    assign(batch, Some(matrix(values, width, device)), device, config, state).unwrap()
}

fn assert_near(found: &[f64], expected: &[f64], bound: f64, name: &str) {
    let found: Vec<f32> = found.iter().map(|&value| value as f32).collect();
    let off = distance(&found, expected).unwrap_or_else(|message| panic!("{name}{message}"));
    assert!(off <= bound, "{name} is off by {off:e} of {bound:e}");
}

fn assert_agree(found: &Credit, expected: &Credit, scaled: bool, name: &str) {
    let bound = if scaled { SCALED_BOUND } else { BOUND };
    for (what, found, expected) in [
        ("returns", &found.returns, &expected.returns),
        ("episode parts", &found.episode_advantages, &expected.episode_advantages),
        ("step parts", &found.step_advantages, &expected.step_advantages),
        ("advantages", &found.advantages, &expected.advantages),
        ("baselines", &found.baselines, &expected.baselines),
    ] {
        assert_near(found, expected, bound, &format!("{what} of {name}"));
    }
    let (found, expected) = (&found.diagnostics, &expected.diagnostics);
    assert_eq!(
        (found.rows, found.states, found.lone_rows, found.temperature),
        (expected.rows, expected.states, expected.lone_rows, expected.temperature),
        "{name}"
    );
    for (what, found, expected) in [
        ("neighbours", found.neighbours, expected.neighbours),
        ("explained variance", found.explained_variance, expected.explained_variance),
        ("leave-one-out error", found.leave_one_out_error, expected.leave_one_out_error),
    ] {
        assert_eq!(found.is_some(), expected.is_some(), "{what} of {name}");
        let (found, expected) = (found.unwrap_or_default(), expected.unwrap_or_default());
        let off = (found - expected).abs() / expected.abs().max(1.0);
        assert!(off < 1e-4, "{what} of {name}: {found}, not {expected}");
    }
    assert_eq!(found.modulation.len(), expected.modulation.len(), "{name}");
    for (found, expected) in found.modulation.iter().zip(&expected.modulation) {
        for (found, expected) in [
            (found.success_rate, expected.success_rate),
            (found.on_success, expected.on_success),
            (found.on_failure, expected.on_failure),
        ] {
            assert!((found - expected).abs() < 1e-5, "{found}, not {expected} in {name}");
        }
    }
}

/// The oracle's credit, if it defines the settings.
fn assert_oracle(found: &Credit, batch: &Batch, config: &CreditConfig, bound: f64, name: &str) {
    let Ok(expected) = oracle::credit(batch, config) else { return };
    for (what, found, expected) in [
        ("returns", &found.returns, &expected.returns),
        ("episode parts", &found.episode_advantages, &expected.episode),
        ("step parts", &found.step_advantages, &expected.step),
        ("advantages", &found.advantages, &expected.advantages),
    ] {
        assert_near(found, expected, bound, &format!("{what} of {name}, by the oracle"));
    }
}

fn check(seed: u64, estimator: Estimator, device: &Device, on: &str) {
    let mut rng = Stream::new(seed, Purpose::Generator).rng();
    let (batch, width) = batch(&mut rng);
    let config = config(estimator, &mut rng);
    let name = format!("seed {seed} on {on} with {config:?}");
    let scaled = config.resolved().normalize == Normalize::MeanStd;
    let (mut host_state, mut state) = (CreditState::default(), CreditState::default());
    let host = assign_with(&batch, &config, &mut host_state).unwrap();
    let found = on_device(&batch, width, &config, device, &mut state);
    for (a, b) in state.prediction_errors.iter().zip(&host_state.prediction_errors) {
        assert!((a - b).abs() < 1e-4 * b.max(1.0), "prediction errors of {name}: {a}, not {b}");
    }
    assert_eq!(state.prediction_errors.len(), host_state.prediction_errors.len(), "{name}");
    // Of temperatures that predict equally well either may be chosen.
    if found.diagnostics.temperature == host.diagnostics.temperature {
        assert_agree(&found, &host, scaled, &name);
    }
    assert_oracle(&host, &batch, &config, if scaled { 1e-5 } else { 1e-6 }, &name);
    assert_oracle(&found, &batch, &config, if scaled { SCALED_BOUND } else { BOUND }, &name);
}

#[test]
fn engines_and_oracle_agree_for_every_estimator_with_kernels() {
    let with_kernels: Vec<Estimator> = Estimator::ALL
        .iter()
        .copied()
        .filter(|&estimator| unsupported(&CreditConfig::of(estimator)).is_none())
        .collect();
    assert_eq!(with_kernels.len(), 5);
    on_every_device(|device, adapter| {
        let is_cpu = matches!(adapter.backend, Backend::Flex | Backend::Ndarray);
        for &estimator in &with_kernels {
            let seeds = match (is_cpu, estimator) {
                (true, _) => 60,
                (false, Estimator::Proxmo) => 8,
                (false, _) => 4,
            };
            for seed in 0..seeds {
                check(seed, estimator, device, &adapter.name);
            }
        }
    });
}

#[test]
fn an_automatic_temperature_is_smoothed_over_batches_as_on_the_host() {
    let mut rng = Stream::new(3, Purpose::Generator).rng();
    let config = CreditConfig {
        embedding: Embedding::Given,
        temperature: Temperature::Auto,
        ..CreditConfig::default()
    };
    let (mut host, mut device) = (CreditState::default(), CreditState::default());
    for _ in 0..5 {
        let (batch, width) = batch(&mut rng);
        let expected = assign_with(&batch, &config, &mut host).unwrap();
        let found = on_device(&batch, width, &config, &Device::flex(), &mut device);
        assert_eq!(found.diagnostics.temperature, expected.diagnostics.temperature);
    }
    assert!(host.prediction_errors.iter().any(|&error| error > 0.0));
}

#[test]
fn inputs_that_the_device_engine_cannot_take_are_refused() {
    let mut rng = Stream::new(0, Purpose::Generator).rng();
    let (batch, width) = batch(&mut rng);
    let device = Device::flex();
    let message = |estimator, embeddings: Option<Vec<f32>>| {
        let embeddings = embeddings.map(|values| matrix(&values, width, &device));
        let (config, mut state) = (CreditConfig::of(estimator), CreditState::default());
        assign(&batch, embeddings, &device, &config, &mut state).unwrap_err().to_string()
    };
    let hgpo = message(Estimator::Hgpo, None);
    assert!(hgpo.contains("estimator 'hgpo' has no kernels"), "{hgpo}");
    let missing = message(Estimator::Proxmo, None);
    assert!(missing.starts_with("embeddings: are missing"), "{missing}");
    let short = message(Estimator::Proxmo, Some(vec![1.0; width]));
    assert!(short.starts_with("embeddings: is 1 by"), "{short}");
    let mut values = vec![1.0; width * batch.rows()];
    values[0] = f32::NAN;
    let nan = message(Estimator::Proxmo, Some(values));
    assert!(nan.contains("an embedding is NaN or infinite"), "{nan}");
}
