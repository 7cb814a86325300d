//! A continuation between two of its tokens, and its next token.

use std::collections::BTreeSet;

use burn::tensor::Tensor;
use rand::Rng;

use super::{Continuation, End, Generator, LOGITS, Task, Watch, part};
use crate::device::read;
use crate::error::Result;
use crate::lm::cache::RowId;
use crate::lm::model::Decoder;
use crate::lm::sampling::Draw;
use crate::lm::trie::{Next, Node};
use crate::parallel::par_map;

/// What a continuation has come to between two of its tokens.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    node: Node,
    ids: Vec<u32>,
    log_probs: Vec<f32>,
    entropy: Vec<f32>,
    pub(super) end: Option<End>,
    pub(super) is_broken: bool,
}

impl Draft {
    /// Its tokens so far.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The log-probability of each token, as in [`Continuation::log_probs`].
    pub fn log_probs(&self) -> &[f32] {
        &self.log_probs
    }

    /// What ended it, if it has ended.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Whether the model's logits are not finite.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Whether a further token is to be drawn.
    pub(super) fn goes_on(&self) -> bool {
        self.end.is_none() && !self.is_broken
    }

    pub(super) fn finish(self) -> Option<Continuation> {
        let Self { ids, log_probs, entropy, end, .. } = self;
        end.map(|end| Continuation { ids, log_probs, entropy, end })
    }
}

/// A sequence that is continued token by token.
#[derive(Debug)]
pub struct Continuing<'a> {
    /// The sequence.
    pub row: RowId,
    /// How it is continued. Its random numbers advance with each token.
    pub task: Task<'a>,
    /// What it has come to.
    pub draft: Draft,
}

impl<'a> Continuing<'a> {
    /// A continuation without tokens.
    pub fn new(row: RowId, task: Task<'a>) -> Self {
        Self { row, task, draft: Draft::default() }
    }

    pub(super) fn begin(
        &mut self,
        index: usize,
        generator: &mut Generator,
        watch: &mut Watch,
    ) -> Result<()> {
        self.force(index, generator, watch)?;
        self.check_length(generator);
        Ok(())
    }

    /// The tokens that can follow, if choices constrain them.
    fn options(&self) -> Option<Vec<u32>> {
        match self.task.choices?.next(self.draft.node) {
            Next::Branch(options) => Some(options),
            Next::Forced(..) | Next::End(_) => None,
        }
    }

    fn push(&mut self, token: u32, [log_prob, entropy]: [f32; 2], generator: &mut Generator) {
        self.draft.ids.push(token);
        self.draft.log_probs.push(log_prob);
        self.draft.entropy.push(entropy);
        generator.rows.entry(self.row).or_default().push(token);
    }

    /// Tells the caller of a token.
    fn tell(&mut self, index: usize, token: u32, watch: &mut Watch) -> Result<()> {
        if watch(index, token)?.is_break() {
            self.draft.end = Some(End::Stopped);
        }
        Ok(())
    }

    /// Takes a drawn token.
    pub(super) fn accept(
        &mut self,
        index: usize,
        token: u32,
        draw: Draw,
        generator: &mut Generator,
        watch: &mut Watch,
    ) -> Result<()> {
        self.push(token, [draw.log_prob, draw.entropy], generator);
        match self.task.choices {
            Some(choices) => {
                self.draft.node = choices.step(self.draft.node, token);
                if Some(token) != choices.end() {
                    self.tell(index, token, watch)?;
                }
                self.force(index, generator, watch)
            }
            None if self.task.stop_ids.contains(&token) => {
                self.draft.end = Some(End::StopToken);
                Ok(())
            }
            None => {
                self.tell(index, token, watch)?;
                self.check_length(generator);
                Ok(())
            }
        }
    }

    /// Appends the tokens of a choice up to the next decision.
    fn force(&mut self, index: usize, generator: &mut Generator, watch: &mut Watch) -> Result<()> {
        let Some(choices) = self.task.choices else { return Ok(()) };
        while self.draft.end.is_none() {
            match choices.next(self.draft.node) {
                Next::Forced(token, next) => {
                    self.draft.node = next;
                    self.push(token, [0.0, 0.0], generator);
                    self.tell(index, token, watch)?;
                }
                Next::End(choice) => self.draft.end = Some(End::Choice(choice)),
                Next::Branch(_) => break,
            }
        }
        Ok(())
    }

    /// Ends a continuation that may not grow.
    fn check_length(&mut self, generator: &Generator) {
        if self.draft.end.is_some() || self.task.choices.is_some() {
            return;
        }
        if self.draft.ids.len() >= self.task.max_tokens {
            self.draft.end = Some(End::MaxTokens);
        } else if generator.ids(self.row).len() >= generator.model.config().context {
            self.draft.end = Some(End::Context);
        }
    }
}

/// The next token of each sequence, from the hidden states of their last tokens. `None` for a sequence
/// whose logits are not finite.
pub(super) fn draw(
    model: &Decoder,
    active: &mut [&mut Continuing],
    hidden: Tensor<2>,
) -> Result<Vec<Option<(u32, Draw)>>> {
    let uniforms: Vec<f64> = active
        .iter_mut()
        .map(|one| if one.task.sampling.is_random() { one.task.rng.random() } else { 0.0 })
        .collect();
    let options: Vec<Option<Vec<u32>>> = active.iter().map(|one| one.options()).collect();
    let (choosing, free): (Vec<usize>, Vec<usize>) =
        (0..active.len()).partition(|&row| options[row].is_some());
    let mut draws: Vec<Option<Draw>> = vec![None; active.len()];
    let drawn = |row: usize, logits: &[f32]| {
        let Task { sampling, is_tempered, .. } = &active[row].task;
        match *is_tempered && sampling.is_random() {
            true => sampling.draw_tempered(logits, uniforms[row]),
            false => sampling.draw(logits, uniforms[row]),
        }
    };
    if !choosing.is_empty() {
        let tokens: BTreeSet<u32> = options.iter().flatten().flatten().copied().collect();
        let tokens: Vec<u32> = tokens.into_iter().collect();
        let of_tokens = read(model.logits_of(part(&hidden, &choosing), &tokens))?;
        for (&row, of_tokens) in choosing.iter().zip(of_tokens.chunks_exact(tokens.len())) {
            let place = |token: &u32| tokens.binary_search(token).unwrap_or_default();
            let own = options[row].iter().flatten().map(|token| of_tokens[place(token)]);
            draws[row] = drawn(row, &own.collect::<Vec<f32>>());
        }
    }
    let vocabulary = model.config().vocabulary;
    for rows in free.chunks((LOGITS / vocabulary).max(1)) {
        let logits = read(model.logits(part(&hidden, rows)))?;
        let of_row = |at: usize| drawn(rows[at], &logits[at * vocabulary..][..vocabulary]);
        for (&row, draw) in rows.iter().zip(par_map(rows.len(), of_row)) {
            draws[row] = draw;
        }
    }
    let with_token = |(draw, options): (Option<Draw>, Option<Vec<u32>>)| {
        let draw = draw?;
        let token = options.map_or(draw.index as u32, |options| options[draw.index]);
        Some((token, draw))
    };
    Ok(draws.into_iter().zip(options).map(with_token).collect())
}
