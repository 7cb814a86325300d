//! Answers in OpenAI's form, whole and in pieces.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::engine::{Event, Finish};
use super::request::Endpoint;
use crate::lm::Tokenizer;

/// What all parts of the answer to a request share.
#[derive(Debug, Clone)]
pub struct Head {
    endpoint: Endpoint,
    id: String,
    created: u64,
    model: String,
    log_probs: bool,
}

/// A token of an answer.
#[derive(Debug, Clone)]
struct Token {
    text: String,
    log_prob: f32,
}

/// One of the answers to a request, as far as it has come.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    text: String,
    tokens: Vec<Token>,
    finish: Option<Finish>,
    /// Tokens of the whole answer, known at its end.
    count: usize,
    /// Whether a piece was made of it.
    is_begun: bool,
    /// Characters of the tokens in the pieces that were made.
    offset: usize,
}

/// The answers to a request.
#[derive(Debug)]
pub struct Answers {
    head: Head,
    prompt_tokens: usize,
    all: Vec<Answer>,
}

impl Head {
    /// The head of an answer to a request of now.
    pub fn new(endpoint: Endpoint, model: &str, log_probs: bool) -> Self {
        let mut bytes = [0; 12];
        // Without random numbers ids are alike, which harms no answer.
        let _ = getrandom::fill(&mut bytes);
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let prefix = if endpoint == Endpoint::Chat { "chatcmpl" } else { "cmpl" };
        let id = format!("{prefix}-{digits}");
        Self { endpoint, id, created: now(), model: model.into(), log_probs }
    }

    fn object(&self, choices: Value, is_piece: bool) -> Value {
        let object = match (self.endpoint, is_piece) {
            (Endpoint::Chat, false) => "chat.completion",
            (Endpoint::Chat, true) => "chat.completion.chunk",
            (Endpoint::Text, _) => "text_completion",
        };
        let Self { id, created, model, .. } = self;
        json!({
            "id": id, "object": object, "created": created, "model": model, "choices": choices,
        })
    }

    /// Log-probabilities of tokens; `offset` is where their texts begin in the answer's.
    fn log_probs(&self, tokens: &[Token], offset: usize) -> Value {
        if !self.log_probs {
            return Value::Null;
        }
        match self.endpoint {
            Endpoint::Chat => {
                let one = |token: &Token| {
                    let is_whole = !token.text.contains(char::REPLACEMENT_CHARACTER);
                    json!({
                        "token": token.text, "logprob": token.log_prob, "top_logprobs": [],
                        "bytes": is_whole.then_some(token.text.as_bytes()),
                    })
                };
                let content: Vec<Value> = tokens.iter().map(one).collect();
                json!({ "content": content, "refusal": null })
            }
            Endpoint::Text => {
                let texts: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
                let numbers: Vec<f32> = tokens.iter().map(|token| token.log_prob).collect();
                let mut at = offset;
                let offsets = tokens.iter().map(|token| {
                    let own = at;
                    at += token.text.chars().count();
                    own
                });
                let offsets: Vec<usize> = offsets.collect();
                json!({
                    "tokens": texts, "token_logprobs": numbers, "top_logprobs": null,
                    "text_offset": offsets,
                })
            }
        }
    }
}

fn name_of(finish: Option<Finish>) -> Option<&'static str> {
    finish.map(|finish| match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
    })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// The object of a model.
pub fn model(name: &str, created: u64) -> Value {
    json!({ "id": name, "object": "model", "created": created, "owned_by": "proxmo" })
}

impl Answers {
    /// Answers without tokens.
    pub fn new(head: Head, prompt_tokens: usize, count: usize) -> Self {
        Self { head, prompt_tokens, all: vec![Answer::default(); count] }
    }

