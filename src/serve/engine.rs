//! The batch of all continuations.
//!
//! Jobs come through a [`Door`] from any thread. The engine takes them in their order as soon as there
//! is a place in the batch and memory for the longest sequence that a job can become, so no job that was
//! begun is ever short of memory.

use std::collections::VecDeque;
use std::mem;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::lm::{
    Cache, Continuing, Decoder, Draft, End, Generator, RowId, Sampling, StopText, Task, Tokenizer,
    Trie,
};

/// How long an idle engine waits before it looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// What a continuation is constrained to.
#[derive(Debug, Clone)]
pub struct Choices {
    /// The choices.
    pub texts: Vec<String>,
    /// Their tokens.
    pub trie: Trie,
}

impl Choices {
    /// Choices as tokens.
    ///
    /// # Errors
    /// Returns an error if a choice has no tokens, or two have the same.
    pub fn new(texts: Vec<String>, tokenizer: &Tokenizer) -> Result<Self> {
        let encoded =
            texts.iter().map(|text| tokenizer.encode(text)).collect::<Result<Vec<_>>>()?;
        let trie = Trie::new(&encoded, tokenizer.end_ids().first().copied())?;
        Ok(Self { texts, trie })
    }

    /// Tokens of the longest choice.
    pub fn longest(&self) -> usize {
        self.trie.longest()
    }
}

/// A sequence to continue.
pub struct Job {
    /// Its tokens, at least one, all in the model's vocabulary.
    pub ids: Vec<u32>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Its own random numbers.
    pub rng: ChaCha8Rng,
    /// Most tokens of the continuation. A choice is always completed.
    pub max_tokens: usize,
    /// Texts that end the continuation, which is cut before them.
    pub stops: Vec<String>,
    /// What the continuation is constrained to.
    pub choices: Option<Choices>,
    /// Whoever waits for it.
    pub listener: Box<dyn Listener>,
}

impl Job {
    /// Most tokens of the sequence at its end.
    pub fn most_tokens(&self) -> usize {
        let own = self.choices.as_ref().map_or(self.max_tokens, Choices::longest);
        self.ids.len().saturating_add(own)
    }
}

/// Takes the events of a job.
pub trait Listener: Send {
    /// Takes an event. [`ControlFlow::Break`] says that no more are wanted, which ends the job.
    fn tell(&mut self, event: Event) -> ControlFlow<()>;

    /// Whether no more events are wanted.
    fn is_gone(&self) -> bool;
}

/// What happens to a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A token was appended.
    Token {
        /// The token.
        id: u32,
        /// Its log-probability, as in [`Continuation`](crate::lm::Continuation).
        log_prob: f32,
        /// The text that is certain by it. Always empty with choices.
        text: String,
    },
    /// The continuation ended.
    End {
        /// Why.
        finish: Finish,
        /// The text that was not told before. With choices, the choice.
        text: String,
        /// Tokens of the continuation, with one that ended it.
        tokens: usize,
    },
    /// The continuation was given up.
    Failed(Failure),
}

/// Why a continuation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// An end token, a stop string, or a whole choice.
    Stop,
    /// The most tokens, or the end of the context.
    Length,
}

/// Why a continuation was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The engine stops.
    Stopping,
    /// The run failed.
    Run(String),
}

/// Limits of an engine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EngineLimits {
    /// Sequences that are continued together, at least 1.
    pub batch: usize,
    /// Bytes of the cache.
    pub cache_bytes: usize,
    /// How long jobs may go on after the engine is told to stop.
    pub grace: Duration,
}

/// Where jobs come in. Clones lead to the same engine.
#[derive(Debug, Clone)]
pub struct Door {
    sender: Sender<Job>,
    /// Jobs that have not begun.
    waiting: Arc<AtomicUsize>,
    limit: usize,
}

/// The inner side of a [`Door`].
#[derive(Debug)]
pub struct Inbox {
    receiver: Receiver<Job>,
    waiting: Arc<AtomicUsize>,
}

/// A door for at most `limit` jobs that wait, and its inner side.
pub fn door(limit: usize) -> (Door, Inbox) {
    let (sender, receiver) = mpsc::channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    (Door { sender, waiting: waiting.clone(), limit }, Inbox { receiver, waiting })
}

impl Door {
    /// Hands in the jobs of a request.
    ///
    /// # Errors
    /// Gives the jobs back if as many as may wait do so already. If the engine has ended, their
    /// listeners are dropped.
    pub fn hand_in(&self, jobs: Vec<Job>) -> Result<(), Vec<Job>> {
        let count = jobs.len();
        let entered = self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| {
            (waiting < self.limit).then_some(waiting + count)
        });
        if entered.is_err() {
            return Err(jobs);
        }
        for job in jobs {
            // Without an engine, the job is dropped and its listener with it.
            let _ = self.sender.send(job);
        }
        Ok(())
    }

    /// Jobs that have not begun.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }
}

