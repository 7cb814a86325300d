//! A language model as a policy.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Int, Tensor, TensorData};
use rand::RngCore;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::answer::parse_action;
use super::encoder::LmEncoder;
use super::inputs::{Constraint, LmInputs, Row};
use super::layout::Layout;
use super::parts::part_sizes;
use crate::error::{Error, Result};
use crate::kernels::{TokenLogProbs, token_log_probs};
use crate::lm::{
    Branch, Cache, Continuation, Decoder, End, Generator, RowId, Sequences, Task, recompute,
    score_branches,
};
use crate::policy::{Answer, Policy, Responses, Sampling, TokenScores, TokenUsage};

/// A language model that plays.
#[derive(Module, Debug)]
pub struct LmPolicy {
    model: Decoder,
    #[module(skip)]
    settings: LmSettings,
}

/// The settings of a policy's answers.
#[derive(Debug, Clone)]
pub(super) struct LmSettings {
    pub layout: Layout,
    pub max_response_tokens: usize,
    pub part_tokens: usize,
    pub recompute: bool,
    /// Episodes that may be in progress at once.
    pub max_active: usize,
}

/// What the model keeps of the episodes in progress.
#[derive(Debug)]
pub struct LmCache {
    sequences: Option<Sequences>,
    /// The sequence of each transcript.
    held: HashMap<usize, RowId>,
    usage: TokenUsage,
}

impl LmPolicy {
    pub(super) fn new(model: Decoder, settings: LmSettings) -> Self {
        Self { model, settings }
    }

    fn new_cache(&self) -> Cache {
        Cache::new(self.model.config(), &self.model.device())
    }

    /// The model.
    pub fn model(&self) -> &Decoder {
        &self.model
    }

    /// The hidden states at places of transcripts, `[places, hidden]`. A place is a number of tokens: the
    /// state after them.
    fn states(&self, inputs: &LmInputs, places: &[(usize, usize)]) -> Result<Tensor<2>> {
        let reading = Reading::of(inputs, places);
        Ok(reading.select(self.model.hidden(&reading.sequences)?))
    }

    fn scores(
        &self,
        inputs: &LmInputs,
        rows: &[usize],
        responses: &Responses,
        temperature: f32,
    ) -> Result<TokenScores> {
        let wanted = Wanted::of(inputs, rows, responses, false)?;
        let hidden = self.states(inputs, &wanted.places)?;
        Ok(self.scores_of(wanted, hidden, temperature)?.0)
    }

    /// The scores of the hidden states at the wanted places, and the sum of the log-probabilities of the
    /// environment's tokens if they are wanted.
    fn scores_of(
        &self,
        wanted: Wanted,
        hidden: Tensor<2>,
        temperature: f32,
    ) -> Result<(TokenScores, Option<Tensor<1>>)> {
        let branches: Vec<&Branch> = wanted.branches.iter().collect();
        let (free, decided) = (wanted.targets.len(), branches.len());
        let (end, width) = (wanted.places.len(), hidden.dims()[1]);
        let observed = match wanted.observed.as_slice() {
            [] => None,
            targets => {
                let hidden = hidden.clone().slice([free + decided..end, 0..width]);
                let scores = token_log_probs(hidden, &self.model.head_parts(), targets)?;
                Some(scores.log_probs.sum())
            }
        };
        let hidden = hidden.slice([0..free + decided, 0..width]).div_scalar(temperature);
        let of_free = token_log_probs(
            hidden.clone().slice([0..free, 0..width]),
            &self.model.head_parts(),
            &wanted.targets,
        )?;
        let of_branches =
            score_branches(&self.model, hidden.slice([free..free + decided, 0..width]), &branches)?;
        Ok((wanted.arranged(&of_free, &of_branches), observed))
    }

    /// Scores that are NaN, for rows that cannot be scored. Transcripts are checked when they are written,
    /// so this happens if the device fails only. An update with NaN is skipped and reported.
    fn no_scores(&self, responses: &Responses) -> TokenScores {
        let shape = [responses.len(), responses.width()];
        let nan = || Tensor::full(shape, f32::NAN, &self.model.device());
        TokenScores { log_probs: nan(), entropy: nan(), values: None }
    }
}

/// The beginnings of transcripts that hidden states are read from.
struct Reading<'a> {
    sequences: Vec<&'a [u32]>,
    /// The number of each place among all tokens of the padded sequences.
    places: Vec<i32>,
}

