//! Drawing tokens from logits.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::kernels::{log_sum_and_entropy, softmax_weights};
use crate::settings::{self, above_zero};

/// How a token is drawn from the model's distribution.
///
/// Logits are divided by the temperature; then the `top_k` most probable tokens are kept, and of these
/// the fewest whose probabilities reach `top_p` of theirs together. Of equally probable tokens, the one
/// with the lower id comes first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Temperature. 0 takes the most probable token.
    #[garde(range(min = 0.0, max = 100.0))]
    pub temperature: f64,
    /// Number of the most probable tokens to draw from. 0 stands for all.
    #[garde(skip)]
    pub top_k: usize,
    /// Share of the probability to draw from, of the most probable tokens.
    #[garde(range(max = 1.0), custom(above_zero))]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub top_p: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 1.0, top_k: 0, top_p: 1.0 }
    }
}

/// A token that was drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Draw {
    /// Its place among the logits.
    pub index: usize,
    /// Its log-probability at temperature 1 among all the logits, whatever it was drawn with.
    pub log_prob: f32,
    /// The entropy of that distribution, in nats.
    pub entropy: f32,
}

impl Sampling {
    /// The most probable token, always.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Checks all settings.
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range.
    pub fn validate(&self) -> Result<()> {
        settings::check(self, "")
    }

    /// Whether a draw takes a random number.
    pub(super) fn is_random(&self) -> bool {
        self.temperature > 0.0
    }

    /// Draws from logits with a uniform number from 0 up to 1, which is not used by a greedy draw. `None`
    /// if a logit is not finite.
    pub(super) fn draw(&self, logits: &[f32], uniform: f64) -> Option<Draw> {
        let [log_sum, entropy] = log_sum_and_entropy(logits)?;
        let index = match self.is_random() {
            true => self.index(logits, uniform),
            false => greatest(logits),
        };
        Some(Draw { index, log_prob: logits[index] - log_sum, entropy })
    }

    /// [`Sampling::draw`] with the log-probability and the entropy of the logits divided by the
    /// temperature, which is above 0.
    pub(super) fn draw_tempered(&self, logits: &[f32], uniform: f64) -> Option<Draw> {
        let scale = (1.0 / self.temperature) as f32;
        let logits: Vec<f32> = logits.iter().map(|logit| logit * scale).collect();
        Self { temperature: 1.0, ..self.clone() }.draw(&logits, uniform)
    }

    fn index(&self, logits: &[f32], uniform: f64) -> usize {
        let weights = softmax_weights(logits, (1.0 / self.temperature) as f32);
        let is_cut = (1..weights.len()).contains(&self.top_k) || self.top_p < 1.0;
        match is_cut {
            false => walk(weights.iter().copied().enumerate(), uniform),
            true => walk(self.kept(&weights).into_iter().map(|at| (at, weights[at])), uniform),
        }
    }

    /// The tokens that are drawn from, the most probable first.
    fn kept(&self, weights: &[f32]) -> Vec<usize> {
        let by_rank = |a: &usize, b: &usize| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b));
        let total = |kept: &[usize]| kept.iter().map(|&at| f64::from(weights[at])).sum::<f64>();
        let mut kept: Vec<usize> = (0..weights.len()).collect();
        if (1..kept.len()).contains(&self.top_k) {
            kept.select_nth_unstable_by(self.top_k - 1, by_rank);
            kept.truncate(self.top_k);
        }
        let all = total(&kept);
        if self.top_p < 1.0 {
            // Tokens below this weight have less than 1 − top_p together, so the rest suffices.
            let least = (1.0 - self.top_p) * all / kept.len() as f64;
            kept.retain(|&at| f64::from(weights[at]) >= least);
        }
        kept.sort_unstable_by(by_rank);
        let mut sum = 0.0;
        let is_enough = |&at: &usize| {
            sum += f64::from(weights[at]);
            sum >= self.top_p * all
        };
        let count = kept.iter().position(is_enough).map_or(kept.len(), |last| last + 1);
        kept.truncate(count);
        kept
    }
}

/// The place of the greatest logit, the first of equal ones.
fn greatest(logits: &[f32]) -> usize {
    let larger = |best: usize, at: usize| if logits[at] > logits[best] { at } else { best };
    (0..logits.len()).fold(0, larger)
}

