//! What the ranks of a training did in an iteration.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::ranks::Ranks;

/// What the ranks of a training did in an iteration. A pair is the least and the most of a rank.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RankMetrics {
    /// Number of ranks.
    pub count: usize,
    /// Environment steps a second of a rank that played episodes; 0 if none did.
    pub steps_per_second: (f64, f64),
    /// Seconds in exchanges with other ranks, the time of waiting for them included.
    pub exchange_seconds: (f64, f64),
    /// Bytes that a rank sent to others and received from them.
    pub exchange_bytes: (u64, u64),
}

impl RankMetrics {
    /// Gathers the metrics of an iteration in which this rank has taken `steps` in `seconds`. `None` for
    /// a process that trains alone.
    pub(super) fn gather(ranks: &Ranks, steps: usize, seconds: f64) -> Result<Option<Self>> {
        if ranks.is_alone() {
            return Ok(None);
        }
        let rate = if steps > 0 { steps as f64 / seconds.max(1e-9) } else { 0.0 };
        let traffic = ranks.take_traffic();
        let own = vec![(rate, traffic.seconds, traffic.bytes)];
        let all: Vec<(f64, f64, u64)> = ranks.gather_values(ranks.size(), Ok(own))?;
        let range = |values: &mut dyn Iterator<Item = f64>| {
            let (least, most) = values.fold((f64::INFINITY, 0.0), |(least, most), value| {
                (value.min(least), value.max(most))
            });
            (least.min(most), most)
        };
        let bytes = all.iter().map(|one| one.2);
        Ok(Some(Self {
            count: all.len(),
            steps_per_second: range(&mut all.iter().map(|one| one.0).filter(|&rate| rate > 0.0)),
            exchange_seconds: range(&mut all.iter().map(|one| one.1)),
            exchange_bytes: (bytes.clone().min().unwrap_or(0), bytes.max().unwrap_or(0)),
        }))
    }
}
