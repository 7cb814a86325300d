//! Parses a goal's formula.

use super::super::id::NONE;
use super::super::pddl_tokens::Tokens;
use super::super::predicate::{Predicate, Sort};
use super::super::world::World;
use super::search::{MAX_VARIABLES, Search, Step, Test};
use crate::error::Result;

/// Maximum nesting depth of formulas.
const MAX_DEPTH: usize = 64;

/// Maximum number of formulas in a goal. The published games have at most 17.
const MAX_FORMULAS: usize = 1_000;

/// Parses a goal, from just after the word `:goal` to the bracket that ends its section.
pub(super) fn parse(tokens: &mut Tokens, world: &World) -> Result<Search> {
    let mut parser = Parser { world, variables: Vec::new(), count: 0, formulas: 0, depth: 0 };
    let mut parts = FormulaParts::default();
    tokens.expect("(")?;
    parser.formula(tokens, &mut parts)?;
    tokens.expect(")")?;
    Ok(parts.search(&[]))
}

/// The variables and tests of the formula that is being parsed.
#[derive(Default)]
struct FormulaParts {
    variables: Vec<(u8, Sort)>,
    /// Each test with a bit for every variable that it needs.
    tests: Vec<(Test, u16)>,
}

impl FormulaParts {
    /// Orders variables and tests. The variables in `known` have values beforehand.
    fn search(mut self, known: &[(u8, Sort)]) -> Search {
        // Objects come first: there are few of each kind, and most tests need an object.
        self.variables.sort_by_key(|&(_, sort)| sort);
        self.tests.sort_by_key(|(test, _)| !matches!(test, Test::Kind { .. }));
        let mut ready = known.iter().fold(0u16, |mask, (variable, _)| mask | 1 << variable);
        let mut take = |ready: u16| -> Box<[Test]> {
            let is_ready = |(_, needs): &mut (Test, u16)| *needs & !ready == 0;
            self.tests.extract_if(.., is_ready).map(|(test, _)| test).collect()
        };
        let before = take(ready);
        let steps = self.variables.iter().map(|&(variable, sort)| {
            ready |= 1 << variable;
            Step { variable, sort, tests: take(ready) }
        });
        Search { before, steps: steps.collect() }
    }
}

struct Parser<'a, 'w> {
    world: &'w World,
    /// The variables in scope: name, number, sort.
    variables: Vec<(&'a str, u8, Sort)>,
    /// The number of variables so far, including those out of scope.
    count: u8,
    /// The number of formulas so far.
    formulas: usize,
    /// The number of formulas around the one that is being parsed.
    depth: usize,
}

impl<'a> Parser<'a, '_> {
    /// Parses a formula after its opening bracket and adds its variables and tests to `parts`.
    fn formula(&mut self, tokens: &mut Tokens<'a>, parts: &mut FormulaParts) -> Result<()> {
        if self.depth == MAX_DEPTH {
            return Err(tokens.error(format!("formulas are nested more than {MAX_DEPTH} deep")));
        }
        if self.formulas == MAX_FORMULAS {
            return Err(tokens.error(format!("more than {MAX_FORMULAS} formulas in a goal")));
        }
        self.formulas += 1;
        self.depth += 1;
        self.inner_formula(tokens, parts)?;
        self.depth -= 1;
        Ok(())
    }

    fn inner_formula(&mut self, tokens: &mut Tokens<'a>, parts: &mut FormulaParts) -> Result<()> {
        match tokens.word()? {
            "and" => loop {
                match tokens.word()? {
                    "(" => self.formula(tokens, parts)?,
                    ")" => return Ok(()),
                    other => {
                        return Err(tokens.error(format!("expected a bracket, found '{other}'")));
                    }
                }
            },
            "or" => self.alternatives(tokens, parts),
            "exists" => {
                let scope = self.variables.len();
                self.declarations(tokens, parts)?;
                tokens.expect("(")?;
                self.formula(tokens, parts)?;
                self.variables.truncate(scope);
                tokens.expect(")")
            }
            "not" => {
                tokens.expect("(")?;
                match tokens.word()? {
                    "=" => self.equality(tokens, parts, false)?,
                    _ => return Err(tokens.error("in a goal, only '=' can be negated")),
                }
                tokens.expect(")")
            }
            "=" => self.equality(tokens, parts, true),
            predicate => self.fact(predicate, tokens, parts),
        }
    }

