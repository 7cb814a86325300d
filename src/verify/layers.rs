//! Operations of layers of language models and the optimizer's step on a device, against their formulas.

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::cases::rng;
use super::comparisons::Comparisons;
use super::proximity::fill_with_nan;
use crate::device::read;
use crate::error::Result;
use crate::kernels::{AdamWStep, adamw, causal_softmax, rms_norm, rotate, swiglu};

/// The bound between numbers, as a share of the largest. Devices' exponentials and roots are off by a few
/// 1e-7, and sums of a few hundred 32-bit numbers by as much.
const BOUND: f64 = 1e-5;

const EPSILON: f32 = 1e-3;
const SCALE: f32 = 0.4;

/// Random numbers on the host and, with gradients, on a device.
struct Argument {
    values: Vec<f64>,
    leaf: Tensor<1>,
}

impl Argument {
    fn new(count: usize, seed: usize, device: &Device) -> Self {
        let mut rng = rng(seed);
        let values: Vec<f32> = (0..count).map(|_| rng.random_range(-3.0..3.0)).collect();
        let leaf = Tensor::from_data(values.as_slice(), device).require_grad();
        Self { values: values.into_iter().map(f64::from).collect(), leaf }
    }
}

/// Compares an operation's result, and the gradients of `Σ c · result`, with formulas.
fn compare<const D: usize>(
    name: &str,
    result: Tensor<D>,
    weights: &Argument,
    arguments: &[&Argument],
    expected: &[Vec<f64>],
    comparisons: &mut Comparisons,
) -> Result<()> {
    let result: Tensor<1> = result.reshape([-1]);
    comparisons.compare(name, &read(result.clone().inner())?, &expected[0], BOUND);
    let gradients = (result * weights.leaf.clone().detach()).sum().backward();
    for (place, (argument, expected)) in arguments.iter().zip(&expected[1..]).enumerate() {
        let what = format!("{name}, the gradient of argument {place}");
        match argument.leaf.grad(&gradients) {
            Some(found) => comparisons.compare(what, &read(found)?, expected, BOUND),
            None => comparisons.expect(format!("{what} is missing"), false),
        }
    }
    Ok(())
}

pub(super) fn layers(device: &Device) -> Result<Comparisons> {
    let device = device.clone().autodiff();
    let mut comparisons = Comparisons::default();
    for [rows, width] in [[1, 1], [3, 7], [65, 64], [33, 100], [7, 513]] {
        fill_with_nan(rows * width, &device)?;
        let name = format!("of {rows} by {width}");
        let [x, y, c] = [1, 2, 3].map(|seed| Argument::new(rows * width, seed, &device));
        let weight = Argument::new(width, 4, &device);
        let matrix = |argument: &Argument| argument.leaf.clone().reshape([rows, width]);

        let result = swiglu(matrix(&x), matrix(&y));
        let expected = gated(&x.values, &y.values, &c.values);
        compare(&format!("swiglu {name}"), result, &c, &[&x, &y], &expected, &mut comparisons)?;

        let result = rms_norm(matrix(&x), weight.leaf.clone(), EPSILON);
        let expected = normalised(&x.values, &weight.values, &c.values);
        let given = [&x, &weight];
        compare(&format!("rms_norm {name}"), result, &c, &given, &expected, &mut comparisons)?;

        let result = causal_softmax(matrix(&x), SCALE);
        let expected = softmax(&x.values, &c.values, width);
        compare(&format!("causal_softmax {name}"), result, &c, &[&x], &expected, &mut comparisons)?;
    }
    let [rows, tokens, heads, width] = [2, 9, 3, 10];
    let count = rows * tokens * heads * width;
    let [x, c] = [1, 2].map(|seed| Argument::new(count, seed, &device));
    let angle = |at: usize| (at as f64 * 0.37).sin() * 3.0;
    let table = |of: fn(f64) -> f64| {
        let values: Vec<f32> = (0..tokens * width / 2).map(|at| of(angle(at)) as f32).collect();
        Tensor::<4>::from_data(TensorData::new(values, [1, tokens, 1, width / 2]), &device)
    };
    let given = x.leaf.clone().reshape([rows, tokens, heads, width]);
    let result = rotate(given, &table(f64::cos), &table(f64::sin));
    let turned = |values: &[f64], sign: f64| {
        let mut turned = values.to_vec();
        for (head, turned) in turned.chunks_mut(width).enumerate() {
            for pair in 0..width / 2 {
                let angle = sign * angle(head / heads % tokens * (width / 2) + pair);
                let (a, b) = (turned[pair], turned[pair + width / 2]);
                turned[pair] = a * angle.cos() - b * angle.sin();
                turned[pair + width / 2] = b * angle.cos() + a * angle.sin();
            }
        }
        turned
    };
    let expected = [turned(&x.values, 1.0), turned(&c.values, -1.0)];
    compare("rotate", result, &c, &[&x], &expected, &mut comparisons)?;
    Ok(comparisons)
}

