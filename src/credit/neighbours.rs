//! The composition of a soft baseline: the states near each step, and their weights.

use super::config::{CreditConfig, Inclusion};
use super::group::Group;
use super::kernel_sums::{ReturnSums, exp};
use super::result::Credit;
use super::states::States;
use crate::episodes::Batch;
use crate::error::{Error, Result};

/// A state that contributes to a row's baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Its observation, as an index into the batch's texts.
    pub observation: u32,
    /// Whether it is the row's own state.
    pub own: bool,
    /// The number of its rows that the settings include.
    pub rows: usize,
    /// The mean return of those rows.
    pub mean_return: f64,
    /// The cosine between its embedding and that of the row's own state.
    pub cosine: f64,
    /// Its total weight in the baseline. The weights of a row's neighbours sum to 1.
    pub weight: f64,
}

/// For each step of an episode, the states that contribute to its baseline, by decreasing weight; the
/// baseline is `Σ weight · mean_return`, before any share of a learned value (`value_weight`).
///
/// The lists are empty for estimators without proximity.
///
/// # Errors
/// Returns an error if `credit` has another number of rows than the batch, if there is no such
/// episode, or if the batch lacks embeddings that the settings need.
pub fn neighbours(
    batch: &Batch,
    config: &CreditConfig,
    credit: &Credit,
    episode: usize,
) -> Result<Vec<Vec<Neighbour>>> {
    if episode >= batch.episodes() {
        let message = format!("expected a number below {}, found {episode}", batch.episodes());
        return Err(Error::input("episode", message));
    }
    if credit.returns.len() != batch.rows() {
        let message = format!(
            "expected {} rows, as in the batch, found {}",
            batch.rows(),
            credit.returns.len()
        );
        return Err(Error::input("credit", message));
    }
    let rows = batch.rows_of_episode(episode);
    let Some(temperature) = credit.diagnostics.temperature else {
        return Ok(vec![Vec::new(); rows.len()]);
    };
    let states = States::of(batch, config)?;
    let number = batch.layout().group_of_episode(episode);
    let mut group = Group::of(batch, &states.nodes, &credit.returns, number);
    if config.same_episode == Inclusion::Exclude {
        group.exclude((episode - batch.episodes_of_group(number).start) as u32);
    }
    // With `same_episode = "exclude"` the row itself is excluded with its episode.
    let exclude_itself =
        (config.self_weight, config.same_episode) == (Inclusion::Exclude, Inclusion::Include);
    let among = states.matrix.among(group.items);
    let mut cosines = Vec::new();
    let mut list = |row: usize| {
        let row = row - group.first_row as usize;
        let own = group.node_of(row);
        among.cosines(own, &mut cosines);
        let all = group.included.get(own);
        if exclude_itself {
            group.included.set(own, all.without(group.returns[row]));
        }
        let observation =
            |node: usize| batch.observations()[(group.first_row + group.rows_of(node)[0]) as usize];
        let list = weights(&group.included, &cosines, temperature, own, observation);
        group.included.set(own, all);
        list
    };
    Ok(rows.map(&mut list).collect())
}

/// The nodes that have rows, by decreasing weight.
fn weights(
    rows: &ReturnSums,
    cosines: &[f64],
    temperature: f64,
    own: usize,
    observation: impl Fn(usize) -> u32,
) -> Vec<Neighbour> {
    let has_rows = |&node: &usize| rows.counts[node] > 0.0;
    let nodes = || (0..cosines.len()).filter(has_rows);
    let nearest = nodes().map(|node| cosines[node]).fold(f64::NEG_INFINITY, f64::max);
    let weight = |node: usize| rows.counts[node] * exp((cosines[node] - nearest) / temperature);
    let total: f64 = nodes().map(weight).sum();
    let neighbour = |node: usize| Neighbour {
        observation: observation(node),
        own: node == own,
        rows: rows.counts[node] as usize,
        mean_return: rows.sums[node] / rows.counts[node],
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
    use crate::episodes::Episode;

    fn batch() -> Batch {
        let [box_and_lamp, box_alone, lamp] =
            ["a red box and a lamp", "a red box", "a lamp on the floor"];
        let first = Episode::new().step(box_and_lamp, 0.0).step(box_alone, 0.0);
        Batch::builder()
            .group([Episode::new().step(box_and_lamp, 5.0).success(true)])
            .group([])
            .group([
                first.step(box_and_lamp, 1.0).success(true),
                Episode::new().step(box_alone, 0.0).step(lamp, 0.5),
                Episode::new().step(lamp, 0.0).step(box_and_lamp, 0.0),
            ])
            .build()
            .unwrap()
    }

    #[test]
    fn weights_sum_to_one_and_weighted_means_to_the_baseline() {
        use Inclusion::{Exclude, Include};
        let batch = batch();
        for (self_weight, same_episode) in
            [(Include, Include), (Exclude, Include), (Include, Exclude), (Exclude, Exclude)]
        {
            let config = CreditConfig {
                self_weight,
                same_episode,
                temperature: Temperature::Fixed(0.3),
                ..CreditConfig::default()
            };
            let credit = assign(&batch, &config).unwrap();
            for episode in 1..4 {
                let lists = neighbours(&batch, &config, &credit, episode).unwrap();
                for (row, list) in batch.rows_of_episode(episode).zip(&lists) {
                    let sum = |of: fn(&Neighbour) -> f64| list.iter().map(of).sum::<f64>();
                    assert!((sum(|one| one.weight) - 1.0).abs() < 1e-12);
                    let baseline = sum(|one| one.weight * one.mean_return);
                    let off = (baseline - credit.baselines[row]).abs();
                    assert!(off < 1e-6, "{config:?}, row {row}: {baseline}");
                    assert!(list.is_sorted_by(|a, b| a.weight >= b.weight));
                    let own = list.iter().filter(|one| one.own);
                    assert!(own.clone().count() <= 1);
                    own.for_each(|one| assert_eq!(one.observation, batch.observations()[row]));
                }
            }
        }
    }

    #[test]
    fn rows_without_neighbours_and_estimators_without_proximity_have_empty_lists() {
        let batch = batch();
        let config = CreditConfig { self_weight: Inclusion::Exclude, ..CreditConfig::default() };
        let credit = assign(&batch, &config).unwrap();
        assert_eq!(neighbours(&batch, &config, &credit, 0).unwrap(), [[]]);
        let config = CreditConfig::of(Estimator::Gigpo);
        let credit = assign(&batch, &config).unwrap();
        assert_eq!(neighbours(&batch, &config, &credit, 3).unwrap(), [[], []]);
    }

    #[test]
    fn another_batchs_credit_and_unknown_episodes_are_refused() {
        let batch = batch();
        let config = CreditConfig::default();
        let credit = assign(&batch, &config).unwrap();
        let message = neighbours(&batch, &config, &credit, 4).unwrap_err().to_string();
        assert_eq!(message, "episode: expected a number below 4, found 4");
        let message = neighbours(&batch, &config, &Credit::default(), 0).unwrap_err().to_string();
        assert_eq!(message, "credit: expected 8 rows, as in the batch, found 0");
    }
}
