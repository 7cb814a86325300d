//! The time limit of an answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A time limit that all copies of a program share and that can be lowered while they run.
#[derive(Debug)]
pub(in crate::env) struct TimeLimit {
    /// In microseconds; the maximum is no limit.
    microseconds: AtomicU64,
}

impl TimeLimit {
    /// A limit in seconds; 0 is no limit.
    pub(in crate::env) fn new(seconds: f64) -> Self {
        let limit = Self { microseconds: AtomicU64::new(u64::MAX) };
        limit.lower_to(seconds);
        limit
    }

    /// Lowers the limit, if it is higher. 0 changes nothing.
    pub(in crate::env) fn lower_to(&self, seconds: f64) {
        if seconds > 0.0 {
            // A conversion from a float saturates.
            let microseconds = ((1e6 * seconds) as u64).max(1);
            self.microseconds.fetch_min(microseconds, Ordering::Relaxed);
        }
    }

    /// The limit; `None` for no limit.
    pub(in crate::env) fn get(&self) -> Option<Duration> {
        match self.microseconds.load(Ordering::Relaxed) {
            u64::MAX => None,
            microseconds => Some(Duration::from_micros(microseconds)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_can_only_be_lowered() {
        let limit = TimeLimit::new(0.0);
        assert_eq!(limit.get(), None);
        limit.lower_to(2.0);
        limit.lower_to(0.0);
        limit.lower_to(3.0);
        assert_eq!(limit.get(), Some(Duration::from_secs(2)));
        limit.lower_to(1e-9);
        assert_eq!(limit.get(), Some(Duration::from_micros(1)));
    }
}
