//! A game's grammar: from state to text and from text to actions.
//!
//! A grammar is read ([`document`], [`text`]), resolved once ([`compile`]) and then only written out
//! ([`render`]), its conditions and lists answered by the typed world ([`query`]).

mod compile;
mod document;
mod query;
mod render;
mod text;

pub(crate) use query::Scene;

use super::action::{Action, Role, Verb};
use super::world::World;
use crate::error::{Error, Result};
use compile::Compiler;
use query::Bindings;
use render::Template;

/// What the engine says to a command that is not possible. The one sentence that does not stand in
/// the games' grammar; a grammar of another origin sets it by its rule `refusal`.
const REFUSAL: &str = "Nothing happens.";

/// A compiled grammar.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Grammar {
    /// The grammar's text before and after its task line.
    before: Box<str>,
    after: Box<str>,
    intro: Template,
    refusal: Box<str>,
    /// What answers each verb, and where the values of its template's variables come from.
    answers: Box<[(Template, Box<[(u8, Role)]>)]>,
    /// The commands, in groups that sort one after the other.
    groups: Box<[Box<[Command]>]>,
}

/// A command's form.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Command {
    pub(crate) verb: Verb,
    pub(crate) pieces: Box<[Piece]>,
}

/// A piece of a command.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    Text(Box<str>),
    FirstObject,
    SecondObject,
    FirstReceptacle,
    SecondReceptacle,
}

impl Grammar {
    /// Compiles a grammar; returns it with its task line.
    pub(crate) fn compile(text: &str) -> Result<(Self, String)> {
        let document = document::parse(text)?;
        let mut compiler = Compiler::new(&document)?;
        let task = compiler
            .plain("task")?
            .ok_or_else(|| Error::input("grammar", "there is no rule 'task'"))?;
        let (before, after) = around_task(text, &task)?;
        let intro = compiler.intro()?;
        let refusal = compiler.plain("refusal")?.unwrap_or_else(|| REFUSAL.to_string());
        let mut answers = Vec::new();
        let mut commands = Vec::new();
        for verb in Verb::ALL {
            answers.push((compiler.feedback(verb)?, compiler.parameters(verb)?.into()));
            commands.push(compiler.command(verb)?);
        }
        let grammar = Self {
            before: before.into(),
            after: after.into(),
            intro,
            refusal: refusal.into(),
            answers: answers.into(),
            groups: grouped(commands),
        };
        Ok((grammar, task))
    }

    /// The task line of a grammar that is this one apart from its task line.
    pub(crate) fn task_of(&self, text: &str) -> Option<String> {
        let task = text.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
        let task: String = serde_json::from_str(task).ok()?;
        match text::parse(&task).ok()?.as_slice() {
            [text::Symbol::Text(task)] => Some(task.clone()),
            _ => None,
        }
    }

    /// The grammar's text with another task line.
    pub(crate) fn source(&self, task: &str) -> String {
        let task = serde_json::Value::from(task).to_string();
        format!("{}{task}{}", self.before, self.after)
    }

    /// Appends the text that an episode begins with.
    pub(crate) fn write_intro(&self, scene: &Scene, out: &mut String) {
        self.intro.write(scene, &Bindings::default(), out);
    }

    /// The text that answers a command which is not possible.
    pub(crate) fn refusal(&self) -> &str {
        &self.refusal
    }

    /// Appends the text that answers `action`, which led to `scene` from the location `before`.
    pub(crate) fn write_answer(
        &self,
        scene: &Scene,
        action: Action,
        before: u8,
        out: &mut String,
    ) {
        let (template, parameters) = &self.answers[action.verb as usize];
        let mut bindings = Bindings::default();
        for &(slot, role) in parameters {
            let value = match role {
                Role::FirstObject | Role::FirstReceptacle => action.first,
                Role::SecondObject | Role::SecondReceptacle => action.second,
                Role::Here => scene.state.location,
                Role::Before => before,
                Role::Agent | Role::Kind => 0,
            };
            bindings.set(slot, value);
        }
        template.write(scene, &bindings, out);
    }

    /// The command for an action.
    pub(crate) fn command(&self, world: &World, action: Action) -> String {
        let mut text = String::new();
        let mut forms = self.groups.iter().flatten();
        if let Some(form) = forms.find(|form| form.verb == action.verb) {
            form.write(world, action, &mut text);
        }
        text
    }

    /// The commands, in groups: sorting within each group sorts them all.
    pub(crate) fn groups(&self) -> &[Box<[Command]>] {
        &self.groups
    }
}

/// All texts of the rules whose names begin with `prefix`, by the rest of the name.
pub(crate) fn texts_of(grammar: &str, prefix: &str) -> Result<Vec<(String, Vec<String>)>> {
    let rules = document::parse(grammar)?.rules.into_iter().filter_map(|(name, alternatives)| {
        let name = name.strip_prefix(prefix)?.to_string();
        Some((name, alternatives.into_iter().map(|alternative| alternative.rhs).collect()))
    });
    Ok(rules.collect())
}

/// The parts of a grammar's text before and after the task line.
fn around_task<'a>(text: &'a str, task: &str) -> Result<(&'a str, &'a str)> {
    let quoted = serde_json::Value::from(task).to_string();
    match text.split_once(&quoted) {
        Some((before, after)) if !after.contains(&quoted) => Ok((before, after)),
        _ => Err(Error::input("grammar, rule 'task'", "the task line must stand there once")),
    }
}

/// Groups commands by the literal text that they begin with, in the order of those texts.
fn grouped(mut commands: Vec<Command>) -> Box<[Box<[Command]>]> {
    commands.sort_by(|a, b| a.opening().cmp(b.opening()));
    commands.chunk_by(|a, b| a.opening() == b.opening()).map(Into::into).collect()
}

impl Command {
    /// The literal text that the command begins with.
    fn opening(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// Appends the command for `action`.
    pub(crate) fn write(&self, world: &World, action: Action, out: &mut String) {
        for piece in &self.pieces {
            out.push_str(piece.text(world, action));
        }
    }

    /// Whether `text` is the command for `action`.
    pub(crate) fn matches(&self, world: &World, action: Action, text: &str) -> bool {
        let rest = self
            .pieces
            .iter()
            .try_fold(text, |rest, piece| rest.strip_prefix(piece.text(world, action)));
        rest == Some("")
    }

    /// Whether `text` can be this command with some operands.
    pub(crate) fn can_match(&self, text: &str) -> bool {
        text.starts_with(self.opening())
    }

    /// A number that sorts the command for `action` among those with the same opening.
    pub(crate) fn rank(&self, world: &World, action: Action) -> u32 {
        let mut ranks = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::FirstObject => Some(world.object_rank(action.first)),
            Piece::SecondObject => Some(world.object_rank(action.second)),
            Piece::FirstReceptacle => Some(world.receptacle_rank(action.first)),
            Piece::SecondReceptacle => Some(world.receptacle_rank(action.second)),
        });
        let first = ranks.next().unwrap_or(0);
        u32::from(first) << 16 | u32::from(ranks.next().unwrap_or(0))
    }
}

impl Piece {
    fn text<'a>(&'a self, world: &'a World, action: Action) -> &'a str {
        match self {
            Piece::Text(text) => text,
            Piece::FirstObject => world.object_names.get(action.first),
            Piece::SecondObject => world.object_names.get(action.second),
            Piece::FirstReceptacle => world.receptacle_names.get(action.first),
            Piece::SecondReceptacle => world.receptacle_names.get(action.second),
        }
    }
}
