//! The shaders: their files, and the numbers that are filled into them.

use burn::backend::wgpu::{KernelSource, SourceTemplate};
use cubecl::CubeDim;
use cubecl::prelude::KernelId;

#[cfg(test)]
use super::counters;
use super::limits::KernelLimits;

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

/// A shader as it is launched, its template filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shader {
    /// The file's name, and what the template was filled with.
    pub name: String,
    /// WGSL.
    pub source: String,
}

/// Every shader, in every variant that a device can be given.
pub fn shaders() -> Vec<Shader> {
    let mut shaders = vec![
        shader("proximity_rows", &Rows),
        shader("proximity_gradient_rows", &GradientRows),
        shader("returns", &ReturnsKernel),
        shader("modulation", &ModulationKernel),
        shader("token_log_probs_rows", &TokenLogProbRows),
    ];
    for side in [8, 16] {
        for chunk in [1, 2, 4, 8] {
            let name = format!("proximity (side {side}, chunk {chunk})");
            shaders.push(shader(&name, &ProximityKernel { side, chunk }));
        }
        shaders.push(shader(&format!("proximity_gradient (side {side})"), &Gradient { side }));
        shaders.push(shader(&format!("token_log_probs (side {side})"), &TokenLogProbs { side }));
        let name = format!("token_log_probs_gradient (side {side})");
        shaders.push(shader(&name, &TokenLogProbGradient { side }));
    }
    shaders
}

fn shader(name: &str, kernel: &impl KernelSource) -> Shader {
    Shader { name: name.to_string(), source: kernel.source().complete() }
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
    ($kernel:ty, $file:literal $(+ $include:literal)*, $workgroup:expr, $key:expr, $fill:expr) => {
        impl KernelSource for $kernel {
            fn source(&self) -> SourceTemplate {
                #[cfg(test)]
                counters::tests::note_source(stringify!($kernel), self.id());
                let fill: fn(&Self, SourceTemplate) -> SourceTemplate = $fill;
                // Declarations may come in any order in WGSL, so the header stays on top.
                let source = concat!(
                    include_str!(concat!("../../../shaders/", $file, ".wgsl")),
                    $("\n", include_str!(concat!("../../../shaders/", $include, ".wgsl")),)*
                );
                fill(self, SourceTemplate::new(source))
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

/// Fills a number in for `name`.
fn fill(source: SourceTemplate, name: &str, number: usize) -> SourceTemplate {
    source.register(name, number.to_string())
}

/// The sizes that the tiled kernels share: 16 columns of 4 rows an invocation, padded by one.
fn tiled(source: SourceTemplate, side: usize) -> SourceTemplate {
    fill(fill(source, "side", side), "slots", 16 * (side + 1))
}

kernel!(Rows, "proximity_rows" + "bits", |_| CubeDim::new_2d(16, 16), |_| (0, 0), |_, source| {
    source
});
kernel!(
    ProximityKernel,
    "proximity" + "pairs" + "tile",
    |kernel| CubeDim::new_2d(kernel.side as u32, kernel.side as u32),
    |kernel| (kernel.side, kernel.chunk),
    |kernel, source| {
        let source = fill(tiled(source, kernel.side), "chunk", kernel.chunk);
        fill(source, "weighed", kernel.chunk * kernel.side)
    }
);
kernel!(
    GradientRows,
    "proximity_gradient_rows" + "bits",
    |_| CubeDim::new_1d(64),
    |_| (0, 0),
    |_, source| source
);
kernel!(
    Gradient,
    "proximity_gradient" + "pairs" + "tile",
    |kernel| CubeDim::new_2d(kernel.side as u32, kernel.side as u32),
    |kernel| (kernel.side, 0),
    |kernel, source| {
        fill(tiled(source, kernel.side), "pairs", 4 * kernel.side * (kernel.side + 1))
    }
);
kernel!(ReturnsKernel, "returns" + "bits", |_| CubeDim::new_1d(64), |_| (0, 0), |_, source| source);
kernel!(
    ModulationKernel,
    "modulation" + "bits",
    |_| CubeDim::new_1d(64),
    |_| (0, 0),
    |_, source| source
);
kernel!(
    TokenLogProbs,
    "token_log_probs" + "logits" + "tile" + "bits",
    |kernel| CubeDim::new_2d(kernel.side as u32, kernel.side as u32),
    |kernel| (kernel.side, 0),
    |kernel, source| tiled(source, kernel.side)
);
kernel!(
    TokenLogProbRows,
    "token_log_probs_rows",
    |_| CubeDim::new_1d(64),
    |_| (0, 0),
    |_, source| source
);
kernel!(
    TokenLogProbGradient,
    "token_log_probs_gradient" + "logits" + "tile" + "bits",
    |kernel| CubeDim::new_2d(kernel.side as u32, kernel.side as u32),
    |kernel| (kernel.side, 0),
    |kernel, source| tiled(source, kernel.side)
);
