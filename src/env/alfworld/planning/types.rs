//! The types of a domain.

use super::form::Form;
use crate::error::Result;

/// Maximum number of types.
const MAX_TYPES: usize = 256;

/// The types of a domain. All of them are subtypes of `object`, which has the number 0.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Types {
    names: Vec<Box<str>>,
    parents: Vec<u16>,
}

impl Default for Types {
    fn default() -> Self {
        Self { names: vec!["object".into()], parents: vec![0] }
    }
}

impl Types {
    /// Adds the types of a section `(:types …)`.
    pub(super) fn read(&mut self, at: &Form, forms: &[Form]) -> Result<()> {
        let declared = super::form::typed(forms)?;
        for (name, parent) in &declared {
            let parent = self.add(at, parent.unwrap_or("object"))?;
            let number = self.add(at, name)?;
            if number != 0 && number != parent {
                self.parents[number as usize] = parent;
            }
        }
        Ok(())
    }

    fn add(&mut self, at: &Form, name: &str) -> Result<u16> {
        if let Some(known) = self.find(name) {
            return Ok(known);
        }
        if self.names.len() == MAX_TYPES {
            return Err(at.error(format!("more than {MAX_TYPES} types")));
        }
        self.names.push(name.into());
        self.parents.push(0);
        Ok(self.names.len() as u16 - 1)
    }

    /// The number of a type.
    pub(super) fn find(&self, name: &str) -> Option<u16> {
        self.names.iter().position(|known| **known == *name).map(|number| number as u16)
    }

    /// The number of types.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether things of the type `kind` also have the type `wanted`.
    pub(super) fn includes(&self, wanted: u16, kind: u16) -> bool {
        let mut kind = kind;
        // Longer chains are cycles.
        for _ in 0..self.names.len() {
            if kind == wanted || wanted == 0 {
                return true;
            }
            kind = self.parents[kind as usize];
        }
        false
    }
}
