//! The device engine: the arithmetic of credit assignment as kernels.
//!
//! Totals, returns and outcomes go to the device, embeddings stay there, and one read brings back the
//! vectors of [`Credit`] and the diagnostics' numbers: a few numbers a row. Totals and returns are sums
//! in 64 bits, less a reference value of their group, before they are rounded to the device's 32 bits:
//! a small difference between large rewards is not lost.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::advantages::{EpisodeAdvantages, compare_episodes};
use super::engine::unsupported;
use super::parameters::{EPSILON, EpisodeComparison, Neighbourhood};
use super::proximity::proximity_in;
use crate::credit::nodes::Nodes;
use crate::credit::parts::{Parts, StepPart, narrowed};
use crate::credit::weighted::{Weighted, episode_weight};
use crate::credit::{
    Credit, CreditConfig, CreditState, Estimator, GroupModulation, Inclusion, Modulation,
    Normalize, Statistics, SuccessPrior, Temperature, combine, discounted, gigpo, prior,
    temperature,
};
use crate::device::read_async;
use crate::episodes::{Batch, Layout};
use crate::error::{Error, Result};

/// Assigns credit on a device; [`crate::credit::assign_with`] is the same on the host.
///
/// `embeddings` are the states of the rows, `[rows, width]`: ProxMO compares them, other estimators do
/// without. They take the place of `credit.embedding`, and stay on their device. `device` computes
/// where there are no embeddings. Results agree with the host's up to the rounding of 32-bit numbers.
///
/// # Errors
/// Fails if a setting is out of range or has no kernel ([`unsupported`]), if embeddings are missing, of
/// another shape, NaN or infinite, and if the device fails.
pub fn assign(
    batch: &Batch,
    embeddings: Option<Tensor<2>>,
    device: &Device,
    config: &CreditConfig,
    state: &mut CreditState,
) -> Result<Credit> {
    pollster::block_on(assign_async(batch, embeddings, device, config, state))
}

/// [`assign`] without blocking the thread.
///
/// # Errors
/// As [`assign`].
pub async fn assign_async(
    batch: &Batch,
    embeddings: Option<Tensor<2>>,
    device: &Device,
    config: &CreditConfig,
    state: &mut CreditState,
) -> Result<Credit> {
    config.validate()?;
    if let Some(reason) = unsupported(config) {
        return Err(Error::setting(
            "credit.estimator",
            format!("does not run on a device: {reason}"),
        ));
    }
    let config = config.resolved();
    let embeddings = embeddings.map(Tensor::without_autodiff);
    let device = embeddings.as_ref().map_or_else(|| device.clone(), Tensor::device);
    let rows = DeviceRows::new(batch, &config, &device.without_autodiff())?;
    let step = match (config.estimator, embeddings) {
        (Estimator::Proxmo, None) => {
            let message =
                "are missing, expected one for each row: estimator 'proxmo' compares them";
            return Err(Error::input("embeddings", message));
        }
        (Estimator::Proxmo, Some(embeddings)) => {
            Some(rows.soft_baselines(embeddings, state).await?)
        }
        (Estimator::Gigpo, _) => Some(rows.cluster_means()?),
        _ => None,
    };
    Ok(combine(rows.read(step).await?, batch, &config))
}

/// A batch on a device.
struct DeviceRows<'a> {
    batch: &'a Batch,
    config: &'a CreditConfig,
    device: Device,
    /// On the host: `[rows]`.
    returns: Vec<f64>,
    episode: EpisodeAdvantages,
}

/// A step part on a device.
struct DeviceStep {
    /// `[rows]`.
    advantages: Tensor<1>,
    /// Each return minus its baseline: `[rows]`.
    distances: Tensor<1>,
    /// Each return minus its prediction from other rows: `[rows]`.
    residuals: Tensor<1>,
    /// Whether other rows predict a row: `[rows]`.
    predicted: Vec<bool>,
    neighbours: Neighbours,
    temperature: Option<f64>,
}

/// How many rows each baseline averages: `[rows]`.
enum Neighbours {
    Effective(Box<Tensor<1>>),
    Counted(Vec<f64>),
}

