//! The texts and commands of a grammar for a compiled problem.

use super::super::grammar::document::{ActionTexts, Alternative, Document};
use super::super::grammar::text::{self, Atom, Symbol, Value};
use super::actions::State;
use super::domain::Domain;
use super::problem::Objects;
use super::query::{Bindings, Condition, MAX_SLOTS, each_answer};
use super::search::largest_group;
use crate::error::{Error, Result};

/// Maximum nesting depth of references. A rule that exceeds it refers to itself.
const MAX_DEPTH: usize = 32;

/// Maximum number of references in the expanded texts of a grammar.
const MAX_REFERENCES: usize = 10_000;

/// Maximum number of bytes of the expanded texts of a grammar. The published games take 16,000.
const MAX_BYTES: usize = 2 << 20;

/// Maximum number of condition checks for one text.
const MAX_CHECKS: u64 = 20_000_000;

/// Maximum number of bytes of one text.
const MAX_TEXT: u64 = 16 << 20;

/// A branch: its query, if it has one, and its text.
type Branch = (Option<Box<[Condition]>>, Template);

/// A piece of a compiled text.
#[derive(Debug)]
enum Node {
    Text(Box<str>),
    /// The name of the object in a slot.
    Name(u8),
    /// The first branch whose query has an answer. The last branch has no query.
    Choice(Box<[Branch]>),
    List(Box<List>),
}

/// A text for each answer of a query, with separators between them.
#[derive(Debug)]
struct List {
    query: Box<[Condition]>,
    body: Template,
    empty: Template,
    separator: Template,
    last_separator: Template,
}

/// A compiled text.
#[derive(Debug, Default)]
pub(super) struct Template(Box<[Node]>);

/// The texts of one action.
#[derive(Debug)]
pub(super) struct ActionTemplates {
    /// The slots of the parameters.
    pub(super) slots: Box<[u8]>,
    pub(super) command: Template,
    pub(super) feedback: Template,
}

impl Template {
    /// Appends the text to `out`.
    pub(super) fn write(
        &self,
        objects: &Objects,
        state: &State,
        bindings: &Bindings,
        out: &mut String,
    ) {
        for node in &self.0 {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Name(slot) => {
                    let name = bindings.get(*slot).and_then(|id| objects.names.get(id as usize));
                    out.push_str(name.map_or("", |name| name));
                }
                Node::Choice(branches) => {
                    let chosen = branches.iter().find(|(query, _)| {
                        query.as_deref().is_none_or(|query| {
                            !each_answer(query, state, bindings, &mut |_| false)
                        })
                    });
                    if let Some((_, template)) = chosen {
                        template.write(objects, state, bindings, out);
                    }
                }
                Node::List(list) => list.write(objects, state, bindings, out),
            }
        }
    }

    /// The literal text at the start.
    pub(super) fn opening(&self) -> &str {
        match self.0.first() {
            Some(Node::Text(text)) => text,
            _ => "",
        }
    }
}

impl List {
    fn write(&self, objects: &Objects, state: &State, bindings: &Bindings, out: &mut String) {
        let mut answers = Vec::new();
        each_answer(&self.query, state, bindings, &mut |answer| {
            answers.push(*answer);
            true
        });
        if answers.is_empty() {
            self.empty.write(objects, state, bindings, out);
        }
        for (index, answer) in answers.iter().enumerate() {
            if index > 0 {
                let is_last = index + 1 == answers.len();
                let separator = if is_last { &self.last_separator } else { &self.separator };
                separator.write(objects, state, bindings, out);
            }
            self.body.write(objects, state, answer, out);
        }
    }
}

/// Compiles the texts of a document for a problem.
pub(super) struct TextCompiler<'a> {
    pub(super) document: &'a Document,
    pub(super) domain: &'a Domain,
    pub(super) objects: &'a Objects,
    pub(super) start: &'a State,
    /// The variables so far with their types. A slot is an index into this list.
    variables: Vec<(String, u16)>,
    references: usize,
    bytes: usize,
}

/// The context of a text.
#[derive(Clone, Copy)]
struct Scope<'a> {
    rule: &'a str,
    depth: usize,
    /// The slots of the variables that have a value, as bits.
    bound: u32,
}

impl Scope<'_> {
    fn error(&self, message: impl Into<String>) -> Error {
        Error::input(format!("grammar, rule '{}'", self.rule), message)
    }
}

