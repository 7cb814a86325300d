//! Numbers of a world's entities.

/// Stands for "none": no location, nothing in hand, no kind.
pub(crate) const NONE: u8 = u8::MAX;

/// Maximum number of entities of one type in a world.
pub(crate) const MAX_ENTITIES: usize = NONE as usize;

/// New numbers for the entities that are kept, in the same order.
pub(crate) struct Renumbering(Vec<Option<u8>>);

impl Renumbering {
    /// Keeps the entities whose numbers have `true`.
    pub(crate) fn keeping(kept: &[bool]) -> Self {
        let mut numbers = 0..=NONE;
        Self(kept.iter().map(|&is_kept| if is_kept { numbers.next() } else { None }).collect())
    }

    /// The new number of an entity, or `None` if it is not kept.
    pub(crate) fn of(&self, number: u8) -> Option<u8> {
        self.0.get(number as usize).copied().flatten()
    }

    /// The parts of a list with one part for each entity that belong to kept entities.
    pub(crate) fn kept<T>(&self, all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        all.into_iter().zip(&self.0).filter(|(_, number)| number.is_some()).map(|(part, _)| part)
    }
}
