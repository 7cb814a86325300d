//! Distinct texts by number.

use std::collections::HashMap;
use std::sync::Arc;

/// Numbers distinct texts in the order of their first appearance.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextTable {
    numbers: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

impl TextTable {
    /// Continues the numbering of `texts`.
    pub fn starting_with(texts: &[Arc<str>]) -> Self {
        let numbers = texts.iter().cloned().zip(0..).collect();
        Self { numbers, texts: texts.to_vec() }
    }

    /// The number of a text, which is copied if it is new.
    pub fn intern(&mut self, text: &str) -> u32 {
        match self.numbers.get(text) {
            Some(&number) => number,
            None => self.insert(text.into()),
        }
    }

    /// The number of a text that is already shared.
    pub fn intern_shared(&mut self, text: &Arc<str>) -> u32 {
        match self.numbers.get(text) {
            Some(&number) => number,
            None => self.insert(text.clone()),
        }
    }

    /// Adds an entry of its own for a text, which [`TextTable::intern`] does not find.
    pub fn push_unnamed(&mut self, text: &str) -> u32 {
        self.texts.push(text.into());
        self.texts.len() as u32 - 1
    }

    fn insert(&mut self, text: Arc<str>) -> u32 {
        let number = self.texts.len() as u32;
        self.numbers.insert(text.clone(), number);
        self.texts.push(text);
        number
    }

    /// The texts by number.
    pub fn into_texts(self) -> Arc<[Arc<str>]> {
        self.texts.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_a_number() {
        let mut table = TextTable::default();
        assert_eq!(["a", "b", "a"].map(|text| table.intern(text)), [0, 1, 0]);
        let texts = table.into_texts();
        let mut more = TextTable::starting_with(&texts);
        assert_eq!((more.intern("c"), more.intern_shared(&texts[1])), (2, 1));
        assert_eq!((more.push_unnamed("c"), more.intern("c")), (3, 2));
    }
}
