//! Returns and the episode part of advantages on a device, against the oracle.

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::cases::{Case, rng};
use super::comparisons::Comparisons;
use super::oracle;
use super::proximity::fill_with_nan;
use crate::credit::{Beta, CreditConfig, Curve, Modulation, Normalize, Statistics, SuccessPrior};
use crate::device::read_async;
use crate::episodes::Layout;
use crate::error::Result;
use crate::kernels::{discounted_returns, episode_advantages};

/// Episodes in groups, with their rewards and outcomes.
#[derive(Debug, Clone)]
pub struct EpisodeCase {
    /// What the case tests.
    pub name: String,
    /// The first episode of each group, and the number of episodes: `[groups + 1]`.
    pub group_offsets: Vec<usize>,
    /// The first row of each episode, and the number of rows: `[episodes + 1]`.
    pub episode_offsets: Vec<usize>,
    /// `[rows]`
    pub rewards: Vec<f32>,
    /// `[episodes]`
    pub success: Vec<bool>,
}

impl EpisodeCase {
    /// Random rewards and successes of a case's episodes.
    pub fn of(case: &Case) -> Self {
        Self::at(&case.name, case.group_offsets.clone(), case.episode_offsets.clone())
    }

    /// Groups of episodes with the given lengths.
    fn with_lengths(name: &str, lengths: &[Vec<usize>]) -> Self {
        let (mut groups, mut episodes) = (vec![0], vec![0]);
        for group in lengths {
            for length in group {
                episodes.push(episodes[episodes.len() - 1] + length);
            }
            groups.push(episodes.len() - 1);
        }
        Self::at(name, groups, episodes)
    }

    fn at(name: &str, group_offsets: Vec<usize>, episode_offsets: Vec<usize>) -> Self {
        let (rows, episodes) =
            (episode_offsets[episode_offsets.len() - 1], episode_offsets.len() - 1);
        let mut rng = rng(rows);
        let rewards = (0..rows).map(|_| rng.random_range(-1.0..2.0)).collect();
        let success = (0..episodes).map(|_| rng.random_bool(0.4)).collect();
        Self { name: name.to_string(), group_offsets, episode_offsets, rewards, success }
    }

    fn named(mut self, name: &str) -> Self {
        self.name = format!("{name}: {}", self.name);
        self
    }

    fn scaled(mut self, factor: f32, name: &str) -> Self {
        self.rewards.iter_mut().for_each(|reward| *reward *= factor);
        self.named(name)
    }

    /// The layout of the rows.
    ///
    /// # Errors
    /// Fails if the offsets do not fit each other.
    pub fn layout(&self) -> Result<Layout> {
        Layout::new(&self.group_offsets, &self.episode_offsets)
    }

    /// Success as kernels read it: 1 or 0.
    pub fn flags(&self) -> Vec<f32> {
        self.success.iter().map(|&won| if won { 1.0 } else { 0.0 }).collect()
    }

    fn longest(&self) -> usize {
        self.episode_offsets.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
    }
}

/// Sizes around that of a workgroup, and numbers at the edges of what is defined.
fn cases() -> Vec<EpisodeCase> {
    let ragged =
        || EpisodeCase::of(&Case::of(&[1, 90, 3, 1, 17, 64, 2, 200], 1, 1)).named("ragged");
    let mut all = vec![ragged()];
    for rows in [1, 2, 3] {
        all.push(EpisodeCase::with_lengths(&format!("one episode of {rows}"), &[vec![rows]]));
    }
    // A workgroup has 64 invocations, each an episode.
    for episodes in [63, 64, 65, 300] {
        let lengths = (0..episodes).map(|episode| 1 + episode % 5).collect();
        all.push(EpisodeCase::with_lengths(&format!("a group of {episodes} episodes"), &[lengths]));
    }
    all.push(EpisodeCase::with_lengths("70 groups of one step", &vec![vec![1]; 70]));
    all.push(EpisodeCase::with_lengths("3000 groups", &vec![vec![2, 1]; 3000]));
    let empty = [vec![0, 3, 0], vec![], vec![0], vec![5, 0]];
    all.push(EpisodeCase::with_lengths("episodes and groups without a step", &empty));
    all.push(EpisodeCase::with_lengths("an episode of 3000", &[vec![3000, 1], vec![20, 20]]));
    all.push(ragged().scaled(1e30, "huge rewards"));
    all.push(ragged().scaled(1e-30, "tiny rewards"));
    all.push(ragged().scaled(1e-39, "denormal rewards"));
    let mut equal =
        EpisodeCase::with_lengths("equal rewards", &[vec![1; 9], vec![1; 100], vec![3; 8]]);
    equal.rewards.fill(0.7);
    all.push(equal);
    for won in [true, false] {
        let mut same = ragged().named(if won { "all won" } else { "all lost" });
        same.success.fill(won);
        all.push(same);
    }
    all
}

/// Every combination of statistics, normalization, modulation and prior.
pub fn configs() -> Vec<CreditConfig> {
    let mut all = Vec::new();
    let curves = [Some((4.0, 0.05)), Some((0.5, 0.8)), Some((1.0, 0.0)), None];
    let beta = SuccessPrior::Beta(Beta { successes: 1.0, failures: 3.0 });
    for statistics in [Statistics::Episode, Statistics::Step] {
        for normalize in [Normalize::Mean, Normalize::MeanStd] {
            for curve in curves {
                for success_prior in [SuccessPrior::None, beta] {
                    let modulation = curve.map_or(Modulation::Off, |(steepness, range)| {
                        Modulation::On(Curve { steepness, range })
                    });
                    all.push(CreditConfig {
                        statistics,
                        normalize,
                        modulation,
                        success_prior,
                        ..CreditConfig::default()
                    });
                }
            }
        }
    }
    all
}

