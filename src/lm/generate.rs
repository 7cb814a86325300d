//! Continuing sequences: one cache for their whole lives, one batch for those that are continued.

mod choose;
mod continuing;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use burn::tensor::{Int, Tensor};
use rand_chacha::ChaCha8Rng;

use self::continuing::draw;
pub use self::continuing::{Continuing, Draft};
use super::cache::{Cache, RowId};
use super::model::Decoder;
use super::sampling::Sampling;
use super::trie::Trie;
use crate::error::{Error, Result};

/// Tokens that are fed together at most. It bounds the memory of long prompts.
const FED: usize = 4096;

/// Logits that are held at once, unless those of a single sequence are more.
const LOGITS: usize = 1 << 24;

/// How a sequence is continued.
#[derive(Debug, Clone)]
pub struct Task<'a> {
    /// The sequence's name in errors.
    pub name: &'a str,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// The sequence's own random numbers: one a token that is drawn at a temperature above 0. So its
    /// tokens depend neither on the other sequences of the batch nor on their order.
    pub rng: ChaCha8Rng,
    /// Most tokens of the continuation. A choice is always completed, whatever its length.
    pub max_tokens: usize,
    /// Tokens that end the continuation. They belong to it.
    pub stop_ids: &'a [u32],
    /// The choices that the continuation is constrained to.
    pub choices: Option<&'a Trie>,
    /// Whether log-probabilities and entropies are those of logits divided by the temperature, in place of
    /// those at temperature 1.
    pub is_tempered: bool,
}

/// What ended a continuation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A stop token, the last of the continuation.
    StopToken,
    /// The caller, who watches the tokens.
    Stopped,
    /// The most tokens that were asked for.
    MaxTokens,
    /// The context: sequence and continuation together fill it.
    Context,
    /// The choice of this index is complete.
    Choice(usize),
}

/// The continuation of a sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Continuation {
    /// Its tokens.
    pub ids: Vec<u32>,
    /// The log-probability of each token. Without choices, it is the model's own, at temperature 1 over
    /// the whole vocabulary, as [`score`](super::score) gives it, whatever the token was drawn with. With
    /// choices, it is that among the tokens that could follow, at temperature 1; 0 for a forced token.
    pub log_probs: Vec<f32>,
    /// The entropy of the distribution that the log-probability belongs to, in nats, for each token.
    pub entropy: Vec<f32>,
    /// What ended it.
    pub end: End,
}

/// Called with the index of a task and a token of its continuation, as it is drawn or forced. Tokens that
/// end a text are not told. [`ControlFlow::Break`] ends the continuation after this token.
pub type Watch<'a> = dyn FnMut(usize, u32) -> Result<ControlFlow<()>> + 'a;

/// Sequences of tokens and what a model keeps of them, apart from the model.
#[derive(Debug)]
pub struct Sequences {
    cache: Cache,
    rows: BTreeMap<RowId, Vec<u32>>,
}

impl Sequences {
    /// No sequences. The cache is empty, on the model's device, and may have a limit.
    pub fn new(cache: Cache) -> Self {
        Self { cache, rows: BTreeMap::new() }
    }
}

/// Sequences of tokens and what a model keeps of them.
///
/// A sequence lives as long as its owner needs it: tokens may be appended to it and continuations drawn
/// in any order. A token is fed to the model once; appended tokens of all sequences that are continued
/// are fed together. After the model's weights change, a new generator is needed.
#[derive(Debug)]
pub struct Generator<'a> {
    model: &'a Decoder,
    cache: Cache,
    rows: BTreeMap<RowId, Vec<u32>>,
}

impl<'a> Generator<'a> {
    /// No sequences. The cache is empty, on the model's device, and may have a limit.
    pub fn new(model: &'a Decoder, cache: Cache) -> Self {
        Self::resume(model, Sequences::new(cache))
    }

    /// Goes on with the sequences of an earlier generator of the same model.
    pub fn resume(model: &'a Decoder, sequences: Sequences) -> Self {
        let Sequences { cache, rows } = sequences;
        Self { model, cache, rows }
    }

