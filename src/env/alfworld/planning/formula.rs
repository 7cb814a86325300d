//! Formulas of a domain or a goal, with their names resolved as far as the domain determines them.

use super::form::Form;
use super::types::Types;
use crate::error::Result;

/// Maximum number of variables of an action or a goal.
pub(super) const MAX_VARIABLES: usize = 24;

/// Maximum number of arguments of a predicate.
pub(super) const MAX_ARGUMENTS: usize = 4;

/// Maximum number of formulas in an action or a goal. The published games have at most 17.
const MAX_FORMULAS: usize = 1_000;

/// A predicate of a domain.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Predicate {
    pub(super) name: Box<str>,
    pub(super) arity: usize,
    /// The types of its arguments.
    pub(super) kinds: Vec<Option<u16>>,
    /// Whether an action can change it.
    pub(super) fluent: bool,
}

/// A variable and its type. No object has the type `None`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Variable {
    pub(super) slot: u8,
    pub(super) kind: Option<u16>,
}

/// An argument: a variable or a named object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Term {
    Slot(u8),
    Name(Box<str>),
}

/// A predicate with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Atom {
    pub(super) predicate: u16,
    pub(super) terms: Vec<Term>,
}

/// A formula.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Formula {
    All(Vec<Formula>),
    Any(Vec<Formula>),
    Not(Box<Formula>),
    Exists(Vec<Variable>, Box<Formula>),
    Forall(Vec<Variable>, Box<Formula>),
    Same(Term, Term),
    Fact(Atom),
}

impl Formula {
    /// The formula that always holds.
    pub(super) fn always() -> Self {
        Self::All(Vec::new())
    }

    /// Calls `found` with each formula inside this one and with this one.
    pub(super) fn each<'f>(&'f self, found: &mut dyn FnMut(&'f Formula)) {
        found(self);
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.each(found)),
            Self::Not(part) | Self::Exists(_, part) | Self::Forall(_, part) => part.each(found),
            Self::Same(..) | Self::Fact(_) => {}
        }
    }

    /// The slots that need a value before this formula can be tested, as bits.
    pub(super) fn needs(&self) -> u32 {
        let slot = |term: &Term| match term {
            Term::Slot(slot) => 1 << slot,
            Term::Name(_) => 0,
        };
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().fold(0, |mask, part| mask | part.needs())
            }
            Self::Not(part) => part.needs(),
            Self::Exists(variables, part) | Self::Forall(variables, part) => {
                part.needs() & !variables.iter().fold(0, |mask, one| mask | 1 << one.slot)
            }
            Self::Same(first, second) => slot(first) | slot(second),
            Self::Fact(atom) => atom.terms.iter().fold(0, |mask, term| mask | slot(term)),
        }
    }
}

/// Parses the formulas of one action or one goal.
pub(super) struct FormulaParser<'a, 'd> {
    pub(super) types: &'d Types,
    pub(super) predicates: &'d [Predicate],
    /// The variables in scope: their names and slots.
    scope: Vec<(&'a str, u8)>,
    /// The number of variables so far, including those out of scope.
    count: u8,
    formulas: usize,
}

impl<'a, 'd> FormulaParser<'a, 'd> {
    pub(super) fn new(types: &'d Types, predicates: &'d [Predicate]) -> Self {
        Self { types, predicates, scope: Vec::new(), count: 0, formulas: 0 }
    }

    /// Declares variables: `?a ?b - type`. Types that the domain does not declare have no objects.
    pub(super) fn declare(&mut self, at: &Form, forms: &[Form<'a>]) -> Result<Vec<Variable>> {
        let names = super::form::typed(forms)?;
        names
            .into_iter()
            .map(|(name, kind)| {
                if !name.starts_with('?') {
                    return Err(at.error(format!("expected a variable, found '{name}'")));
                }
                if self.count as usize == MAX_VARIABLES {
                    return Err(at.error(format!("more than {MAX_VARIABLES} variables")));
                }
                let slot = self.count;
                self.scope.push((name, slot));
                self.count += 1;
                Ok(Variable { slot, kind: self.types.find(kind.unwrap_or("object")) })
            })
            .collect()
    }

    /// Runs `read` and removes the variables that it declares from the scope.
    pub(super) fn scoped<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let scope = self.scope.len();
        let result = read(self);
        self.scope.truncate(scope);
        result
    }

    /// Parses a formula. An empty list always holds.
    pub(super) fn formula(&mut self, form: &Form<'a>) -> Result<Formula> {
        if self.formulas == MAX_FORMULAS {
            return Err(form.error(format!("more than {MAX_FORMULAS} formulas")));
        }
        self.formulas += 1;
        let (head, rest) = form.head()?;
        let wrong = |count: &str| form.error(format!("expected {count} after '{head}'"));
        match (head, rest) {
            ("", _) => Ok(Formula::always()),
            ("and", parts) => Ok(Formula::All(self.formulas(parts)?)),
            ("or", parts) => Ok(Formula::Any(self.formulas(parts)?)),
            ("not", [part]) => Ok(Formula::Not(Box::new(self.formula(part)?))),
            ("imply", [if_part, then]) => {
                let no = Formula::Not(Box::new(self.formula(if_part)?));
                Ok(Formula::Any(vec![no, self.formula(then)?]))
            }
            ("exists" | "forall", [variables, part]) => self.scoped(|parser| {
                let variables = parser.declare(variables, variables.list()?)?;
                let part = Box::new(parser.formula(part)?);
                Ok(match head {
                    "exists" => Formula::Exists(variables, part),
                    _ => Formula::Forall(variables, part),
                })
            }),
            ("=", [first, second]) => Ok(Formula::Same(self.term(first)?, self.term(second)?)),
            ("not", _) => Err(wrong("one formula")),
            ("imply", _) => Err(wrong("two formulas")),
            ("exists" | "forall", _) => Err(wrong("variables and a formula")),
            ("=", _) => Err(wrong("two arguments")),
            _ => Ok(Formula::Fact(self.atom(form)?)),
        }
    }

    fn formulas(&mut self, forms: &[Form<'a>]) -> Result<Vec<Formula>> {
        forms.iter().map(|form| self.formula(form)).collect()
    }

    /// Parses a predicate with its arguments.
    pub(super) fn atom(&self, form: &Form<'a>) -> Result<Atom> {
        let (name, rest) = form.head()?;
        let number = self.predicates.iter().position(|known| *known.name == *name);
        let number = number.ok_or_else(|| form.error(format!("unknown predicate '{name}'")))?;
        let arity = self.predicates[number].arity;
        if rest.len() != arity {
            let found = rest.len();
            let message = format!("'{name}' takes {arity} arguments, found {found}");
            return Err(form.error(message));
        }
        let terms = rest.iter().map(|term| self.term(term)).collect::<Result<_>>()?;
        Ok(Atom { predicate: number as u16, terms })
    }

    fn term(&self, form: &Form<'a>) -> Result<Term> {
        let name = form.word()?;
        if !name.starts_with('?') {
            return Ok(Term::Name(name.into()));
        }
        let slot = self.scope.iter().rev().find(|(known, _)| *known == name);
        slot.map(|&(_, slot)| Term::Slot(slot))
            .ok_or_else(|| form.error(format!("unknown variable '{name}'")))
    }
}