impl<'a> DeviceRows<'a> {
    /// Returns and episode parts.
    fn new(batch: &'a Batch, config: &'a CreditConfig, device: &Device) -> Result<Self> {
        let layout = batch.layout();
        let rewards = vector(centred_totals(batch, config), device);
        let success = batch.success().iter().map(|&success| f32::from(u8::from(success)));
        let success = vector(success.collect(), device);
        let returns = discounted(batch, config.gamma);
        let comparison = EpisodeComparison::of(layout, &fitted(batch, config))?;
        let mut episode = compare_episodes(rewards, success, comparison)?;
        if config.estimator == Estimator::Rloo {
            let factors = leave_one_out_factors(layout, config.statistics);
            episode.advantages = episode.advantages * vector(factors, device);
        }
        Ok(Self { batch, config, device: device.clone(), returns, episode })
    }

    fn layout(&self) -> &Layout {
        self.batch.layout()
    }

    /// Compares the returns of rows as if each row were an episode of one of `layout`'s groups.
    fn compare_rows(
        &self,
        returns: Tensor<1>,
        layout: Layout,
        normalize: Normalize,
    ) -> Result<EpisodeAdvantages> {
        let success = Tensor::zeros([layout.rows()], &self.device);
        compare_episodes(returns, success, EpisodeComparison::plain(layout, normalize))
    }

    /// ProxMO's step part: each return against the weighted mean of its neighbours'.
    ///
    /// The kernel averages returns less their group's mean: equal returns then have a step part of
    /// exactly 0, which a small deviation cannot magnify.
    async fn soft_baselines(
        &self,
        embeddings: Tensor<2>,
        state: &mut CreditState,
    ) -> Result<DeviceStep> {
        let ends: Vec<usize> = self.layout().group_rows().map(|rows| rows.end).collect();
        let groups = rows_in_groups(&ends)?;
        let EpisodeAdvantages { advantages: centred, statistics } =
            self.compare_rows(self.beyond(self.layout().group_rows()), groups, Normalize::Mean)?;
        let temperature = match self.config.temperature {
            Temperature::Fixed(temperature) => temperature,
            Temperature::Auto => self.predictive_temperature(&embeddings, &centred, state).await?,
        };

        let column: Tensor<2> = centred.clone().unsqueeze_dim(1);
        let all = Neighbourhood::at(self.layout(), self.config, temperature);
        let others = all.without_itself();
        let near = proximity_in(embeddings.clone(), column.clone(), all)?;
        let step = centred.clone() - near.means.squeeze_dim::<1>(1);
        let excluded = [self.config.self_weight, self.config.same_episode];
        let predicted = others.spans().iter().map(|span| !span.is_isolated()).collect();
        let residuals = if excluded.contains(&Inclusion::Exclude) {
            step.clone()
        } else {
            centred - proximity_in(embeddings, column, others)?.means.squeeze_dim::<1>(1)
        };

        let distances = step.clone();
        let advantages = match self.config.normalize {
            Normalize::MeanStd => {
                let deviations = self.per_row(statistics, 2, self.layout().group_rows());
                step / (deviations + EPSILON)
            }
            Normalize::Mean | Normalize::Auto => step,
        };
        Ok(DeviceStep {
            advantages,
            distances,
            residuals,
            predicted,
            neighbours: Neighbours::Effective(Box::new(near.neighbours)),
            temperature: Some(temperature),
        })
    }

