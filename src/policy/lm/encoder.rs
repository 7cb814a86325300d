//! The half of a language model's policy that reads text.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::config::{LmConfig, PromptMode, ResponseMode};
use super::inputs::{Constraint, LmInputs};
use super::layout::{Layout, Message, PastStep};
use crate::env::Texts;
use crate::error::Result;
use crate::lm::Trie;
use crate::policy::Encoder;

/// Number of answers whose tokens are remembered.
const MAX_REMEMBERED: usize = 1 << 16;

/// Writes transcripts.
#[derive(Debug)]
pub struct LmEncoder {
    layout: Layout,
    config: LmConfig,
    /// Largest number of tokens of a transcript.
    context: usize,
    /// Tokens of answers, as admissible actions come again and again.
    answers: RefCell<HashMap<String, Arc<[u32]>>>,
}

/// What is remembered of an episode.
#[derive(Debug, Default)]
pub struct LmMemory {
    goal: String,
    /// The transcript that goes on, once there is one.
    transcript: Option<usize>,
    history: Vec<PastStep>,
    /// The row that was encoded last, until its response comes.
    row: Option<usize>,
    /// The observation that was encoded last.
    observation: String,
    /// Whether the last response has its end token.
    is_ended: bool,
}

impl LmEncoder {
    pub(super) fn new(layout: Layout, config: LmConfig, context: usize) -> Self {
        Self { layout, config, context, answers: RefCell::default() }
    }

    /// The tokens of an answer with its end token.
    fn answer(&self, text: &str) -> Result<Arc<[u32]>> {
        let mut answers = self.answers.borrow_mut();
        if let Some(tokens) = answers.get(text) {
            return Ok(tokens.clone());
        }
        let mut tokens = self.layout.answer(text)?;
        tokens.push(self.layout.end());
        let tokens: Arc<[u32]> = tokens.into();
        if answers.len() >= MAX_REMEMBERED {
            answers.clear();
        }
        answers.insert(text.to_string(), tokens.clone());
        Ok(tokens)
    }

    /// The admissible actions as choices. `None` if the tokenizer cannot tell them apart.
    fn choices(&self, admissible: &Texts) -> Option<Arc<Trie>> {
        let tokens = admissible.iter().map(|text| self.answer(text).map(|tokens| tokens.to_vec()));
        let tokens = tokens.collect::<Result<Vec<_>>>().ok()?;
        Trie::new(&tokens, None).ok().map(Arc::new)
    }

    /// Tokens that a response may take.
    fn reserve(&self, choices: Option<&Trie>) -> usize {
        choices.map_or(self.config.max_response_tokens, Trie::longest)
    }

    fn message<'a>(
        &self,
        memory: &'a LmMemory,
        history: &'a [PastStep],
        first: bool,
        admissible: &'a Texts,
    ) -> Message<'a> {
        Message {
            first,
            goal: &memory.goal,
            history,
            observation: &memory.observation,
            admissible: self.config.list.then_some(admissible),
        }
    }

    /// The transcript that holds the current step's prompt, with room for the response.
    fn prompt(
        &self,
        memory: &LmMemory,
        admissible: &Texts,
        reserve: usize,
        inputs: &mut LmInputs,
    ) -> Result<usize> {
        let limit = self.context.saturating_sub(reserve).max(1);
        if let (PromptMode::Append, Some(transcript)) = (self.config.prompt, memory.transcript) {
            let message = self.message(memory, &[], false, admissible);
            let tokens = self.layout.next(&message, memory.is_ended)?;
            if inputs.transcripts[transcript].len() + tokens.len() <= limit {
                inputs.transcripts[transcript].extend(tokens);
                return Ok(transcript);
            }
        }
        // Of a transcript that starts anew, the oldest steps are left out until it fits.
        let recent = memory.history.len().saturating_sub(self.config.window);
        let mut history = &memory.history[recent..];
        if self.config.prompt == PromptMode::Append && memory.transcript.is_none() {
            history = &[];
        }
        loop {
            let message = self.message(memory, history, true, admissible);
            let mut tokens = self.layout.first(&message)?;
            if tokens.len() > limit && history.is_empty() {
                // The end of the prompt asks for the answer.
                tokens.drain(..tokens.len() - limit);
            }
            match tokens.len() <= limit {
                true => return Ok(inputs.begin(tokens)),
                false => history = &history[1..],
            }
        }
    }
}

impl Encoder for LmEncoder {
    type Inputs = LmInputs;
    type Memory = LmMemory;

    fn begin(&self, goal: &str, _: &mut LmInputs) -> LmMemory {
        LmMemory { goal: goal.to_string(), ..LmMemory::default() }
    }

    fn encode(
        &self,
        memory: &mut LmMemory,
        observation: &str,
        admissible: &Texts,
        inputs: &mut LmInputs,
    ) {
        memory.observation = observation.to_string();
        let choices = match self.config.response {
            ResponseMode::Choice | ResponseMode::Whole => self.choices(admissible),
            ResponseMode::Free => None,
        };
        let reserve = self.reserve(choices.as_deref());
        let transcript = self.prompt(memory, admissible, reserve, inputs);
        // Rendering was tried when the policy was built. A text that fails all the same is read as empty.
        let transcript = transcript.unwrap_or_else(|_| inputs.begin(vec![self.layout.end()]));
        memory.transcript = Some(transcript);
        let constraint = match (choices, self.config.response) {
            (Some(choices), ResponseMode::Whole) => Constraint::Whole(choices),
            (Some(choices), _) => Constraint::Choices(choices),
            (None, _) => Constraint::Free,
        };
        memory.row = Some(inputs.push_row(transcript, constraint));
    }

    fn response(&self, admissible: &Texts, action: &str) -> Option<Vec<u32>> {
        let is_possible = match self.config.response {
            ResponseMode::Choice | ResponseMode::Whole => admissible.position(action).is_some(),
            ResponseMode::Free => true,
        };
        is_possible.then(|| self.answer(action).ok().map(|tokens| tokens.to_vec()))?
    }

    fn acted(&self, memory: &mut LmMemory, action: &str, response: &[u32], inputs: &mut LmInputs) {
        if let Some(row) = memory.row.take() {
            inputs.respond(row, response);
        }
        memory.is_ended = response.last() == Some(&self.layout.end());
        let observation = std::mem::take(&mut memory.observation);
        memory.history.push(PastStep { observation, action: action.to_string() });
        let kept = memory.history.len().saturating_sub(self.config.window.max(1));
        memory.history.drain(..kept);
    }
}
