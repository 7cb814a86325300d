//! Compiles a grammar's texts to templates: resolves all names and checks all sorts.

use super::super::action::{Role, Verb};
use super::super::predicate::{Predicate, Sort};
use super::command::{Command, Piece};
use super::document::{ActionTexts, Alternative, Document};
use super::query::{Argument, Condition, MAX_SLOTS};
use super::render::{Branch, List, Node, Template};
use super::text::{self, Atom, Symbol, Value};
use crate::error::{Error, Result};

/// Maximum nesting depth of references. A rule that exceeds it refers to itself.
const MAX_DEPTH: usize = 32;

/// Maximum number of references in the expanded texts of a grammar.
const MAX_REFERENCES: usize = 10_000;

/// Maximum number of bytes of the expanded texts of a grammar. The published games take 16,000.
const MAX_BYTES: usize = 2 << 20;

/// The articles of all entities.
const INDEFINITE: &str = "a";
const DEFINITE: &str = "the";

/// Compiles the texts of a document.
pub(crate) struct Compiler<'a> {
    document: &'a Document,
    /// The number of the alternative that is used of each text.
    variant: usize,
    /// The remaining number of references.
    references: usize,
    /// The remaining number of bytes.
    bytes: usize,
    /// The variables so far. A slot is an index into this list.
    variables: Vec<(String, Sort)>,
}

/// The context of a text.
#[derive(Clone, Copy)]
struct Scope<'a> {
    /// The rule that contains the text.
    rule: &'a str,
    /// The nesting depth of the rule.
    depth: usize,
    /// The slots of the variables that have a value, as bits.
    bound: u16,
}

impl Scope<'_> {
    fn error(&self, message: impl Into<String>) -> Error {
        Error::input(format!("grammar, rule '{}'", self.rule), message)
    }
}

impl<'a> Compiler<'a> {
    /// A compiler for a document. Checks the syntax of all texts, including unused ones.
    pub(crate) fn new(document: &'a Document, variant: usize) -> Result<Self> {
        for (rule, alternatives) in &document.rules {
            for Alternative { rhs, condition } in alternatives {
                let scope = Scope { rule, depth: 0, bound: 0 };
                text::parse(rhs).map_err(|message| scope.error(message))?;
                if let Some(condition) = condition {
                    text::query(condition).map_err(|message| scope.error(message))?;
                }
            }
        }
        Ok(Self {
            document,
            variant,
            references: MAX_REFERENCES,
            bytes: MAX_BYTES,
            variables: Vec::new(),
        })
    }

    /// The text of a rule that must be plain text, or `None` if there is no such rule.
    pub(crate) fn plain(&self, rule: &str) -> Result<Option<String>> {
        plain_rule_variant(self.document, rule, self.variant)
    }

    /// The initial text of an episode.
    pub(crate) fn intro(&mut self) -> Result<Template> {
        self.rule("intro", Scope { rule: "intro", depth: 0, bound: 0 })
    }

    /// The slots of a verb's parameters, each with the role that gives it a value.
    pub(crate) fn parameters(&mut self, verb: Verb) -> Result<Vec<(u8, Role)>> {
        let scope = Scope { rule: verb.name(), depth: 0, bound: 0 };
        let shown = verb.parameters().iter().filter(|(_, _, role)| *role != Role::Kind);
        shown
            .map(|(name, sort, role)| {
                let sort = Sort::parse(sort).ok_or_else(|| scope.error("unknown type"))?;
                Ok((self.slot(name, sort, scope)?, *role))
            })
            .collect()
    }

    /// The text that answers an action.
    pub(crate) fn feedback(&mut self, verb: Verb) -> Result<Template> {
        let bound = self.parameters(verb)?.iter().fold(0, |bound, (slot, _)| bound | 1 << slot);
        let scope = Scope { rule: verb.name(), depth: 0, bound };
        let feedback = &self.action(verb)?.feedback;
        self.template(feedback, scope)
    }

    /// The command for an action.
    pub(crate) fn command(&mut self, verb: Verb) -> Result<Command> {
        let action = self.action(verb)?;
        let scope = Scope { rule: verb.name(), depth: 0, bound: 0 };
        let symbols = text::parse(&action.template).map_err(|message| scope.error(message))?;
        let mut pieces = Vec::new();
        for symbol in symbols {
            let piece = match &symbol {
                Symbol::Text(text) => Piece::Text(text.as_str().into()),
                Symbol::Value(values) => operand(verb, values, "", scope)?,
                // A list over a condition that the action requires has exactly one entry.
                Symbol::List { body, query } if is_required(verb, query) => match &**body {
                    Symbol::Value(values) => operand(verb, values, "name", scope)?,
                    _ => return Err(scope.error("a command's list must consist of a name")),
                },
                _ => return Err(scope.error("a command must not contain references or conditions")),
            };
            pieces.push(piece);
        }
        Ok(Command { verb, pieces: pieces.into() })
    }

