//! Choosing among texts by their probabilities as wholes.
//!
//! [`Generator::run`] chooses token by token: each token's probability is that among the tokens which can
//! follow. A model that wants to write a text that is no choice then goes on from the beginning that this
//! text shares with a choice, however improbable the rest is. Here a choice has the probability that the
//! model writes it, `p(a) = Π p(a_t | a_<t)` over the whole vocabulary, and one is drawn from
//! `p(a) / Σ p(a')` over the choices.
//!
//! The tree of choices is searched from its most promising place on, so that few of its places are read.
//! Greedily, that is the most probable beginning; no text is more probable than its beginning, so the first
//! choice that is reached is the most probable one. At a temperature, each beginning has the largest
//! Gumbel-perturbed log-probability of all texts that begin with it, drawn from the top down (Kool et al.,
//! arXiv 1903.06059, appendix B); texts that are no choices are passed over, and the first choice that is
//! reached is a draw from the distribution above.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rand::Rng;
use rand::distr::Open01;
use rand_chacha::ChaCha8Rng;

use super::{Continuation, End, Generator, LOGITS, Task, part};
use crate::device::read;
use crate::error::{Error, Result};
use crate::kernels::log_sum_and_entropy;
use crate::lm::cache::RowId;
use crate::lm::trie::{Next, Node, Trie};

/// A beginning of choices.
#[derive(Debug, Clone, Copy)]
struct Place {
    node: Node,
    /// The place before, none for the root.
    before: Option<usize>,
    token: u32,
    /// Log-probability of the token, and the entropy of the distribution that it belongs to.
    log_prob: f32,
    entropy: f32,
    /// Log-probability of the whole beginning.
    total: f64,
}

/// A place that has not been read. Larger ones are read first; of equal ones, the one that was found first.
#[derive(Debug, PartialEq)]
struct Open {
    value: f64,
    place: usize,
}

impl Eq for Open {}

impl Ord for Open {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.total_cmp(&other.value).then(other.place.cmp(&self.place))
    }
}

impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The search for the choice of one sequence.
struct Search<'a> {
    row: RowId,
    task: Task<'a>,
    choices: &'a Trie,
    /// Tokens of the sequence before the choice.
    before: usize,
    places: Vec<Place>,
    open: BinaryHeap<Open>,
    /// The choice, and its last place.
    found: Option<(usize, usize)>,
}

impl<'a> Search<'a> {
    fn new(row: RowId, mut task: Task<'a>, choices: &'a Trie, before: usize) -> Self {
        let root =
            Place { node: 0, before: None, token: 0, log_prob: 0.0, entropy: 0.0, total: 0.0 };
        let value = if task.sampling.is_random() { gumbel(&mut task.rng) } else { 0.0 };
        let open = BinaryHeap::from([Open { value, place: 0 }]);
        Self { row, task, choices, before, places: vec![root], open, found: None }
    }

    /// The next place to read, with its value. `None` if a choice is reached.
    fn next(&mut self) -> Option<Open> {
        let open = self.open.pop()?;
        match self.choices.next(self.places[open.place].node) {
            Next::End(choice) => {
                self.found = Some((choice, open.place));
                None
            }
            Next::Forced(..) | Next::Branch(_) => Some(open),
        }
    }

    /// The places that lead to a place, without the root.
    fn path(&self, place: usize) -> Vec<usize> {
        let before = |&place: &usize| self.places[place].before;
        let mut path: Vec<usize> = std::iter::successors(Some(place), before).collect();
        path.pop();
        path.reverse();
        path
    }

    fn tokens(&self, place: usize) -> Vec<u32> {
        self.path(place).into_iter().map(|place| self.places[place].token).collect()
    }

    /// Opens what follows a place that was read. Returns `None` if a logit is not finite.
    fn expand(&mut self, open: &Open, logits: &[f32]) -> Option<()> {
        let Task { ref sampling, is_tempered, .. } = self.task;
        let is_random = sampling.is_random();
        let scale = if is_random { (1.0 / sampling.temperature) as f32 } else { 1.0 };
        let scaled: Vec<f32> = logits.iter().map(|logit| logit * scale).collect();
        let [log_sum, entropy] = log_sum_and_entropy(&scaled)?;
        // Greedily, the scaled logits are the logits.
        let (told, [told_sum, entropy]) = match is_random && !is_tempered {
            true => (logits, log_sum_and_entropy(logits)?),
            false => (scaled.as_slice(), [log_sum, entropy]),
        };
        let Place { node, total, .. } = self.places[open.place];
        let values = is_random.then(|| {
            let of = |logit: &f32| total + f64::from(logit - log_sum);
            perturbed(scaled.iter().map(of), open.value, &mut self.task.rng)
        });
        let children = match self.choices.next(node) {
            Next::Forced(token, _) => vec![token],
            Next::Branch(tokens) => tokens,
            Next::End(_) => Vec::new(),
        };
        for token in children {
            let at = token as usize;
            let total = total + f64::from(scaled[at] - log_sum);
            let value = values.as_ref().map_or(total, |values| values[at]);
            self.open.push(Open { value, place: self.places.len() });
            self.places.push(Place {
                node: self.choices.step(node, token),
                before: Some(open.place),
                token,
                log_prob: told[at] - told_sum,
                entropy,
                total,
            });
        }
        Some(())
    }

