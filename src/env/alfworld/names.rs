//! The names of a world's entities in one allocation.

/// A constant list of texts, numbered from 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    text: Box<str>,
    ends: Box<[u32]>,
}

impl Names {
    /// The number of names.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The name with the number `id`, or an empty text if there is none.
    pub(crate) fn get(&self, id: u8) -> &str {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends.get(id - 1).copied().unwrap_or(0) as usize };
        let end = self.ends.get(id).copied().unwrap_or(start as u32) as usize;
        self.text.get(start..end).unwrap_or("")
    }

    /// The number of a name, or `None` if it is not in the list.
    pub(crate) fn position(&self, name: &str) -> Option<u8> {
        (0..self.len()).map(|id| id as u8).find(|&id| self.get(id) == name)
    }

    /// All names in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|id| self.get(id as u8))
    }
}

impl<S: AsRef<str>> FromIterator<S> for Names {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let mut text = String::new();
        let mut ends = Vec::new();
        for name in names {
            text.push_str(name.as_ref());
            ends.push(text.len() as u32);
        }
        Self { text: text.into(), ends: ends.into() }
    }
}
