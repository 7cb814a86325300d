//! The objects, the initial facts and the goal of a problem.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::pddl::names::display_names;
use super::domain::Domain;
use super::facts::{Facts, Key, key};
use super::form::{self, Form};
use super::formula::{Formula, FormulaParser, Predicate};
use crate::error::Result;

/// Maximum number of objects that a problem declares. The published games declare at most 726.
const MAX_OBJECTS: usize = 10_000;

/// Maximum number of initial facts. The published games have at most 3,000.
const MAX_FACTS: usize = 200_000;

/// Maximum number of bytes of an object's id. The published games have at most 87.
const MAX_ID_BYTES: usize = 500;

/// The objects of a problem, numbered in the order of their ids.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) ids: Vec<Box<str>>,
    /// The type of each object.
    pub(super) kinds: Vec<u16>,
    /// The name of each object in texts. Objects in no initial fact have none.
    pub(super) names: Vec<Box<str>>,
    /// The objects of each type, in order.
    of_kind: Vec<Arc<[u16]>>,
    /// Whether each object is of each type.
    is_of: Vec<Arc<[bool]>>,
}

/// A parsed problem.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) objects: Objects,
    pub(super) start: Facts,
    pub(super) goal: Formula,
}

impl Objects {
    /// The number of the object with an id.
    pub(super) fn find(&self, id: &str) -> Option<u16> {
        self.ids.binary_search_by(|known| (**known).cmp(id)).ok().map(|number| number as u16)
    }

    /// The objects of a type.
    pub(super) fn of(&self, kind: Option<u16>) -> Arc<[u16]> {
        kind.map_or_else(|| Arc::new([]) as Arc<[u16]>, |kind| self.of_kind[kind as usize].clone())
    }

    /// Whether each object is of a type, or an empty list for no object.
    pub(super) fn membership(&self, kind: Option<u16>) -> Arc<[bool]> {
        kind.map_or_else(|| Arc::new([]) as Arc<[bool]>, |kind| self.is_of[kind as usize].clone())
    }

    /// The number of objects of a type.
    pub(super) fn count(&self, kind: Option<u16>) -> u64 {
        kind.map_or(0, |kind| self.of_kind[kind as usize].len() as u64)
    }

    fn read(domain: &Domain, section: &Form, forms: &[Form]) -> Result<Self> {
        let mut declared: Vec<(Box<str>, u16)> = domain.constants.clone();
        for (id, kind) in form::typed(forms)? {
            if id.len() > MAX_ID_BYTES {
                return Err(section.error(format!("an id has more than {MAX_ID_BYTES} bytes")));
            }
            if declared.len() == MAX_OBJECTS {
                return Err(section.error(format!("more than {MAX_OBJECTS} objects")));
            }
            let kind = kind.unwrap_or("object");
            let number = domain.types.find(kind);
            let number = number.ok_or_else(|| section.error(format!("unknown type '{kind}'")))?;
            declared.push((id.into(), number));
        }
        declared.sort();
        if let Some(twice) = declared.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let message = format!("the object '{}' is declared twice", twice[0].0);
            return Err(section.error(message));
        }
        let (ids, kinds): (Vec<_>, Vec<u16>) = declared.into_iter().unzip();
        let mut objects = Self { names: vec!["".into(); ids.len()], ids, kinds, ..Self::default() };
        for kind in 0..domain.types.len() as u16 {
            let is_of: Vec<bool> =
                objects.kinds.iter().map(|&own| domain.types.includes(kind, own)).collect();
            let members = (0..is_of.len()).filter(|&object| is_of[object]).map(|id| id as u16);
            objects.of_kind.push(members.collect());
            objects.is_of.push(is_of.into());
        }
        Ok(objects)
    }
}

impl Problem {
    /// Parses a problem in lower case.
    pub(super) fn parse(domain: &Domain, text: &str) -> Result<Self> {
        let form = form::read(text, form::Place::Problem)?;
        let (head, sections) = form.head()?;
        if head != "define" {
            return Err(form.error(format!("expected 'define', found '{head}'")));
        }
        let section = |name: &str| -> Result<Option<(&Form, &[Form])>> {
            for section in sections {
                match section.head()? {
                    (found, rest) if found == name => return Ok(Some((section, rest))),
                    _ => {}
                }
            }
            Ok(None)
        };
        for section in sections {
            let known =
                ["problem", ":domain", ":requirements", ":objects", ":init", ":goal", ":metric"];
            let (name, _) = section.head()?;
            if !known.contains(&name) {
                return Err(section.error(format!("unknown section '{name}'")));
            }
        }
        let (at, declared) = section(":objects")?.unwrap_or((&form, &[]));
        let mut objects = Objects::read(domain, at, declared)?;
        let (at, facts) =
            section(":init")?.ok_or_else(|| form.error("the section (:init …) is missing"))?;
        let start = read_facts(domain, &mut objects, at, facts)?;
        let (at, goal) =
            section(":goal")?.ok_or_else(|| form.error("the section (:goal …) is missing"))?;
        let [goal] = goal else { return Err(at.error("expected one formula")) };
        let goal = FormulaParser::new(&domain.types, &domain.predicates).formula(goal)?;
        Ok(Self { objects, start, goal })
    }
}

/// Reads the initial facts, and names the objects in them.
fn read_facts(domain: &Domain, objects: &mut Objects, at: &Form, forms: &[Form]) -> Result<Facts> {
    if forms.len() > MAX_FACTS {
        return Err(at.error(format!("more than {MAX_FACTS} initial facts")));
    }
    let numbers: HashMap<&str, u16> =
        objects.ids.iter().enumerate().map(|(number, id)| (&**id, number as u16)).collect();
    let predicates: HashMap<&str, (u16, &Predicate)> = domain
        .predicates
        .iter()
        .enumerate()
        .map(|(number, one)| (&*one.name, (number as u16, one)))
        .collect();
    let mut keys: Vec<Vec<Key>> = vec![Vec::new(); domain.predicates.len()];
    let mut mentioned = vec![false; objects.ids.len()];
    for form in forms {
        let (name, arguments) = form.head()?;
        if name == "=" {
            continue; // Costs have no effect in a game.
        }
        let &(number, predicate) = predicates
            .get(name)
            .ok_or_else(|| form.error(format!("unknown predicate '{name}'")))?;
        if arguments.len() != predicate.arity {
            let (arity, found) = (predicate.arity, arguments.len());
            return Err(form.error(format!("'{name}' takes {arity} arguments, found {found}")));
        }
        let mut fact = Vec::with_capacity(predicate.arity);
        for argument in arguments {
            let id = argument.word()?;
            let &object = numbers
                .get(id)
                .ok_or_else(|| argument.error(format!("'{id}' has not been declared")))?;
            mentioned[object as usize] = true;
            fact.push(object);
        }
        keys[number as usize].push(key(fact));
    }
    let mut facts = Facts::new(domain.predicates.len());
    for (number, mut keys) in keys.into_iter().enumerate() {
        keys.sort_unstable();
        keys.dedup();
        facts.set(number as u16, keys);
    }
    let named: Vec<usize> = (0..mentioned.len()).filter(|&object| mentioned[object]).collect();
    let ids: Vec<&str> = named.iter().map(|&object| &*objects.ids[object]).collect();
    let names = display_names(&ids);
    for (object, name) in named.into_iter().zip(names) {
        objects.names[object] = name.into();
    }
    Ok(facts)
}
