//! A compiled grammar.

use super::super::action::{Action, Role, Verb};
use super::super::world::World;
use super::command::{Command, grouped};
use super::compile::Compiler;
use super::document::{self, Document};
use super::query::{Bindings, Scene};
use super::render::Template;
use super::text;
use crate::error::{Error, Result};

/// Maximum number of bytes of a grammar's text. The published games have 13,000.
const MAX_TEXT: usize = 1 << 20;

/// The answer to an inadmissible command. The grammars of the published games do not contain this
/// sentence. Other grammars can set it with the rule `refusal`.
pub(crate) const REFUSAL: &str = "Nothing happens.";

/// A compiled grammar.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Grammar {
    /// The text of the grammar before and after its task line.
    before: Box<str>,
    after: Box<str>,
    pub(super) intro: Template,
    refusal: Box<str>,
    /// The feedback of each verb, in the order of [`Verb::ALL`].
    pub(super) feedback: Box<[Feedback]>,
    /// The commands in groups. Sorting each group sorts all commands.
    pub(super) groups: Box<[Box<[Command]>]>,
}

/// The text that answers an action of one verb.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Feedback {
    pub(super) template: Template,
    /// The variables of the template and the roles that give them values.
    parameters: Box<[(u8, Role)]>,
}

impl Grammar {
    /// Compiles a grammar and returns it with its task line.
    pub(crate) fn compile(text: &str) -> Result<(Self, String)> {
        Self::compile_variant(text, 0)
    }

    /// Compiles a grammar with the alternative number `variant` of each text.
    pub(crate) fn compile_variant(text: &str, variant: usize) -> Result<(Self, String)> {
        if text.len() > MAX_TEXT {
            let message = format!("expected at most {MAX_TEXT} bytes, found {}", text.len());
            return Err(Error::input("grammar", message));
        }
        let document = document::parse(text)?;
        let mut compiler = Compiler::new(&document, variant)?;
        let task = compiler
            .plain("task")?
            .ok_or_else(|| Error::input("grammar", "the rule 'task' is missing"))?;
        let (before, after) = around_task(text, &document)?;
        let intro = compiler.intro()?;
        let refusal = compiler.plain("refusal")?.unwrap_or_else(|| REFUSAL.to_string());
        let mut feedback = Vec::new();
        let mut commands = Vec::new();
        for verb in Verb::ALL {
            let parameters = compiler.parameters(verb)?.into();
            feedback.push(Feedback { template: compiler.feedback(verb)?, parameters });
            commands.push(compiler.command(verb)?);
        }
        let grammar = Self {
            before: before.into(),
            after: after.into(),
            intro,
            refusal: refusal.into(),
            feedback: feedback.into(),
            groups: grouped(commands),
        };
        Ok((grammar, task))
    }

    /// The task line of `text` if it is this grammar with another task line.
    pub(crate) fn task_of(&self, text: &str) -> Option<String> {
        let task = text.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
        let task: String = serde_json::from_str(task).ok()?;
        text::plain(&text::parse(&task).ok()?).filter(|task| !task.is_empty())
    }

    /// The text of the grammar with another task line.
    #[cfg(feature = "fs")]
    pub(crate) fn source(&self, task: &str) -> String {
        let task = serde_json::Value::from(task).to_string();
        format!("{}{task}{}", self.before, self.after)
    }

    /// Appends the initial text of an episode.
    pub(crate) fn write_intro(&self, scene: &Scene, out: &mut String) {
        self.intro.write(scene, &Bindings::default(), out);
    }

    /// The answer to an inadmissible command.
    pub(crate) fn refusal(&self) -> &str {
        &self.refusal
    }

    /// Appends the answer to `action`, which led from the location `before` to `scene`.
    pub(crate) fn write_feedback(
        &self,
        scene: &Scene,
        action: Action,
        before: u8,
        out: &mut String,
    ) {
        let Feedback { template, parameters } = &self.feedback[action.verb as usize];
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

    /// Parses a command into its verb and the names of its operands. If two verbs have the same form,
    /// the first one is returned.
    pub(crate) fn parse_command<'a>(&self, text: &'a str) -> Option<(Verb, [&'a str; 2])> {
        let mut forms = self.groups.iter().flatten();
        forms.find_map(|form| Some((form.verb, form.names(text)?)))
    }

    /// The commands in groups. Sorting each group sorts all commands.
    pub(crate) fn groups(&self) -> &[Box<[Command]>] {
        &self.groups
    }
}

/// The texts of all rules whose names begin with `prefix`, by the rest of the name.
pub(crate) fn texts_of(grammar: &str, prefix: &str) -> Result<Vec<(String, Vec<String>)>> {
    let rules = document::parse(grammar)?.rules.into_iter().filter_map(|(name, alternatives)| {
        let name = name.strip_prefix(prefix)?.to_string();
        Some((name, alternatives.into_iter().map(|alternative| alternative.rhs).collect()))
    });
    Ok(rules.collect())
}

/// The parts of a grammar's text before and after the task line, which is the first text of the rule
/// `task` that the grammar declares last.
fn around_task<'a>(text: &'a str, document: &Document) -> Result<(&'a str, &'a str)> {
    let found = || {
        let rule = text.rfind("\"task\"")?;
        let key = rule + text[rule..].find("\"rhs\"")? + "\"rhs\"".len();
        let start = key + text[key..].find('"')?;
        let mut strings = serde_json::Deserializer::from_str(&text[start..]).into_iter::<String>();
        let line = strings.next()?.ok()?;
        if document.rules.get("task")?.first()?.rhs != line {
            return None;
        }
        Some((&text[..start], &text[start + strings.byte_offset()..]))
    };
    found().ok_or_else(|| Error::input("grammar, rule 'task'", "cannot find its text"))
}