/// Upper bounds for a text: the number of condition checks, and the length.
#[derive(Clone, Copy, Default)]
struct Cost {
    checks: u64,
    bytes: u64,
}

impl Cost {
    fn add(&mut self, other: Cost, times: u64) {
        self.checks = self.checks.saturating_add(other.checks.saturating_mul(times));
        self.bytes = self.bytes.saturating_add(other.bytes.saturating_mul(times));
    }
}

impl<'a> TextCompiler<'a> {
    pub(super) fn new(
        document: &'a Document,
        domain: &'a Domain,
        objects: &'a Objects,
        start: &'a State,
    ) -> Self {
        Self {
            document,
            domain,
            objects,
            start,
            variables: Vec::new(),
            references: MAX_REFERENCES,
            bytes: MAX_BYTES,
        }
    }

    /// The initial text of an episode.
    pub(super) fn intro(&mut self) -> Result<Template> {
        let scope = Scope { rule: "intro", depth: 0, bound: 0 };
        let (template, cost) = self.rule("intro", scope)?;
        check(cost, scope)?;
        Ok(template)
    }

    /// The texts of an action.
    pub(super) fn action(&mut self, number: usize) -> Result<ActionTemplates> {
        let domain = self.domain;
        let rule = &domain.actions[number];
        let texts: &ActionTexts =
            self.document.actions.iter().rfind(|action| *action.name == *rule.name).ok_or_else(
                || {
                    let message = format!("the action '{}' of the domain is missing", rule.name);
                    Error::input("grammar", message)
                },
            )?;
        let mut scope = Scope { rule: &rule.name, depth: 0, bound: 0 };
        let mut slots = Vec::new();
        for (name, variable) in rule.names.iter().zip(&rule.parameters) {
            // A parameter of an unknown type has no value, so the action is never possible.
            let slot = self.slot(name, variable.kind.unwrap_or(0), scope)?;
            scope.bound |= 1 << slot;
            slots.push(slot);
        }
        let (command, cost) = self.template(&texts.template, scope)?;
        check(cost, scope)?;
        let (feedback, cost) = self.template(&texts.feedback, scope)?;
        check(cost, scope)?;
        Ok(ActionTemplates { slots: slots.into(), command, feedback })
    }

    fn slot(&mut self, name: &str, kind: u16, scope: Scope) -> Result<u8> {
        if let Some(slot) = self.variables.iter().position(|(known, _)| known == name) {
            if self.variables[slot].1 != kind {
                return Err(scope.error(format!("variable '{name}' has two types")));
            }
            return Ok(slot as u8);
        }
        if self.variables.len() == MAX_SLOTS {
            return Err(scope.error(format!("more than {MAX_SLOTS} variables")));
        }
        self.variables.push((name.to_string(), kind));
        Ok(self.variables.len() as u8 - 1)
    }

    fn template(&mut self, text: &str, scope: Scope) -> Result<(Template, Cost)> {
        self.bytes = self.bytes.checked_sub(text.len()).ok_or_else(|| {
            scope.error(format!("the expanded grammar has more than {MAX_BYTES} bytes"))
        })?;
        let mut nodes = Vec::new();
        let mut cost = Cost::default();
        for symbol in text::parse(text).map_err(|message| scope.error(message))? {
            cost.add(self.symbol(&symbol, scope, &mut nodes)?, 1);
        }
        Ok((Template(nodes.into()), cost))
    }

    fn rule(&mut self, name: &str, scope: Scope) -> Result<(Template, Cost)> {
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
        let inner = Scope { rule: name, depth: scope.depth + 1, ..scope };
        let mut branches = Vec::new();
        let mut cost = Cost::default();
        for Alternative { rhs, condition } in alternatives {
            let (template, of_text) = self.template(rhs, inner)?;
            cost.add(of_text, 1);
            let Some(condition) = condition.as_deref().filter(|text| !text.is_empty()) else {
                if branches.is_empty() {
                    return Ok((template, cost));
                }
                branches.push((None, template));
                return Ok((Template([Node::Choice(branches.into())].into()), cost));
            };
            let atoms = text::query(condition).map_err(|message| inner.error(message))?;
            let (query, _, (_, checks)) = self.query(&atoms, inner)?;
            cost.checks = cost.checks.saturating_add(checks);
            branches.push((Some(query), template));
        }
        Err(inner.error("the last text must have no condition"))
    }

