//! The shaders as kernels of burn.

use burn::backend::wgpu::{KernelSource, SourceTemplate};
use cubecl::CubeDim;
use cubecl::prelude::KernelId;

#[cfg(test)]
use super::counters;
use super::limits::KernelLimits;
use crate::kernels::shaders;

/// A kernel and the size of its workgroups.
pub(super) trait Kernel: KernelSource {
    fn workgroup(&self) -> CubeDim;
}

/// The factors that scale each row's embedding to unit length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows;

/// Proximity.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProximityKernel {
    /// Invocations along each side of a workgroup.
    side: usize,
    /// Columns of values that a workgroup handles.
    pub chunk: usize,
}

/// Each row's terms in the gradients of proximity.
#[derive(Debug, Clone, Copy)]
pub(super) struct GradientRows;

/// Proximity's gradients.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gradient {
    side: usize,
}

/// Discounted returns.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReturnsKernel;

/// The episode part of advantages.
#[derive(Debug, Clone, Copy)]
pub(super) struct ModulationKernel;

/// Partial statistics of logits.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenLogProbs {
    side: usize,
}

/// The statistics of logits, joined.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenLogProbRows;

/// The gradient of a window of logits.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenLogProbGradient {
    side: usize,
}

impl ProximityKernel {
    pub fn of(limits: KernelLimits, columns: usize) -> Self {
        Self { side: limits.side(), chunk: columns.next_power_of_two().min(8) }
    }

    pub fn tile(self) -> usize {
        4 * self.side
    }
}

impl Gradient {
    pub fn of(limits: KernelLimits) -> Self {
        Self { side: limits.side_for_pairs() }
    }

    pub fn tile(self) -> usize {
        4 * self.side
    }
}

impl TokenLogProbs {
    pub fn of(limits: KernelLimits) -> Self {
        Self { side: limits.side() }
    }

    pub fn tile(self) -> usize {
        4 * self.side
    }
}

impl TokenLogProbGradient {
    pub fn of(limits: KernelLimits) -> Self {
        Self { side: limits.side() }
    }

    pub fn tile(self) -> usize {
        4 * self.side
    }
}

macro_rules! kernel {
    ($kernel:ty, $workgroup:expr, $key:expr, $text:expr) => {
        impl KernelSource for $kernel {
            fn source(&self) -> SourceTemplate {
                #[cfg(test)]
                counters::tests::note_source(stringify!($kernel), self.id());
                let text: fn(&Self) -> String = $text;
                SourceTemplate::new(text(self))
            }

            fn id(&self) -> KernelId {
                let key: fn(&Self) -> (usize, usize) = $key;
                KernelId::new::<Self>().info(key(self))
            }

            fn lang(&self) -> &'static str {
                "wgsl"
            }
        }

        impl Kernel for $kernel {
            fn workgroup(&self) -> CubeDim {
                let workgroup: fn(&Self) -> CubeDim = $workgroup;
                workgroup(self)
            }
        }
    };
}

fn square(side: usize) -> CubeDim {
    CubeDim::new_2d(side as u32, side as u32)
}

kernel!(Rows, |_| square(16), |_| (0, 0), |_| shaders::proximity_rows());
kernel!(
    ProximityKernel,
    |kernel| square(kernel.side),
    |kernel| (kernel.side, kernel.chunk),
    |kernel| shaders::proximity(kernel.side, kernel.chunk)
);
kernel!(GradientRows, |_| CubeDim::new_1d(64), |_| (0, 0), |_| shaders::proximity_gradient_rows());
kernel!(Gradient, |kernel| square(kernel.side), |kernel| (kernel.side, 0), |kernel| {
    shaders::proximity_gradient(kernel.side)
});
kernel!(ReturnsKernel, |_| CubeDim::new_1d(64), |_| (0, 0), |_| shaders::returns());
kernel!(ModulationKernel, |_| CubeDim::new_1d(64), |_| (0, 0), |_| shaders::modulation());
kernel!(TokenLogProbs, |kernel| square(kernel.side), |kernel| (kernel.side, 0), |kernel| {
    shaders::token_log_probs(kernel.side)
});
kernel!(TokenLogProbRows, |_| CubeDim::new_1d(64), |_| (0, 0), |_| shaders::token_log_probs_rows());
kernel!(TokenLogProbGradient, |kernel| square(kernel.side), |kernel| (kernel.side, 0), |kernel| {
    shaders::token_log_probs_gradient(kernel.side)
});
