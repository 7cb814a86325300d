//! Sequences to fit to, and their order.

use rand::seq::SliceRandom;

use crate::error::{Error, Result};
use crate::stream::{Purpose, Stream};

/// Tokens, and which of them count in the loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    ids: Vec<u32>,
    mask: Vec<bool>,
}

impl Sequence {
    /// A sequence. `mask[t]` says whether `ids[t + 1]`, given `ids[..= t]`, counts in the loss.
    ///
    /// # Errors
    /// Fails if the mask has not one entry less than there are tokens, or no token counts.
    pub fn new(ids: Vec<u32>, mask: Vec<bool>) -> Result<Self> {
        if mask.len() + 1 != ids.len() {
            let (found, tokens) = (mask.len(), ids.len());
            let expected = tokens.saturating_sub(1);
            let message =
                format!("{found} entries, expected {expected} (one less than the {tokens} ids)");
            return Err(Error::input("mask", message));
        }
        if !mask.contains(&true) {
            return Err(Error::input("mask", "no token counts, expected at least one"));
        }
        Ok(Self { ids, mask })
    }

    /// A sequence in which every token after the first counts.
    ///
    /// # Errors
    /// Fails if there are fewer than two tokens.
    pub fn whole(ids: Vec<u32>) -> Result<Self> {
        if ids.len() < 2 {
            let message =
                format!("{} tokens, expected at least 2 (the first does not count)", ids.len());
            return Err(Error::input("ids", message));
        }
        let mask = vec![true; ids.len() - 1];
        Ok(Self { ids, mask })
    }

    /// The tokens.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Whether each token after the first counts.
    pub fn mask(&self) -> &[bool] {
        &self.mask
    }

    /// Number of tokens that count.
    pub fn counted(&self) -> usize {
        self.mask.iter().filter(|counts| **counts).count()
    }
}

/// The order of sequences over the steps: passes, each cut into batches. The last batch of a pass may be
/// smaller.
#[derive(Debug, Clone)]
pub struct Order {
    count: usize,
    batch: usize,
    /// The seed, if passes are shuffled.
    seed: Option<u64>,
    pass: Option<u64>,
    rows: Vec<usize>,
}

impl Order {
    /// The order of `count` sequences, above 0, in batches of `batch`, shuffled if there is a seed.
    pub fn new(count: usize, batch: usize, seed: Option<u64>) -> Self {
        Self { count, batch, seed, pass: None, rows: (0..count).collect() }
    }

    /// Number of batches of a pass.
    pub fn steps_of_pass(&self) -> u64 {
        self.count.div_ceil(self.batch) as u64
    }

    /// The sequences of step `step`, from 0. They depend on nothing else.
    pub fn batch(&mut self, step: u64) -> &[usize] {
        let (pass, place) = (step / self.steps_of_pass(), step % self.steps_of_pass());
        if let Some(seed) = self.seed.filter(|_| self.pass != Some(pass)) {
            self.rows = (0..self.count).collect();
            self.rows.shuffle(&mut Stream::new(seed, Purpose::Minibatches).at(pass).rng());
            self.pass = Some(pass);
        }
        let first = place as usize * self.batch;
        &self.rows[first..self.count.min(first + self.batch)]
    }
}

/// Cuts sequences of the given lengths into at most `parts` parts, such that the largest part, padded, is
/// as small as it can be with sequences in order of their lengths. Returns the indices of each part.
pub(super) fn parts_of(lengths: &[usize], parts: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(lengths[index]), index));
    let cut = |most: usize| -> Vec<Vec<usize>> {
        let mut all: Vec<Vec<usize>> = Vec::new();
        for &index in &order {
            match all.last_mut() {
                // The first of a part is its longest.
                Some(part) if (part.len() + 1) * lengths[part[0]] <= most => part.push(index),
                _ => all.push(vec![index]),
            }
        }
        all
    };
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let (mut low, mut high) = (longest, longest * lengths.len());
    while low < high {
        let middle = (low + high) / 2;
        match cut(middle).len() <= parts {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    cut(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_has_every_sequence_once_and_its_last_batch_may_be_smaller() {
        let mut order = Order::new(5, 2, Some(7));
        let mut passes = [Vec::new(), Vec::new()];
        for step in 0..6 {
            passes[step / 3].extend_from_slice(order.batch(step as u64));
        }
        assert_ne!(passes[0], passes[1]);
        for pass in &mut passes {
            pass.sort_unstable();
            assert_eq!(*pass, [0, 1, 2, 3, 4]);
        }
        let mut plain = Order::new(5, 2, None);
        assert_eq!([4, 5].map(|step| plain.batch(step).to_vec()), [vec![2, 3], vec![4]]);
        assert_eq!(Order::new(3, 8, None).batch(1), [0, 1, 2]);
    }

    #[test]
    fn a_step_has_the_same_sequences_whatever_was_asked_before() {
        let mut order = Order::new(9, 2, Some(1));
        let first = order.batch(7).to_vec();
        order.batch(0);
        assert_eq!(order.batch(7), first);
    }

    #[test]
    fn parts_have_about_the_same_size() {
        let mut parts = parts_of(&[1, 10, 1, 1, 10, 1], 3);
        parts.iter_mut().for_each(|part| part.sort_unstable());
        assert_eq!(parts, [vec![1], vec![4], vec![0, 2, 3, 5]]);
        assert_eq!(parts_of(&[4, 4, 4, 4], 2), [[0, 1], [2, 3]]);
        assert_eq!(parts_of(&[3, 2], 9), [[0], [1]]);
        assert_eq!(parts_of(&[3, 2], 1), [[0, 1]]);
    }

    #[test]
    fn masks_of_another_length_or_without_a_counted_token_are_refused() {
        for (ids, mask, says) in [
            (vec![1, 2, 3], vec![true], "mask: 1 entries, expected 2"),
            (vec![], vec![], "mask: 0 entries, expected 0"),
            (vec![1, 2], vec![false], "mask: no token counts"),
        ] {
            let message = Sequence::new(ids, mask).unwrap_err().to_string();
            assert!(message.starts_with(says), "{message}");
        }
        assert!(Sequence::whole(vec![1]).unwrap_err().to_string().contains("at least 2"));
    }
}
