//! Returns and the episode part of advantages on a device, against their definitions in 64 bits.

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::cases::{Case, rng};
use super::compare::Tally;
use super::proximity::litter;
use crate::device::read;
use crate::episodes::Layout;
use crate::error::Result;
use crate::kernels::{EpisodeOptions, Modulation, discounted_returns, episode_advantages};

/// Episodes in groups, with what they earned.
#[derive(Debug, Clone)]
pub struct Played {
    /// What is hard about them.
    pub name: String,
    /// Where groups begin among the episodes, and the end.
    pub group_offsets: Vec<usize>,
    /// Where episodes begin among the rows, and the end.
    pub episode_offsets: Vec<usize>,
    /// `[rows]`
    pub rewards: Vec<f32>,
    /// `[episodes]`
    pub success: Vec<bool>,
}

impl Played {
    /// Random rewards and successes of a case's episodes.
    pub fn of(case: &Case) -> Self {
        Self::at(&case.name, case.group_offsets.clone(), case.episode_offsets.clone())
    }

    /// `lengths` has the lengths of each group's episodes.
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

    /// Where groups and episodes lie.
    ///
    /// # Errors
    /// Where offsets were changed to what does not fit.
    pub fn layout(&self) -> Result<Layout> {
        Layout::new(&self.group_offsets, &self.episode_offsets)
    }

    /// Success as a kernel reads it.
    pub fn flags(&self) -> Vec<f32> {
        self.success.iter().map(|&won| if won { 1.0 } else { 0.0 }).collect()
    }

    fn rows_of(&self, episode: usize) -> std::ops::Range<usize> {
        self.episode_offsets[episode]..self.episode_offsets[episode + 1]
    }

    fn longest(&self) -> usize {
        self.episode_offsets.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
    }
}

/// Sizes around what a workgroup handles, and everything at the edge of what is defined.
fn hard() -> Vec<Played> {
    let ragged = || Played::of(&Case::of(&[1, 90, 3, 1, 17, 64, 2, 200], 1, 1)).named("ragged");
    let mut all = vec![ragged()];
    for rows in [1, 2, 3] {
        all.push(Played::with_lengths(&format!("one episode of {rows}"), &[vec![rows]]));
    }
    // A workgroup has 64 invocations, each an episode.
    for episodes in [63, 64, 65, 300] {
        let lengths = (0..episodes).map(|episode| 1 + episode % 5).collect();
        all.push(Played::with_lengths(&format!("a group of {episodes} episodes"), &[lengths]));
    }
    all.push(Played::with_lengths("70 groups of one step", &vec![vec![1]; 70]));
    all.push(Played::with_lengths("3000 groups", &vec![vec![2, 1]; 3000]));
    let empty = [vec![0, 3, 0], vec![], vec![0], vec![5, 0]];
    all.push(Played::with_lengths("episodes and groups without a step", &empty));
    all.push(Played::with_lengths("an episode of 3000", &[vec![3000, 1], vec![20, 20]]));
    all.push(ragged().scaled(1e30, "huge rewards"));
    all.push(ragged().scaled(1e-30, "tiny rewards"));
    all.push(ragged().scaled(1e-39, "denormal rewards"));
    let mut equal = Played::with_lengths("equal rewards", &[vec![1; 9], vec![1; 100], vec![3; 8]]);
    equal.rewards.fill(0.7);
    all.push(equal);
    for won in [true, false] {
        let mut same = ragged().named(if won { "all won" } else { "all lost" });
        same.success.fill(won);
        all.push(same);
    }
    all
}

/// All ways to compare and to weigh.
pub fn options() -> Vec<EpisodeOptions> {
    let mut all = Vec::new();
    for by_step in [false, true] {
        for scaled in [false, true] {
            for curve in [Some((4.0, 0.05)), Some((0.5, 0.8)), Some((1.0, 0.0)), None] {
                for prior in [[0.0; 2], [1.0, 3.0]] {
                    let modulation =
                        curve.map(|(steepness, range)| Modulation { steepness, range });
                    all.push(EpisodeOptions { by_step, scaled, modulation, prior });
                }
            }
        }
    }
    all
}

