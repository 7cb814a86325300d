//! The operations as WGSL kernels, on wgpu.
//!
//! Under another of cubecl's runtimes or compilers, for numbers that are not 32 bits wide, and where
//! burn's fusion wraps the backend without this crate's `fusion`, the plain tensor operations answer
//! instead.

mod launch;
mod sources;

use std::any::Any;
use std::ops::Range;

#[cfg(not(feature = "fusion"))]
use burn::backend::Cube;
use burn::backend::tensor::FloatTensor;
#[cfg(feature = "fusion")]
use burn::backend::wgpu::CubeBackend as Cube;
use burn::backend::wgpu::{CubeTensor, into_contiguous};
use burn::tensor::DType;

use self::launch::{Launch, Limits};
use self::sources::{Gradient, GradientRows, ModulationKernel, ProximityKernel, ReturnsKernel};
use super::advantages::Episodes;
use super::backend::KernelBackend;
use super::portable;
use super::proximity::Surroundings;
use crate::episodes::Layout;

/// As cubecl calls a client that takes WGSL.
const WGSL: &str = "wgpu<wgsl>";

pub(crate) use launch::Prefilled;
pub use sources::{Shader, shaders};

type Float = FloatTensor<Cube>;

/// The tensor with its numbers in order, where a kernel can run on it.
///
/// Where a project turns burn's `fusion` on without this crate's, `Cube` is a fused backend and its
/// tensors are of another type, which cannot be told when this is compiled: hence the look at run time.
fn ready(tensor: &Float) -> Option<CubeTensor> {
    let tensor = (tensor as &dyn Any).downcast_ref::<CubeTensor>()?.clone();
    let runs = tensor.dtype == DType::F32 && tensor.client.name() == WGSL;
    runs.then(|| into_contiguous(tensor))
}

/// The way back from [`ready`].
fn given(tensor: CubeTensor) -> Option<Float> {
    let tensor: Box<dyn Any> = Box::new(tensor);
    tensor.downcast::<Float>().ok().map(|tensor| *tensor)
}

fn proximity(
    embeddings: &Float,
    values: &Float,
    around: &Surroundings,
    limits: impl Fn(&CubeTensor) -> Limits,
) -> Option<(Float, Float, Float)> {
    let embeddings = ready(embeddings)?;
    let limits = limits(&embeddings);
    let values = launch::apart(ready(values)?, &[&embeddings]);
    let launch = Launch::on(&embeddings, limits);
    let spans = around.spans();
    let (rows, width, columns) =
        (spans.len(), launch::columns(&embeddings), launch::columns(&values));
    launch::countable(&[rows * width, rows * columns])?;

    let means = launch.empty([rows, columns]);
    let neighbours = launch.empty([rows]);
    let state = launch.empty([rows, 2]);
    let kernel = ProximityKernel::of(limits, columns);
    let chunks = columns.div_ceil(kernel.chunk);
    for window in limits.windows(&around.layout)? {
        let scales = launch.scales(&embeddings, &values, &window)?;
        let spans = launch.spans(&spans, &window);
        launch.run(
            kernel,
            (window.len().div_ceil(kernel.tile()), chunks),
            &[&embeddings, &values, &scales, &spans, &means, &neighbours, &state],
            &pair_parameters(&window, width, columns, around),
        )?;
    }
    Some((given(means)?, given(neighbours)?, given(state)?))
}

/// What the kernels that compare rows are told.
fn pair_parameters(
    window: &Range<usize>,
    width: usize,
    columns: usize,
    around: &Surroundings,
) -> [u32; 6] {
    [
        window.len() as u32,
        width as u32,
        columns as u32,
        around.temperature.recip().to_bits(),
        f32::NAN.to_bits(),
        window.start as u32,
    ]
}

