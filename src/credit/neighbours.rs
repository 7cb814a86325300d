//! What a soft baseline is made of: the states around each step, and how much each has a say.

use super::assign::Credit;
use super::batch::{CreditBatch, check};
use super::config::{CreditConfig, Inclusion};
use super::group::Group;
use super::kernel::{Tallies, exp};
use super::states::States;
use crate::error::{Error, Result};

/// A state's share in a row's baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Its observation, as an index into the batch's texts.
    pub observation: u32,
    /// Whether it is the row's own state.
    pub own: bool,
    /// How many of its rows the settings let in.
    pub rows: usize,
    /// The mean return of those rows.
    pub mean_return: f64,
    /// How near it is to the row's own state.
    pub cosine: f64,
    /// Its share in the baseline, all its rows together. Those of a row's neighbours sum to 1.
    pub weight: f64,
}

/// For each step of an episode, the states that its baseline was made of, those with the largest
/// shares first; the baseline is `Σ weight · mean_return`.
///
/// Only baselines by proximity are made so. The lists of other estimators are empty.
///
/// # Errors
/// Fails where `credit` is not of this batch, and where the embeddings or the episode that are
/// asked for are not there.
pub fn neighbours(
    batch: &CreditBatch,
    config: &CreditConfig,
    credit: &Credit,
    episode: usize,
) -> Result<Vec<Vec<Neighbour>>> {
    check(batch)?;
    if episode >= batch.episodes() {
        let message = format!("is {episode}, but there are {} episodes", batch.episodes());
        return Err(Error::input("episode", message));
    }
    if credit.returns.len() != batch.rows() {
        let message =
            format!("has {} rows, expected the batch's {}", credit.returns.len(), batch.rows());
        return Err(Error::input("credit", message));
    }
    let rows = batch.episode_rows(episode);
    let Some(temperature) = credit.diagnostics.temperature else {
        return Ok(vec![Vec::new(); rows.len()]);
    };
    let states = States::of(batch, config)?;
    let number = batch.group_offsets.partition_point(|&first| first <= episode) - 1;
    let mut group = Group::of(batch, &states.nodes, &credit.returns, number);
    if config.same_episode == Inclusion::Exclude {
        group.take_out((episode - batch.group_offsets[number]) as u32);
    }
    // The row itself is taken out here only where it did not go with its episode.
    let alone =
        (config.self_weight, config.same_episode) == (Inclusion::Exclude, Inclusion::Include);
    let among = states.matrix.among(group.items);
    let mut cosines = Vec::new();
    let mut around = |row: usize| {
        let row = row - group.first_row as usize;
        let own = group.node_of(row);
        among.cosines(own, &mut cosines);
        let all = group.tallies.get(own);
        if alone {
            group.tallies.set(own, all.without(group.returns[row]));
        }
        let observation =
            |node: usize| batch.observations[(group.first_row + group.rows_of(node)[0]) as usize];
        let list = shares(&group.tallies, &cosines, temperature, own, observation);
        group.tallies.set(own, all);
        list
    };
    Ok(rows.map(&mut around).collect())
}

/// The shares of the nodes that have rows, largest first.
fn shares(
    tallies: &Tallies,
    cosines: &[f64],
    temperature: f64,
    own: usize,
    observation: impl Fn(usize) -> u32,
) -> Vec<Neighbour> {
    let counted = |&node: &usize| tallies.counts[node] > 0.0;
    let nodes = || (0..cosines.len()).filter(counted);
    let nearest = nodes().map(|node| cosines[node]).fold(f64::NEG_INFINITY, f64::max);
    let weight = |node: usize| tallies.counts[node] * exp((cosines[node] - nearest) / temperature);
    let total: f64 = nodes().map(weight).sum();
    let neighbour = |node: usize| Neighbour {
        observation: observation(node),
        own: node == own,
        rows: tallies.counts[node] as usize,
        mean_return: tallies.sums[node] / tallies.counts[node],
        cosine: cosines[node],
        weight: weight(node) / total,
    };
    let mut list: Vec<Neighbour> = nodes().map(neighbour).collect();
    list.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::{Estimator, Temperature, assign};

    const BATCH: CreditBatch = CreditBatch {
        group_offsets: &[0, 1, 1, 4],
        episode_offsets: &[0, 1, 4, 6, 8],
        rewards: &[5.0, 0.0, 0.0, 1.0, 0.0, 0.5, 0.0, 0.0],
        success: &[true, true, false, false],
        valid: &[true; 8],
        observations: &[0, 0, 1, 0, 1, 2, 2, 0],
        texts: &["a red box and a lamp", "a red box", "a lamp on the floor"],
        final_observations: None,
        embeddings: None,
    };

    #[test]
    fn shares_sum_to_one_and_their_means_to_the_baseline() {
        use Inclusion::{Exclude, Include};
        for (self_weight, same_episode) in
            [(Include, Include), (Exclude, Include), (Include, Exclude), (Exclude, Exclude)]
        {
            let config = CreditConfig {
                self_weight,
                same_episode,
                temperature: Temperature::Fixed(0.3),
                ..CreditConfig::default()
            };
            let credit = assign(&BATCH, &config).unwrap();
            for episode in 1..4 {
                let lists = neighbours(&BATCH, &config, &credit, episode).unwrap();
                for (row, list) in BATCH.episode_rows(episode).zip(&lists) {
                    let sum = |of: fn(&Neighbour) -> f64| list.iter().map(of).sum::<f64>();
                    assert!((sum(|one| one.weight) - 1.0).abs() < 1e-12);
                    let baseline = sum(|one| one.weight * one.mean_return);
                    let off = (baseline - f64::from(credit.baselines[row])).abs();
                    assert!(off < 1e-6, "{config:?}, row {row}: {baseline}");
                    assert!(list.is_sorted_by(|a, b| a.weight >= b.weight));
                    let own = list.iter().filter(|one| one.own);
                    assert!(own.clone().count() <= 1);
                    own.for_each(|one| assert_eq!(one.observation, BATCH.observations[row]));
                }
            }
        }
    }

    #[test]
    fn a_row_with_nobody_around_and_an_estimator_without_proximity_have_none() {
        let config = CreditConfig { self_weight: Inclusion::Exclude, ..CreditConfig::default() };
        let credit = assign(&BATCH, &config).unwrap();
        assert_eq!(neighbours(&BATCH, &config, &credit, 0).unwrap(), [[]]);
        let config = CreditConfig::of(Estimator::Gigpo);
        let credit = assign(&BATCH, &config).unwrap();
        assert_eq!(neighbours(&BATCH, &config, &credit, 3).unwrap(), [[], []]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let config = CreditConfig::default();
        let credit = assign(&BATCH, &config).unwrap();
        let message = neighbours(&BATCH, &config, &credit, 4).unwrap_err().to_string();
        assert_eq!(message, "episode: is 4, but there are 4 episodes");
        let message = neighbours(&BATCH, &config, &Credit::default(), 0).unwrap_err().to_string();
        assert_eq!(message, "credit: has 0 rows, expected the batch's 8");
    }
}