impl<'a> Reading<'a> {
    /// Each transcript is read up to its last place.
    fn of(inputs: &'a LmInputs, places: &[(usize, usize)]) -> Self {
        let mut needed: BTreeMap<usize, usize> = BTreeMap::new();
        for &(transcript, tokens) in places {
            let most = needed.entry(transcript).or_default();
            *most = tokens.max(*most);
        }
        let number: HashMap<usize, usize> =
            needed.keys().enumerate().map(|(number, &transcript)| (transcript, number)).collect();
        let sequences: Vec<&[u32]> = needed
            .iter()
            .map(|(&transcript, &tokens)| &inputs.transcripts[transcript][..tokens])
            .collect();
        let width = sequences.iter().map(|ids| ids.len()).max().unwrap_or(0);
        let place = |&(transcript, tokens): &(usize, usize)| {
            (number[&transcript] * width + tokens - 1) as i32
        };
        let places = places.iter().map(place).collect();
        Self { sequences, places }
    }

    /// The hidden states at the places, `[places, hidden]`, of those of all tokens.
    fn select(&self, hidden: Tensor<2>) -> Tensor<2> {
        let places = Tensor::<1, Int>::from_data(self.places.as_slice(), &hidden.device());
        hidden.select(0, places)
    }
}

/// The tokens that have a distribution: free ones of responses, decisions among choices, and those of the
/// environment.
struct Wanted {
    /// Where the state before each is.
    places: Vec<(usize, usize)>,
    /// The free tokens.
    targets: Vec<u32>,
    branches: Vec<Branch>,
    /// The tokens of the environment.
    observed: Vec<u32>,
    /// `[rows, tokens]`: the number of each token's value, or 0 for a forced token and padding; values
    /// count from 1.
    index: Vec<i32>,
    shape: [usize; 2],
}

impl Wanted {
    fn of(
        inputs: &LmInputs,
        rows: &[usize],
        responses: &Responses,
        observations: bool,
    ) -> Result<Self> {
        let shape = [rows.len(), responses.width()];
        let mut free: Vec<((usize, usize), u32, usize)> = Vec::new();
        let mut decided: Vec<((usize, usize), Branch, usize)> = Vec::new();
        for (at, &row) in rows.iter().enumerate() {
            let Row { transcript, start, constraint, .. } = &inputs.rows[row];
            let tokens = &responses.tokens[responses.range(at)];
            let cell = at * shape[1];
            let place = |token: usize| (*transcript, start + token);
            match constraint {
                Constraint::Free => {
                    let own = tokens.iter().enumerate();
                    free.extend(own.map(|(token, &id)| (place(token), id, cell + token)));
                }
                Constraint::Decided(branches) => decided
                    .extend(branches.iter().map(|one| (place(one.at), one.clone(), cell + one.at))),
                Constraint::Choices(_) | Constraint::Whole(_) => {
                    let message = format!("row {row} has not been responded to");
                    return Err(Error::input("responses", message));
                }
            }
        }
        let mut index = vec![0; shape[0] * shape[1]];
        let cells = free.iter().map(|one| one.2).chain(decided.iter().map(|one| one.2));
        for (number, cell) in cells.enumerate() {
            index[cell] = number as i32 + 1;
        }
        let mut places: Vec<(usize, usize)> =
            free.iter().map(|one| one.0).chain(decided.iter().map(|one| one.0)).collect();
        let mut observed = Vec::new();
        for &row in rows.iter().filter(|_| observations) {
            let &Row { transcript, from, start, .. } = &inputs.rows[row];
            places.extend((from..start).map(|place| (transcript, place)));
            observed.extend_from_slice(&inputs.transcripts[transcript][from..start]);
        }
        Ok(Self {
            observed,
            places,
            targets: free.into_iter().map(|one| one.1).collect(),
            branches: decided.into_iter().map(|one| one.1).collect(),
            index,
            shape,
        })
    }

    /// The values as `[rows, tokens]`, 0 for forced tokens and padding.
    fn arranged(self, free: &TokenLogProbs, decided: &TokenLogProbs) -> TokenScores {
        let device = free.log_probs.device();
        let index = Tensor::<1, Int>::from_data(self.index.as_slice(), &device);
        let arrange = |free: &Tensor<1>, decided: &Tensor<1>| {
            let parts = vec![Tensor::zeros([1], &device), free.clone(), decided.clone()];
            Tensor::cat(parts, 0).select(0, index.clone()).reshape(self.shape)
        };
        TokenScores {
            log_probs: arrange(&free.log_probs, &decided.log_probs),
            entropy: arrange(&free.entropies, &decided.entropies),
            values: None,
        }
    }
}

impl Policy for LmPolicy {
    type Encoder = LmEncoder;
    type Cache = LmCache;

    fn cache(&self) -> LmCache {
        LmCache {
            sequences: Some(Sequences::new(self.new_cache())),
            held: HashMap::new(),
            usage: TokenUsage::default(),
        }
    }