    fn action(&self, verb: Verb) -> Result<&'a ActionTexts> {
        self.document.actions.iter().find(|action| action.name == verb.name()).ok_or_else(|| {
            Error::input("grammar", format!("the action '{}' is missing", verb.name()))
        })
    }

    fn slot(&mut self, name: &str, sort: Sort, scope: Scope) -> Result<u8> {
        if let Some(slot) = self.variables.iter().position(|(known, _)| known == name) {
            if self.variables[slot].1 != sort {
                return Err(scope.error(format!("variable '{name}' has two types")));
            }
            return Ok(slot as u8);
        }
        if self.variables.len() == MAX_SLOTS {
            return Err(scope.error(format!("more than {MAX_SLOTS} variables")));
        }
        self.variables.push((name.to_string(), sort));
        Ok(self.variables.len() as u8 - 1)
    }

    /// Subtracts `bytes` from the remaining number of bytes.
    fn charge(&mut self, bytes: usize, scope: Scope) -> Result<()> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(|| {
            scope.error(format!("the expanded grammar has more than {MAX_BYTES} bytes"))
        })?;
        Ok(())
    }

    fn template(&mut self, text: &str, scope: Scope) -> Result<Template> {
        self.charge(text.len(), scope)?;
        let mut nodes = Vec::new();
        for symbol in text::parse(text).map_err(|message| scope.error(message))? {
            self.symbol(&symbol, scope, &mut nodes)?;
        }
        Ok(Template(joined(nodes).into()))
    }

    fn rule(&mut self, name: &str, scope: Scope) -> Result<Template> {
        let alternatives = self
            .document
            .rules
            .get(name)
            .filter(|alternatives| !alternatives.is_empty())
            .ok_or_else(|| scope.error(format!("unknown rule '{name}'")))?;
        if scope.depth > MAX_DEPTH {
            return Err(scope.error(format!("rule '{name}' refers to itself")));
        }
        if self.references == 0 {
            return Err(scope.error(format!("more than {MAX_REFERENCES} references in total")));
        }
        self.references -= 1;
        self.charge(alternatives.len() * size_of::<Branch>(), scope)?;
        let inner = Scope { rule: name, depth: scope.depth + 1, ..scope };
        let mut branches = Vec::new();
        // Adjacent texts with the same condition are alternatives.
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
            let atoms = text::query(condition).map_err(|message| inner.error(message))?;
            let (query, _) = self.query(&atoms, inner)?;
            branches.push(Branch { query: Some(query), template: self.template(rhs, inner)? });
        }
        Err(inner.error("the last text must have no condition"))
    }

    fn symbol(&mut self, symbol: &Symbol, scope: Scope, nodes: &mut Vec<Node>) -> Result<()> {
        self.charge(size_of::<Node>(), scope)?;
        match symbol {
            Symbol::Text(text) => nodes.push(Node::Text(text.as_str().into())),
            Symbol::Rule(name) if name == "task" => nodes.push(Node::Task),
            Symbol::Rule(name) => nodes.extend(self.rule(name, scope)?.0),
            Symbol::Value(values) => {
                self.charge(values.len() * size_of::<Node>(), scope)?;
                for value in values {
                    nodes.push(self.value(value, scope)?);
                }
            }
            Symbol::List { body, query } => {
                let (query, bound) = self.query(query, scope)?;
                let mut entry = Vec::new();
                self.symbol(body, Scope { bound, ..scope }, &mut entry)?;
                nodes.push(Node::List(Box::new(List {
                    query,
                    body: Template(joined(entry).into()),
                    empty: self.rule("list_empty", scope)?,
                    separator: self.rule("list_separator", scope)?,
                    last_separator: self.rule("list_last_separator", scope)?,
                })));
            }
        }
        Ok(())
    }

    fn value(&self, value: &Value, scope: Scope) -> Result<Node> {
        let (variable, attribute) = match value {
            Value::Literal(text) => return Ok(Node::Text(text.as_str().into())),
            Value::Attribute { variable, attribute } => (variable, attribute),
        };
        let slot = self
            .variables
            .iter()
            .position(|(name, _)| name == variable)
            .filter(|slot| scope.bound & 1 << slot != 0)
            .ok_or_else(|| scope.error(format!("variable '{variable}' has no value here")))?;
        match (attribute.as_str(), self.variables[slot].1) {
            ("indefinite", _) => Ok(Node::Text(INDEFINITE.into())),
            ("definite", _) => Ok(Node::Text(DEFINITE.into())),
            ("name", Sort::Object) => Ok(Node::Object(slot as u8)),
            ("name", Sort::Receptacle) => Ok(Node::Receptacle(slot as u8)),
            _ => Err(scope.error(format!("unknown attribute '{variable}.{attribute}'"))),
        }
    }

    /// Resolves a query. Returns it with the variables that have a value in its answers.
    fn query(&mut self, atoms: &[Atom], scope: Scope) -> Result<(Box<[Condition]>, u16)> {
        let mut bound = scope.bound;
        let mut conditions = Vec::new();
        self.charge(atoms.len() * size_of::<Condition>(), scope)?;
        for atom in atoms {
            let (predicate, sorts) = Predicate::parse(&atom.predicate)
                .ok_or_else(|| scope.error(format!("unknown condition '{}'", atom.predicate)))?;
            let mut arguments = Vec::new();
            for (name, sort) in &atom.arguments {
                let sort = Sort::parse(sort)
                    .ok_or_else(|| scope.error(format!("unknown type '{sort}'")))?;
                let slot = self.slot(name, sort, scope)?;
                let free = bound & 1 << slot == 0;
                arguments.push(Argument { slot, sort, free, distinct_from: 0 });
                bound |= 1 << slot;
            }
            if !arguments.iter().map(|argument| argument.sort).eq(sorts.iter().copied()) {
                let message = format!("wrong arguments for '{}'", atom.predicate);
                return Err(scope.error(message));
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
                argument.distinct_from = self.same_sort(argument.slot, argument.sort);
            }
        }
        Ok((conditions.into(), bound))
    }

    /// The other slots of the same sort, as bits.
    fn same_sort(&self, slot: u8, sort: Sort) -> u16 {
        let same = |&index: &usize| self.variables[index].1 == sort && index != slot as usize;
        (0..self.variables.len()).filter(same).fold(0, |mask, index| mask | 1 << index)
    }
}