    fn finish(self) -> Option<Continuation> {
        let (choice, place) = self.found?;
        let path: Vec<Place> =
            self.path(place).into_iter().map(|place| self.places[place]).collect();
        Some(Continuation {
            ids: path.iter().map(|place| place.token).collect(),
            log_probs: path.iter().map(|place| place.log_prob).collect(),
            entropy: path.iter().map(|place| place.entropy).collect(),
            end: End::Choice(choice),
        })
    }
}

impl Generator<'_> {
    /// Continues sequences in one batch, each by one of its task's choices, drawn by their probabilities as
    /// wholes. Continuations are appended to the sequences and returned in the order of the tasks.
    ///
    /// Log-probabilities and entropies of tokens are those over the whole vocabulary, so the sum of the
    /// former is that of writing the choice, and not that among the choices. Of the sampling's settings, the
    /// temperature alone is used.
    ///
    /// # Errors
    /// Returns an error if a task has no choices, and the errors of [`Generator::run`].
    pub fn choose(&mut self, tasks: Vec<(RowId, Task)>) -> Result<Vec<Continuation>> {
        let mut all = Vec::with_capacity(tasks.len());
        for (row, task) in tasks {
            self.check_named(row, &task)?;
            let Some(choices) = task.choices else {
                return Err(Error::input(task.name, "there are no choices"));
            };
            let before = self.ids(row).len();
            all.push(Search::new(row, task, choices, before));
        }
        loop {
            let mut active: Vec<(&mut Search, Open)> = Vec::new();
            for one in all.iter_mut().filter(|one| one.found.is_none()) {
                if let Some(open) = one.next() {
                    active.push((one, open));
                }
            }
            if active.is_empty() {
                break;
            }
            self.expand(active)?;
        }
        for one in &all {
            if let Some((_, place)) = one.found {
                self.rewrite(one.row, one.before, &one.tokens(place));
            }
        }
        Ok(all.into_iter().filter_map(Search::finish).collect())
    }

    /// Reads a place of each search and opens what follows it.
    fn expand(&mut self, mut active: Vec<(&mut Search, Open)>) -> Result<()> {
        for (one, open) in &active {
            self.rewrite(one.row, one.before, &one.tokens(open.place));
        }
        let rows: Vec<RowId> = active.iter().map(|(one, _)| one.row).collect();
        let hidden = self.feed(&rows)?;
        let vocabulary = self.model.config().vocabulary;
        let places: Vec<usize> = (0..active.len()).collect();
        let count = (LOGITS / vocabulary).max(1);
        for (active, places) in active.chunks_mut(count).zip(places.chunks(count)) {
            let logits = read(self.model.logits(part(&hidden, places)))?;
            for ((one, open), logits) in active.iter_mut().zip(logits.chunks_exact(vocabulary)) {
                one.expand(open, logits)
                    .ok_or_else(|| Error::NonFiniteLogits { name: one.task.name.to_string() })?;
            }
        }
        Ok(())
    }
}

/// A draw from the standard Gumbel distribution.
fn gumbel(rng: &mut ChaCha8Rng) -> f64 {
    let uniform: f64 = rng.sample(Open01);
    -(-uniform.ln()).ln()
}

/// Log-probabilities with Gumbel noise of which the largest sum is given (arXiv 1903.06059, appendix B.3).
fn perturbed(log_probs: impl Iterator<Item = f64>, largest: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut values: Vec<f64> = log_probs.map(|log_prob| log_prob + gumbel(rng)).collect();
    let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for value in &mut values {
        let above = largest - *value + (-(*value - top).exp()).ln_1p();
        *value = largest - above.max(0.0) - (-above.abs()).exp().ln_1p();
    }
    values
}
