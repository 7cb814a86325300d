//! The threads that work runs on.

use std::mem::forget;
use std::process::id;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// The process that the threads belong to, and the threads.
static THREADS: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Runs parallel loops in `work` on the threads of this process.
///
/// A process that Python forked has none of its parent's threads, and rayon's own pool would wait for
/// them. So it gets threads of its own at its first call.
pub(crate) fn on_threads<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    match own_threads() {
        Some(pool) => pool.install(work),
        None => work(),
    }
}

fn own_threads() -> Option<Arc<ThreadPool>> {
    let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((process, pool)) = &*threads
        && *process == id()
    {
        return Some(Arc::clone(pool));
    }
    let pool = Arc::new(ThreadPoolBuilder::new().build().ok()?);
    // The parent's pool is not dropped: that would speak to threads that are not here.
    forget(threads.replace((id(), Arc::clone(&pool))));
    Some(pool)
}