/// The text of a rule that must be plain text, or `None` if there is no such rule.
pub(crate) fn plain_rule(document: &Document, rule: &str) -> Result<Option<String>> {
    plain_rule_variant(document, rule, 0)
}

fn plain_rule_variant(document: &Document, rule: &str, variant: usize) -> Result<Option<String>> {
    let Some(alternatives) = document.rules.get(rule) else { return Ok(None) };
    let scope = Scope { rule, depth: 0, bound: 0 };
    let variant = variant % alternatives.len().max(1);
    let Some(Alternative { rhs, condition: None }) = alternatives.get(variant) else {
        return Err(scope.error("expected one text without a condition"));
    };
    let symbols = text::parse(rhs).map_err(|message| scope.error(message))?;
    let plain = text::plain(&symbols);
    plain.map(Some).ok_or_else(|| scope.error("expected plain text without references"))
}

/// The operand that a command contains.
fn operand(verb: Verb, values: &[Value], expected: &str, scope: Scope) -> Result<Piece> {
    let [Value::Attribute { variable, attribute }] = values else {
        return Err(scope.error("a command must consist of texts and names"));
    };
    let role = verb.parameters().iter().find(|(name, ..)| name == variable).map(|found| found.2);
    match role {
        Some(role) if attribute == expected => match role {
            Role::FirstObject => Ok(Piece::FirstObject),
            Role::SecondObject => Ok(Piece::SecondObject),
            Role::FirstReceptacle => Ok(Piece::FirstReceptacle),
            Role::SecondReceptacle => Ok(Piece::SecondReceptacle),
            _ => Err(scope.error(format!("a command cannot contain '{variable}'"))),
        },
        _ => Err(scope.error(format!("'{variable}' is not an operand of this action"))),
    }
}

/// Whether all conditions of a query are preconditions of the action.
fn is_required(verb: Verb, query: &[Atom]) -> bool {
    let names = |atom: &Atom| -> Vec<String> {
        atom.arguments.iter().map(|(name, _)| name.clone()).collect()
    };
    verb == Verb::GoTo
        && query
            .iter()
            .all(|atom| atom.predicate == "receptacleatlocation" && names(atom) == ["r", "lend"])
}

/// Joins adjacent literal texts.
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
