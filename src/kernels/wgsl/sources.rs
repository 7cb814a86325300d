//! The shaders, and the numbers that are filled into them.

use burn::backend::wgpu::{KernelSource, SourceTemplate};
use cubecl::CubeDim;
use cubecl::prelude::KernelId;

use super::launch::Limits;

/// A kernel, and the workgroups it runs in.
pub(super) trait Kernel: KernelSource {
    fn workgroup(&self) -> CubeDim;
}

/// What proximity needs of each row.
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

/// What proximity's gradients need of each row.
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
    ];
    for side in [8, 16] {
        for chunk in [1, 2, 4, 8] {
            let name = format!("proximity (side {side}, chunk {chunk})");
            shaders.push(shader(&name, &ProximityKernel { side, chunk }));
        }
        shaders.push(shader(&format!("proximity_gradient (side {side})"), &Gradient { side }));
    }
    shaders
}

fn shader(name: &str, kernel: &impl KernelSource) -> Shader {
    Shader { name: name.to_string(), source: kernel.source().complete() }
}

impl ProximityKernel {
    pub fn of(limits: Limits, columns: usize) -> Self {
        Self { side: limits.side(), chunk: columns.next_power_of_two().min(8) }
    }

    pub fn tile(self) -> usize {
        4 * self.side
    }
}

impl Gradient {
    pub fn of(limits: Limits) -> Self {
        Self { side: limits.side_for_pairs() }
    }

    pub fn tile(self) -> usize {
        4 * self.side
    }
}

macro_rules! kernel {
    ($kernel:ty, $file:literal, $workgroup:expr, $key:expr, $fill:expr) => {
        impl KernelSource for $kernel {
            fn source(&self) -> SourceTemplate {
                #[cfg(test)]
                super::tests::note_source(stringify!($kernel), self.id());
                let fill: fn(&Self, SourceTemplate) -> SourceTemplate = $fill;
                fill(self, SourceTemplate::new(include_str!($file)))
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

/// `name` in a template, by a number.
fn fill(source: SourceTemplate, name: &str, number: usize) -> SourceTemplate {
    source.register(name, number.to_string())
}

/// What the tiled kernels have in common: 16 columns of 4 rows an invocation, padded by one.
fn tiled(source: SourceTemplate, side: usize) -> SourceTemplate {
    fill(fill(source, "side", side), "slots", 16 * (side + 1))
}

kernel!(
    Rows,
    "../../../shaders/proximity_rows.wgsl",
    |_| CubeDim::new_2d(16, 16),
    |_| (0, 0),
    |_, source| source
);
kernel!(
    ProximityKernel,
    "../../../shaders/proximity.wgsl",
    |kernel| CubeDim::new_2d(kernel.side as u32, kernel.side as u32),
    |kernel| (kernel.side, kernel.chunk),
    |kernel, source| {
        let source = fill(tiled(source, kernel.side), "chunk", kernel.chunk);
        fill(source, "weighed", kernel.chunk * kernel.side)
    }
);
kernel!(
    GradientRows,
    "../../../shaders/proximity_gradient_rows.wgsl",
    |_| CubeDim::new_1d(64),
    |_| (0, 0),
    |_, source| source
);
kernel!(
    Gradient,
    "../../../shaders/proximity_gradient.wgsl",
    |kernel| CubeDim::new_2d(kernel.side as u32, kernel.side as u32),
    |kernel| (kernel.side, 0),
    |kernel, source| {
        fill(tiled(source, kernel.side), "pairs", 4 * kernel.side * (kernel.side + 1))
    }
);
kernel!(
    ReturnsKernel,
    "../../../shaders/returns.wgsl",
    |_| CubeDim::new_1d(64),
    |_| (0, 0),
    |_, source| source
);
kernel!(
    ModulationKernel,
    "../../../shaders/modulation.wgsl",
    |_| CubeDim::new_1d(64),
    |_| (0, 0),
    |_, source| source
);
