//! The facts of a state.

use std::sync::Arc;

use super::formula::MAX_ARGUMENTS;

/// The numbers of the arguments of a fact in one number, which sorts facts by their arguments.
pub(super) type Key = u64;

/// The key of arguments. Missing arguments are 0.
pub(super) fn key(arguments: impl IntoIterator<Item = u16>) -> Key {
    let mut key = 0;
    for (position, argument) in arguments.into_iter().take(MAX_ARGUMENTS).enumerate() {
        key |= Key::from(argument) << (48 - 16 * position);
    }
    key
}

/// The argument of a key at a position.
pub(super) fn argument(key: Key, position: usize) -> u16 {
    (key >> (48 - 16 * position)) as u16
}

/// The facts of each predicate, sorted. Copies share their memory until they are changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Facts(Vec<Arc<Vec<Key>>>);

impl Facts {
    /// No facts of `predicates` predicates.
    pub(super) fn new(predicates: usize) -> Self {
        Self(vec![Arc::default(); predicates])
    }

    /// Sets all facts of a predicate, which must be sorted and unique.
    pub(super) fn set(&mut self, predicate: u16, keys: Vec<Key>) {
        self.0[predicate as usize] = Arc::new(keys);
    }

    /// All facts of a predicate.
    pub(super) fn of(&self, predicate: u16) -> &[Key] {
        &self.0[predicate as usize]
    }

    /// The facts of a predicate whose first argument is `first`.
    pub(super) fn starting(&self, predicate: u16, first: u16) -> &[Key] {
        let all = self.of(predicate);
        let start = all.partition_point(|&key| argument(key, 0) < first);
        let end = start + all[start..].partition_point(|&key| argument(key, 0) == first);
        &all[start..end]
    }

    /// Whether a fact holds.
    pub(super) fn contains(&self, predicate: u16, key: Key) -> bool {
        self.of(predicate).binary_search(&key).is_ok()
    }

    /// Adds a fact.
    pub(super) fn insert(&mut self, predicate: u16, key: Key) {
        if let Err(place) = self.of(predicate).binary_search(&key) {
            Arc::make_mut(&mut self.0[predicate as usize]).insert(place, key);
        }
    }

    /// Removes a fact.
    pub(super) fn remove(&mut self, predicate: u16, key: Key) {
        if let Ok(place) = self.of(predicate).binary_search(&key) {
            Arc::make_mut(&mut self.0[predicate as usize]).remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_unique_and_sorted_by_their_arguments() {
        let mut facts = Facts::new(1);
        for arguments in [[2, 9], [1, 300], [2, 3], [2, 9]] {
            facts.insert(0, key(arguments));
        }
        assert_eq!(facts.of(0), [key([1, 300]), key([2, 3]), key([2, 9])]);
        assert_eq!(
            facts.starting(0, 2).iter().map(|&k| argument(k, 1)).collect::<Vec<_>>(),
            [3, 9]
        );
        let before = facts.clone();
        facts.remove(0, key([2, 3]));
        facts.remove(0, key([7, 7]));
        assert!(before.contains(0, key([2, 3])) && !facts.contains(0, key([2, 3])));
        assert!(facts.starting(0, 5).is_empty());
    }
}