fn gradients(
    [embeddings, values, means, state, gradient]: [&Float; 5],
    around: &Surroundings,
    limits: impl Fn(&CubeTensor) -> Limits,
) -> Option<(Float, Float)> {
    let embeddings = ready(embeddings)?;
    let limits = limits(&embeddings);
    let values = launch::apart(ready(values)?, &[&embeddings]);
    let (means, state) = (ready(means)?, ready(state)?);
    let gradient = launch::apart(ready(gradient)?, &[&embeddings, &values, &means]);
    let launch = Launch::on(&embeddings, limits);
    let spans = around.spans();
    let (rows, width, columns) =
        (spans.len(), launch::columns(&embeddings), launch::columns(&values));
    launch::countable(&[rows * width, rows * columns])?;

    let to_embeddings = launch.empty([rows, width]);
    let to_values = launch.empty([rows, columns]);
    let kernel = Gradient::of(limits);
    for window in limits.windows(&around.layout)? {
        let scales = launch.scales(&embeddings, &values, &window)?;
        let facts = launch.empty([window.len(), 5]);
        launch.run(
            GradientRows,
            (window.len().div_ceil(64), 1),
            &[&scales, &state, &means, &gradient, &facts],
            &[window.len() as u32, columns as u32, window.start as u32],
        )?;
        let spans = launch.spans(&spans, &window);
        launch.run(
            kernel,
            (window.len().div_ceil(kernel.tile()), 1),
            &[&embeddings, &values, &gradient, &facts, &spans, &to_embeddings, &to_values],
            &pair_parameters(&window, width, columns, around),
        )?;
    }
    Some((given(to_embeddings)?, given(to_values)?))
}

fn returns(rewards: &Float, layout: &Layout, gamma: f32) -> Option<Float> {
    let rewards = ready(rewards)?;
    let launch = Launch::on(&rewards, Limits::of(&rewards));
    let (_, offsets) = layout.words();
    let offsets = launch.words(offsets);
    let returns = launch.empty([layout.rows()]);
    launch.run(
        ReturnsKernel,
        (layout.episodes().div_ceil(64), 1),
        &[&rewards, &offsets, &returns],
        &[layout.episodes() as u32, gamma.to_bits(), f32::NAN.to_bits()],
    )?;
    given(returns)
}

fn advantages(rewards: &Float, success: &Float, asked: &Episodes) -> Option<(Float, Float)> {
    let rewards = ready(rewards)?;
    let success = launch::apart(ready(success)?, &[&rewards]);
    let (layout, options) = (&asked.layout, asked.options);
    let launch = Launch::on(&rewards, Limits::of(&rewards));
    let (groups, episodes) = layout.words();
    let (groups, episodes) = (launch.words(groups), launch.words(episodes));
    let totals = launch.empty([layout.episodes()]);
    let advantages = launch.empty([layout.rows()]);
    let statistics = launch.empty([layout.groups(), 3]);
    let (steepness, factor) =
        options.modulation.map_or((1.0, 0.0), |curve| (curve.steepness, curve.factor()));
    launch.run(
        ModulationKernel,
        (layout.groups(), 1),
        &[&rewards, &success, &groups, &episodes, &totals, &advantages, &statistics],
        &[
            layout.groups() as u32,
            u32::from(options.by_step),
            u32::from(options.scaled),
            steepness.to_bits(),
            factor.to_bits(),
            options.prior[0].to_bits(),
            options.prior[1].to_bits(),
            f32::NAN.to_bits(),
        ],
    )?;
    Some((given(advantages)?, given(statistics)?))
}

impl KernelBackend for Cube {
    fn proximity(embeddings: Float, values: Float, around: Surroundings) -> (Float, Float, Float) {
        proximity(&embeddings, &values, &around, Limits::of)
            .unwrap_or_else(|| portable::proximity::<Self>(embeddings, values, &around))
    }

    fn proximity_gradients(
        embeddings: Float,
        values: Float,
        means: Float,
        state: Float,
        gradient: Float,
        around: Surroundings,
    ) -> (Float, Float) {
        gradients([&embeddings, &values, &means, &state, &gradient], &around, Limits::of)
            .unwrap_or_else(|| {
                portable::proximity_gradients::<Self>(
                    embeddings, values, means, state, gradient, &around,
                )
            })
    }

    fn discounted_returns(rewards: Float, layout: Layout, gamma: f32) -> Float {
        returns(&rewards, &layout, gamma)
            .unwrap_or_else(|| portable::discounted_returns::<Self>(rewards, &layout, gamma))
    }

    fn episode_advantages(rewards: Float, success: Float, episodes: Episodes) -> (Float, Float) {
        advantages(&rewards, &success, &episodes)
            .unwrap_or_else(|| portable::episode_advantages::<Self>(rewards, success, &episodes))
    }
}

#[cfg(test)]
mod tests;