    /// With an adapter, its weights only: the others are those of the pretrained model.
    fn is_stored(&self, weight: &str) -> bool {
        !self.model.has_adapter() || weight.contains(".lora.")
    }

    fn max_active(&self) -> usize {
        self.settings.max_active
    }

    fn usage(cache: &LmCache) -> TokenUsage {
        cache.usage
    }

    async fn respond_async(
        &self,
        cache: &mut LmCache,
        inputs: &LmInputs,
        rows: &[usize],
        sampling: Sampling,
        draws: &mut [&mut ChaCha8Rng],
    ) -> Result<(Vec<Answer>, Responses)> {
        let sequences = cache.sequences.take().unwrap_or_else(|| Sequences::new(self.new_cache()));
        let mut generator = Generator::resume(&self.model, sequences);
        let sequences = cache.follow(&mut generator, inputs, rows)?;
        let stop_ids = self.settings.layout.stop_ids();
        let sampling = match sampling {
            Sampling::Greedy => crate::lm::Sampling::greedy(),
            Sampling::Temperature(temperature) => crate::lm::Sampling {
                temperature: f64::from(temperature),
                ..crate::lm::Sampling::default()
            },
        };
        let names: Vec<String> = rows.iter().map(|row| format!("row {row}")).collect();
        let task = |(at, draw): (usize, &mut &mut ChaCha8Rng)| Task {
            name: &names[at],
            sampling: sampling.clone(),
            rng: ChaCha8Rng::seed_from_u64(draw.next_u64()),
            max_tokens: self.settings.max_response_tokens,
            stop_ids: &stop_ids,
            choices: inputs.rows[rows[at]].constraint.choices(),
            is_tempered: true,
        };
        let tasks: Vec<Task> = draws.iter_mut().enumerate().map(task).collect();
        let is_whole = |at: usize| inputs.rows[rows[at]].constraint.is_whole();
        let tasks = sequences.into_iter().zip(tasks).collect();
        let continued = match respond(&mut generator, tasks, is_whole) {
            Err(Error::NonFiniteLogits { name }) => return Ok(without_distribution(&names, &name)),
            continued => continued?,
        };
        cache.usage.cache_bytes = cache.usage.cache_bytes.max(generator.cache().bytes() as u64);
        cache.sequences = Some(generator.into_sequences());
        let mut answers = Vec::with_capacity(rows.len());
        let mut responses = Responses::default();
        for (one, &row) in continued.into_iter().zip(rows) {
            let forced = match (one.end, &inputs.rows[row].constraint) {
                (End::Choice(choice), Constraint::Choices(trie)) => {
                    one.ids.len().saturating_sub(trie.branches(choice).len())
                }
                _ => 0,
            };
            cache.usage.forced += forced as u64;
            cache.usage.drawn += (one.ids.len() - forced) as u64;
            answers.push(match one.end {
                End::Choice(choice) => Answer::Admissible(choice),
                _ => Answer::Text(self.written(&one.ids, &stop_ids)?),
            });
            responses.push(&one.ids, &one.log_probs);
        }
        Ok((answers, responses))
    }

    fn parts(&self, inputs: &LmInputs, rows: &[usize]) -> Option<Vec<Vec<usize>>> {
        // Transcripts of similar length go together, so that little is padding.
        let mut units: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, &row) in rows.iter().enumerate() {
            units.entry(inputs.rows[row].transcript).or_default().push(place);
        }
        let length = |transcript: usize| inputs.transcripts[transcript].len();
        let mut units: Vec<(usize, Vec<usize>)> =
            units.into_iter().map(|(transcript, places)| (length(transcript), places)).collect();
        units.sort_by_key(|unit| std::cmp::Reverse(unit.0));
        let lengths: Vec<usize> = units.iter().map(|unit| unit.0).collect();
        let mut units = units.into_iter().map(|unit| unit.1);
        let part = |count| units.by_ref().take(count).flatten().collect();
        Some(part_sizes(&lengths, self.settings.part_tokens).into_iter().map(part).collect())
    }

    fn evaluate(
        &self,
        inputs: &LmInputs,
        rows: &[usize],
        responses: &Responses,
        temperature: f32,
    ) -> TokenScores {
        self.scores(inputs, rows, responses, temperature)
            .unwrap_or_else(|_| self.no_scores(responses))
    }

    fn differentiate(
        &self,
        inputs: &LmInputs,
        rows: &[usize],
        responses: &Responses,
        temperature: f32,
        observations: bool,
        loss: impl FnOnce(TokenScores, Option<Tensor<1>>) -> (Tensor<1>, Tensor<1>),
    ) -> (Tensor<1>, GradientsParams) {
        let nothing =
            || (Tensor::full([1], f32::NAN, &self.model.device()), GradientsParams::new());
        let Ok(wanted) = Wanted::of(inputs, rows, responses, observations) else {
            return nothing();
        };
        let recompute = self.settings.recompute && !wanted.places.is_empty();
        let reading = Reading::of(inputs, &wanted.places);
        let of_hidden = |hidden| {
            let scores = self.scores_of(wanted, reading.select(hidden), temperature);
            let (scores, observed) = scores.unwrap_or_else(|_| (self.no_scores(responses), None));
            loss(scores, observed)
        };
        if recompute {
            let of_hidden = |hidden| Ok(of_hidden(hidden));
            return match recompute::differentiate(&self.model, &reading.sequences, of_hidden) {
                Ok((values, gradient)) => (values, gradient.0),
                Err(_) => nothing(),
            };
        }
        let Ok(hidden) = self.model.hidden(&reading.sequences) else { return nothing() };
        let (loss, values) = of_hidden(hidden);
        (values, GradientsParams::from_grads(loss.backward(), self))
    }

    /// The model's last hidden state at the decision.
    fn embed(&self, inputs: &LmInputs, rows: &[usize]) -> Tensor<2> {
        let place = |&row: &usize| (inputs.rows[row].transcript, inputs.rows[row].start);
        let places: Vec<(usize, usize)> = rows.iter().map(place).collect();
        let states = self.states(inputs, &places).unwrap_or_else(|_| {
            let shape = [rows.len(), self.model.config().hidden];
            Tensor::from_data(
                TensorData::new(vec![f32::NAN; shape[0] * shape[1]], shape),
                &self.model.device(),
            )
        });
        states.without_autodiff()
    }
}

