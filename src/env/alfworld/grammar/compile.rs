//! From a grammar's texts to templates: every name is resolved, every sort checked.

use super::super::action::{Role, Verb};
use super::super::fact::{Predicate, Sort};
use super::document::{Alternative, Document};
use super::query::{Argument, Condition, SLOTS};
use super::render::{Branch, List, Node, Template};
use super::text::{self, Atom, Symbol, Value};
use super::{Command, Piece};
use crate::error::{Error, Result};

/// Rules that refer to rules that refer to rules: deeper than this, one refers to itself.
const DEEPEST: usize = 32;

/// How many references a grammar's texts may have once they are written out.
const BUDGET: usize = 10_000;

/// How many bytes a grammar may take once its texts are written out. The published games take
/// 16,000.
const MAX_BYTES: usize = 2 << 20;

/// The articles that the engine gives to everything.
const INDEFINITE: &str = "a";
const DEFINITE: &str = "the";

/// Resolves a document's texts.
pub(crate) struct Compiler<'a> {
    document: &'a Document,
    /// Which of several texts for the same is taken.
    variant: usize,
    /// How many more texts may be written out.
    budget: usize,
    /// How many more bytes they may take.
    bytes: usize,
    /// The variables met so far; a slot is an index into this list.
    variables: Vec<(String, Sort)>,
}

/// A text's surroundings: the rule it stands in, how deep, and which variables have a value.
#[derive(Clone, Copy)]
struct Place<'a> {
    rule: &'a str,
    depth: usize,
    bound: u16,
}

impl Place<'_> {
    fn error(&self, message: impl Into<String>) -> Error {
        Error::input(format!("grammar, rule '{}'", self.rule), message)
    }
}

impl<'a> Compiler<'a> {
    /// Starts with a document all of whose texts can be read, even those that nothing refers to.
    pub(crate) fn new(document: &'a Document, variant: usize) -> Result<Self> {
        for (rule, alternatives) in &document.rules {
            for Alternative { rhs, condition } in alternatives {
                let place = Place { rule, depth: 0, bound: 0 };
                text::parse(rhs).map_err(|fault| place.error(fault))?;
                if let Some(condition) = condition {
                    text::query(condition).map_err(|fault| place.error(fault))?;
                }
            }
        }
        Ok(Self { document, variant, budget: BUDGET, bytes: MAX_BYTES, variables: Vec::new() })
    }

    /// The text of a rule that may hold no more than plain text, or `None` where there is no rule.
    pub(crate) fn plain(&self, rule: &str) -> Result<Option<String>> {
        let Some(alternatives) = self.document.rules.get(rule) else { return Ok(None) };
        let place = Place { rule, depth: 0, bound: 0 };
        let variant = self.variant % alternatives.len().max(1);
        let Some(Alternative { rhs, condition: None }) = alternatives.get(variant) else {
            return Err(place.error("expected one text without a condition"));
        };
        match text::parse(rhs).map_err(|fault| place.error(fault))?.as_slice() {
            [] => Ok(Some(String::new())),
            [Symbol::Text(text)] => Ok(Some(text.clone())),
            _ => Err(place.error("expected plain text without references")),
        }
    }

    /// The text that an episode begins with.
    pub(crate) fn intro(&mut self) -> Result<Template> {
        self.rule("intro", Place { rule: "intro", depth: 0, bound: 0 })
    }

    /// The slots of a verb's parameters, with the role that gives each its value.
    pub(crate) fn parameters(&mut self, verb: Verb) -> Result<Vec<(u8, Role)>> {
        let place = Place { rule: verb.name(), depth: 0, bound: 0 };
        let shown = verb.parameters().iter().filter(|(_, _, role)| *role != Role::Kind);
        shown
            .map(|(name, sort, role)| {
                let sort = Sort::parse(sort).ok_or_else(|| place.error("unknown type"))?;
                Ok((self.slot(name, sort, place)?, *role))
            })
            .collect()
    }

    /// The text that answers an action.
    pub(crate) fn feedback(&mut self, verb: Verb) -> Result<Template> {
        let bound = self.parameters(verb)?.iter().fold(0, |bound, (slot, _)| bound | 1 << slot);
        let place = Place { rule: verb.name(), depth: 0, bound };
        let feedback = &self.action(verb)?.feedback;
        self.template(feedback, place)
    }