#[cfg(test)]
mod tests {
    use super::super::super::generator::wording::HOUSEHOLD_GRAMMAR;
    use super::super::super::pddl::parse;
    use super::super::super::pddl::problem::tests::KITCHEN;
    use super::*;

    /// The household grammar with one rule replaced.
    fn with_rule(name: &str, rule: &str) -> Result<Grammar> {
        let own = format!("grammar :: \"\"\" {{ \"{name}\": {rule} }} \"\"\";\n");
        Ok(Grammar::compile(&format!("{HOUSEHOLD_GRAMMAR}{own}"))?.0)
    }

    fn intro(grammar: &Grammar, objects: &[&str]) -> String {
        let mut world = parse(KITCHEN).unwrap().world;
        world.start.inside = Default::default();
        for object in objects {
            world.start.inside.insert(0, world.object_names.position(object).unwrap());
        }
        let scene = Scene { world: &world, state: &world.start, task: "Rest.", shuffle: None };
        let mut text = String::new();
        grammar.write_intro(&scene, &mut text);
        text
    }

    #[test]
    fn lists_are_written_for_none_one_and_several_entries() {
        let rule = r##"[{"rhs": "[{o.indefinite + ' ' + o.name | inreceptacle(o:object, r:receptacle)}] #task#"}]"##;
        let grammar = with_rule("intro", rule).unwrap();
        assert_eq!(intro(&grammar, &[]), "no objects Rest.");
        assert_eq!(intro(&grammar, &["mug 1"]), "a mug 1 Rest.");
        assert_eq!(intro(&grammar, &["mug 1", "mug 2"]), "a mug 2 and a mug 1 Rest.");
    }

    #[test]
    fn the_first_text_with_a_true_condition_is_written() {
        let rule = r##"[
            {"condition": "inreceptacle(o:object, r:receptacle) & isclean(o:object)", "rhs": "clean"},
            {"condition": "inreceptacle(o:object, r:receptacle) & openable(r:receptacle)", "rhs": "in"},
            {"rhs": "none"}
        ]"##;
        let grammar = with_rule("intro", rule).unwrap();
        assert_eq!(intro(&grammar, &["mug 2"]), "in");
        assert_eq!(intro(&grammar, &[]), "none");
        // Different variables have different values.
        let rule = r##"[
            {"condition": "inreceptacle(o:object, r:receptacle) & inreceptacle(o2:object, r:receptacle)", "rhs": "two"},
            {"rhs": "fewer"}
        ]"##;
        let grammar = with_rule("intro", rule).unwrap();
        assert_eq!(intro(&grammar, &["mug 2"]), "fewer");
        assert_eq!(intro(&grammar, &["mug 2", "mug 1"]), "two");
    }

    #[test]
    fn errors_in_texts_name_the_rule_and_the_cause() {
        let cases = [
            (r##"[{"rhs": "#intro#"}]"##, "rule 'intro' refers to itself"),
            (r##"[{"rhs": "#absent#"}]"##, "rule 'intro': unknown rule 'absent'"),
            (r##"[{"rhs": "{o.name}"}]"##, "variable 'o' has no value here"),
            (r##"[{"rhs": "x", "condition": "holdsany(a:agent)"}]"##, "must have no condition"),
            (r##"[{"rhs": "[{o.name | near(o:object)}]"}]"##, "unknown condition 'near'"),
            (r##"[{"rhs": "[{o.name | isclean(o:thing)}]"}]"##, "unknown type 'thing'"),
            (
                r##"[{"rhs": "[{r.name | isclean(r:receptacle)}]"}]"##,
                "wrong arguments for 'isclean'",
            ),
            (
                r##"[{"rhs": "[{a.name | atlocation(a:agent, l:location)}]"}]"##,
                "unknown attribute 'a.name'",
            ),
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
        let text =
            format!("{HOUSEHOLD_GRAMMAR}grammar :: \"\"\" {own} \"\"\";").replace("#room#", "#a#");
        let message = Grammar::compile(&text).unwrap_err().to_string();
        assert!(message.contains("more than 10000 references"), "{message}");
    }

    #[test]
    fn written_commands_can_be_parsed() {
        let (grammar, task) = Grammar::compile(HOUSEHOLD_GRAMMAR).unwrap();
        let world = parse(KITCHEN).unwrap().world;
        for verb in Verb::ALL {
            let command = grammar.command(&world, Action::new(verb, 1, 0));
            let (read, names) = grammar.parse_command(&command).unwrap();
            // The two examining verbs have the same form.
            let same =
                read == verb || verb == Verb::ExamineObject || verb == Verb::ExamineReceptacle;
            assert!(same, "{command} was read as {read:?}");
            assert!(names.iter().all(|name| name.is_empty() || name.contains(' ')), "{command}");
        }
        assert_eq!(grammar.source(&task), HOUSEHOLD_GRAMMAR);
        let other = grammar.source("Errand: \"rest\".");
        assert_eq!(
            grammar.task_of(&other).as_deref(),
            Some("Errand: rest."),
            "quotes are left out"
        );
        let other = grammar.source("Errand: rest.");
        assert_eq!(grammar.task_of(&other).as_deref(), Some("Errand: rest."));
    }
}
