//! Counts of what ran: tests ask whether a shader did.

use std::sync::atomic::{AtomicU64, Ordering};

static LAUNCHES: AtomicU64 = AtomicU64::new(0);

/// How many of this crate's WGSL kernels this process has launched.
pub fn wgsl_launches() -> u64 {
    LAUNCHES.load(Ordering::Relaxed)
}

pub(super) fn count_launch() {
    LAUNCHES.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;
    use std::sync::Mutex;

    use cubecl::prelude::KernelId;

    /// Every request for a kernel's source, one for each pipeline.
    pub static SOURCES: Mutex<Vec<(&str, KernelId)>> = Mutex::new(Vec::new());

    thread_local! {
        /// Numbers that launches of this thread allocated memory for.
        pub static MEMORY: Cell<usize> = const { Cell::new(0) };

        /// Numbers in the largest buffer among them.
        pub static LARGEST: Cell<usize> = const { Cell::new(0) };
    }

    pub fn note_source(kernel: &'static str, id: KernelId) {
        SOURCES.lock().unwrap().push((kernel, id));
    }

    pub fn note_memory(numbers: usize) {
        MEMORY.set(MEMORY.get() + numbers);
        LARGEST.set(LARGEST.get().max(numbers));
    }
}
