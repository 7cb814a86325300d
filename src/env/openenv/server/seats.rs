//! The places of a server's sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of places.
#[derive(Debug)]
pub struct Seats {
    taken: AtomicUsize,
    /// Number of places.
    pub total: usize,
    /// Number of sessions since the start.
    served: AtomicUsize,
}

/// A place that is taken. It is free again when this is dropped.
pub struct Seat(Arc<Seats>);

impl Seats {
    pub fn new(total: usize) -> Self {
        Self { taken: AtomicUsize::new(0), total, served: AtomicUsize::new(0) }
    }

    /// Number of places that are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// Number of sessions since the start.
    pub fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    /// Takes a place, if one is free.
    pub fn take(self: &Arc<Self>) -> Option<Seat> {
        let free = |taken| (taken < self.total).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, free).ok()?;
        self.served.fetch_add(1, Ordering::Relaxed);
        Some(Seat(self.clone()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}
