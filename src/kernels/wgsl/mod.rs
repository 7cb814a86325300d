//! The operations as WGSL kernels, on wgpu.
//!
//! Under another of cubecl's runtimes or compilers, for numbers that are not 32 bits wide, and if
//! burn's fusion wraps the backend without this crate's `fusion`, the plain tensor operations run
//! instead.

mod counters;
mod launch;
mod limits;
mod sources;
mod token_log_probs;

use std::any::Any;
use std::ops::Range;

#[cfg(not(feature = "fusion"))]
use burn::backend::Cube;
use burn::backend::tensor::FloatTensor;
#[cfg(feature = "fusion")]
use burn::backend::wgpu::CubeBackend as Cube;
use burn::backend::wgpu::{CubeTensor, into_contiguous};
use burn::tensor::DType;

use self::launch::Launch;
use self::limits::KernelLimits;
use self::sources::{Gradient, GradientRows, ModulationKernel, ProximityKernel, ReturnsKernel};
use super::backend::KernelBackend;
use super::parameters::{EpisodeComparison, Neighbourhood, Targets, modulation_factor};
use super::portable;
use crate::episodes::Layout;

/// cubecl's name of a client that takes WGSL.
const WGSL: &str = "wgpu<wgsl>";

pub use counters::wgsl_launches;
pub(crate) use launch::Prefilled;

type Float = FloatTensor<Cube>;

/// The tensor with its numbers in order; `None` if no kernel can run on it.
///
/// If a project turns burn's `fusion` on without this crate's, `Cube` is a fused backend and its tensors
/// are of another type. That is not known when this is compiled, so the type is checked at run time.
fn ready(tensor: &Float) -> Option<CubeTensor> {
    let tensor = (tensor as &dyn Any).downcast_ref::<CubeTensor>()?.clone();
    let runs = tensor.dtype == DType::F32 && tensor.client.name() == WGSL;
    runs.then(|| into_contiguous(tensor))
}

/// The inverse of [`ready`].
fn returned(tensor: CubeTensor) -> Option<Float> {
    let tensor: Box<dyn Any> = Box::new(tensor);
    tensor.downcast::<Float>().ok().map(|tensor| *tensor)
}

fn proximity(
    embeddings: &Float,
    values: &Float,
    neighbourhood: &Neighbourhood,
    limits: impl Fn(&CubeTensor) -> KernelLimits,
) -> Option<(Float, Float, Float)> {
    let embeddings = ready(embeddings)?;
    let limits = limits(&embeddings);
    let values = launch::apart(ready(values)?, &[&embeddings]);
    let launch = Launch::on(&embeddings, limits);
    let spans = neighbourhood.spans();
    let (rows, width, columns) =
        (spans.len(), launch::columns(&embeddings), launch::columns(&values));
    launch::countable(&[rows * width, rows * columns])?;

    let means = launch.empty([rows, columns]);
    let neighbours = launch.empty([rows]);
    let state = launch.empty([rows, 2]);
    let kernel = ProximityKernel::of(limits, columns);
    let chunks = columns.div_ceil(kernel.chunk);
    for window in limits.windows(&neighbourhood.layout)? {
        let scales = launch.scales(&embeddings, &values, &window)?;
        let spans = launch.spans(&spans, &window);
        launch.run(
            kernel,
            (window.len().div_ceil(kernel.tile()), chunks),
            &[&embeddings, &values, &scales, &spans, &means, &neighbours, &state],
            &pair_parameters(&window, width, columns, neighbourhood),
        )?;
    }
    Some((returned(means)?, returned(neighbours)?, returned(state)?))
}

/// The parameters of the kernels that compare rows.
fn pair_parameters(
    window: &Range<usize>,
    width: usize,
    columns: usize,
    neighbourhood: &Neighbourhood,
) -> [u32; 6] {
    [
        window.len() as u32,
        width as u32,
        columns as u32,
        neighbourhood.temperature.recip().to_bits(),
        f32::NAN.to_bits(),
        window.start as u32,
    ]
}

fn gradients(
    [embeddings, values, means, state, gradient]: [&Float; 5],
    neighbourhood: &Neighbourhood,
    limits: impl Fn(&CubeTensor) -> KernelLimits,
) -> Option<(Float, Float)> {
    let embeddings = ready(embeddings)?;
    let limits = limits(&embeddings);
    let values = launch::apart(ready(values)?, &[&embeddings]);
    let (means, state) = (ready(means)?, ready(state)?);
    let gradient = launch::apart(ready(gradient)?, &[&embeddings, &values, &means]);
    let launch = Launch::on(&embeddings, limits);
    let spans = neighbourhood.spans();
    let (rows, width, columns) =
        (spans.len(), launch::columns(&embeddings), launch::columns(&values));
    launch::countable(&[rows * width, rows * columns])?;

    let to_embeddings = launch.empty([rows, width]);
    let to_values = launch.empty([rows, columns]);
    let kernel = Gradient::of(limits);
    for window in limits.windows(&neighbourhood.layout)? {
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
            &pair_parameters(&window, width, columns, neighbourhood),
        )?;
    }
    Some((returned(to_embeddings)?, returned(to_values)?))
}