    /// Takes an event of an answer. Failures have no part in an answer.
    pub fn take(&mut self, index: usize, event: Event, tokenizer: &Tokenizer) {
        let answer = &mut self.all[index];
        match event {
            Event::Token { id, log_prob, text } => {
                answer.text.push_str(&text);
                answer.count += 1;
                if self.head.log_probs {
                    let text = tokenizer.decode(&[id]).unwrap_or_default();
                    answer.tokens.push(Token { text, log_prob });
                }
            }
            Event::End { finish, text, tokens } => {
                answer.text.push_str(&text);
                (answer.finish, answer.count) = (Some(finish), tokens);
            }
            Event::Failed(_) => {}
        }
    }

    /// Whether every answer has ended.
    pub fn are_whole(&self) -> bool {
        self.all.iter().all(|answer| answer.finish.is_some())
    }

    /// Tokens of all prompts and of all answers so far.
    pub fn counts(&self) -> [usize; 2] {
        [self.prompt_tokens, self.all.iter().map(|answer| answer.count).sum()]
    }

    fn usage(&self) -> Value {
        let [prompt, answers] = self.counts();
        json!({
            "prompt_tokens": prompt, "completion_tokens": answers,
            "total_tokens": prompt + answers,
        })
    }

    /// The whole answer.
    pub fn whole(&self) -> Value {
        let choice = |(index, answer): (usize, &Answer)| {
            let log_probs = self.head.log_probs(&answer.tokens, 0);
            let finish = name_of(answer.finish);
            match self.head.endpoint {
                Endpoint::Chat => json!({
                    "index": index,
                    "message": { "role": "assistant", "content": answer.text, "refusal": null },
                    "logprobs": log_probs, "finish_reason": finish,
                }),
                Endpoint::Text => json!({
                    "index": index, "text": answer.text, "logprobs": log_probs,
                    "finish_reason": finish,
                }),
            }
        };
        let choices: Vec<Value> = self.all.iter().enumerate().map(choice).collect();
        let mut whole = self.head.object(choices.into(), false);
        whole["usage"] = self.usage();
        whole
    }

    /// The pieces of an answer that were not made yet. The text that they hold is forgotten.
    pub fn pieces(&mut self, index: usize, include_usage: bool) -> Vec<Value> {
        let answer = &mut self.all[index];
        let text = std::mem::take(&mut answer.text);
        let tokens = std::mem::take(&mut answer.tokens);
        let finish = name_of(answer.finish);
        let is_first = !std::mem::replace(&mut answer.is_begun, true);
        let has_content = !text.is_empty() || !tokens.is_empty();
        let log_probs = self.head.log_probs(&tokens, answer.offset);
        answer.offset += tokens.iter().map(|token| token.text.chars().count()).sum::<usize>();
        let mut choices = Vec::new();
        match self.head.endpoint {
            Endpoint::Chat => {
                let choice = |delta: Value, log_probs: Value, finish: Option<&str>| {
                    json!({
                        "index": index, "delta": delta, "logprobs": log_probs,
                        "finish_reason": finish,
                    })
                };
                if is_first {
                    let delta = json!({ "role": "assistant", "content": "" });
                    choices.push(choice(delta, Value::Null, None));
                }
                if has_content {
                    choices.push(choice(json!({ "content": text }), log_probs, None));
                }
                if finish.is_some() {
                    choices.push(choice(json!({}), Value::Null, finish));
                }
            }
            Endpoint::Text if has_content || finish.is_some() => choices.push(json!({
                "index": index, "text": text, "logprobs": log_probs, "finish_reason": finish,
            })),
            Endpoint::Text => {}
        }
        let piece = |choice: Value| {
            let mut piece = self.head.object(json!([choice]), true);
            if include_usage {
                piece["usage"] = Value::Null;
            }
            piece
        };
        choices.into_iter().map(piece).collect()
    }

    /// The piece with the numbers of tokens.
    pub fn usage_piece(&self) -> Value {
        let mut piece = self.head.object(json!([]), true);
        piece["usage"] = self.usage();
        piece
    }
}
