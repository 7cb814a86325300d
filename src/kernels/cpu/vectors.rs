//! Vector instructions of the CPU that runs the program.

/// Runs `work` compiled for the widest vector instructions that this CPU has: AVX-512, or AVX2, or those
/// of the build. `work` and what it calls have to be inlined (`#[inline(always)]`) to profit.
///
/// A product and a sum are never contracted to one rounding, so results are the same on every CPU.
#[inline(always)]
pub(super) fn widest<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(simd) = pulp::x86::V4::try_new() {
            return simd.vectorize(work);
        }
        if let Some(simd) = pulp::x86::V3::try_new() {
            return simd.vectorize(work);
        }
    }
    work()
}
