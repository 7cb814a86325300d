//! A group's success rate, and what is believed about it beforehand.
//!
//! Eight episodes say little about a task's success rate. With a Beta prior worth `a` successes and
//! `b` failures, the rate of a group of `n` episodes with the raw rate `p` is shrunk to
//!
//! ```text
//! p̃ = (n · p + a) / (n + a + b)
//! ```
//!
//! Fitted to the batch, the prior has the mean of all episodes, and the strength `a + b` under
//! which the groups' counts are most likely (their beta-binomial likelihood, over a grid). Groups
//! that all look alike then shrink much, groups that differ hardly at all. A single group says
//! nothing about how groups differ, and is left as it is.

use super::batch::CreditBatch;
use super::config::Statistics;
use super::episode::weight;
use super::settings::{Beta, SuccessPrior};

/// The success rate of each group.
pub fn success_rates(batch: &CreditBatch, statistics: Statistics, prior: SuccessPrior) -> Vec<f64> {
    let prior = match prior {
        SuccessPrior::None => None,
        SuccessPrior::Beta(beta) => Some(beta),
        SuccessPrior::Fitted => fit(&counts(batch)),
    };
    (0..batch.groups())
        .map(|group| {
            let raw = raw_rate(batch, statistics, group);
            let episodes = batch.group_episodes(group).len() as f64;
            match prior {
                Some(beta) => shrink(raw, episodes, beta),
                None => raw,
            }
        })
        .collect()
}

/// The share of a group's episodes, or of its steps, that belong to successes; 0 without any.
fn raw_rate(batch: &CreditBatch, statistics: Statistics, group: usize) -> f64 {
    let (mut won, mut all) = (0.0, 0.0);
    for episode in batch.group_episodes(group) {
        let weight = weight(batch, statistics, episode);
        all += weight;
        won += if batch.success[episode] { weight } else { 0.0 };
    }
    if all > 0.0 { won / all } else { 0.0 }
}

fn shrink(rate: f64, episodes: f64, prior: Beta) -> f64 {
    let strength = prior.successes + prior.failures;
    let all = episodes + strength;
    if all > 0.0 { (episodes * rate + prior.successes) / all } else { rate }
}

/// `(successes, episodes)` of each group.
fn counts(batch: &CreditBatch) -> Vec<(usize, usize)> {
    (0..batch.groups())
        .map(|group| {
            let outcomes = &batch.success[batch.group_episodes(group)];
            (outcomes.iter().filter(|&&won| won).count(), outcomes.len())
        })
        .collect()
}

/// The Beta distribution that makes the groups' counts most likely, its mean being the share of all
/// successes. Nothing where that cannot be told: fewer than two groups, or no episode won or lost.
pub fn fit(groups: &[(usize, usize)]) -> Option<Beta> {
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

/// `ln B(a + s, b + n − s) − ln B(a, b)`, as products because counts are whole.
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
    fn a_prior_counts_like_episodes_seen_before() {
        let beta = Beta { successes: 1.0, failures: 3.0 };
        assert_eq!(shrink(1.0, 4.0, beta), 5.0 / 8.0);
        assert_eq!(shrink(0.5, 0.0, Beta { successes: 0.0, failures: 0.0 }), 0.5);
    }

    #[test]
    fn groups_that_differ_get_a_weak_prior_and_alike_ones_a_strong_one() {
        let strength = |groups: &[(usize, usize)]| {
            let beta = fit(groups).unwrap();
            assert!((beta.successes / (beta.successes + beta.failures) - 0.5).abs() < 1e-12);
            beta.successes + beta.failures
        };
        let apart = strength(&[(0, 8), (8, 8), (0, 8), (8, 8)]);
        let between = strength(&[(2, 8), (6, 8), (1, 8), (7, 8)]);
        let alike = strength(&[(4, 8), (4, 8), (4, 8), (4, 8)]);
        assert!(apart < between && between < alike, "{apart} {between} {alike}");
    }

    #[test]
    fn nothing_is_fitted_to_what_says_nothing() {
        assert_eq!(fit(&[(3, 8)]), None);
        assert_eq!(fit(&[(0, 8), (0, 8)]), None);
        assert_eq!(fit(&[(8, 8), (8, 8)]), None);
        assert_eq!(fit(&[]), None);
    }
}