/// Continues sequences, those of which the place is chosen as wholes so, and the others token by token.
fn respond(
    generator: &mut Generator,
    tasks: Vec<(RowId, Task)>,
    is_whole: impl Fn(usize) -> bool,
) -> Result<Vec<Continuation>> {
    let places = 0..tasks.len();
    let (whole, others): (Vec<_>, Vec<_>) =
        places.zip(tasks).partition(|&(place, _)| is_whole(place));
    let (mut order, whole): (Vec<usize>, Vec<_>) = whole.into_iter().unzip();
    let (rest, others): (Vec<usize>, Vec<_>) = others.into_iter().unzip();
    order.extend(rest);
    let mut continued = generator.choose(whole)?;
    continued.extend(generator.run(others, &mut |_, _| Ok(ControlFlow::Continue(())))?);
    let mut continued: Vec<(usize, Continuation)> = order.into_iter().zip(continued).collect();
    continued.sort_unstable_by_key(|&(place, _)| place);
    Ok(continued.into_iter().map(|(_, one)| one).collect())
}

/// The answers to rows of which one, by its name, has no distribution: its log-probability is NaN. The
/// others are not answered.
fn without_distribution(names: &[String], name: &str) -> (Vec<Answer>, Responses) {
    let mut responses = Responses::default();
    for other in names {
        responses.push(&[0], &[if other == name { f32::NAN } else { 0.0 }]);
    }
    (vec![Answer::Text(String::new()); names.len()], responses)
}

impl LmPolicy {
    /// The action in a response that was written freely; empty if there is none.
    fn written(&self, ids: &[u32], stop_ids: &[u32]) -> Result<String> {
        let ids = match ids.split_last() {
            Some((last, rest)) if stop_ids.contains(last) => rest,
            _ => ids,
        };
        let text = self.settings.layout.decode(ids)?;
        Ok(parse_action(&text).unwrap_or_default())
    }
}

impl LmCache {
    /// The sequences of the transcripts of rows, with all their tokens. Other sequences are removed.
    fn follow(
        &mut self,
        generator: &mut Generator,
        inputs: &LmInputs,
        rows: &[usize],
    ) -> Result<Vec<RowId>> {
        let transcripts: Vec<usize> = rows.iter().map(|&row| inputs.rows[row].transcript).collect();
        let current: HashSet<usize> = transcripts.iter().copied().collect();
        self.held.retain(|transcript, row| {
            let is_kept = current.contains(transcript);
            if !is_kept {
                generator.remove(*row);
            }
            is_kept
        });
        let mut of_rows = Vec::with_capacity(rows.len());
        for transcript in transcripts {
            let tokens = &inputs.transcripts[transcript];
            let row = match self.held.get(&transcript) {
                Some(&row) => row,
                None => {
                    let row = generator.add(&[])?;
                    self.held.insert(transcript, row);
                    row
                }
            };
            let known = generator.ids(row).len();
            generator.append(row, &tokens[known..])?;
            self.usage.read += (tokens.len() - known) as u64;
            of_rows.push(row);
        }
        Ok(of_rows)
    }
}
