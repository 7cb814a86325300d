//! Numbers of a world's entities.

/// Stands for "none": no location, nothing in hand, no kind.
pub(crate) const NONE: u8 = u8::MAX;

/// Maximum number of entities of one type in a world.
pub(crate) const MAX_ENTITIES: usize = NONE as usize;
