//! Log-probabilities and entropies of given tokens.

use burn::tensor::{Int, Tensor};

use super::model::Decoder;
use crate::device::read;
use crate::error::Result;
use crate::kernels::token_log_probs;

/// The score of one sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// `log p(ids[t + 1] | ids[..= t])`, `[tokens - 1]`.
    pub log_probs: Vec<f32>,
    /// Entropy of the distribution after each token, in nats, `[tokens]`.
    pub entropy: Vec<f32>,
    /// The logits after the last token, `[vocabulary]`, if they were asked for.
    pub logits_last: Option<Vec<f32>>,
}

/// Scores sequences in one batch, and with `with_logits` gives the logits after their last tokens.
///
/// # Errors
/// Returns an error if a sequence does not fit the model ([`Decoder::check_ids`]) or the device fails.
pub fn score(model: &Decoder, rows: &[&[u32]], with_logits: bool) -> Result<Vec<Scores>> {
    let hidden = model.hidden(rows)?;
    let tokens = hidden.dims()[0] / rows.len();
    // The token that follows each position; the last position has none, and its value is not used.
    let targets: Vec<u32> = rows
        .iter()
        .flat_map(|row| (1..=tokens).map(|next| row.get(next).copied().unwrap_or(0)))
        .collect();
    let mut logits = match with_logits {
        true => Some(last_logits(model, &hidden, rows)?),
        false => None,
    };
    let scores = token_log_probs(hidden, &model.head().parts(), &targets)?;
    let (log_probs, entropy) = (read(scores.log_probs)?, read(scores.entropies)?);
    let of_row = |(index, row): (usize, &&[u32])| {
        let first = index * tokens;
        Scores {
            log_probs: log_probs[first..first + row.len() - 1].to_vec(),
            entropy: entropy[first..first + row.len()].to_vec(),
            logits_last: logits.as_mut().map(|logits| std::mem::take(&mut logits[index])),
        }
    };
    Ok(rows.iter().enumerate().map(of_row).collect())
}

/// The logits after each row's last token.
fn last_logits(model: &Decoder, hidden: &Tensor<2>, rows: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
    let tokens = hidden.dims()[0] / rows.len();
    let last = rows.iter().enumerate().map(|(index, row)| (index * tokens + row.len() - 1) as i32);
    let last = Tensor::<1, Int>::from_data(last.collect::<Vec<_>>().as_slice(), &hidden.device());
    let logits = read(model.logits(hidden.clone().select(0, last)))?;
    Ok(logits.chunks_exact(model.config().vocabulary).map(<[f32]>::to_vec).collect())
}