/// What an engine has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sequences that were begun.
    pub sequences: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens that were appended.
    pub tokens: u64,
    /// Most sequences that were continued together.
    pub most_together: usize,
}

/// The batch.
pub struct Engine<'a> {
    generator: Generator<'a>,
    tokenizer: &'a Tokenizer,
    limits: EngineLimits,
    running: Vec<Running<'a>>,
    waiting: VecDeque<Job>,
    inbox: Inbox,
    /// Bytes of the cache that the running jobs may come to need.
    reserved: usize,
    counts: Counts,
}

/// A job in the batch.
struct Running<'a> {
    row: RowId,
    job: Job,
    draft: Draft,
    /// Tokens that were told.
    told: usize,
    /// Absent with choices, whose texts are known, and at the end.
    text: Option<StopText<'a>>,
    /// Bytes of the cache that it may come to need.
    bytes: usize,
}

/// Tokens that a sequence of a model may have in a cache of a limited size.
pub fn capacity(model: &Decoder, cache_bytes: usize) -> usize {
    let cache = Cache::new(model.config(), &model.device());
    let page = cache.bytes_of(1);
    let tokens = cache_bytes / page * (page / cache.bytes_per_token());
    tokens.min(model.config().context)
}

impl<'a> Engine<'a> {
    /// An engine without jobs.
    pub fn new(
        model: &'a Decoder,
        tokenizer: &'a Tokenizer,
        limits: EngineLimits,
        inbox: Inbox,
    ) -> Self {
        let cache = Cache::new(model.config(), &model.device()).with_limit(limits.cache_bytes);
        Self {
            generator: Generator::new(model, cache),
            tokenizer,
            limits,
            running: Vec::new(),
            waiting: VecDeque::new(),
            inbox,
            reserved: 0,
            counts: Counts::default(),
        }
    }

    /// Works until it is to stop, or all doors are gone and all jobs done. Then jobs that wait are given
    /// up, and those that run have the time of grace to end. Returns what it has done, and an error if the
    /// device failed, for which all jobs are given up.
    ///
    /// Jobs that come later are dropped with their listeners.
    pub fn work(mut self, stops: &dyn Fn() -> bool) -> (Counts, Result<()>) {
        let worked = self.run(stops);
        (self.counts, worked)
    }

    fn run(&mut self, stops: &dyn Fn() -> bool) -> Result<()> {
        loop {
            if stops() {
                return self.wind_down();
            }
            if self.running.is_empty() && self.waiting.is_empty() {
                match self.inbox.receiver.recv_timeout(LOOK) {
                    Ok(job) => self.waiting.push_back(job),
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
            }
            self.admit();
            self.step()?;
        }
    }

    fn wind_down(&mut self) -> Result<()> {
        let end = Instant::now() + self.limits.grace;
        loop {
            self.waiting.extend(self.inbox.receiver.try_iter());
            for mut job in self.waiting.drain(..) {
                self.inbox.waiting.fetch_sub(1, Ordering::AcqRel);
                let _ = job.listener.tell(Event::Failed(Failure::Stopping));
            }
            if Instant::now() >= end {
                self.give_up(&Failure::Stopping);
            }
            if self.running.is_empty() {
                return Ok(());
            }
            self.step()?;
        }
    }

    /// Ends all running jobs.
    fn give_up(&mut self, failure: &Failure) {
        for mut one in mem::take(&mut self.running) {
            let _ = one.job.listener.tell(Event::Failed(failure.clone()));
            self.generator.remove(one.row);
        }
        self.reserved = 0;
    }

    /// Begins jobs that wait, in their order, as far as there is room.
    fn admit(&mut self) {
        self.waiting.extend(self.inbox.receiver.try_iter());
        while let Some(job) = self.waiting.front() {
            let bytes = self.generator.cache().bytes_of(job.most_tokens());
            let (needed, limit) = (self.reserved.saturating_add(bytes), self.limits.cache_bytes);
            let never_fits = bytes > limit;
            if !never_fits && (self.running.len() >= self.limits.batch || needed > limit) {
                return;
            }
            let Some(mut job) = self.waiting.pop_front() else { return };
            self.inbox.waiting.fetch_sub(1, Ordering::AcqRel);
            if never_fits {
                let message = format!("needs {bytes} bytes of the cache, its limit is {limit}");
                fail(&mut job, &Error::input("the request", message));
            } else if !job.listener.is_gone() {
                self.begin(job, bytes);
            }
        }
    }

    fn begin(&mut self, mut job: Job, bytes: usize) {
        let row = match self.generator.add(&job.ids) {
            Ok(row) => row,
            Err(error) => return fail(&mut job, &error),
        };
        let stops = mem::take(&mut job.stops);
        let text = job.choices.is_none().then(|| StopText::new(self.tokenizer, stops));
        let mut one = Running { row, job, draft: Draft::default(), told: 0, text, bytes };
        let mut continuing = Continuing::new(row, one.task(self.tokenizer));
        let begun = self.generator.begin(0, &mut continuing, &mut go_on);
        one.draft = continuing.draft;
        if let Err(error) = begun {
            self.generator.remove(row);
            return fail(&mut one.job, &error);
        }
        self.counts.sequences += 1;
        self.counts.prompt_tokens += one.job.ids.len() as u64;
        self.reserved += bytes;
        self.running.push(one);
        self.counts.most_together = self.counts.most_together.max(self.running.len());
    }

    /// Draws a token for every running job, and tells the listeners.
    fn step(&mut self) -> Result<()> {
        let Self { generator, tokenizer, running, .. } = self;
        let all = running.iter_mut().map(|one| {
            let draft = mem::take(&mut one.draft);
            Continuing { row: one.row, task: one.task(tokenizer), draft }
        });
        let mut all: Vec<Continuing> = all.collect();
        let stepped = generator.step(&mut all, &mut go_on);
        let states: Vec<(Draft, ChaCha8Rng)> =
            all.into_iter().map(|one| (one.draft, one.task.rng)).collect();
        for (one, (draft, rng)) in running.iter_mut().zip(states) {
            (one.draft, one.job.rng) = (draft, rng);
        }
        if let Err(error) = stepped {
            self.give_up(&Failure::Run(error.to_string()));
            return Err(error);
        }
        for mut one in mem::take(&mut self.running) {
            let told = one.told;
            let is_over = one.tell_new(self.tokenizer);
            self.counts.tokens += (one.told - told) as u64;
            match is_over {
                true => {
                    self.generator.remove(one.row);
                    self.reserved -= one.bytes;
                }
                false => self.running.push(one),
            }
        }
        Ok(())
    }
}

impl Drop for Engine<'_> {
    fn drop(&mut self) {
        self.give_up(&Failure::Stopping);
    }
}

