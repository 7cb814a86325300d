//! Returns, the episode part, and the whole as credit assignment has it.

use burn::tensor::Device;
use proxmo::credit::{
    Beta, Credit, CreditConfig, Curve, Embedding, Estimator, Inclusion, Normalize, Statistics,
    SuccessPrior, Temperature, assign,
};
use proxmo::device::Backend;
use proxmo::episodes::{Batch, Episode, Layout, Step};
use proxmo::kernels::{
    EpisodeOptions, Excluded, Modulation, ProximityOptions, ProxmoOptions, discounted_returns,
    episode_advantages, proximity, proxmo_advantages,
};
use proxmo::verify::cases::Case;
use proxmo::verify::{Played, episode_options};

use super::devices::{error, matrix, numbers, on_every_device, vector};

const SIZES: &[usize] = &[1, 90, 3, 1, 17, 64, 2, 200];

fn case() -> Case {
    Case::of(SIZES, 12, 1)
}

/// What credit assignment says.
fn credit(case: &Case, played: &Played, config: &CreditConfig) -> Credit {
    let layout = case.layout().unwrap();
    let mut builder = Batch::builder();
    for group in layout.group_episodes() {
        builder.push_group(group.map(|episode| {
            let step = |row: usize| {
                let embedding = &case.embeddings[row * case.width..(row + 1) * case.width];
                Step::new(row.to_string(), played.rewards[row]).embedding(embedding)
            };
            let steps = layout.rows_of_episode(episode).map(step);
            Episode::new().steps(steps).success(played.success[episode])
        }));
    }
    let batch = builder.build().unwrap();
    assign(&batch, config).unwrap()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

#[test]
fn returns_and_baselines_are_those_of_credit_assignment() {
    let case = case();
    let (played, layout) = (Played::of(&case), case.layout().unwrap());
    let settings = [
        (Inclusion::Include, Inclusion::Include, Excluded::Nobody),
        (Inclusion::Exclude, Inclusion::Include, Excluded::Itself),
        (Inclusion::Include, Inclusion::Exclude, Excluded::Episode),
    ];
    for (self_weight, same_episode, excluded) in settings {
        let config = CreditConfig {
            embedding: Embedding::Given,
            temperature: Temperature::Fixed(0.2),
            self_weight,
            same_episode,
            ..CreditConfig::default()
        };
        let credit = credit(&case, &played, &config);
        on_every_device(|device, adapter| {
            let rewards = vector(&played.rewards, device);
            let returns = discounted_returns(rewards, &layout, 0.95).unwrap();
            let embeddings = matrix(&case.embeddings, case.width, device);
            let options = ProximityOptions { temperature: 0.2, excluded };
            let column = returns.clone().unsqueeze_dim(1);
            let found = proximity(embeddings, column, &layout, &options).unwrap();
            let off = error(&numbers(returns), &wide(&credit.returns), "returns");
            assert!(off < 1e-6, "returns are off by {off} on {}", adapter.name);
            let off = error(&numbers(found.means), &wide(&credit.baselines), "baselines");
            assert!(off < 2e-5, "baselines are off by {off} on {}", adapter.name);
            let neighbours = wide(&numbers(found.neighbours));
            let mean = neighbours.iter().sum::<f64>() / neighbours.len() as f64;
            let expected = credit.diagnostics.neighbours.unwrap();
            assert!((mean / expected - 1.0).abs() < 1e-5, "{mean}, not {expected} neighbours");
        });
    }
}

/// Embeddings in, advantages out: nothing else need leave a device.
#[test]
fn proxmo_on_a_device_is_credit_assignment() {
    let case = case();
    let (played, layout) = (Played::of(&case), case.layout().unwrap());
    let config = CreditConfig {
        embedding: Embedding::Given,
        temperature: Temperature::Fixed(0.2),
        step_weight: 0.7,
        episode_weight: 1.3,
        ..CreditConfig::default()
    };
    let credit = credit(&case, &played, &config);
    let options = ProxmoOptions {
        step_weight: 0.7,
        episode_weight: 1.3,
        proximity: ProximityOptions { temperature: 0.2, excluded: Excluded::Nobody },
        ..ProxmoOptions::default()
    };
    on_every_device(|device, adapter| {
        let embeddings = matrix(&case.embeddings, case.width, device);
        let (rewards, success) = (vector(&played.rewards, device), vector(&played.flags(), device));
        let found = proxmo_advantages(embeddings, rewards, success, &layout, &options).unwrap();
        let off = error(&numbers(found.advantages), &wide(&credit.advantages), "advantages");
        assert!(off < 2e-5, "advantages are off by {off} on {}", adapter.name);
        let off = error(&numbers(found.baselines), &wide(&credit.baselines), "baselines");
        assert!(off < 2e-5, "baselines are off by {off} on {}", adapter.name);
    });
}

/// The same question to credit assignment.
fn question(options: &EpisodeOptions) -> CreditConfig {
    let wide = |curve: Modulation| Curve {
        steepness: f64::from(curve.steepness),
        range: f64::from(curve.range),
    };
    let [successes, failures] = options.prior.map(f64::from);
    CreditConfig {
        estimator: Estimator::Gigpo,
        statistics: if options.by_step { Statistics::Step } else { Statistics::Episode },
        normalize: if options.scaled { Normalize::MeanStd } else { Normalize::Mean },
        modulation: match options.modulation {
            Some(curve) => proxmo::credit::Modulation::On(wide(curve)),
            None => proxmo::credit::Modulation::Off,
        },
        success_prior: if successes + failures > 0.0 {
            SuccessPrior::Beta(Beta { successes, failures })
        } else {
            SuccessPrior::None
        },
        ..CreditConfig::default()
    }
}

#[test]
fn the_episode_part_is_that_of_credit_assignment() {
    let case = case();
    let (played, layout) = (Played::of(&case), case.layout().unwrap());
    let questions: Vec<_> = episode_options()
        .into_iter()
        .map(|options| (credit(&case, &played, &question(&options)), options))
        .collect();
    on_every_device(|device, adapter| {
        for (credit, options) in &questions {
            let (rewards, success) =
                (vector(&played.rewards, device), vector(&played.flags(), device));
            let found = episode_advantages(rewards, success, &layout, options).unwrap();
            let expected = wide(&credit.episode_advantages);
            let off = error(&numbers(found.advantages), &expected, "advantages");
            assert!(off < 1e-5, "{options:?} is off by {off} on {}", adapter.name);
            if options.modulation.is_some() {
                let rates = credit.diagnostics.modulation.iter().map(|group| group.success_rate);
                let rates: Vec<f64> = rates.collect();
                let statistics = numbers(found.statistics);
                let found: Vec<f32> = statistics.chunks_exact(3).map(|group| group[0]).collect();
                assert!(error(&found, &rates, "success rates") < 1e-6, "{}", adapter.name);
            }
        }
    });
}

#[test]
fn there_may_be_more_episodes_than_a_grid_is_long() {
    let episodes = 65_535 * 64 + 1;
    let offsets: Vec<usize> = (0..=episodes).collect();
    let layout = Layout::of_groups(&offsets).unwrap();
    let rewards: Vec<f32> = (0..episodes).map(|row| (row % 1000) as f32).collect();
    on_every_device(|device, adapter| {
        if adapter.backend == Backend::Vulkan {
            let returns = discounted_returns(vector(&rewards, device), &layout, 0.5).unwrap();
            assert!(numbers(returns) == rewards, "{}", adapter.name);
        }
    });
}

#[test]
fn options_out_of_range_are_named() {
    let device = Device::flex();
    let layout = Layout::of_groups(&[0, 1]).unwrap();
    let one = || vector(&[1.0], &device);
    let message = |options: EpisodeOptions| {
        episode_advantages(one(), one(), &layout, &options).unwrap_err().to_string()
    };
    let steep = Some(Modulation { steepness: 0.0, range: 0.1 });
    let steep = message(EpisodeOptions { modulation: steep, ..EpisodeOptions::default() });
    assert_eq!(steep, "setting 'modulation.steepness': is 0, expected a number above 0");
    let prior = message(EpisodeOptions { prior: [-1.0, 0.0], ..EpisodeOptions::default() });
    assert!(prior.starts_with("setting 'prior': is [-1.0, 0.0]"), "{prior}");
    let gamma = discounted_returns(one(), &layout, 1.5).unwrap_err().to_string();
    assert_eq!(gamma, "setting 'gamma': is 1.5, expected from 0 to 1");
    let two = vector(&[1.0, 2.0], &device);
    let long = discounted_returns(two, &layout, 0.5).unwrap_err().to_string();
    assert_eq!(long, "rewards: has 2 entries, expected 1, one for each row");
}
