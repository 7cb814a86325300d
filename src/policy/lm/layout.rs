//! The wording of a transcript: a chat in which the environment speaks as the user.

use std::sync::Arc;

use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;

use crate::env::Texts;
use crate::error::{Error, Result};
use crate::lm::template::environment;
use crate::lm::{Chat, Tokenizer};

/// The default template of a message of the environment.
pub const WORDING: &str = include_str!("wording.jinja");

/// Stands for an answer while the layout of a chat is measured.
const ANSWER: &str = "ANSWER";

/// Work limit of a rendering, in minijinja's units. It ends endless templates.
const FUEL: u64 = 10_000_000;

/// A step before the current one, for the template.
#[derive(Debug, Clone, Serialize)]
pub(super) struct PastStep {
    pub observation: String,
    pub action: String,
}

/// A message of the environment.
pub(super) struct Message<'a> {
    /// Whether the model has read nothing before it.
    pub first: bool,
    pub goal: &'a str,
    pub history: &'a [PastStep],
    pub observation: &'a str,
    /// The admissible actions, if the message lists them.
    pub admissible: Option<&'a Texts>,
}

/// Turns messages into tokens with a model's chat template.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    tokenizer: Arc<Tokenizer>,
    wording: Environment<'static>,
    /// Between an answer and the next message, and between that and the next answer.
    around: [String; 2],
    end: u32,
    /// Whether `around` begins with the text of `end`.
    has_end: bool,
}

impl Layout {
    /// The tokenizer.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// The layout of a tokenizer's chat template, and a template of the messages.
    ///
    /// # Errors
    /// Returns an error if a template has a syntax error or fails, if the chat template changes earlier
    /// messages when later ones come, or if no token ends an answer.
    pub fn new(tokenizer: Arc<Tokenizer>, wording: &str) -> Result<Self> {
        let refuse = |message: String| Error::setting("policy.template", message);
        let mut environment = environment().map_err(refuse)?;
        let source = wording.trim_end_matches('\n').to_string();
        environment
            .add_template_owned("message", source)
            .map_err(|error| refuse(error.to_string()))?;
        environment.set_fuel(Some(FUEL));
        let (around, end, has_end) = around_of(&tokenizer)?;
        Ok(Self { tokenizer, wording: environment, around, end, has_end })
    }

    /// The token that ends an answer.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// All tokens that end an answer.
    pub fn stop_ids(&self) -> Vec<u32> {
        let mut ids = self.tokenizer.end_ids().to_vec();
        if !ids.contains(&self.end) {
            ids.push(self.end);
        }
        ids
    }

    /// The tokens of a chat's first message, up to the answer.
    pub fn first(&self, message: &Message) -> Result<Vec<u32>> {
        let text = self.text(message)?;
        let chat = Chat { add_generation_prompt: true, ..Chat::new([("user", text.as_str())]) };
        self.tokenizer.encode(&self.tokenizer.render(&chat)?)
    }

    /// The tokens of a later message, from the end of the answer before it up to the next answer.
    /// `is_ended` says whether the answer has its end token.
    pub fn next(&self, message: &Message, is_ended: bool) -> Result<Vec<u32>> {
        let [before, after] = &self.around;
        let text = self.text(message)?;
        let mut tokens = self.tokenizer.encode(&format!("{before}{text}{after}"))?;
        match (self.has_end, is_ended) {
            (true, true) => {
                tokens.remove(0);
            }
            (false, false) => tokens.insert(0, self.end),
            _ => {}
        }
        Ok(tokens)
    }

    /// The tokens of an answer, without its end.
    pub fn answer(&self, text: &str) -> Result<Vec<u32>> {
        self.tokenizer.encode(text)
    }

    /// The text of an answer's tokens.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        self.tokenizer.decode(tokens)
    }

    fn text(&self, message: &Message) -> Result<String> {
        let &Message { first, goal, history, observation, admissible } = message;
        let history = Value::from(Serde(history));
        let listed = |texts: &Texts| Value::from_iter(texts.iter().map(str::to_string));
        let admissible = admissible.map(listed);
        let rendered = self.wording.get_template("message").and_then(|template| {
            template.render(context! { first, goal, history, observation, admissible })
        });
        rendered.map_err(|error| Error::setting("policy.template", error.to_string()))
    }
}

/// The texts around a later message, the end token, and whether the first text begins with it.
fn around_of(tokenizer: &Tokenizer) -> Result<([String; 2], u32, bool)> {
    let refuse = |message: &str| Err(Error::setting("policy.model", message));
    let messages = [("user", "FIRST"), ("assistant", ANSWER), ("user", "SECOND")];
    let render = |count: usize, add_generation_prompt: bool| {
        let messages = messages.into_iter().take(count);
        tokenizer.render(&Chat { add_generation_prompt, ..Chat::new(messages) })
    };
    let (prompt, whole) = (render(1, true)?, render(3, true)?);
    let rest = whole.strip_prefix(prompt.as_str()).and_then(|rest| rest.strip_prefix(ANSWER));
    let Some((before, after)) = rest.and_then(|rest| rest.split_once("SECOND")) else {
        return refuse(
            "the chat template changes earlier messages when later ones come, so a transcript cannot \
             grow; use policy.prompt = \"window\" or another template",
        );
    };
    let first = tokenizer.encode(before)?.first().copied();
    let ends = tokenizer.end_ids();
    let around = [before.to_string(), after.to_string()];
    match (first.filter(|first| ends.contains(first)), ends.first()) {
        (Some(end), _) => Ok((around, end, true)),
        (None, Some(&end)) => Ok((around, end, false)),
        (None, None) => refuse("the model has no token that ends an answer"),
    }
}