/// ProxMO's settings, scaled or not.
fn proxmo(normalize: Normalize) -> CreditConfig {
    CreditConfig { normalize, ..CreditConfig::default() }.resolved()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn vector(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

pub(super) async fn returns(device: &Device) -> Result<Comparisons> {
    let mut comparisons = Comparisons::default();
    for case in cases() {
        for gamma in [0.0, 0.95, 0.99, 1.0f32] {
            compare_returns(&case, f64::from(gamma), device, &mut comparisons).await?;
        }
    }
    Ok(comparisons)
}

async fn compare_returns(
    case: &EpisodeCase,
    gamma: f64,
    device: &Device,
    comparisons: &mut Comparisons,
) -> Result<()> {
    fill_with_nan(case.rewards.len(), device).await?;
    let rewards = vector(&case.rewards, device);
    let found = read_async(discounted_returns(rewards, &case.layout()?, gamma)?).await?;
    // Rounding adds up over the effective horizon of the discount.
    let reach = (1.0 / (1.0 - gamma)).min(case.longest() as f64);
    let bound = 1e-6 + 1e-7 * reach;
    let what = format!("returns at {gamma} of {}", case.name);
    let expected = oracle::returns(&case.layout()?, &case.rewards, gamma);
    comparisons.compare(what, &found, &expected, bound);
    Ok(())
}

pub(super) async fn advantages(device: &Device) -> Result<Comparisons> {
    let mut comparisons = Comparisons::default();
    let cases = cases();
    for config in configs() {
        // All settings on one case, and all cases with ProxMO's settings.
        let is_proxmo = config == proxmo(config.normalize);
        for case in &cases[..if is_proxmo { cases.len() } else { 1 }] {
            compare_advantages(case, &case.flags(), &config, device, &mut comparisons).await?;
        }
    }
    Ok(comparisons)
}

async fn compare_advantages(
    case: &EpisodeCase,
    flags: &[f32],
    config: &CreditConfig,
    device: &Device,
    comparisons: &mut Comparisons,
) -> Result<()> {
    fill_with_nan(case.rewards.len(), device).await?;
    let (rewards, success) = (vector(&case.rewards, device), vector(flags, device));
    let layout = case.layout()?;
    let found = episode_advantages(rewards, success, &layout, config)?;
    let oracle::EpisodeParts { advantages, statistics } =
        oracle::episode_advantages(&layout, &wide(&case.rewards), flags, config);
    let name = |what: &str| format!("{what} of {} with {config:?}", case.name);
    let bound =
        if config.normalize == Normalize::MeanStd { scaled_bound(case, &statistics) } else { 1e-5 };
    comparisons.compare(
        name("advantages"),
        &read_async(found.advantages).await?,
        &advantages,
        bound,
    );
    let found = read_async(found.statistics).await?;
    for (column, what, bound) in [(0, "rates", 1e-6), (1, "means", 1e-5), (2, "deviations", 1e-5)] {
        let of = |at: usize| at % 3 == column;
        let mine = found.iter().enumerate().filter(|(at, _)| of(*at)).map(|(_, &value)| value);
        let theirs = statistics.iter().enumerate().filter(|(at, _)| of(*at)).map(|(_, &one)| one);
        let (mine, theirs): (Vec<f32>, Vec<f64>) = (mine.collect(), theirs.collect());
        comparisons.compare(name(what), &mine, &theirs, bound);
    }
    Ok(())
}

/// The bound of scaled advantages: a small deviation magnifies the rounding of total rewards. Without a
/// deviation rewards are equal, and there is nothing to magnify.
fn scaled_bound(case: &EpisodeCase, statistics: &[f64]) -> f64 {
    let groups = case.group_offsets.windows(2).zip(statistics.chunks_exact(3));
    let magnified = groups.map(|(group, statistics)| {
        let rows = case.episode_offsets[group[0]]..case.episode_offsets[group[1]];
        let rewards = case.rewards[rows].iter().map(|&reward| f64::from(reward.abs()));
        let scale = statistics[2] + 1e-6;
        if statistics[2] > 0.0 { rewards.sum::<f64>() / scale } else { 0.0 }
    });
    1e-5 + 1e-7 * magnified.filter(|one| one.is_finite()).fold(0.0, f64::max)
}

/// NaN and infinities in a reward and in a success, and successes that are neither 0 nor 1.
pub(super) async fn non_finite(device: &Device) -> Result<Comparisons> {
    let mut comparisons = Comparisons::default();
    let case = EpisodeCase::of(&Case::of(&[9, 6, 9], 1, 1));
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut changed = case.clone().named(&format!("with {value}"));
        changed.rewards[4] = value;
        let mut flags = changed.flags();
        flags[7] = value;
        compare_returns(&changed, 0.9, device, &mut comparisons).await?;
        for normalize in [Normalize::Mean, Normalize::MeanStd] {
            compare_advantages(&changed, &flags, &proxmo(normalize), device, &mut comparisons)
                .await?;
        }
    }
    let mut flags = case.flags();
    flags[..4].copy_from_slice(&[0.5, 0.500_001, 1e-40, -3.0]);
    compare_advantages(&case, &flags, &proxmo(Normalize::Mean), device, &mut comparisons).await?;
    Ok(comparisons)
}