/// The first place at which the sum of the weights exceeds a share of their total.
fn walk(weights: impl Iterator<Item = (usize, f32)> + Clone, uniform: f64) -> usize {
    let total: f64 = weights.clone().map(|(_, weight)| f64::from(weight)).sum();
    let (mut sum, mut last) = (0.0, 0);
    for (at, weight) in weights.filter(|&(_, weight)| weight > 0.0) {
        sum += f64::from(weight);
        last = at;
        if sum > uniform * total {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of each token among draws with evenly spread uniform numbers.
    fn shares(sampling: &Sampling, logits: &[f32]) -> Vec<f64> {
        const DRAWS: usize = 10_000;
        let mut counts = vec![0.0; logits.len()];
        for draw in 0..DRAWS {
            let uniform = (draw as f64 + 0.5) / DRAWS as f64;
            counts[sampling.draw(logits, uniform).unwrap().index] += 1.0 / DRAWS as f64;
        }
        counts
    }

    fn assert_shares(sampling: &Sampling, logits: &[f32], expected: &[f64]) {
        for (found, expected) in shares(sampling, logits).iter().zip(expected) {
            assert!((found - expected).abs() < 2e-4, "{sampling:?}: {found}, expected {expected}");
        }
    }

    #[test]
    fn tokens_are_drawn_with_the_probabilities_that_the_settings_state() {
        let logits = [0.4f32, 0.1, 0.3, 0.2].map(f32::ln);
        let all = Sampling::default();
        assert_shares(&all, &logits, &[0.4, 0.1, 0.3, 0.2]);
        let squares = Sampling { temperature: 0.5, ..all.clone() };
        assert_shares(&squares, &logits, &[0.16, 0.01, 0.09, 0.04].map(|p| p / 0.3));
        let two = Sampling { top_k: 2, ..all.clone() };
        assert_shares(&two, &logits, &[4.0 / 7.0, 0.0, 3.0 / 7.0, 0.0]);
        let most = Sampling { top_p: 0.75, ..all.clone() };
        assert_shares(&most, &logits, &[4.0 / 9.0, 0.0, 3.0 / 9.0, 2.0 / 9.0]);
        // 4/7 of what the first cut leaves is reached by one token.
        let both = Sampling { top_k: 2, top_p: 0.5, ..all };
        assert_shares(&both, &logits, &[1.0, 0.0, 0.0, 0.0]);
        assert_shares(&Sampling::greedy(), &logits, &[1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_cut_keeps_the_same_tokens_as_sorting_all_of_them() {
        let logits: Vec<f32> = (0..1000).map(|at| ((at * 7919) % 613) as f32 / 100.0).collect();
        let weights = softmax_weights(&logits, 1.0);
        let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        for top_p in [0.01, 0.5, 0.9, 0.999] {
            let mut sorted: Vec<usize> = (0..1000).collect();
            sorted.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b)));
            let mut sum = 0.0;
            let count = sorted.iter().take_while(|&&at| {
                let is_before = sum < top_p * total;
                sum += f64::from(weights[at]);
                is_before
            });
            let count = count.count();
            let kept = Sampling { top_p, ..Sampling::default() }.kept(&weights);
            assert_eq!(kept, sorted[..count], "top_p {top_p}");
        }
    }

    #[test]
    fn log_probabilities_are_the_models_own_whatever_the_settings() {
        let logits = [1.0f32, 3.0, 2.0];
        let total: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
        for sampling in [Sampling::greedy(), Sampling { top_k: 1, ..Sampling::default() }] {
            let draw = sampling.draw(&logits, 0.3).unwrap();
            assert_eq!(draw.index, 1);
            assert!((f64::from(draw.log_prob) - (3.0 - total.ln())).abs() < 1e-6);
        }
    }

    #[test]
    fn the_first_of_equal_logits_is_greatest_and_logits_that_are_not_finite_give_nothing() {
        assert_eq!(Sampling::greedy().draw(&[1.0, 2.0, 2.0], 0.0).unwrap().index, 1);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(Sampling::greedy().draw(&[1.0, bad, 2.0], 0.0), None);
        }
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        for (sampling, says) in [
            (Sampling { temperature: -1.0, ..Sampling::default() }, "'temperature'"),
            (Sampling { temperature: f64::NAN, ..Sampling::default() }, "'temperature'"),
            (Sampling { top_p: 0.0, ..Sampling::default() }, "'top_p'"),
        ] {
            let message = sampling.validate().unwrap_err().to_string();
            assert!(message.contains(says), "{message}");
        }
    }
}
