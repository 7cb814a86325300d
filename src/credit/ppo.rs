//! PPO with a value head (arXiv 1707.06347, equations 11 and 12): generalized advantage estimation (arXiv
//! 1506.02438, equation 16) from estimated values of states, without comparing episodes.
//!
//! For step `t` of an episode of `T` steps, with `V_T` the value of the state after the last one,
//!
//! ```text
//! δ_t = r_t + γ · V_{t+1} − V_t
//! Â_t = Σ_l (γλ)^l · δ_{t+l}                  = δ_t + γλ · Â_{t+1}
//! A_t = (Â_t − mean_batch(Â)) / (std_batch(Â) + ε)       the division with `normalize = "mean-std"`
//! G_t = Â_t + V_t                             what the value head is trained towards
//! ```
//!
//! An episode that terminated has `V_T = 0`. One that was cut short at the step limit goes on from `V_T` as
//! the policy estimates it, because rewards would have followed. The batch holds the values
//! ([`Values`](crate::episodes::Values)); this module reads no policy.

use super::clusters::EPSILON;
use super::config::{CreditConfig, Normalize};
use super::parts::{Parts, StepPart, Task};
use super::weighted::Weighted;
use crate::episodes::{Batch, Values, equal_within_rounding};
use crate::error::Result;

pub(super) fn assign(task: &mut Task) -> Result<Parts> {
    let Task { batch, config, .. } = *task;
    let values = config.values_of(batch)?;
    let estimates = generalized(batch, values, config.gamma, config.gae_lambda);
    let returns = estimates.iter().zip(&values.states).map(|(one, value)| one + value).collect();
    let step = StepPart {
        advantages: normalized(estimates, config),
        baselines: values.states.clone(),
        ..StepPart::default()
    };
    Ok(Parts { returns, episode: vec![0.0; batch.episodes()], step, modulation: Vec::new() })
}

/// The generalized advantage estimate of every row: `[rows]`.
fn generalized(batch: &Batch, values: &Values, gamma: f64, lambda: f64) -> Vec<f64> {
    let mut estimates = vec![0.0; batch.rows()];
    for episode in 0..batch.episodes() {
        let (mut next, mut following) = (values.ends[episode], 0.0);
        for row in batch.rows_of_episode(episode).rev() {
            let surprise = batch.rewards()[row] + gamma * next - values.states[row];
            following = surprise + gamma * lambda * following;
            estimates[row] = following;
            next = values.states[row];
        }
    }
    estimates
}

/// Centres and scales over the whole batch.
fn normalized(mut estimates: Vec<f64>, config: &CreditConfig) -> Vec<f64> {
    let largest = estimates.iter().fold(0f64, |most, value| most.max(value.abs()));
    if equal_within_rounding(&estimates, largest) {
        return vec![0.0; estimates.len()];
    }
    let Weighted { mean, deviation, .. } = Weighted::of(&estimates, &vec![1.0; estimates.len()]);
    let scale = match config.normalize {
        Normalize::MeanStd => deviation + EPSILON,
        Normalize::Mean | Normalize::Auto => 1.0,
    };
    estimates.iter_mut().for_each(|estimate| *estimate = (*estimate - mean) / scale);
    estimates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::{Credit, Estimator, assign};
    use crate::episodes::Episode;

    /// Two episodes of three steps; the first wins, the second is cut short in a state of value `cut`.
    fn batch(cut: f64) -> Batch {
        let episode = |last| Episode::new().step("a", 0.0).step("b", 0.0).step("c", last);
        let states = vec![0.25, 0.5, 0.75, 0.25, 0.5, 0.5];
        let batch = Batch::builder().group([episode(1.0).success(true), episode(0.0)]).build();
        batch.unwrap().with_values(Values { states, ends: vec![0.0, cut] }).unwrap()
    }

    fn credit(batch: &Batch, gamma: f64, gae_lambda: f64) -> Credit {
        let normalize = Normalize::Mean;
        let config =
            CreditConfig { gamma, gae_lambda, normalize, ..CreditConfig::of(Estimator::Ppo) };
        assign(batch, &config).unwrap()
    }

    /// The estimates: what is trained towards, less the values.
    fn estimates(batch: &Batch, gamma: f64, lambda: f64) -> Vec<f64> {
        let credit = credit(batch, gamma, lambda);
        credit.returns.iter().zip(&credit.baselines).map(|(one, value)| one - value).collect()
    }

    #[test]
    fn lambda_goes_from_one_step_errors_to_whole_returns() {
        // With λ = 0 each estimate is the error of one step: r + V' − V.
        assert_eq!(estimates(&batch(0.0), 1.0, 0.0), [0.25, 0.25, 0.25, 0.25, 0.0, -0.5]);
        // With λ = 1 and γ = 1 it is the rest of the episode's rewards less the value.
        assert_eq!(estimates(&batch(0.0), 1.0, 1.0), [0.75, 0.5, 0.25, -0.25, -0.5, -0.5]);
        // In between, later errors count by γλ.
        let found = estimates(&batch(0.0), 0.5, 0.5);
        assert_eq!(found[2], 0.25);
        assert_eq!(found[1], (0.5 * 0.75 - 0.5) + 0.25 * 0.25);
        assert_eq!(found[0], (0.5 * 0.5 - 0.25) + 0.25 * found[1]);
    }

    #[test]
    fn truncation_bootstraps_with_the_value_and_termination_does_not() {
        let (ended, cut) = (estimates(&batch(0.0), 0.5, 1.0), estimates(&batch(0.8), 0.5, 1.0));
        assert_eq!(ended[..3], cut[..3]);
        let gained: Vec<f64> = ended[3..].iter().zip(&cut[3..]).map(|(a, b)| b - a).collect();
        for (gained, expected) in gained.iter().zip([0.1, 0.2, 0.4]) {
            assert!((gained - expected).abs() < 1e-12, "{gained} {expected}");
        }
    }

    #[test]
    fn advantages_are_centred_and_scaled_over_the_batch() {
        let config = CreditConfig::of(Estimator::Ppo);
        let credit = assign(&batch(0.3), &config).unwrap();
        let count = credit.advantages.len() as f64;
        let mean = credit.advantages.iter().sum::<f64>() / count;
        let square = credit.advantages.iter().map(|one| one * one).sum::<f64>() / (count - 1.0);
        assert!(mean.abs() < 1e-12 && (square - 1.0).abs() < 1e-4, "{mean} {square}");
        assert_eq!(credit.step_advantages, credit.advantages);
        assert_eq!(credit.episode_advantages, [0.0; 6]);
        // Values that predict every reward leave nothing to learn.
        let exact = Batch::builder().group([Episode::new().step("a", 0.0).step("b", 1.0)]).build();
        let values = Values { states: vec![0.95, 1.0], ends: vec![0.0] };
        let exact = exact.unwrap().with_values(values).unwrap();
        assert_eq!(assign(&exact, &config).unwrap().advantages, [0.0; 2]);
    }

    #[test]
    fn a_batch_without_values_is_refused() {
        let batch = Batch::builder().group([Episode::new().step("a", 0.0)]).build().unwrap();
        let error = assign(&batch, &CreditConfig::of(Estimator::Ppo)).unwrap_err().to_string();
        let expected = "setting 'credit.estimator': is 'ppo', which needs the value of every state";
        assert!(error.starts_with(expected), "{error}");
    }
}
