//! Log-probabilities and entropies of given tokens.

use burn::tensor::{Int, Tensor, TensorData, activation};

use super::model::Decoder;
use crate::device::read;
use crate::error::Result;

/// Number of logits that exist at a time. Bounds the memory of the head for any length of a text.
const LOGITS_PER_PART: usize = 1 << 22;

/// The score of one sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// `log p(ids[t + 1] | ids[..= t])`, `[tokens - 1]`.
    pub log_probs: Vec<f32>,
    /// Entropy of the distribution after each token, in nats, `[tokens]`.
    pub entropy: Vec<f32>,
}

/// Scores sequences in one batch.
///
/// # Errors
/// Returns an error if a sequence does not fit the model ([`Decoder::check_ids`]) or the device fails.
pub fn score(model: &Decoder, rows: &[&[u32]]) -> Result<Vec<Scores>> {
    let hidden = model.hidden(rows)?;
    let tokens = hidden.dims()[0] / rows.len();
    // The token that follows each position; the last position has none, and its value is not used.
    let targets: Vec<i32> = rows
        .iter()
        .flat_map(|row| (1..=tokens).map(|next| row.get(next).map_or(0, |&id| id as i32)))
        .collect();
    let step = (LOGITS_PER_PART / model.config().vocabulary).max(1);
    let (mut log_probs, mut entropy) = (Vec::new(), Vec::new());
    for start in (0..targets.len()).step_by(step) {
        let count = step.min(targets.len() - start);
        let part = targets[start..start + count].to_vec();
        let ids = TensorData::new(part, [count, 1]);
        let ids = Tensor::<2, Int>::from_data(ids, &hidden.device());
        let logits = model.logits(hidden.clone().narrow(0, start, count));
        let all = activation::log_softmax(logits, 1);
        log_probs.extend(read(all.clone().gather(1, ids))?);
        entropy.extend(read((all.clone().exp() * all).sum_dim(1).neg())?);
    }
    let of_row = |(index, row): (usize, &&[u32])| {
        let first = index * tokens;
        Scores {
            log_probs: log_probs[first..first + row.len() - 1].to_vec(),
            entropy: entropy[first..first + row.len()].to_vec(),
        }
    };
    Ok(rows.iter().enumerate().map(of_row).collect())
}