    /// The temperature that predicts returns best, as the host chooses it: squared errors are summed on
    /// the device, relative to the largest return so that none overflows.
    async fn predictive_temperature(
        &self,
        embeddings: &Tensor<2>,
        centred: &Tensor<1>,
        state: &mut CreditState,
    ) -> Result<f64> {
        let column: Tensor<2> = centred.clone().unsqueeze_dim(1);
        let unit = centred.clone().abs().max().clamp_min(f32::MIN_POSITIVE);
        let grid = temperature::grid();
        let mut numbers = vec![unit.clone()];
        let others = |temperature| {
            Neighbourhood::at(self.layout(), self.config, temperature).without_itself()
        };
        let predicted = others(1.0).spans().iter().filter(|span| !span.is_isolated()).count();
        for &temperature in &grid {
            let near = proximity_in(embeddings.clone(), column.clone(), others(temperature))?;
            // A row without neighbours keeps its own return, and adds no error.
            let errors = (centred.clone() - near.means.squeeze_dim::<1>(1)) / unit.clone();
            numbers.push((errors.clone() * errors).sum());
        }
        let sums = read_async(Tensor::cat(numbers, 0)).await?;
        let square = f64::from(sums[0]).powi(2);
        let mean = |&sum: &f32| f64::from(sum) * square / predicted as f64;
        let errors = (predicted > 0).then(|| sums[1..].iter().map(mean).collect::<Vec<f64>>());
        if errors.iter().flatten().any(|error| !error.is_finite()) {
            return Err(self.non_finite());
        }
        temperature::choose(&self.returns, state, |_| Ok(errors))
    }

    /// GiGPO's step part: each return against the mean of its cluster. A cluster is a group of episodes
    /// of one row to the kernel.
    fn cluster_means(&self) -> Result<DeviceStep> {
        let clusters = Clusters::of(&gigpo::clusters(self.batch, self.config));
        let layout = rows_in_groups(&clusters.ends)?;
        let sorted = clusters.order.iter().map(|&row| self.returns[row as usize]).collect();
        let sorted: Vec<f64> = beyond_first(sorted, layout.group_rows());
        let beyond = vector(sorted.iter().map(|&value| narrowed(value)).collect(), &self.device);
        let found = self.compare_rows(beyond.clone(), layout, self.config.normalize)?;
        let place = self.indices(&clusters.place);
        let advantages = found.advantages.select(0, place.clone());
        let means = column(found.statistics, 1).select(0, self.indices(&clusters.cluster_of));
        let distances = beyond.select(0, place) - means;
        // Without the row itself its distance from the mean grows by n / (n − 1).
        let grow = clusters.counts.iter().map(|&n| if n > 1.0 { n / (n - 1.0) } else { 0.0 });
        let grow = vector(grow.map(|factor| factor as f32).collect(), &self.device);
        Ok(DeviceStep {
            advantages,
            residuals: distances.clone() * grow,
            distances,
            predicted: clusters.counts.iter().map(|&count| count > 1.0).collect(),
            neighbours: Neighbours::Counted(clusters.counts),
            temperature: None,
        })
    }

    /// Returns beyond the first of their rows, as a tensor.
    fn beyond(&self, groups: impl Iterator<Item = std::ops::Range<usize>>) -> Tensor<1> {
        let beyond = beyond_first(self.returns.clone(), groups);
        vector(beyond.iter().map(|&value| narrowed(value)).collect(), &self.device)
    }

    fn indices(&self, indices: &[i32]) -> Tensor<1, Int> {
        Tensor::from_data(TensorData::new(indices.to_vec(), [indices.len()]), &self.device)
    }

    /// A column of numbers of each group, for each row.
    fn per_row(
        &self,
        of_groups: Tensor<2>,
        at: usize,
        groups: impl Iterator<Item = std::ops::Range<usize>>,
    ) -> Tensor<1> {
        let group_of: Vec<i32> =
            groups.enumerate().flat_map(|(group, rows)| rows.map(move |_| group as i32)).collect();
        column(of_groups, at).select(0, self.indices(&group_of))
    }