    fn symbol(&mut self, symbol: &Symbol, scope: Scope, nodes: &mut Vec<Node>) -> Result<Cost> {
        let mut cost = Cost::default();
        match symbol {
            Symbol::Text(text) => {
                cost.bytes = text.len() as u64;
                nodes.push(Node::Text(text.as_str().into()));
            }
            Symbol::Rule(name) => {
                let (template, of_rule) = self.rule(name, scope)?;
                nodes.extend(template.0);
                cost = of_rule;
            }
            Symbol::Value(values) => {
                for value in values {
                    let node = self.value(value, scope)?;
                    cost.bytes += match &node {
                        Node::Text(text) => text.len() as u64,
                        _ => self.objects.names.iter().map(|name| name.len()).max().unwrap_or(0)
                            as u64,
                    };
                    nodes.push(node);
                }
            }
            Symbol::List { body, query } => {
                let (query, bound, (answers, checks)) = self.query(query, scope)?;
                cost.checks = checks.saturating_add(answers);
                let mut entry = Vec::new();
                cost.add(self.symbol(body, Scope { bound, ..scope }, &mut entry)?, answers);
                let mut part = |name: &str, times: u64| -> Result<Template> {
                    let (template, of_part) = self.rule(name, scope)?;
                    cost.add(of_part, times);
                    Ok(template)
                };
                nodes.push(Node::List(Box::new(List {
                    query,
                    body: Template(entry.into()),
                    empty: part("list_empty", 1)?,
                    separator: part("list_separator", answers)?,
                    last_separator: part("list_last_separator", 1)?,
                })));
            }
        }
        Ok(cost)
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
        match attribute.as_str() {
            "indefinite" => Ok(Node::Text("a".into())),
            "definite" => Ok(Node::Text("the".into())),
            "name" | "" => Ok(Node::Name(slot as u8)),
            _ => Err(scope.error(format!("unknown attribute '{variable}.{attribute}'"))),
        }
    }

    /// Resolves a query. Returns it with the variables that have a value in its answers, and the
    /// maximum numbers of its answers and of condition checks.
    #[allow(clippy::type_complexity)]
    fn query(
        &mut self,
        atoms: &[Atom],
        scope: Scope,
    ) -> Result<(Box<[Condition]>, u32, (u64, u64))> {
        let mut bound = scope.bound;
        let (mut answers, mut checks) = (1u64, 0u64);
        let mut conditions = Vec::new();
        for atom in atoms {
            let name = atom.predicate.strip_prefix("not_");
            let plain = name.unwrap_or(&atom.predicate);
            let predicate = self
                .domain
                .predicate(plain)
                .ok_or_else(|| scope.error(format!("unknown condition '{}'", atom.predicate)))?;
            let known = &self.domain.predicates[predicate as usize];
            if known.arity != atom.arguments.len() {
                return Err(scope.error(format!("wrong arguments for '{}'", atom.predicate)));
            }
            let mut arguments = Vec::new();
            let mut fixed = Vec::new();
            let mut sizes = 1u64;
            for (position, (variable, kind)) in atom.arguments.iter().enumerate() {
                let number = self.domain.types.find(kind);
                let number = number.ok_or_else(|| scope.error(format!("unknown type '{kind}'")))?;
                let slot = self.slot(variable, number, scope)?;
                if bound & 1 << slot == 0 {
                    sizes = sizes.saturating_mul(self.objects.count(Some(number)));
                } else {
                    fixed.push(position);
                }
                bound |= 1 << slot;
                arguments.push((slot, self.objects.membership(Some(number))));
            }
            let facts = self.start.shown.of(predicate);
            let found = if known.fluent { sizes } else { largest_group(facts, &fixed).min(sizes) };
            let tried = if known.fluent { sizes } else { facts.len() as u64 };
            checks = checks.saturating_add(answers.saturating_mul(tried));
            answers = answers.saturating_mul(found);
            conditions.push(Condition {
                predicate,
                denied: name.is_some(),
                arguments: arguments.into(),
            });
        }
        Ok((conditions.into(), bound, (answers, checks)))
    }
}

fn check(cost: Cost, scope: Scope) -> Result<()> {
    let (unit, max) = match cost {
        Cost { checks, .. } if checks > MAX_CHECKS => ("condition checks", MAX_CHECKS),
        Cost { bytes, .. } if bytes > MAX_TEXT => ("bytes", MAX_TEXT),
        _ => return Ok(()),
    };
    Err(scope.error(format!("in this world its text can take more than {max} {unit}")))
}