/// Every token is looked at after its step.
fn go_on(_: usize, _: u32) -> Result<ControlFlow<()>> {
    Ok(ControlFlow::Continue(()))
}

fn fail(job: &mut Job, error: &Error) {
    let _ = job.listener.tell(Event::Failed(Failure::Run(error.to_string())));
}

impl<'a> Running<'a> {
    fn task<'b>(&'b self, tokenizer: &'b Tokenizer) -> Task<'b> {
        Task {
            name: "the request",
            sampling: self.job.sampling.clone(),
            rng: self.job.rng.clone(),
            max_tokens: self.job.max_tokens,
            stop_ids: tokenizer.end_ids(),
            choices: self.job.choices.as_ref().map(|choices| &choices.trie),
            is_tempered: false,
        }
    }

    /// Tells the listener of new tokens and of the end. Returns whether the job is over.
    fn tell_new(&mut self, tokenizer: &Tokenizer) -> bool {
        match self.told_new(tokenizer) {
            Ok(flow) => flow.is_break(),
            Err(error) => {
                fail(&mut self.job, &error);
                true
            }
        }
    }

    fn told_new(&mut self, tokenizer: &Tokenizer) -> Result<ControlFlow<()>> {
        if self.job.listener.is_gone() {
            return Ok(ControlFlow::Break(()));
        }
        if self.draft.is_broken() {
            return Err(Error::Run("the model's logits are not finite".into()));
        }
        while self.told < self.draft.ids().len() {
            let (id, log_prob) = (self.draft.ids()[self.told], self.draft.log_probs()[self.told]);
            self.told += 1;
            // It belongs to no text.
            if tokenizer.end_ids().contains(&id) {
                continue;
            }
            let text = self.text.as_mut().map(|text| text.push(id)).transpose()?;
            let event = Event::Token { id, log_prob, text: text.unwrap_or_default() };
            if self.job.listener.tell(event).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if self.text.as_ref().is_some_and(StopText::is_stopped) {
                return self.end(Finish::Stop);
            }
        }
        match self.draft.end() {
            None => Ok(ControlFlow::Continue(())),
            Some(End::MaxTokens | End::Context) => self.end(Finish::Length),
            Some(End::StopToken | End::Stopped | End::Choice(_)) => self.end(Finish::Stop),
        }
    }

    fn end(&mut self, finish: Finish) -> Result<ControlFlow<()>> {
        let text = match (self.draft.end(), &self.job.choices) {
            (Some(End::Choice(choice)), Some(choices)) => choices.texts[choice].clone(),
            _ => self.text.take().map(StopText::finish).transpose()?.unwrap_or_default().1,
        };
        let tokens = self.draft.ids().len();
        let _ = self.job.listener.tell(Event::End { finish, text, tokens });
        Ok(ControlFlow::Break(()))
    }
}
