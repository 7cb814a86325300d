//! Returns, the episode part, and the whole as credit assignment has it.

use burn::tensor::Device;
use proxmo::credit::{
    Beta, CreditBatch, CreditConfig, Curve, Embedding, Embeddings, Estimator, Inclusion, Normalize,
    Statistics, SuccessPrior, Temperature, assign,
};
use proxmo::device::Backend;
use proxmo::kernels::{
    EpisodeOptions, Excluded, Layout, Modulation, ProximityOptions, discounted_returns,
    episode_advantages, proximity,
};
use rand::Rng;

use super::cases::{Case, rng};
use super::devices::{error, litter, matrix, numbers, on_every_device, vector};

/// Rewards and successes to a case's rows.
struct Played {
    case: Case,
    rewards: Vec<f32>,
    success: Vec<bool>,
}

impl Played {
    fn of(sizes: &[usize]) -> Self {
        let case = Case::of(sizes, 12, 1);
        let mut rng = rng(case.rows());
        let rewards = (0..case.rows()).map(|_| rng.random_range(-1.0..2.0)).collect();
        let episodes = case.episode_offsets.len() - 1;
        let success = (0..episodes).map(|_| rng.random_bool(0.4)).collect();
        Self { case, rewards, success }
    }

    /// Success as a kernel reads it.
    fn flags(&self) -> Vec<f32> {
        self.success.iter().map(|&won| if won { 1.0 } else { 0.0 }).collect()
    }

    /// What credit assignment says.
    fn credit(&self, config: &CreditConfig) -> proxmo::credit::Credit {
        let rows = self.case.rows();
        let texts: Vec<String> = (0..rows).map(|row| row.to_string()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let observations: Vec<u32> = (0..rows as u32).collect();
        let batch = CreditBatch {
            group_offsets: &self.case.group_offsets,
            episode_offsets: &self.case.episode_offsets,
            rewards: &self.rewards,
            success: &self.success,
            valid: &vec![true; rows],
            observations: &observations,
            texts: &texts,
            final_observations: None,
            embeddings: Some(Embeddings::Steps {
                values: &self.case.embeddings,
                width: self.case.width,
            }),
        };
        assign(&batch, config).unwrap()
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

const SIZES: &[usize] = &[1, 90, 3, 1, 17, 64, 2, 200];

#[test]
fn returns_and_baselines_are_those_of_credit_assignment() {
    let played = Played::of(SIZES);
    let layout = played.case.layout();
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
        let credit = played.credit(&config);
        on_every_device(|device, adapter| {
            let rewards = vector(&played.rewards, device);
            let returns = discounted_returns(rewards, &layout, 0.95).unwrap();
            let embeddings = matrix(&played.case.embeddings, played.case.width, device);
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

/// The same question to credit assignment and to the kernels.
fn questions() -> Vec<(CreditConfig, EpisodeOptions)> {
    let mut questions = Vec::new();
    for statistics in [Statistics::Episode, Statistics::Step] {
        for normalize in [Normalize::Mean, Normalize::MeanStd] {
            for (steepness, range) in [(4.0, 0.05), (0.5, 0.8), (1.0, 0.0)] {
                for prior in [None, Some([1.0, 3.0])] {
                    let curve = Curve { steepness, range };
                    let config = CreditConfig {
                        estimator: Estimator::Gigpo,
                        statistics,
                        normalize,
                        modulation: proxmo::credit::Modulation::On(curve),
                        success_prior: prior.map_or(SuccessPrior::None, |[won, lost]| {
                            SuccessPrior::Beta(Beta { successes: won, failures: lost })
                        }),
                        ..CreditConfig::default()
                    };
                    let (steepness, range) = (steepness as f32, range as f32);
                    let options = EpisodeOptions {
                        by_step: statistics == Statistics::Step,
                        scaled: normalize == Normalize::MeanStd,
                        modulation: Some(Modulation { steepness, range }),
                        prior: prior.map_or([0.0; 2], |prior| prior.map(|count| count as f32)),
                    };
                    questions.push((config, options));
                }
            }
        }
    }
    questions
}

#[test]
fn the_episode_part_is_that_of_credit_assignment() {
    let played = Played::of(SIZES);
    let layout = played.case.layout();
    let questions: Vec<_> = questions()
        .into_iter()
        .map(|(config, options)| (played.credit(&config), options))
        .collect();
    on_every_device(|device, adapter| {
        let mut worst = 0f64;
        for (credit, options) in &questions {
            litter(300, device);
            let (rewards, success) =
                (vector(&played.rewards, device), vector(&played.flags(), device));
            let found = episode_advantages(rewards, success, &layout, options).unwrap();
            let expected = wide(&credit.episode_advantages);
            let off = error(&numbers(found.advantages), &expected, "advantages");
            assert!(off < 1e-5, "{options:?} is off by {off} on {}", adapter.name);
            let rates = credit.diagnostics.modulation.iter().map(|group| group.success_rate);
            let rates: Vec<f64> = rates.collect();
            let statistics = numbers(found.statistics);
            let found: Vec<f32> = statistics.chunks_exact(3).map(|group| group[0]).collect();
            assert!(error(&found, &rates, "success rates") < 1e-6, "{}", adapter.name);
            worst = worst.max(off);
        }
        println!("{} ({}): worst error {worst:.1e}", adapter.backend, adapter.name);
    });
}

#[test]
fn poison_stays_in_its_group_and_goes_back_in_time() {
    let played = Played::of(&[9, 6, 9]);
    let layout = played.case.layout();
    let options = EpisodeOptions { scaled: true, ..EpisodeOptions::default() };
    for poison in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut rewards = played.rewards.clone();
        rewards[4] = poison;
        let mut success = played.flags();
        success[7] = poison;
        on_every_device(|device, adapter| {
            let tensor = vector(&rewards, device);
            let returns = numbers(discounted_returns(tensor.clone(), &layout, 0.9).unwrap());
            let unsound: Vec<usize> = (0..24).filter(|&row| returns[row].is_nan()).collect();
            assert_eq!(unsound, [3, 4], "{}", adapter.name);
            assert!(returns.iter().all(|value| !value.is_infinite()), "{}", adapter.name);
            let success = vector(&success, device);
            let found = episode_advantages(tensor, success, &layout, &options).unwrap();
            let (rows, groups) = (numbers(found.advantages), numbers(found.statistics));
            let unsound = |values: &[f32]| values.iter().all(|value| value.is_nan());
            let sound = |values: &[f32]| values.iter().all(|value| value.is_finite());
            assert!(unsound(&rows[..9]) && sound(&rows[9..15]) && unsound(&rows[15..]));
            assert!(unsound(&groups[..3]) && sound(&groups[3..6]) && unsound(&groups[6..]));
        });
    }
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
fn long_episodes_and_empty_ones_are_discounted() {
    let layout = Layout::new(&[0, 3, 3], &[0, 0, 3000, 3001]).unwrap();
    let rewards = vec![1.0; 3001];
    let mut expected = vec![0.0; 3001];
    let mut following = 0.0;
    for row in (0..3000).rev() {
        following = 1.0 + f64::from(0.99f32) * following;
        expected[row] = following;
    }
    expected[3000] = 1.0;
    on_every_device(|device, adapter| {
        let returns = discounted_returns(vector(&rewards, device), &layout, 0.99).unwrap();
        let off = error(&numbers(returns), &expected, "returns");
        assert!(off < 1e-5, "off by {off} on {}", adapter.name);
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
