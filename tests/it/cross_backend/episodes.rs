//! Each operation against credit assignment on the host.

use burn::tensor::Device;
use proxmo::credit::{
    Beta, Credit, CreditConfig, Curve, Embedding, Estimator, Modulation, SuccessPrior, Temperature,
    assign,
};
use proxmo::device::Backend;
use proxmo::episodes::{Batch, Episode, Layout, Step};
use proxmo::kernels::{discounted_returns, episode_advantages, proximity};
use proxmo::verify::cases::{Case, NEIGHBOURS};
use proxmo::verify::{EpisodeCase, episode_configs};

use super::devices::{error, matrix, numbers, on_every_device, vector};

const SIZES: &[usize] = &[1, 90, 3, 1, 17, 64, 2, 200];

fn case() -> Case {
    Case::of(SIZES, 12, 1)
}

/// Credit on the host.
fn credit(case: &Case, played: &EpisodeCase, config: &CreditConfig) -> Credit {
    let layout = case.layout().unwrap();
    let mut builder = Batch::builder();
    for group in layout.group_episodes() {
        builder.push_group(group.map(|episode| {
            let step = |row: usize| {
                let embedding = &case.embeddings[row * case.width..(row + 1) * case.width];
                Step::new(row.to_string(), played.rewards[row].into()).embedding(embedding)
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
fn returns_and_baselines_agree_with_the_host() {
    let case = case();
    let (played, layout) = (EpisodeCase::of(&case), case.layout().unwrap());
    for (self_weight, same_episode) in NEIGHBOURS {
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
            let column = returns.clone().unsqueeze_dim(1);
            let found = proximity(embeddings, column, &layout, &config).unwrap();
            let off = error(&numbers(returns), &credit.returns, "returns");
            assert!(off < 1e-6, "returns are off by {off} on {}", adapter.name);
            let off = error(&numbers(found.means), &credit.baselines, "baselines");
            assert!(off < 2e-5, "baselines are off by {off} on {}", adapter.name);
            let neighbours = wide(&numbers(found.neighbours));
            let mean = neighbours.iter().sum::<f64>() / neighbours.len() as f64;
            let expected = credit.diagnostics.neighbours.unwrap();
            assert!((mean / expected - 1.0).abs() < 1e-5, "{mean}, not {expected} neighbours");
        });
    }
}

#[test]
fn episode_parts_agree_with_the_host() {
    let case = case();
    let (played, layout) = (EpisodeCase::of(&case), case.layout().unwrap());
    // GiGPO has no use for embeddings.
    let configs: Vec<(Credit, CreditConfig)> = episode_configs()
        .into_iter()
        .map(|config| CreditConfig { estimator: Estimator::Gigpo, ..config })
        .map(|config| (credit(&case, &played, &config), config))
        .collect();
    on_every_device(|device, adapter| {
        for (credit, config) in &configs {
            let (rewards, success) =
                (vector(&played.rewards, device), vector(&played.flags(), device));
            let found = episode_advantages(rewards, success, &layout, config).unwrap();
            let expected = &credit.episode_advantages;
            let off = error(&numbers(found.advantages), expected, "advantages");
            assert!(off < 1e-5, "{config:?} is off by {off} on {}", adapter.name);
            if config.modulation != Modulation::Off {
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
fn more_episodes_than_the_length_of_a_grid_are_folded() {
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
fn settings_out_of_range_are_named() {
    let device = Device::flex();
    let layout = Layout::of_groups(&[0, 1]).unwrap();
    let one = || vector(&[1.0], &device);
    let message = |config: CreditConfig| {
        episode_advantages(one(), one(), &layout, &config).unwrap_err().to_string()
    };
    let curve = Curve { steepness: 0.0, range: 0.1 };
    let steep =
        message(CreditConfig { modulation: Modulation::On(curve), ..CreditConfig::default() });
    assert!(steep.contains("credit.modulation.steepness"), "{steep}");
    let beta = Beta { successes: -1.0, failures: 0.0 };
    let prior = message(CreditConfig {
        success_prior: SuccessPrior::Beta(beta),
        ..CreditConfig::default()
    });
    assert!(prior.contains("credit.success_prior"), "{prior}");
    let gamma = discounted_returns(one(), &layout, 1.5).unwrap_err().to_string();
    assert_eq!(gamma, "setting 'credit.gamma': is 1.5, expected from 0 to 1");
    let two = vector(&[1.0, 2.0], &device);
    let long = discounted_returns(two, &layout, 0.5).unwrap_err().to_string();
    assert_eq!(long, "rewards: has 2 entries, expected 1, one for each row");
}
