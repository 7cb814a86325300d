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

/// Calls `work` with each item. The calls share no mutable state. `least` is the number of items from
/// which a thread of its own pays.
#[cfg(feature = "burn")]
pub(crate) fn par_each<T: Send>(items: Vec<T>, least: usize, work: impl Fn(T) + Send + Sync) {
    #[cfg(feature = "parallel")]
    {
        use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
        items.into_par_iter().with_min_len(least).for_each(work);
    }
    #[cfg(not(feature = "parallel"))]
    {
        let _ = least;
        items.into_iter().for_each(work);
    }
}

/// Calls `work` on a thread that runs parallel loops itself. Elsewhere each loop hands its work over to such
/// a thread and sleeps until it is done, which takes longer than a small loop.
#[cfg(feature = "lm")]
pub(crate) fn among_workers<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    #[cfg(feature = "parallel")]
    {
        rayon::scope(|_| work())
    }
    #[cfg(not(feature = "parallel"))]
    {
        work()
    }
}