    /// The sequences, for a later generator of the same model.
    pub fn into_sequences(self) -> Sequences {
        Sequences { cache: self.cache, rows: self.rows }
    }

    /// Starts a sequence. Nothing is computed.
    ///
    /// # Errors
    /// Returns the errors of [`append`](Self::append).
    pub fn add(&mut self, ids: &[u32]) -> Result<RowId> {
        let row = self.cache.add();
        self.rows.insert(row, Vec::new());
        match self.append(row, ids) {
            Ok(()) => Ok(row),
            Err(error) => {
                self.remove(row);
                Err(error)
            }
        }
    }

    /// Appends tokens to a sequence. Nothing is computed.
    ///
    /// # Errors
    /// Returns an error, and appends nothing, if the sequence was removed, an id is out of range, or the
    /// sequence would outgrow the context.
    pub fn append(&mut self, row: RowId, ids: &[u32]) -> Result<()> {
        let Some(sequence) = self.rows.get_mut(&row) else {
            return Err(Error::input("sequence", "was removed"));
        };
        let (tokens, context) = (sequence.len() + ids.len(), self.model.config().context);
        if tokens > context {
            return Err(Error::ContextOverflow { tokens, context });
        }
        if !ids.is_empty() {
            self.model.check_ids(ids)?;
        }
        sequence.extend_from_slice(ids);
        Ok(())
    }

    /// Forgets a sequence. Others use its memory.
    pub fn remove(&mut self, row: RowId) {
        self.rows.remove(&row);
        self.cache.remove(row);
    }

    /// All tokens of a sequence, with its continuations; none if it was removed.
    pub fn ids(&self, row: RowId) -> &[u32] {
        self.rows.get(&row).map_or(&[], Vec::as_slice)
    }

    /// The cache.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Continues sequences in one batch, each to its own end; those that end leave the batch. Their
    /// continuations are appended to them and returned in the order of the tasks.
    ///
    /// # Errors
    /// Returns an error if a sequence is empty, was removed or occurs twice, a setting or a choice does
    /// not fit, the cache is full, `watch` fails, or the run fails: a logit is not finite, or the device
    /// fails. Sequences keep the tokens that they have by then.
    pub fn run(
        &mut self,
        tasks: Vec<(RowId, Task)>,
        watch: &mut Watch,
    ) -> Result<Vec<Continuation>> {
        for (row, task) in &tasks {
            self.check_named(*row, task)?;
        }
        let mut all: Vec<Continuing> =
            tasks.into_iter().map(|(row, task)| Continuing::new(row, task)).collect();
        for (index, one) in all.iter_mut().enumerate() {
            one.begin(index, self, watch)?;
        }
        while all.iter().any(|one| one.draft.end.is_none()) {
            self.step(&mut all, watch)?;
            if let Some(one) = all.iter().find(|one| one.draft.is_broken) {
                return Err(Error::NonFiniteLogits { name: one.task.name.to_string() });
            }
        }
        Ok(all.into_iter().filter_map(|one| one.draft.finish()).collect())
    }

    /// Begins a continuation that [`Generator::step`] goes on with. Tokens that must come first are
    /// appended. `index` is what `watch` is called with.
    ///
    /// # Errors
    /// Returns an error if the sequence is empty or was removed, a setting or a choice does not fit, or
    /// `watch` fails.
    pub fn begin(&mut self, index: usize, one: &mut Continuing, watch: &mut Watch) -> Result<()> {
        self.check(one.row, &one.task)?;
        one.begin(index, self, watch)
    }

