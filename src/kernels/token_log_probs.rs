//! Log-probabilities and entropies of tokens, without a matrix of logits.

use burn::backend::Dispatch;
use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

use super::backend::KernelBackend;
use super::parameters::Targets;
use super::shapes;
use crate::error::{Error, Result};

/// The score of each row's token.
#[derive(Debug, Clone)]
pub struct TokenLogProbs {
    /// `log softmax(l)` at the row's token: `[rows]`.
    pub log_probs: Tensor<1>,
    /// The entropy of the row's distribution over the vocabulary, in nats: `[rows]`.
    pub entropies: Tensor<1>,
}

/// The log-probability of one token a row, and the entropy of the row's distribution:
///
/// ```text
/// l_rv = h_r · W_v        log p_r = l_r,target(r) − log Σ_v exp(l_rv)        H_r = −Σ_v p_rv log p_rv
/// ```
///
/// `hidden` is `[rows, width]`. `head` holds the rows of the output head `W` in order, in one part
/// `[vocabulary, width]`, or in several where a buffer of the device cannot hold all. For a temperature
/// `T`, pass hidden states divided by `T`. Gradients reach hidden states and head, whichever require
/// them; a head that requires none costs none.
///
/// Memory beside arguments and results does not depend on the size of the vocabulary: logits are made
/// tile by tile, forward and backward, and backward a window of their gradients at a time. A row with a
/// NaN or infinite logit is NaN. Logits between −1e30 and 1e30 are safe from overflow.
///
/// # Errors
/// Fails if shapes or devices do not fit, or a target is not a token of the vocabulary.
pub fn token_log_probs(
    hidden: Tensor<2>,
    head: &[Tensor<2>],
    targets: &[u32],
) -> Result<TokenLogProbs> {
    check(&hidden, head, targets)?;
    let device = hidden.device();
    if targets.is_empty() {
        let empty = || Tensor::zeros([0], &device);
        return Ok(TokenLogProbs { log_probs: empty(), entropies: empty() });
    }
    let mut first = 0;
    let mut parts = Vec::with_capacity(head.len());
    for part in head {
        let size = part.dims()[0] as u32;
        let own = |&token: &u32| match token.checked_sub(first) {
            Some(token) if token < size => token,
            _ => Targets::NONE,
        };
        let own = Targets::new(targets.iter().map(own).collect());
        let (hidden, part) = (hidden.clone().into_dispatch(), part.clone().into_dispatch());
        parts.push(Tensor::<2>::from_dispatch(Dispatch::logit_statistics(hidden, part, own)));
        first += size;
    }
    Ok(joined(parts))
}

/// Joins the statistics of parts of the vocabulary, `[rows, 3]` each. With `π` the softmax over the
/// parts' log-sums, the entropy is `Σ π H + H(π)`, the chain rule of entropies.
fn joined(parts: Vec<Tensor<2>>) -> TokenLogProbs {
    let column = |column: usize| {
        let columns = parts.iter().map(|part| part.clone().narrow(1, column, 1)).collect();
        Tensor::<2>::cat(columns, 1)
    };
    let (log_sums, entropies, chosen) = (column(0), column(1), column(2));
    if parts.len() == 1 {
        return TokenLogProbs {
            log_probs: (chosen - log_sums).squeeze_dim(1),
            entropies: entropies.squeeze_dim(1),
        };
    }
    let log_shares = log_softmax(log_sums.clone(), 1);
    let log_sum = log_sums.narrow(1, 0, 1) - log_shares.clone().narrow(1, 0, 1);
    let shares = log_shares.clone().exp();
    let entropies = (shares * (entropies - log_shares)).sum_dim(1);
    TokenLogProbs {
        log_probs: (chosen.sum_dim(1) - log_sum).squeeze_dim(1),
        entropies: entropies.squeeze_dim(1),
    }
}

fn check(hidden: &Tensor<2>, head: &[Tensor<2>], targets: &[u32]) -> Result<()> {
    shapes::matrix("hidden", hidden, targets.len())?;
    let width = hidden.dims()[1];
    let mut vocabulary = 0;
    for part in head {
        let [rows, columns] = part.dims();
        if columns != width || rows == 0 {
            let message =
                format!("is {rows} by {columns}, expected at least 1 row of {width} columns");
            return Err(Error::input("head", message));
        }
        shapes::same_device("head", part, hidden)?;
        vocabulary += rows;
    }
    let outside = targets.iter().position(|&token| token as usize >= vocabulary);
    outside.map_or(Ok(()), |row| {
        let message = format!("is {}, of a vocabulary of {vocabulary}", targets[row]);
        Err(Error::input(format!("targets[{row}]"), message))
    })
}