    /// The command that takes an action.
    pub(crate) fn command(&mut self, verb: Verb) -> Result<Command> {
        let action = self.action(verb)?;
        let place = Place { rule: verb.name(), depth: 0, bound: 0 };
        let symbols = text::parse(&action.template).map_err(|fault| place.error(fault))?;
        let mut pieces = Vec::new();
        for symbol in symbols {
            let piece = match &symbol {
                Symbol::Text(text) => Piece::Text(text.as_str().into()),
                Symbol::Value(values) => operand(verb, values, "", place)?,
                // A list over what the action itself requires has exactly one entry.
                Symbol::List { body, query } if is_required(verb, query) => match &**body {
                    Symbol::Value(values) => operand(verb, values, "name", place)?,
                    _ => return Err(place.error("a command's list shows something but a name")),
                },
                _ => return Err(place.error("a command may hold no references and no conditions")),
            };
            pieces.push(piece);
        }
        Ok(Command { verb, pieces: pieces.into() })
    }

    fn action(&self, verb: Verb) -> Result<&'a super::document::ActionTexts> {
        self.document
            .actions
            .iter()
            .find(|action| action.name == verb.name())
            .ok_or_else(|| Error::input("grammar", format!("there is no action '{}'", verb.name())))
    }

    fn slot(&mut self, name: &str, sort: Sort, place: Place) -> Result<u8> {
        if let Some(slot) = self.variables.iter().position(|(known, _)| known == name) {
            if self.variables[slot].1 != sort {
                return Err(place.error(format!("variable '{name}' stands for two types")));
            }
            return Ok(slot as u8);
        }
        if self.variables.len() == SLOTS {
            return Err(place.error(format!("more than {SLOTS} variables")));
        }
        self.variables.push((name.to_string(), sort));
        Ok(self.variables.len() as u8 - 1)
    }

    /// Counts what a text takes.
    fn charge(&mut self, bytes: usize, place: Place) -> Result<()> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(|| {
            place.error(format!("the grammar takes more than {MAX_BYTES} bytes written out"))
        })?;
        Ok(())
    }

    fn template(&mut self, text: &str, place: Place) -> Result<Template> {
        self.charge(text.len(), place)?;
        let mut nodes = Vec::new();
        for symbol in text::parse(text).map_err(|fault| place.error(fault))? {
            self.symbol(&symbol, place, &mut nodes)?;
        }
        Ok(Template(joined(nodes).into()))
    }

    fn rule(&mut self, name: &str, place: Place) -> Result<Template> {
        let alternatives = self
            .document
            .rules
            .get(name)
            .filter(|alternatives| !alternatives.is_empty())
            .ok_or_else(|| place.error(format!("there is no rule '{name}'")))?;
        if place.depth > DEEPEST {
            return Err(place.error(format!("rule '{name}' refers to itself")));
        }
        if self.budget == 0 {
            return Err(place.error(format!("more than {BUDGET} references in all")));
        }
        self.budget -= 1;
        self.charge(alternatives.len() * size_of::<Branch>(), place)?;
        let inner = Place { rule: name, depth: place.depth + 1, ..place };
        let mut branches = Vec::new();
        // Neighbours with one condition say the same in other words.
        for same in alternatives.chunk_by(|a, b| a.condition == b.condition) {
            let Alternative { rhs, condition } = &same[self.variant % same.len()];
            let Some(condition) = condition.as_deref().filter(|text| !text.is_empty()) else {
                let template = self.template(rhs, inner)?;
                if branches.is_empty() {
                    return Ok(template);
                }
                branches.push(Branch { query: None, template });
                return Ok(Template([Node::Choice(branches.into())].into()));
            };
            self.charge(condition.len(), inner)?;
            let atoms = text::query(condition).map_err(|fault| inner.error(fault))?;
            let (query, _) = self.query(&atoms, inner)?;
            branches.push(Branch { query: Some(query), template: self.template(rhs, inner)? });
        }
        Err(inner.error("the last text must have no condition"))
    }

    fn symbol(&mut self, symbol: &Symbol, place: Place, nodes: &mut Vec<Node>) -> Result<()> {
        self.charge(size_of::<Node>(), place)?;
        match symbol {
            Symbol::Text(text) => nodes.push(Node::Text(text.as_str().into())),
            Symbol::Rule(name) if name == "task" => nodes.push(Node::Task),
            Symbol::Rule(name) => nodes.extend(self.rule(name, place)?.0),
            Symbol::Value(values) => {
                self.charge(values.len() * size_of::<Node>(), place)?;
                for value in values {
                    nodes.push(self.value(value, place)?);
                }
            }
            Symbol::List { body, query } => {
                let (query, bound) = self.query(query, place)?;
                let mut entry = Vec::new();
                self.symbol(body, Place { bound, ..place }, &mut entry)?;
                nodes.push(Node::List(Box::new(List {
                    query,
                    body: Template(joined(entry).into()),
                    empty: self.rule("list_empty", place)?,
                    separator: self.rule("list_separator", place)?,
                    last_separator: self.rule("list_last_separator", place)?,
                })));
            }
        }
        Ok(())
    }

    fn value(&self, value: &Value, place: Place) -> Result<Node> {
        let (variable, attribute) = match value {
            Value::Literal(text) => return Ok(Node::Text(text.as_str().into())),
            Value::Attribute { variable, attribute } => (variable, attribute),
        };
        let slot = self
            .variables
            .iter()
            .position(|(name, _)| name == variable)
            .filter(|slot| place.bound & 1 << slot != 0)
            .ok_or_else(|| place.error(format!("variable '{variable}' has no value here")))?;
        match (attribute.as_str(), self.variables[slot].1) {
            ("indefinite", _) => Ok(Node::Text(INDEFINITE.into())),
            ("definite", _) => Ok(Node::Text(DEFINITE.into())),
            ("name", Sort::Object) => Ok(Node::Object(slot as u8)),
            ("name", Sort::Receptacle) => Ok(Node::Receptacle(slot as u8)),
            _ => Err(place.error(format!("'{variable}.{attribute}' is not known"))),
        }
    }

    /// Resolves a query; returns it with the variables that have a value in each of its answers.
    fn query(&mut self, atoms: &[Atom], place: Place) -> Result<(Box<[Condition]>, u16)> {
        let mut bound = place.bound;
        let mut conditions = Vec::new();
        self.charge(atoms.len() * size_of::<Condition>(), place)?;
        for atom in atoms {
            let (predicate, sorts) = Predicate::parse(&atom.predicate).ok_or_else(|| {
                place.error(format!("the condition '{}' is not known", atom.predicate))
            })?;
            let mut arguments = Vec::new();
            for (name, sort) in &atom.arguments {
                let sort = Sort::parse(sort)
                    .ok_or_else(|| place.error(format!("the type '{sort}' is not known")))?;
                let slot = self.slot(name, sort, place)?;
                let free = bound & 1 << slot == 0;
                arguments.push(Argument { slot, sort, free, rivals: 0 });
                bound |= 1 << slot;
            }
            if !arguments.iter().map(|argument| argument.sort).eq(sorts.iter().copied()) {
                let message = format!("'{}' has other arguments than it takes", atom.predicate);
                return Err(place.error(message));
            }
            conditions.push(Condition {
                predicate,
                first: arguments[0],
                second: arguments.get(1).copied(),
            });
        }
        for condition in &mut conditions {
            for argument in [Some(&mut condition.first), condition.second.as_mut()] {
                let Some(argument) = argument else { continue };
                argument.rivals = self.rivals(argument.slot, argument.sort);
            }
        }
        Ok((conditions.into(), bound))
    }

    fn rivals(&self, slot: u8, sort: Sort) -> u16 {
        let same = |&index: &usize| self.variables[index].1 == sort && index != slot as usize;
        (0..self.variables.len()).filter(same).fold(0, |mask, index| mask | 1 << index)
    }
}