    /// Draws the next token of each continuation that has not ended, and appends it, with those that
    /// must follow. `watch` is called with places in `all`. Continuations may join and leave between two
    /// steps.
    ///
    /// A continuation whose logits are not finite is [broken](Draft::is_broken), and gets no more tokens.
    ///
    /// # Errors
    /// Returns an error if two continuations are of one sequence, the cache is full, `watch` fails, or the
    /// device fails.
    pub fn step(&mut self, all: &mut [Continuing], watch: &mut Watch) -> Result<()> {
        let active = all.iter_mut().enumerate();
        let (places, mut active): (Vec<usize>, Vec<&mut Continuing>) =
            active.filter(|(_, one)| one.draft.goes_on()).unzip();
        if active.is_empty() {
            return Ok(());
        }
        let rows: Vec<RowId> = active.iter().map(|one| one.row).collect();
        let hidden = self.feed(&rows)?;
        let draws = draw(self.model, &mut active, hidden)?;
        for ((index, one), drawn) in places.into_iter().zip(active).zip(draws) {
            match drawn {
                Some((token, draw)) => one.accept(index, token, draw, self, watch)?,
                None => one.draft.is_broken = true,
            }
        }
        Ok(())
    }

    fn check(&self, row: RowId, task: &Task) -> Result<()> {
        task.sampling.validate()?;
        let ids = self.ids(row);
        if ids.is_empty() {
            return Err(Error::input("ids", "0 tokens, expected at least 1"));
        }
        task.choices.map_or(Ok(()), |choices| choices.check(self.model.config(), ids.len()))
    }

    /// [`Generator::check`] with the task's name in errors.
    fn check_named(&self, row: RowId, task: &Task) -> Result<()> {
        self.check(row, task).map_err(|error| match error {
            Error::Input { .. } | Error::ContextOverflow { .. } => {
                Error::input(task.name, error.to_string())
            }
            other => other,
        })
    }

    /// Replaces the tokens of a sequence from a place on. What the model has read of them stays read as far
    /// as they are the same.
    fn rewrite(&mut self, row: RowId, from: usize, ids: &[u32]) {
        let Some(sequence) = self.rows.get_mut(&row) else { return };
        let same = sequence[from..].iter().zip(ids).take_while(|(old, new)| old == new).count();
        sequence.truncate(from + same);
        self.cache.truncate(row, from + same);
        sequence.extend_from_slice(&ids[same..]);
    }

    /// Feeds what the model has not read of sequences. Gives the hidden states of their last tokens,
    /// `[rows, hidden]`.
    fn feed(&mut self, rows: &[RowId]) -> Result<Tensor<2>> {
        let mut last = Vec::new();
        let mut piece: Vec<(RowId, &[u32])> = Vec::new();
        let (mut size, mut ends) = (0, Vec::new());
        for &row in rows {
            let ids = self.rows.get(&row).map_or(&[][..], Vec::as_slice);
            let mut unread = &ids[self.cache.tokens(row)..];
            while !unread.is_empty() {
                let (own, rest) = unread.split_at(unread.len().min(FED - size));
                piece.push((row, own));
                size += own.len();
                unread = rest;
                if unread.is_empty() {
                    ends.push(size as i32 - 1);
                }
                if size == FED {
                    last.push(read_piece(self.model, &mut self.cache, &piece, &ends)?);
                    (piece, size, ends) = (Vec::new(), 0, Vec::new());
                }
            }
        }
        if size > 0 {
            last.push(read_piece(self.model, &mut self.cache, &piece, &ends)?);
        }
        Ok(if last.len() == 1 { last.remove(0) } else { Tensor::cat(last, 0) })
    }
}

/// Feeds tokens, and gives the hidden states at some places among them.
fn read_piece(
    model: &Decoder,
    cache: &mut Cache,
    piece: &[(RowId, &[u32])],
    places: &[i32],
) -> Result<Tensor<2>> {
    let hidden = model.extend(cache, piece)?;
    if places.len() == hidden.dims()[0] {
        return Ok(hidden);
    }
    let places = Tensor::<1, Int>::from_data(places, &hidden.device());
    Ok(hidden.select(0, places))
}

/// Some rows of a matrix, in ascending order.
fn part(matrix: &Tensor<2>, rows: &[usize]) -> Tensor<2> {
    if rows.len() == matrix.dims()[0] {
        return matrix.clone();
    }
    let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
    matrix.clone().select(0, Tensor::from_data(rows.as_slice(), &matrix.device()))
}