/// `silu(g) u`, and the gradients by `g` and `u`.
fn gated(gate: &[f64], up: &[f64], upstream: &[f64]) -> [Vec<f64>; 3] {
    let share = |g: f64| 1.0 / (1.0 + (-g).exp());
    let all = || gate.iter().zip(up).zip(upstream);
    [
        all().map(|((&g, u), _)| g * share(g) * u).collect(),
        all().map(|((&g, u), c)| c * u * share(g) * (1.0 + g * (1.0 - share(g)))).collect(),
        all().map(|((&g, _), c)| c * g * share(g)).collect(),
    ]
}

/// The normalisation, and the gradients by `x` and the weight.
fn normalised(x: &[f64], weight: &[f64], upstream: &[f64]) -> [Vec<f64>; 3] {
    let width = weight.len();
    let (mut normed, mut to_x, mut to_weight) = (Vec::new(), Vec::new(), vec![0.0; width]);
    for (x, c) in x.chunks(width).zip(upstream.chunks(width)) {
        let mean = x.iter().map(|x| x * x).sum::<f64>() / width as f64;
        let factor = (mean + f64::from(EPSILON)).sqrt().recip();
        let shared: f64 = (0..width).map(|at| c[at] * weight[at] * x[at]).sum();
        let shared = shared * factor.powi(3) / width as f64;
        for at in 0..width {
            normed.push(x[at] * factor * weight[at]);
            to_x.push(c[at] * weight[at] * factor - x[at] * shared);
            to_weight[at] += c[at] * x[at] * factor;
        }
    }
    [normed, to_x, to_weight]
}

/// The causal softmax of rows of queries, and the gradient by the scores.
fn softmax(scores: &[f64], upstream: &[f64], keys: usize) -> [Vec<f64>; 2] {
    let (mut weights, mut slopes) = (Vec::new(), Vec::new());
    for (query, (scores, c)) in scores.chunks(keys).zip(upstream.chunks(keys)).enumerate() {
        let scale = f64::from(SCALE);
        let of = |key: usize| if key <= query { (scale * scores[key]).exp() } else { 0.0 };
        let total: f64 = (0..keys).map(of).sum();
        let row: Vec<f64> = (0..keys).map(|key| of(key) / total).collect();
        let mean: f64 = row.iter().zip(c).map(|(p, c)| p * c).sum();
        slopes.extend(row.iter().zip(c).map(|(p, c)| scale * p * (c - mean)));
        weights.extend(row);
    }
    [weights, slopes]
}

pub(super) fn optimizer(device: &Device) -> Result<Comparisons> {
    let mut comparisons = Comparisons::default();
    for count in [1, 7, 20_000] {
        let [start, gradient] = [1, 2].map(|seed| {
            let mut rng = rng(seed + count);
            (0..count).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f32>>()
        });
        let on_device = |values: &[f32]| Tensor::<1>::from_data(values, device);
        let mut exact: Vec<f64> = start.iter().map(|&value| f64::from(value)).collect();
        let (mut m, mut v) = (vec![0f64; count], vec![0f64; count]);
        let mut parameter = on_device(&start);
        let mut moments = [parameter.zeros_like(), parameter.zeros_like()];
        for time in 1..=3 {
            let step = AdamWStep {
                rate: 0.01,
                kept: 0.999,
                betas: [0.9, 0.999],
                corrections: [0.9f32, 0.999].map(|beta| 1.0 - beta.powi(time)),
                epsilon: 1e-5,
            };
            (parameter, moments) = adamw(parameter, on_device(&gradient), moments, step);
            let [beta_1, beta_2] = step.betas.map(f64::from);
            let corrections = step.corrections.map(f64::from);
            for at in 0..count {
                let g = f64::from(gradient[at]);
                m[at] = beta_1 * m[at] + (1.0 - beta_1) * g;
                v[at] = beta_2 * v[at] + (1.0 - beta_2) * g * g;
                let root = (v[at] / corrections[1]).sqrt() + f64::from(step.epsilon);
                let change = m[at] / corrections[0] / root;
                exact[at] = f64::from(step.kept) * exact[at] - f64::from(step.rate) * change;
            }
        }
        let [first, second] = moments;
        comparisons.compare(format!("{count} weights"), &read(parameter)?, &exact, BOUND);
        comparisons.compare(format!("{count} first moments"), &read(first)?, &m, BOUND);
        comparisons.compare(format!("{count} second moments"), &read(second)?, &v, BOUND);
    }
    Ok(comparisons)
}
