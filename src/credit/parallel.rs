//! Groups side by side.

/// Calls `work` for every group and hands back the answers in the groups' order.
///
/// Groups do not share anything that is written, and answers are put together in order, so results
/// do not depend on how many threads there are.
pub fn per_group<T: Send>(groups: usize, work: impl Fn(usize) -> T + Send + Sync) -> Vec<T> {
    #[cfg(feature = "parallel")]
    {
        use rayon::iter::{IntoParallelIterator, ParallelIterator};
        (0..groups).into_par_iter().map(work).collect()
    }
    #[cfg(not(feature = "parallel"))]
    {
        (0..groups).map(work).collect()
    }
}
