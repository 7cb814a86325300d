//! A game's grammar: from state to text and from text to actions.
//!
//! A grammar is read ([`document`], [`text`]), resolved once ([`compile`]) and then only written out
//! ([`render`]), its conditions and lists answered by the typed world ([`query`]).

mod compile;
mod cost;
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

/// The most bytes of a grammar's text. The published games' have 13,000.
const MAX_TEXT: usize = 1 << 20;

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
    /// What answers each verb, in the order of [`Verb::ALL`].
    answers: Box<[Answer]>,
    /// The commands, in groups that sort one after the other.
    groups: Box<[Box<[Command]>]>,
}

/// What answers a verb.
#[derive(Debug, Clone, PartialEq)]
struct Answer {
    template: Template,
    /// The template's variables, and where their values come from.
    parameters: Box<[(u8, Role)]>,
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
        Self::compile_variant(text, 0)
    }

    /// Compiles a grammar, taking the text number `variant` where several say the same.
    pub(crate) fn compile_variant(text: &str, variant: usize) -> Result<(Self, String)> {
        if text.len() > MAX_TEXT {
            let message = format!("expected at most {MAX_TEXT} bytes, found {}", text.len());
            return Err(Error::input("grammar", message));
        }
        let document = document::parse(text)?;
        let mut compiler = Compiler::new(&document, variant)?;
        let task = compiler
            .plain("task")?
            .ok_or_else(|| Error::input("grammar", "there is no rule 'task'"))?;
        let (before, after) = around_task(text, &task)?;
        let intro = compiler.intro()?;
        let refusal = compiler.plain("refusal")?.unwrap_or_else(|| REFUSAL.to_string());
        let mut answers = Vec::new();
        let mut commands = Vec::new();
        for verb in Verb::ALL {
            let parameters = compiler.parameters(verb)?.into();
            answers.push(Answer { template: compiler.feedback(verb)?, parameters });
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
    pub(crate) fn write_answer(&self, scene: &Scene, action: Action, before: u8, out: &mut String) {
        let Answer { template, parameters } = &self.answers[action.verb as usize];
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

    /// Takes a command apart: its verb and the names that it holds. Of two verbs with the same form,
    /// the first is meant.
    pub(crate) fn read<'a>(&self, text: &'a str) -> Option<(Verb, [&'a str; 2])> {
        let mut forms = self.groups.iter().flatten();
        forms.find_map(|form| Some((form.verb, form.names(text)?)))
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

    /// The names in a command of this form; those that it does not have are empty.
    fn names<'a>(&self, text: &'a str) -> Option<[&'a str; 2]> {
        let mut names = [""; 2];
        let mut count = 0;
        let mut rest = text;
        for (index, piece) in self.pieces.iter().enumerate() {
            if let Piece::Text(literal) = piece {
                rest = rest.strip_prefix(&**literal)?;
                continue;
            }
            let end = match self.pieces.get(index + 1) {
                Some(Piece::Text(literal)) => rest.find(&**literal)?,
                _ => rest.len(),
            };
            (*names.get_mut(count)?, rest) = rest.split_at(end);
            count += 1;
        }
        rest.is_empty().then_some(names)
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

#[cfg(test)]
mod tests {
    use super::super::generator::WORDING;
    use super::super::pddl::parse;
    use super::super::pddl::problem::tests::KITCHEN;
    use super::*;

    /// The household's wording with a rule replaced.
    fn with_rule(name: &str, rule: &str) -> Result<Grammar> {
        let own = format!("grammar :: \"\"\" {{ \"{name}\": {rule} }} \"\"\";\n");
        Ok(Grammar::compile(&format!("{WORDING}{own}"))?.0)
    }

    fn intro(grammar: &Grammar, objects: &[&str]) -> String {
        let mut world = parse(KITCHEN).unwrap().world;
        world.start.inside = Default::default();
        for object in objects {
            world.start.inside.insert(0, world.object_names.position(object).unwrap());
        }
        let scene = Scene { world: &world, state: &world.start, task: "Rest.", order: None };
        let mut text = String::new();
        grammar.write_intro(&scene, &mut text);
        text
    }

    #[test]
    fn lists_name_nothing_one_or_several() {
        let rule = r##"[{"rhs": "[{o.indefinite + ' ' + o.name | inreceptacle(o:object, r:receptacle)}] #task#"}]"##;
        let grammar = with_rule("intro", rule).unwrap();
        assert_eq!(intro(&grammar, &[]), "no objects Rest.");
        assert_eq!(intro(&grammar, &["mug 1"]), "a mug 1 Rest.");
        assert_eq!(intro(&grammar, &["mug 1", "mug 2"]), "a mug 2 and a mug 1 Rest.");
    }

    #[test]
    fn the_first_text_whose_condition_holds_is_taken() {
        let rule = r##"[
            {"condition": "inreceptacle(o:object, r:receptacle) & isclean(o:object)", "rhs": "clean"},
            {"condition": "inreceptacle(o:object, r:receptacle) & openable(r:receptacle)", "rhs": "in"},
            {"rhs": "none"}
        ]"##;
        let grammar = with_rule("intro", rule).unwrap();
        assert_eq!(intro(&grammar, &["mug 2"]), "in");
        assert_eq!(intro(&grammar, &[]), "none");
        // Two variables never stand for the same thing.
        let rule = r##"[
            {"condition": "inreceptacle(o:object, r:receptacle) & inreceptacle(o2:object, r:receptacle)", "rhs": "two"},
            {"rhs": "fewer"}
        ]"##;
        let grammar = with_rule("intro", rule).unwrap();
        assert_eq!(intro(&grammar, &["mug 2"]), "fewer");
        assert_eq!(intro(&grammar, &["mug 2", "mug 1"]), "two");
    }

    #[test]
    fn texts_that_cannot_be_resolved_are_named() {
        let cases = [
            (r##"[{"rhs": "#intro#"}]"##, "rule 'intro' refers to itself"),
            (r##"[{"rhs": "#absent#"}]"##, "rule 'intro': there is no rule 'absent'"),
            (r##"[{"rhs": "{o.name}"}]"##, "variable 'o' has no value here"),
            (r##"[{"rhs": "x", "condition": "holdsany(a:agent)"}]"##, "must have no condition"),
            (r##"[{"rhs": "[{o.name | near(o:object)}]"}]"##, "the condition 'near' is not known"),
            (r##"[{"rhs": "[{o.name | isclean(o:thing)}]"}]"##, "the type 'thing' is not known"),
            (r##"[{"rhs": "[{r.name | isclean(r:receptacle)}]"}]"##, "other arguments than it"),
            (r##"[{"rhs": "[{a.name | atlocation(a:agent, l:location)}]"}]"##, "'a.name' is not"),
            (r##"[{"rhs": "[{o.name | isclean(o:object)"}]"##, "a list is not closed"),
        ];
        for (rule, expected) in cases {
            let message = with_rule("intro", rule).unwrap_err().to_string();
            assert!(message.starts_with("grammar, rule 'intro'"), "{message}");
            assert!(message.contains(expected), "{message} does not say {expected}");
        }
        let doubling = |from: char, to: char| format!(r##""{from}": [{{"rhs": "#{to}##{to}#"}}]"##);
        let rules: Vec<String> = ('a'..'y').map(|c| doubling(c, (c as u8 + 1) as char)).collect();
        let own = format!("{{ {}, \"y\": [{{\"rhs\": \"\"}}] }}", rules.join(", "));
        let text = format!("{WORDING}grammar :: \"\"\" {own} \"\"\";").replace("#room#", "#a#");
        let message = Grammar::compile(&text).unwrap_err().to_string();
        assert!(message.contains("more than 10000 references"), "{message}");
    }

    #[test]
    fn commands_are_written_and_read_back() {
        let (grammar, task) = Grammar::compile(WORDING).unwrap();
        let world = parse(KITCHEN).unwrap().world;
        for verb in Verb::ALL {
            let command = grammar.command(&world, Action::new(verb, 1, 0));
            let (read, names) = grammar.read(&command).unwrap();
            // The two kinds of examination look alike.
            let same =
                read == verb || verb == Verb::ExamineObject || verb == Verb::ExamineReceptacle;
            assert!(same, "{command} was read as {read:?}");
            assert!(names.iter().all(|name| name.is_empty() || name.contains(' ')), "{command}");
        }
        assert_eq!(grammar.source(&task), WORDING);
        let other = grammar.source("Errand: \"rest\".");
        assert_eq!(grammar.task_of(&other).as_deref(), None, "a quoted text is not plain");
        let other = grammar.source("Errand: rest.");
        assert_eq!(grammar.task_of(&other).as_deref(), Some("Errand: rest."));
    }
}
