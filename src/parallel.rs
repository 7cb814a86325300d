//! Parallel loops.

/// Calls `work` for 0 to `count` and returns the results in that order.
///
/// The calls share no mutable state, and results are collected in order, so they do not depend on the
/// number of threads.
pub(crate) fn par_map<T: Send>(count: usize, work: impl Fn(usize) -> T + Send + Sync) -> Vec<T> {
    #[cfg(feature = "parallel")]
    {
        use rayon::iter::{IntoParallelIterator, ParallelIterator};
        (0..count).into_par_iter().map(work).collect()
    }
    #[cfg(not(feature = "parallel"))]
    {
        (0..count).map(work).collect()
    }
}