/// The operand that a command shows.
fn operand(verb: Verb, values: &[Value], expected: &str, place: Place) -> Result<Piece> {
    let [Value::Attribute { variable, attribute }] = values else {
        return Err(place.error("a command shows something but a name"));
    };
    let role = verb.parameters().iter().find(|(name, ..)| name == variable).map(|found| found.2);
    match role {
        Some(role) if attribute == expected => match role {
            Role::FirstObject => Ok(Piece::FirstObject),
            Role::SecondObject => Ok(Piece::SecondObject),
            Role::FirstReceptacle => Ok(Piece::FirstReceptacle),
            Role::SecondReceptacle => Ok(Piece::SecondReceptacle),
            _ => Err(place.error(format!("a command cannot show '{variable}'"))),
        },
        _ => Err(place.error(format!("'{variable}' is no operand of this action"))),
    }
}

/// Whether a query asks for nothing but what must hold before the action anyway.
fn is_required(verb: Verb, query: &[Atom]) -> bool {
    let names = |atom: &Atom| -> Vec<String> {
        atom.arguments.iter().map(|(name, _)| name.clone()).collect()
    };
    verb == Verb::GoTo
        && query
            .iter()
            .all(|atom| atom.predicate == "receptacleatlocation" && names(atom) == ["r", "lend"])
}

/// Joins neighbouring literal texts.
fn joined(nodes: Vec<Node>) -> Vec<Node> {
    let mut joined: Vec<Node> = Vec::with_capacity(nodes.len());
    let mut text = String::new();
    let finish = |text: &mut String, joined: &mut Vec<Node>| {
        if !text.is_empty() {
            joined.push(Node::Text(std::mem::take(text).into()));
        }
    };
    for node in nodes {
        if let Node::Text(more) = node {
            text.push_str(&more);
        } else {
            finish(&mut text, &mut joined);
            joined.push(node);
        }
    }
    finish(&mut text, &mut joined);
    joined
}