    /// Reads everything back at once.
    async fn read(&self, step: Option<DeviceStep>) -> Result<Parts> {
        let (rows, groups) = (self.batch.rows(), self.batch.groups());
        let statistics = self.episode.statistics.clone().reshape([3 * groups]);
        let mut tensors = vec![statistics, self.episode.advantages.clone()];
        if let Some(step) = &step {
            let vectors = [&step.advantages, &step.distances, &step.residuals];
            tensors.extend(vectors.map(Tensor::clone));
            if let Neighbours::Effective(neighbours) = &step.neighbours {
                tensors.push((**neighbours).clone());
            }
        }
        let numbers = read_async(Tensor::cat(tensors, 0)).await?;
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(self.non_finite());
        }
        let (statistics, numbers) = numbers.split_at(3 * groups);
        let mut vectors = numbers.chunks_exact(rows.max(1));
        let mut next = || vectors.next().unwrap_or_default();
        let episode = next();
        let layout = self.layout();
        let first = |rows: std::ops::Range<usize>| episode.get(rows.start).copied();
        let episode = layout
            .episode_rows()
            .map(|rows| if rows.is_empty() { 0.0 } else { first(rows).map_or(0.0, f64::from) });
        let episode = episode.collect();
        let step = match step {
            None => StepPart::none(rows),
            Some(step) => {
                let mut wide = || next().iter().map(|&number| f64::from(number)).collect();
                let (advantages, distances): (Vec<f64>, Vec<f64>) = (wide(), wide());
                let residuals: Vec<f64> = wide();
                let baselines =
                    self.returns.iter().zip(&distances).map(|(value, distance)| value - distance);
                let squares = residuals.iter().zip(&step.predicted).filter(|row| *row.1);
                StepPart {
                    advantages,
                    baselines: baselines.collect(),
                    held_out: squares.map(|(residual, _)| residual * residual).collect(),
                    neighbours: match step.neighbours {
                        Neighbours::Effective(_) => wide(),
                        Neighbours::Counted(counts) => counts,
                    },
                    temperature: step.temperature,
                }
            }
        };
        let modulation = match self.config.modulation {
            Modulation::On(curve) => {
                let rates = statistics.chunks_exact(3).map(|group| f64::from(group[0]));
                rates.map(|rate| GroupModulation::of(&curve, rate)).collect()
            }
            Modulation::Off | Modulation::Auto => Vec::new(),
        };
        Ok(Parts { returns: self.returns.clone(), episode, step, modulation })
    }

    /// Rewards are finite, so the embeddings are not.
    fn non_finite(&self) -> Error {
        Error::Run("credit on the device is not finite: an embedding is NaN or infinite".into())
    }
}

/// Each episode's total reward less its group's mean, in the episode's first row; other rows are 0:
/// `[rows]`.
///
/// A group with an episode without rows keeps its totals, because that episode's 0 has no row. So does
/// the group of a single step that keeps its raw reward with `statistics = "step"`.
fn centred_totals(batch: &Batch, config: &CreditConfig) -> Vec<f32> {
    let mut rewards = vec![0.0; batch.rows()];
    for group in 0..batch.groups() {
        let episodes = batch.episodes_of_group(group);
        let totals: Vec<f64> =
            episodes.clone().map(|episode| batch.total_reward(episode)).collect();
        let weights: Vec<f64> = episodes
            .clone()
            .map(|episode| episode_weight(batch, config.statistics, episode))
            .collect();
        let is_raw = config.statistics == Statistics::Step && batch.rows_of_group(group).len() == 1;
        let has_empty = episodes.clone().any(|episode| batch.rows_of_episode(episode).is_empty());
        let mean = if is_raw || has_empty { 0.0 } else { Weighted::of(&totals, &weights).mean };
        for (episode, total) in episodes.zip(totals) {
            let rows = batch.rows_of_episode(episode);
            if let Some(first) = rewards[rows].first_mut() {
                *first = narrowed(total - mean);
            }
        }
    }
    rewards
}

/// Values less the first of their range.
fn beyond_first(
    mut values: Vec<f64>,
    ranges: impl Iterator<Item = std::ops::Range<usize>>,
) -> Vec<f64> {
    for range in ranges.filter(|range| !range.is_empty()) {
        let first = values[range.start];
        values[range].iter_mut().for_each(|value| *value -= first);
    }
    values
}

/// The settings with a fitted prior as a Beta distribution.
fn fitted(batch: &Batch, config: &CreditConfig) -> CreditConfig {
    if config.success_prior != SuccessPrior::Fitted {
        return config.clone();
    }
    let count = |episodes: std::ops::Range<usize>| {
        let successes = batch.success()[episodes.clone()].iter().filter(|&&success| success);
        (successes.count(), episodes.len())
    };
    let counts: Vec<(usize, usize)> = batch.layout().group_episodes().map(count).collect();
    let success_prior = prior::fit(&counts).map_or(SuccessPrior::None, SuccessPrior::Beta);
    CreditConfig { success_prior, ..config.clone() }
}

