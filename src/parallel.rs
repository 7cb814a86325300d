//! Work done side by side.

/// Calls `work` for 0 to `count` and hands back the answers in that order.
///
/// The pieces do not share anything that is written, and answers are put together in order, so results
/// do not depend on how many threads there are.
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