    fn alternatives(&mut self, tokens: &mut Tokens<'a>, parts: &mut FormulaParts) -> Result<()> {
        let known: Vec<(u8, Sort)> =
            self.variables.iter().map(|&(_, variable, sort)| (variable, sort)).collect();
        let mut searches = Vec::new();
        loop {
            match tokens.word()? {
                "(" => {
                    let mut inner = FormulaParts::default();
                    self.formula(tokens, &mut inner)?;
                    searches.push(inner.search(&known));
                }
                ")" => break,
                other => return Err(tokens.error(format!("expected a bracket, found '{other}'"))),
            }
        }
        let needs = known.iter().fold(0, |mask, (variable, _)| mask | 1 << variable);
        parts.tests.push((Test::Any(searches.into()), needs));
        Ok(())
    }

    fn declarations(&mut self, tokens: &mut Tokens<'a>, parts: &mut FormulaParts) -> Result<()> {
        tokens.expect("(")?;
        let mut names = Vec::new();
        loop {
            match tokens.word()? {
                ")" if names.is_empty() => return Ok(()),
                ")" => return Err(tokens.error("a variable has no type")),
                "-" => {
                    let name = tokens.word()?;
                    let sort = Sort::parse(name)
                        .ok_or_else(|| tokens.error(format!("unknown type '{name}'")))?;
                    for name in names.drain(..) {
                        if self.count as usize == MAX_VARIABLES {
                            return Err(
                                tokens.error(format!("more than {MAX_VARIABLES} variables"))
                            );
                        }
                        self.variables.push((name, self.count, sort));
                        parts.variables.push((self.count, sort));
                        self.count += 1;
                    }
                }
                _ if names.len() == MAX_VARIABLES => {
                    return Err(tokens.error(format!("more than {MAX_VARIABLES} variables")));
                }
                name => names.push(name),
            }
        }
    }

    fn variable(&self, tokens: &mut Tokens<'a>) -> Result<(u8, Sort)> {
        let name = tokens.word()?;
        let known = self.variables.iter().rev().find(|(known, ..)| *known == name);
        known
            .map(|&(_, variable, sort)| (variable, sort))
            .ok_or_else(|| tokens.error(format!("unknown variable '{name}'")))
    }

    fn equality(
        &self,
        tokens: &mut Tokens<'a>,
        parts: &mut FormulaParts,
        same: bool,
    ) -> Result<()> {
        let ((first, sort), (second, other)) = (self.variable(tokens)?, self.variable(tokens)?);
        if sort != other {
            return Err(tokens.error("'=' compares variables of different types"));
        }
        parts.tests.push((Test::Same { first, second, same }, 1 << first | 1 << second));
        tokens.expect(")")
    }

    fn fact(&self, name: &str, tokens: &mut Tokens<'a>, parts: &mut FormulaParts) -> Result<()> {
        let kinds = match name {
            "objecttype" => Some((Sort::Object, &self.world.object_kinds)),
            "receptacletype" => Some((Sort::Receptacle, &self.world.receptacle_kinds)),
            _ => None,
        };
        if let Some((expected, kinds)) = kinds {
            let (variable, sort) = self.variable(tokens)?;
            if sort != expected {
                return Err(tokens.error(format!("the variable of '{name}' has the wrong type")));
            }
            let kind = kinds.position(tokens.word()?).unwrap_or(NONE);
            parts.tests.push((Test::Kind { variable, sort, kind }, 1 << variable));
            return tokens.expect(")");
        }
        let (predicate, sorts) = Predicate::parse(name)
            .ok_or_else(|| tokens.error(format!("unknown predicate '{name}' in a goal")))?;
        let mut variables = [0; 2];
        let mut needs = 0;
        for (variable, &expected) in variables.iter_mut().zip(sorts) {
            let (number, sort) = self.variable(tokens)?;
            if sort != expected {
                return Err(tokens.error(format!("the variable of '{name}' has the wrong type")));
            }
            *variable = number;
            needs |= 1 << number;
        }
        parts.tests.push((Test::Fact(predicate, variables[0], variables[1]), needs));
        tokens.expect(")")
    }
}
