//! A request's sequences, and their way into the batch.

use std::sync::Arc;

use super::engine::{Choices, Door, Job, Listener};
use super::refusal::Refusal;
use super::request::{Endpoint, Prompt, Request};
use crate::error::Error;
use crate::lm::{Decoder, Tokenizer};
use crate::stream::{Purpose, Stream};

/// What requests are answered with.
#[derive(Debug, Clone)]
pub struct Service {
    /// The model's name in requests.
    pub name: String,
    /// The tokenizer.
    pub tokenizer: Arc<Tokenizer>,
    /// Tokens that the model's embedding has.
    vocabulary: usize,
    /// Tokens of a sequence at most.
    capacity: usize,
    door: Door,
}

/// A request that can be answered.
#[derive(Debug)]
pub struct Prepared {
    /// The request.
    pub request: Request,
    /// Tokens of all prompts.
    pub prompt_tokens: usize,
    /// By prompt: its tokens, and most tokens of an answer.
    prompts: Vec<(Vec<u32>, usize)>,
    choices: Option<Choices>,
    seed: u64,
}

impl Service {
    /// A service of a model. `capacity` is the number of tokens that a sequence may have
    /// ([`capacity`](super::engine::capacity)).
    pub fn new(
        name: String,
        model: &Decoder,
        tokenizer: Arc<Tokenizer>,
        capacity: usize,
        door: Door,
    ) -> Self {
        Self { name, tokenizer, vocabulary: model.config().vocabulary, capacity, door }
    }

    /// Reads a request and makes its tokens. It takes some time, and up to a few seconds for a chat
    /// template that never ends.
    ///
    /// # Errors
    /// Says what is wrong with the request.
    pub fn prepare(&self, endpoint: Endpoint, body: &[u8]) -> Result<Prepared, Refusal> {
        let request = Request::read(endpoint, body)?;
        if let Some(name) = request.model.as_ref().filter(|name| **name != self.name) {
            return Err(Refusal::no_model(name, &self.name));
        }
        let choices = request.choices.clone().map(|texts| Choices::new(texts, &self.tokenizer));
        let choices = choices.transpose().map_err(|error| refused("guided_choice", &error))?;
        let mut prompts = Vec::with_capacity(request.prompts.len());
        for prompt in &request.prompts {
            let ids = self.ids(prompt, request.add_special_tokens)?;
            let longest = choices.as_ref().map(Choices::longest);
            let room = self.room(ids.len(), longest.or(request.max_tokens))?;
            prompts.push((ids, room));
        }
        let prompt_tokens = prompts.iter().map(|(ids, _)| ids.len()).sum();
        let seed = match request.seed {
            Some(seed) => seed,
            None => random_seed()?,
        };
        Ok(Prepared { request, prompt_tokens, prompts, choices, seed })
    }

    fn ids(&self, prompt: &Prompt, adds_special: bool) -> Result<Vec<u32>, Refusal> {
        let (name, ids) = match prompt {
            Prompt::Ids(ids) => ("prompt", Ok(ids.clone())),
            Prompt::Text(text) if adds_special => {
                ("prompt", self.tokenizer.encode_with_special_tokens(text))
            }
            Prompt::Text(text) => ("prompt", self.tokenizer.encode(text)),
            Prompt::Chat(chat) => {
                let text = self.tokenizer.render(chat);
                ("messages", text.and_then(|text| self.tokenizer.encode(&text)))
            }
        };
        let ids = ids.map_err(|error| refused(name, &error))?;
        if ids.is_empty() {
            return Err(Refusal::member(name, "has no tokens, expected at least one"));
        }
        match ids.iter().find(|&&id| id as usize >= self.vocabulary) {
            None => Ok(ids),
            Some(id) => {
                let vocabulary = self.vocabulary;
                let says = format!("token {id} is out of range, the vocabulary is {vocabulary}");
                Err(Refusal::member(name, says))
            }
        }
    }

    /// Most tokens of an answer to a prompt.
    fn room(&self, prompt: usize, wanted: Option<usize>) -> Result<usize, Refusal> {
        let capacity = self.capacity;
        let room = capacity.saturating_sub(prompt);
        match wanted {
            _ if room == 0 => Err(Refusal::context(format!(
                "the prompt has {prompt} tokens, and a sequence may have at most {capacity}"
            ))),
            Some(wanted) if wanted > room => Err(Refusal::context(format!(
                "the prompt has {prompt} tokens and the answer up to {wanted}, and a sequence may have \
                 at most {capacity}"
            ))),
            wanted => Ok(wanted.unwrap_or(room)),
        }
    }

    /// Begins the answers to a request. `listener` makes the listener of each, from its index.
    ///
    /// # Errors
    /// Refuses the request if the queue is full.
    pub fn begin(
        &self,
        prepared: &Prepared,
        listener: &dyn Fn(usize) -> Box<dyn Listener>,
    ) -> Result<(), Refusal> {
        let Prepared { request, prompts, choices, seed, .. } = prepared;
        let answers = prompts.iter().flat_map(|prompt| vec![prompt; request.answers]);
        let job = |(index, (ids, max_tokens)): (usize, &(Vec<u32>, usize))| Job {
            ids: ids.clone(),
            sampling: request.sampling.clone(),
            rng: Stream::new(*seed, Purpose::Tokens).of(index, 0).rng(),
            max_tokens: *max_tokens,
            // A choice is a whole text, whatever it contains.
            stops: if choices.is_some() { Vec::new() } else { request.stops.clone() },
            choices: choices.clone(),
            listener: listener(index),
        };
        let jobs = answers.enumerate().map(job).collect();
        self.door.hand_in(jobs).map_err(|_| Refusal::overloaded())
    }
}

impl Prepared {
    /// The number of answers.
    pub fn answers(&self) -> usize {
        self.prompts.len() * self.request.answers
    }
}

/// A member that the tokenizer or its template refuses.
fn refused(name: &str, error: &Error) -> Refusal {
    match error {
        Error::Input { message, .. } => Refusal::member(name, message),
        other => Refusal::member(name, other.to_string()),
    }
}

fn random_seed() -> Result<u64, Refusal> {
    let mut bytes = [0; 8];
    let made = getrandom::fill(&mut bytes);
    made.map_err(|error| Refusal::failed(format!("there are no random numbers: {error}")))?;
    Ok(u64::from_le_bytes(bytes))
}
