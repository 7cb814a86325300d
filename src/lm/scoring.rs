//! Log-probabilities and entropies of given tokens.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Int, Tensor, TensorData};

use std::collections::BTreeSet;

use super::model::Decoder;
use super::trie::Branch;
use crate::device::read;
use crate::error::{Error, Result};
use crate::kernels::{TokenLogProbs, token_log_probs};

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

/// Below every logit. Finite, as a product of 0 and infinity would be NaN.
const LOWEST: f32 = -1e30;

/// Log-probabilities and entropies of decisions under the distribution that constrained generation draws
/// from: the softmax over the logits of the branch's options. Gradients reach the hidden states and the
/// head.
///
/// `hidden`, `[branches, width]`, holds the hidden state before each decision, which is that of the token
/// before it. For a temperature `T`, pass hidden states divided by `T`. Only the head's rows of tokens
/// that are an option somewhere are used.
///
/// # Errors
/// Fails if there is not one hidden state a branch, a branch has no options, or a token is out of range.
pub fn score_branches(
    model: &Decoder,
    hidden: Tensor<2>,
    branches: &[&Branch],
) -> Result<TokenLogProbs> {
    check_branches(model, &hidden, branches)?;
    let device = hidden.device();
    if branches.is_empty() {
        let empty = || Tensor::zeros([0], &device);
        return Ok(TokenLogProbs { log_probs: empty(), entropies: empty() });
    }
    let tokens: BTreeSet<u32> =
        branches.iter().flat_map(|branch| &branch.options).copied().collect();
    let tokens: Vec<u32> = tokens.into_iter().collect();
    let place = |token: &u32| tokens.binary_search(token).unwrap_or_default() as i32;
    // Options, padded to the most of any branch.
    let most = branches.iter().map(|branch| branch.options.len()).max().unwrap_or(1);
    let shape = [branches.len(), most];
    let places = branches.iter().flat_map(|branch| {
        let options = branch.options.iter().map(place);
        options.chain(std::iter::repeat_n(0, most - branch.options.len()))
    });
    let places = TensorData::new(places.collect::<Vec<i32>>(), shape);
    let padding = branches.iter().flat_map(|branch| (0..most).map(|at| at >= branch.options.len()));
    let padding = TensorData::new(padding.collect::<Vec<bool>>(), shape);
    let padding = Tensor::<2, Bool>::from_data(padding, &device);
    let chosen = branches.iter().map(|branch| branch.chosen as i32).collect::<Vec<_>>();
    let chosen = TensorData::new(chosen, [branches.len(), 1]);

    let logits = model.logits_of(hidden, &tokens).gather(1, Tensor::from_data(places, &device));
    let log_p = log_softmax(logits.mask_fill(padding.clone(), LOWEST), 1);
    let log_probs = log_p.clone().gather(1, Tensor::from_data(chosen, &device));
    let log_p = log_p.mask_fill(padding, 0.0);
    // A padded place has the share 1 of a log-probability 0.
    let entropies = (log_p.clone().exp() * log_p).sum_dim(1).neg();
    Ok(TokenLogProbs { log_probs: log_probs.squeeze_dim(1), entropies: entropies.squeeze_dim(1) })
}

fn check_branches(model: &Decoder, hidden: &Tensor<2>, branches: &[&Branch]) -> Result<()> {
    let refuse = |message: String| Err(Error::input("branches", message));
    let vocabulary = model.config().vocabulary;
    if hidden.dims()[0] != branches.len() {
        let message = format!("{} for {} hidden states", branches.len(), hidden.dims()[0]);
        return refuse(message);
    }
    for (index, branch) in branches.iter().enumerate() {
        if branch.chosen >= branch.options.len() {
            return refuse(format!("branch {index} has no option {}", branch.chosen));
        }
        if let Some(token) = branch.options.iter().find(|&&token| token as usize >= vocabulary) {
            let message = format!("token {token} is out of range, the vocabulary is {vocabulary}");
            return refuse(message);
        }
    }
    Ok(())
}