fn vector(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

/// The definition of returns. Poison goes back in time.
fn expected_returns(played: &Played, gamma: f32) -> Vec<f64> {
    let mut returns = vec![0.0; played.rewards.len()];
    for episode in 0..played.success.len() {
        let mut following = 0.0;
        for row in played.rows_of(episode).rev() {
            let reward = f64::from(played.rewards[row]);
            following =
                if reward.is_finite() { reward } else { f64::NAN } + f64::from(gamma) * following;
            returns[row] = following;
        }
    }
    returns
}

/// The definition of the episode part: each row's advantage, and rate, mean and deviation of each
/// group. Poison stays in its group.
fn expected_advantages(
    played: &Played,
    flags: &[f32],
    options: &EpisodeOptions,
) -> (Vec<f64>, Vec<f64>) {
    let mut advantages = vec![0.0; played.rewards.len()];
    let mut statistics = Vec::new();
    for group in played.group_offsets.windows(2) {
        let episodes = group[0]..group[1];
        let total = |episode: usize| -> f64 {
            played.rewards[played.rows_of(episode)].iter().map(|&reward| f64::from(reward)).sum()
        };
        let outcomes: Vec<(f64, f64, bool)> = episodes
            .clone()
            .map(|episode| {
                let steps = played.rows_of(episode).len() as f64;
                (if options.by_step { steps } else { 1.0 }, total(episode), flags[episode] > 0.5)
            })
            .collect();
        let mut summary = summary(&outcomes, options);
        if !(outcomes.iter().all(|one| one.1.is_finite())
            && flags[episodes.clone()].iter().all(|flag| flag.is_finite()))
        {
            summary = [f64::NAN; 3];
        }
        statistics.extend(summary);
        let count: f64 = outcomes.iter().map(|one| one.0).sum();
        for (episode, &(_, total, won)) in episodes.zip(&outcomes) {
            let [rate, mean, deviation] = summary;
            let scale = if options.scaled { deviation + 1e-6 } else { 1.0 };
            let alone = options.by_step && count == 1.0 && !rate.is_nan();
            let centred = if alone { total } else { (total - mean) / scale };
            let weight = options.modulation.map_or(1.0, |curve| weight(curve, rate, won));
            advantages[played.rows_of(episode)].fill(centred * weight);
        }
    }
    (advantages, statistics)
}

/// Success rate, mean and deviation of episodes that count, earn and win.
fn summary(outcomes: &[(f64, f64, bool)], options: &EpisodeOptions) -> [f64; 3] {
    let count: f64 = outcomes.iter().map(|one| one.0).sum();
    let share = |of: &dyn Fn(&(f64, f64, bool)) -> f64| -> f64 {
        let sum: f64 = outcomes.iter().map(|one| one.0 * of(one)).sum();
        if count > 0.0 { sum / count } else { 0.0 }
    };
    // Measured from the first, equal rewards are exactly equal to their mean.
    let first = outcomes.first().map_or(0.0, |one| one.1);
    let mean = first + share(&|one| one.1 - first);
    let variance = share(&|one| (one.1 - mean).powi(2));
    let deviation = if count > 1.0 { (variance * count / (count - 1.0)).sqrt() } else { 0.0 };
    let rate = share(&|one| f64::from(u8::from(one.2)));
    let [won, lost] = options.prior.map(f64::from);
    let episodes = outcomes.len() as f64;
    let believed = (rate * episodes + won) / (episodes + won + lost);
    [if won + lost > 0.0 { believed } else { rate }, mean, deviation]
}

fn weight(curve: Modulation, rate: f64, won: bool) -> f64 {
    let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
    let steepness = f64::from(curve.steepness);
    let signal = if won { (1.0 - rate).powf(steepness) } else { -rate.powf(steepness) };
    let most = logistic(1.0) - 0.5;
    1.0 + f64::from(curve.range) * (logistic(signal) - 0.5) / most
}

pub(super) fn returns(device: &Device) -> Result<Tally> {
    let mut tally = Tally::default();
    for played in hard() {
        for gamma in [0.0, 0.95, 0.99, 1.0] {
            compare_returns(&played, gamma, device, &mut tally)?;
        }
    }
    Ok(tally)
}

fn compare_returns(played: &Played, gamma: f32, device: &Device, tally: &mut Tally) -> Result<()> {
    litter(played.rewards.len(), device)?;
    let rewards = vector(&played.rewards, device);
    let found = read(discounted_returns(rewards, &played.layout()?, gamma)?)?;
    // Rounding adds up over as many steps as the discount lets through.
    let reach = (1.0 / (1.0 - f64::from(gamma))).min(played.longest() as f64);
    let bound = 1e-6 + 1e-7 * reach;
    let what = format!("returns at {gamma} of {}", played.name);
    tally.numbers(what, &found, &expected_returns(played, gamma), bound);
    Ok(())
}

pub(super) fn advantages(device: &Device) -> Result<Tally> {
    let mut tally = Tally::default();
    let hard = hard();
    for options in options() {
        // Every way on one case, and every case in ProxMO's two ways.
        let default = EpisodeOptions { scaled: options.scaled, ..EpisodeOptions::default() };
        let cases = if options == default { &hard[..] } else { &hard[..1] };
        for played in cases {
            compare_advantages(played, &played.flags(), &options, device, &mut tally)?;
        }
    }
    Ok(tally)
}

fn compare_advantages(
    played: &Played,
    flags: &[f32],
    options: &EpisodeOptions,
    device: &Device,
    tally: &mut Tally,
) -> Result<()> {
    litter(played.rewards.len(), device)?;
    let (rewards, success) = (vector(&played.rewards, device), vector(flags, device));
    let found = episode_advantages(rewards, success, &played.layout()?, options)?;
    let (advantages, statistics) = expected_advantages(played, flags, options);
    let name = |what: &str| format!("{what} of {} with {options:?}", played.name);
    let bound = if options.scaled { scaled_bound(played, &statistics) } else { 1e-5 };
    tally.numbers(name("advantages"), &read(found.advantages)?, &advantages, bound);
    let found = read(found.statistics)?;
    for (column, what, bound) in [(0, "rates", 1e-6), (1, "means", 1e-5), (2, "deviations", 1e-5)] {
        let of = |at: usize| at % 3 == column;
        let mine = found.iter().enumerate().filter(|(at, _)| of(*at)).map(|(_, &value)| value);
        let theirs = statistics.iter().enumerate().filter(|(at, _)| of(*at)).map(|(_, &one)| one);
        let (mine, theirs): (Vec<f32>, Vec<f64>) = (mine.collect(), theirs.collect());
        tally.numbers(name(what), &mine, &theirs, bound);
    }
    Ok(())
}

/// How far scaled advantages may be off: a small deviation magnifies the rounding of total rewards.
/// Where there is none, rewards are equal, and nothing is left to magnify.
fn scaled_bound(played: &Played, statistics: &[f64]) -> f64 {
    let groups = played.group_offsets.windows(2).zip(statistics.chunks_exact(3));
    let magnified = groups.map(|(group, statistics)| {
        let rows = played.episode_offsets[group[0]]..played.episode_offsets[group[1]];
        let rewards = played.rewards[rows].iter().map(|&reward| f64::from(reward.abs()));
        let scale = statistics[2] + 1e-6;
        if statistics[2] > 0.0 { rewards.sum::<f64>() / scale } else { 0.0 }
    });
    1e-5 + 1e-7 * magnified.filter(|one| one.is_finite()).fold(0.0, f64::max)
}

/// NaN and infinities in a reward and in a success, and successes that are no whole numbers.
pub(super) fn poisoned(device: &Device) -> Result<Tally> {
    let mut tally = Tally::default();
    let played = Played::of(&Case::of(&[9, 6, 9], 1, 1));
    for poison in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut poisoned = played.clone().named(&format!("poisoned by {poison}"));
        poisoned.rewards[4] = poison;
        let mut flags = poisoned.flags();
        flags[7] = poison;
        compare_returns(&poisoned, 0.9, device, &mut tally)?;
        for scaled in [false, true] {
            let options = EpisodeOptions { scaled, ..EpisodeOptions::default() };
            compare_advantages(&poisoned, &flags, &options, device, &mut tally)?;
        }
    }
    let mut flags = played.flags();
    flags[..4].copy_from_slice(&[0.5, 0.500_001, 1e-40, -3.0]);
    compare_advantages(&played, &flags, &EpisodeOptions::default(), device, &mut tally)?;
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_say_what_a_person_works_out() {
        let mut played = Played::with_lengths("", &[vec![2, 1], vec![1]]);
        played.rewards = vec![1.0, 2.0, 5.0, 7.0];
        played.success = vec![true, false, true];
        assert_eq!(expected_returns(&played, 0.5), [2.0, 2.0, 5.0, 7.0]);
        let plain = EpisodeOptions { modulation: None, ..EpisodeOptions::default() };
        let (advantages, statistics) = expected_advantages(&played, &played.flags(), &plain);
        assert_eq!(advantages, [-1.0, -1.0, 1.0, 0.0]);
        assert_eq!(statistics, [0.5, 4.0, 2f64.sqrt(), 1.0, 7.0, 0.0]);
        let by_step = EpisodeOptions { by_step: true, ..plain };
        let (advantages, statistics) = expected_advantages(&played, &played.flags(), &by_step);
        assert_eq!((advantages[3], statistics[3]), (7.0, 1.0));
        assert!((statistics[0] - 2.0 / 3.0).abs() < 1e-15 && (statistics[1] - 11.0 / 3.0) < 1e-15);
    }
}