fn vector(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

fn column(matrix: Tensor<2>, at: usize) -> Tensor<1> {
    let [rows, _] = matrix.dims();
    matrix.slice([0..rows, at..at + 1]).squeeze_dim::<1>(1)
}

/// Groups of rows that each count as an episode, from where each group ends.
fn rows_in_groups(ends: &[usize]) -> Result<Layout> {
    let offsets: Vec<usize> = std::iter::once(0).chain(ends.iter().copied()).collect();
    let rows: Vec<usize> = (0..=ends.last().copied().unwrap_or(0)).collect();
    Layout::new(&offsets, &rows)
}

/// The factor between an episode's distance from the mean of its group and its distance from the mean
/// of the others, `W / (W − w)` with `w` the episode's count and `W` the group's: `[rows]`. 0 for an
/// episode without others.
fn leave_one_out_factors(layout: &Layout, statistics: Statistics) -> Vec<f32> {
    let rows: Vec<_> = layout.episode_rows().collect();
    let count = |episode: usize| match statistics {
        Statistics::Episode => 1,
        Statistics::Step => rows[episode].len(),
    };
    let mut factors = Vec::with_capacity(layout.rows());
    for episodes in layout.group_episodes() {
        let all: usize = episodes.clone().map(count).sum();
        for episode in episodes {
            let others = all - count(episode);
            let factor = if others > 0 { (all as f64 / others as f64) as f32 } else { 0.0 };
            factors.extend(rows[episode].clone().map(|_| factor));
        }
    }
    factors
}

/// Rows sorted by cluster.
struct Clusters {
    /// The rows, cluster after cluster: `[rows]`.
    order: Vec<i32>,
    /// The place of each row in `order`: `[rows]`.
    place: Vec<i32>,
    /// The cluster of each row: `[rows]`.
    cluster_of: Vec<i32>,
    /// How many rows the cluster of each row has: `[rows]`.
    counts: Vec<f64>,
    /// Where each cluster ends in `order`: `[clusters]`.
    ends: Vec<usize>,
}

impl Clusters {
    fn of(nodes: &Nodes) -> Self {
        let counts = nodes.counts();
        let mut ends = Vec::with_capacity(counts.len());
        let mut end = 0;
        for &count in &counts {
            end += count as usize;
            ends.push(end);
        }
        let mut next: Vec<usize> =
            ends.iter().zip(&counts).map(|(&end, &count)| end - count as usize).collect();
        let mut order = vec![0; nodes.of_row.len()];
        let mut place = Vec::with_capacity(order.len());
        for (row, &node) in nodes.of_row.iter().enumerate() {
            let at = &mut next[node as usize];
            order[*at] = row as i32;
            place.push(*at as i32);
            *at += 1;
        }
        Self {
            order,
            place,
            cluster_of: nodes.of_row.iter().map(|&node| node as i32).collect(),
            counts: nodes.of_row.iter().map(|&node| f64::from(counts[node as usize])).collect(),
            ends,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_by_cluster_and_found_again() {
        let nodes = Nodes { offsets: vec![0, 3], items: vec![0; 3], of_row: vec![2, 0, 2, 0] };
        let clusters = Clusters::of(&nodes);
        assert_eq!(clusters.order, [1, 3, 0, 2]);
        assert_eq!(clusters.place, [2, 0, 3, 1]);
        assert_eq!(clusters.ends, [2, 2, 4]);
        assert_eq!(clusters.counts, [2.0; 4]);
    }

    #[test]
    fn leaving_an_episode_out_widens_its_distance_from_the_mean() {
        let layout = Layout::new(&[0, 2, 3], &[0, 1, 4, 5]).unwrap();
        let factors = leave_one_out_factors(&layout, Statistics::Episode);
        assert_eq!(factors, [2.0, 2.0, 2.0, 2.0, 0.0]);
        let factors = leave_one_out_factors(&layout, Statistics::Step);
        assert_eq!(factors[..2], [4.0 / 3.0, 4.0]);
    }
}
