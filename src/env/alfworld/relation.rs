//! A sorted set of pairs of small numbers.

/// Pairs `(first, second)`. A world has a few dozen of them, for which a sorted array is faster than a
/// map. All `second`s of one `first` are adjacent and sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Relation(Vec<u16>);

fn key(first: u8, second: u8) -> u16 {
    u16::from(first) << 8 | u16::from(second)
}

impl Relation {
    /// Whether the set contains a pair.
    pub(crate) fn contains(&self, first: u8, second: u8) -> bool {
        self.0.binary_search(&key(first, second)).is_ok()
    }

    /// Adds a pair, unless the set contains it.
    pub(crate) fn insert(&mut self, first: u8, second: u8) {
        if let Err(index) = self.0.binary_search(&key(first, second)) {
            self.0.insert(index, key(first, second));
        }
    }

    /// Removes a pair, if the set contains it.
    pub(crate) fn remove(&mut self, first: u8, second: u8) {
        if let Ok(index) = self.0.binary_search(&key(first, second)) {
            self.0.remove(index);
        }
    }

    /// All `second`s of `first`, sorted.
    pub(crate) fn of(&self, first: u8) -> impl Iterator<Item = u8> + '_ {
        let start = self.0.partition_point(|&pair| pair < key(first, 0));
        self.0[start..].iter().take_while(move |&&pair| pair >> 8 == u16::from(first)).map(low)
    }

    /// The pairs in which both numbers are kept, with their new numbers. The order of numbers stays.
    pub(crate) fn renumbered(
        &self,
        first: impl Fn(u8) -> Option<u8>,
        second: impl Fn(u8) -> Option<u8>,
    ) -> Self {
        let pairs = self.pairs().filter_map(|(one, other)| Some(key(first(one)?, second(other)?)));
        Self(pairs.collect())
    }

    /// All pairs, sorted by `first`, then by `second`.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (u8, u8)> + '_ {
        self.0.iter().map(|pair| ((pair >> 8) as u8, low(pair)))
    }
}

fn low(pair: &u16) -> u8 {
    (pair & 0xff) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_unique_and_sorted() {
        let mut relation = Relation::default();
        for (first, second) in [(2, 9), (1, 255), (2, 3), (2, 9), (0, 0)] {
            relation.insert(first, second);
        }
        assert_eq!(relation.pairs().collect::<Vec<_>>(), [(0, 0), (1, 255), (2, 3), (2, 9)]);
        assert_eq!(relation.of(2).collect::<Vec<_>>(), [3, 9]);
        relation.remove(2, 3);
        relation.remove(7, 7);
        assert!(!relation.contains(2, 3) && relation.contains(2, 9));
        assert_eq!(relation.of(3).count(), 0);
    }
}
