//! A group's success rate and its prior.
//!
//! Eight episodes are a small sample of a task's success rate. With a Beta prior of `a` successes and
//! `b` failures, the rate of a group of `n` episodes with the raw rate `p` is shrunk to
//!
//! ```text
//! p̃ = (n · p + a) / (n + a + b)
//! ```
//!
//! A prior fitted to the batch has the mean of all episodes and the strength `a + b` that maximises
//! the beta-binomial likelihood of the groups' counts over a grid. If groups have similar rates, the
//! prior is strong; if they differ, it is weak. A single group cannot show how groups differ, and its
//! rate is not shrunk.

use super::config::Statistics;
use super::settings::{Beta, SuccessPrior};
use super::weighted::episode_weight;
use crate::episodes::Batch;

/// The success rate of each group: `[groups]`.
pub(crate) fn success_rates(
    batch: &Batch,
    statistics: Statistics,
    prior: SuccessPrior,
) -> Vec<f64> {
    let prior = match prior {
        SuccessPrior::None => None,
        SuccessPrior::Beta(beta) => Some(beta),
        SuccessPrior::Fitted => fit(&counts(batch)),
    };
    (0..batch.groups())
        .map(|group| {
            let raw = raw_rate(batch, statistics, group);
            let episodes = batch.episodes_of_group(group).len() as f64;
            match prior {
                Some(beta) => shrink(raw, episodes, beta),
                None => raw,
            }
        })
        .collect()
}

/// The share of a group's episodes, or of its steps, that belong to successes; 0 for an empty group.
fn raw_rate(batch: &Batch, statistics: Statistics, group: usize) -> f64 {
    let (mut won, mut all) = (0.0, 0.0);
    for episode in batch.episodes_of_group(group) {
        let weight = episode_weight(batch, statistics, episode);
        all += weight;
        won += if batch.success()[episode] { weight } else { 0.0 };
    }
    if all > 0.0 { won / all } else { 0.0 }
}

fn shrink(rate: f64, episodes: f64, prior: Beta) -> f64 {
    let strength = prior.successes + prior.failures;
    let all = episodes + strength;
    if all > 0.0 { (episodes * rate + prior.successes) / all } else { rate }
}

/// `(successes, episodes)` of each group.
fn counts(batch: &Batch) -> Vec<(usize, usize)> {
    (0..batch.groups())
        .map(|group| {
            let outcomes = &batch.success()[batch.episodes_of_group(group)];
            (outcomes.iter().filter(|&&won| won).count(), outcomes.len())
        })
        .collect()
}

/// The Beta distribution of maximum likelihood given the groups' counts, with the share of all
/// successes as its mean. Nothing with fewer than two groups that have episodes, or if all episodes
/// have the same outcome.
pub(crate) fn fit(groups: &[(usize, usize)]) -> Option<Beta> {
    let played = groups.iter().filter(|(_, episodes)| *episodes > 0).count();
    let (won, all) = groups.iter().fold((0, 0), |(w, n), group| (w + group.0, n + group.1));
    if played < 2 || won == 0 || won == all {
        return None;
    }
    let mean = won as f64 / all as f64;
    // Strengths from ½ to 512 episodes, four to an octave.
    let candidates = (-4..=36).map(|step| {
        let strength = 2f64.powf(f64::from(step) / 4.0);
        Beta { successes: mean * strength, failures: (1.0 - mean) * strength }
    });
    let likelihood = |beta: &Beta| groups.iter().map(|&group| log_likelihood(group, beta)).sum();
    candidates
        .map(|beta| (likelihood(&beta), beta))
        .max_by(|a: &(f64, Beta), b| a.0.total_cmp(&b.0))
        .map(|(_, beta)| beta)
}

/// `ln B(a + s, b + n − s) − ln B(a, b)`, as products because counts are integers.
fn log_likelihood((won, all): (usize, usize), beta: &Beta) -> f64 {
    let rising =
        |from: f64, steps: usize| -> f64 { (0..steps).map(|step| (from + step as f64).ln()).sum() };
    rising(beta.successes, won) + rising(beta.failures, all - won)
        - rising(beta.successes + beta.failures, all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prior_counts_as_pseudo_episodes() {
        let beta = Beta { successes: 1.0, failures: 3.0 };
        assert_eq!(shrink(1.0, 4.0, beta), 5.0 / 8.0);
        assert_eq!(shrink(0.5, 0.0, Beta { successes: 0.0, failures: 0.0 }), 0.5);
    }

    #[test]
    fn different_groups_get_a_weak_prior_and_similar_groups_a_strong_one() {
        let strength = |groups: &[(usize, usize)]| {
            let beta = fit(groups).unwrap();
            assert!((beta.successes / (beta.successes + beta.failures) - 0.5).abs() < 1e-12);
            beta.successes + beta.failures
        };
        let different = strength(&[(0, 8), (8, 8), (0, 8), (8, 8)]);
        let between = strength(&[(2, 8), (6, 8), (1, 8), (7, 8)]);
        let equal = strength(&[(4, 8), (4, 8), (4, 8), (4, 8)]);
        assert!(different < between && between < equal, "{different} {between} {equal}");
    }

    #[test]
    fn no_prior_is_fitted_without_information() {
        assert_eq!(fit(&[(3, 8)]), None);
        assert_eq!(fit(&[(0, 8), (0, 8)]), None);
        assert_eq!(fit(&[(8, 8), (8, 8)]), None);
        assert_eq!(fit(&[]), None);
    }
}
