//! Statistics of logits and their gradients.

use burn::backend::Slice;
use burn::backend::ops::FloatTensorOps;
use burn::backend::wgpu::CubeTensor;

use super::launch::{self, Launch};
use super::limits::KernelLimits;
use super::sources::{TokenLogProbGradient, TokenLogProbRows, TokenLogProbs};
use super::{Cube, Float, ready, returned};
use crate::kernels::parameters::Targets;

/// Workgroups that the forward pass aims at: with few rows, the vocabulary is split among more of them.
const WORKGROUPS: usize = 512;

/// Gradients of logits that are held at once, unless a single tile of tokens has more.
const SLOPES: usize = 1 << 22;

pub(super) fn statistics(
    hidden: &Float,
    head: &Float,
    targets: &Targets,
    limits: impl Fn(&CubeTensor) -> KernelLimits,
) -> Option<Float> {
    let hidden = ready(hidden)?;
    let limits = limits(&hidden);
    let head = launch::apart(ready(head)?, &[&hidden]);
    let launch = Launch::on(&hidden, limits);
    let kernel = TokenLogProbs::of(limits);
    let (rows, width, vocabulary) =
        (targets.rows(), launch::columns(&hidden), head.meta.shape()[0]);

    let tiles = rows.div_ceil(kernel.tile());
    let most = vocabulary.div_ceil(kernel.tile()).min(limits.grid);
    let splits = (WORKGROUPS / tiles).clamp(1, most);
    let share = vocabulary.div_ceil(splits).next_multiple_of(kernel.tile());
    let splits = vocabulary.div_ceil(share);
    launch::countable(&[rows * width, vocabulary * width, 5 * splits * rows])?;
    let tokens = launch.words(targets.tokens().to_vec());
    let partials = launch.empty([splits, rows, 5]);
    launch.run(
        kernel,
        (tiles, splits),
        &[&hidden, &head, &tokens, &partials],
        &[rows, width, vocabulary, share].map(|size| size as u32),
    )?;
    let statistics = launch.empty([rows, 3]);
    launch.run(
        TokenLogProbRows,
        (rows.div_ceil(64), 1),
        &[&partials, &statistics],
        &[rows as u32, splits as u32, f32::NAN.to_bits()],
    )?;
    returned(statistics)
}

pub(super) fn gradients(
    [hidden, head, statistics, gradient]: &[Float; 4],
    targets: &Targets,
    limits: impl Fn(&CubeTensor) -> KernelLimits,
) -> Option<(Float, Float)> {
    let hidden = ready(hidden)?;
    let limits = limits(&hidden);
    let head = launch::apart(ready(head)?, &[&hidden]);
    let statistics = ready(statistics)?;
    let gradient = launch::apart(ready(gradient)?, &[&hidden, &head, &statistics]);
    let launch = Launch::on(&hidden, limits);
    let kernel = TokenLogProbGradient::of(limits);
    let (rows, width, vocabulary) =
        (targets.rows(), launch::columns(&hidden), head.meta.shape()[0]);

    let most = SLOPES.min(limits.binding / 4) / rows / kernel.tile();
    let most = most.clamp(1, limits.grid) * kernel.tile();
    launch::countable(&[rows * width, vocabulary * width, rows * most])?;
    let tokens = launch.words(targets.tokens().to_vec());
    let whole = returned(hidden.clone())?;
    let (mut to_hidden, mut to_head): (Option<Float>, Vec<Float>) = (None, Vec::new());
    for first in (0..vocabulary).step_by(most) {
        let window = most.min(vocabulary - first);
        let slopes = launch.empty([rows, window]);
        launch.run(
            kernel,
            (rows.div_ceil(kernel.tile()), window.div_ceil(kernel.tile())),
            &[&hidden, &head, &tokens, &statistics, &gradient, &slopes],
            &[
                rows as u32,
                width as u32,
                vocabulary as u32,
                first as u32,
                window as u32,
                f32::NAN.to_bits(),
            ],
        )?;
        let slopes = returned(slopes)?;
        if targets.to_hidden {
            let rows = [Slice::from(first..first + window), Slice::from(0..width)];
            let part = Cube::float_slice(returned(head.clone())?, &rows);
            let change = Cube::float_matmul(slopes.clone(), part);
            to_hidden = Some(match to_hidden {
                Some(sum) => Cube::float_add(sum, change),
                None => change,
            });
        }
        if targets.to_head {
            to_head.push(Cube::float_matmul(Cube::float_transpose(slopes), whole.clone()));
        }
    }
    // A gradient that is not asked for is not read.
    let unread = || returned(launch.empty([1]));
    let to_hidden = match to_hidden {
        Some(sum) => sum,
        None => unread()?,
    };
    let to_head = if to_head.is_empty() { unread()? } else { Cube::float_cat(to_head, 0) };
    Some((to_hidden, to_head))
}