fn returns(rewards: &Float, layout: &Layout, gamma: f32) -> Option<Float> {
    let rewards = ready(rewards)?;
    let launch = Launch::on(&rewards, KernelLimits::of(&rewards));
    let (_, offsets) = layout.words();
    let offsets = launch.words(offsets);
    let returns = launch.empty([layout.rows()]);
    launch.run(
        ReturnsKernel,
        (layout.episodes().div_ceil(64), 1),
        &[&rewards, &offsets, &returns],
        &[layout.episodes() as u32, gamma.to_bits(), f32::NAN.to_bits()],
    )?;
    returned(returns)
}

fn advantages(
    rewards: &Float,
    success: &Float,
    comparison: &EpisodeComparison,
) -> Option<(Float, Float)> {
    let rewards = ready(rewards)?;
    let success = launch::apart(ready(success)?, &[&rewards]);
    let layout = &comparison.layout;
    let launch = Launch::on(&rewards, KernelLimits::of(&rewards));
    let (groups, episodes) = layout.words();
    let (groups, episodes) = (launch.words(groups), launch.words(episodes));
    let totals = launch.empty([layout.episodes()]);
    let advantages = launch.empty([layout.rows()]);
    let statistics = launch.empty([layout.groups(), 3]);
    let (steepness, factor) = comparison
        .modulation
        .map_or((1.0, 0.0), |curve| (curve.steepness as f32, modulation_factor(curve)));
    let [won, lost] = comparison.pseudo_episodes().map(|count| (count as f32).to_bits());
    launch.run(
        ModulationKernel,
        (layout.groups(), 1),
        &[&rewards, &success, &groups, &episodes, &totals, &advantages, &statistics],
        &[
            layout.groups() as u32,
            u32::from(comparison.by_step()),
            u32::from(comparison.scaled()),
            steepness.to_bits(),
            factor.to_bits(),
            won,
            lost,
            f32::NAN.to_bits(),
        ],
    )?;
    Some((returned(advantages)?, returned(statistics)?))
}

impl KernelBackend for Cube {
    fn proximity(
        embeddings: Float,
        values: Float,
        neighbourhood: Neighbourhood,
    ) -> (Float, Float, Float) {
        proximity(&embeddings, &values, &neighbourhood, KernelLimits::of)
            .unwrap_or_else(|| portable::proximity::<Self>(embeddings, values, &neighbourhood))
    }

    fn proximity_gradients(
        embeddings: Float,
        values: Float,
        means: Float,
        state: Float,
        gradient: Float,
        neighbourhood: Neighbourhood,
    ) -> (Float, Float) {
        gradients(
            [&embeddings, &values, &means, &state, &gradient],
            &neighbourhood,
            KernelLimits::of,
        )
        .unwrap_or_else(|| {
            portable::proximity_gradients::<Self>(
                embeddings,
                values,
                means,
                state,
                gradient,
                &neighbourhood,
            )
        })
    }

    fn discounted_returns(rewards: Float, layout: Layout, gamma: f32) -> Float {
        returns(&rewards, &layout, gamma)
            .unwrap_or_else(|| portable::discounted_returns::<Self>(rewards, &layout, gamma))
    }

    fn episode_advantages(
        rewards: Float,
        success: Float,
        comparison: EpisodeComparison,
    ) -> (Float, Float) {
        advantages(&rewards, &success, &comparison)
            .unwrap_or_else(|| portable::episode_advantages::<Self>(rewards, success, &comparison))
    }

    fn logit_statistics(hidden: Float, head: Float, targets: Targets) -> Float {
        token_log_probs::statistics(&hidden, &head, &targets, KernelLimits::of)
            .unwrap_or_else(|| portable::logit_statistics::<Self>(hidden, head, &targets))
    }

    fn logit_gradients(
        hidden: Float,
        head: Float,
        statistics: Float,
        gradient: Float,
        targets: Targets,
    ) -> (Float, Float) {
        let given = [hidden, head, statistics, gradient];
        token_log_probs::gradients(&given, &targets, KernelLimits::of)
            .unwrap_or_else(|| portable::logit_gradients::<Self>(given, &targets))
    }
}

#[cfg(test)]
mod tests;
