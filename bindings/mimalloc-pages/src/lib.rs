//! One option of the allocator mimalloc. It is set through a C function, so it needs `unsafe`, which
//! `proxmo` itself forbids.

use libmimalloc_sys::{mi_option_get, mi_option_set_default, mi_option_t};

/// `mi_option_purge_delay` of mimalloc 2 and 3: milliseconds after which free pages go back to the
/// operating system; −1 for never.
const PURGE_DELAY: mi_option_t = 15;

/// Makes mimalloc keep free pages for the rest of the process. The environment variable
/// `MIMALLOC_PURGE_DELAY` takes precedence.
///
/// A page that goes back is cleared by the system when it is used again. A program that frees and takes
/// large tensors all the time then spends its time on clearing pages.
pub fn keep_pages() {
    // SAFETY: the function stores a number in a table of options, and the option exists.
    unsafe { mi_option_set_default(PURGE_DELAY, -1) }
}

/// The delay in milliseconds after which free pages go back to the operating system; −1 for never.
#[allow(clippy::useless_conversion, reason = "the number has 32 bits on Windows")]
pub fn purge_delay() -> i64 {
    // SAFETY: the function reads a number from a table of options, and the option exists.
    i64::from(unsafe { mi_option_get(PURGE_DELAY) })
}
