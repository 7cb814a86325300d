//! Layers of language models on a device, and their gradients, against the definitions.

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::cases::rng;
use super::comparisons::Comparisons;
use super::oracle::layers as oracle;
use super::proximity::fill_with_nan;
use crate::device::read_async;
use crate::error::{Error, Result};
use crate::kernels::{self, AdamWStep};

/// Bound of results and gradients, as a share of the largest number.
const BOUND: f64 = 3e-6;

/// Rows and width: single numbers, odd sizes, and more than a piece of work.
const SHAPES: [[usize; 2]; 5] = [[1, 1], [3, 5], [7, 33], [2, 130], [270, 65]];

fn random(count: usize, scale: f32, seed: usize) -> Vec<f32> {
    let mut rng = rng(seed);
    (0..count).map(|_| scale * rng.random_range(-1.0f32..1.0)).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// A tensor that gets a gradient.
fn leaf<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    tensor(values, shape, device).require_grad()
}

/// A layer's result, and the gradients of `Σ pulls · result` by two leaves.
struct Found {
    result: Vec<f32>,
    gradients: [Vec<f32>; 2],
}

impl Found {
    async fn of<const D: usize, const A: usize, const B: usize>(
        result: Tensor<D>,
        pulls: &[f32],
        leaves: (&Tensor<A>, &Tensor<B>),
    ) -> Result<Self> {
        let pulls = tensor(pulls, result.dims(), &result.device());
        let gradients = (result.clone() * pulls).sum().backward();
        let missing = || Error::Run("a layer gave no gradient".into());
        Ok(Self {
            result: read_async(result.inner()).await?,
            gradients: [
                read_async(leaves.0.grad(&gradients).ok_or_else(missing)?).await?,
                read_async(leaves.1.grad(&gradients).ok_or_else(missing)?).await?,
            ],
        })
    }
}

pub(super) async fn swiglu(device: &Device) -> Result<Comparisons> {
    let mut comparisons = Comparisons::default();
    for (seed, shape) in SHAPES.into_iter().enumerate() {
        let count = shape[0] * shape[1];
        for scale in [1.0, 30.0] {
            fill_with_nan(count, device).await?;
            let [gate, up] = [0, 1].map(|place| random(count, scale, 10 * seed + place));
            let pulls = random(count, 1.0, 10 * seed + 2);
            let device = device.clone().autodiff();
            let leaves = (leaf(&gate, shape, &device), leaf(&up, shape, &device));
            let found = kernels::swiglu(leaves.0.clone(), leaves.1.clone());
            let found = Found::of(found, &pulls, (&leaves.0, &leaves.1)).await?;
            let [gate, up, pulls] = [&gate, &up, &pulls].map(|values| wide(values));
            let name = |what: &str| format!("{what} of {shape:?}, scale {scale}");
            let each = |f: &dyn Fn(f64, f64, f64) -> f64| -> Vec<f64> {
                (0..count).map(|at| f(gate[at], up[at], pulls[at])).collect()
            };
            let expected = oracle::swiglu(&gate, &up);
            let to_gate = each(&|gate, up, pull| {
                oracle::slopes(&[gate], &[pull], |gate| oracle::swiglu(gate, &[up]))[0]
            });
            let to_up = each(&|gate, up, pull| {
                oracle::slopes(&[up], &[pull], |up| oracle::swiglu(&[gate], up))[0]
            });
            comparisons.compare(name("SwiGLU"), &found.result, &expected, BOUND);
            comparisons.compare(name("gradient of gate"), &found.gradients[0], &to_gate, BOUND);
            comparisons.compare(name("gradient of up"), &found.gradients[1], &to_up, BOUND);
        }
    }
    Ok(comparisons)
}

pub(super) async fn rms_norm(device: &Device) -> Result<Comparisons> {
    let mut comparisons = Comparisons::default();
    for (seed, shape @ [rows, width]) in SHAPES.into_iter().enumerate() {
        fill_with_nan(rows * width, device).await?;
        let x = random(rows * width, 3.0, 100 + seed);
        let weight = random(width, 2.0, 200 + seed);
        let pulls = random(rows * width, 1.0, 300 + seed);
        // The result of a single number hardly depends on it, unless the epsilon is large.
        let epsilon = if width == 1 { 0.5f32 } else { 1e-5 };
        let device = device.clone().autodiff();
        let leaves = (leaf(&x, shape, &device), leaf(&weight, [width], &device));
        let found = kernels::rms_norm(leaves.0.clone(), leaves.1.clone(), epsilon);
        let found = Found::of(found, &pulls, (&leaves.0, &leaves.1)).await?;

        let (x, weight, pulls) = (wide(&x), wide(&weight), wide(&pulls));
        let epsilon = f64::from(epsilon);
        let (mut expected, mut to_x, mut to_weight) = (Vec::new(), Vec::new(), vec![0.0; width]);
        for (x, pulls) in x.chunks_exact(width).zip(pulls.chunks_exact(width)) {
            expected.extend(oracle::rms_norm(x, &weight, epsilon));
            to_x.extend(oracle::slopes(x, pulls, |x| oracle::rms_norm(x, &weight, epsilon)));
            let slopes = oracle::slopes(&weight, pulls, |w| oracle::rms_norm(x, w, epsilon));
            to_weight.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += slope);
        }
        let name = |what: &str| format!("{what} of {shape:?}");
        comparisons.compare(name("normalisation"), &found.result, &expected, BOUND);
        comparisons.compare(name("gradient of rows"), &found.gradients[0], &to_x, 3.0 * BOUND);
        let of_weight = name("gradient of the weight");
        comparisons.compare(of_weight, &found.gradients[1], &to_weight, 3.0 * BOUND);
    }
    Ok(comparisons)
}

pub(super) async fn causal_softmax(device: &Device) -> Result<Comparisons> {
    let mut comparisons = Comparisons::default();
    for (seed, (matrices, tokens)) in [(1, 1), (3, 2), (5, 33), (5, 65)].into_iter().enumerate() {
        let count = matrices * tokens * tokens;
        for size in [1.0, 300.0] {
            fill_with_nan(count, device).await?;
            let (scores, scale) = (random(count, size, 400 + seed), 0.3f32);
            let pulls = random(count, 1.0, 500 + seed);
            let device = device.clone().autodiff();
            let leaf = leaf(&scores, [matrices, 1, tokens, tokens], &device);
            let found = kernels::causal_softmax(leaf.clone(), scale);
            let found = Found::of(found, &pulls, (&leaf, &leaf)).await?;
            let (scores, pulls, scale) = (wide(&scores), wide(&pulls), f64::from(scale));
            let (mut expected, mut slopes) = (Vec::new(), Vec::new());
            let rows = scores.chunks_exact(tokens).zip(pulls.chunks_exact(tokens));
            for (row, (scores, pulls)) in rows.enumerate() {
                let softmax =
                    |row_of: &[f64]| oracle::causal_softmax(row_of, row % tokens + 1, scale);
                expected.extend(softmax(scores));
                slopes.extend(oracle::slopes(scores, pulls, softmax));
            }
            let name = |what: &str| format!("{what} of {tokens} tokens, scores to {size}");
            let bound = BOUND + 1e-7 * f64::from(size);
            comparisons.compare(name("weights"), &found.result, &expected, bound);
            comparisons.compare(name("gradient"), &found.gradients[0], &slopes, 3.0 * bound);
        }
    }
    Ok(comparisons)
}

pub(super) async fn rotation(device: &Device) -> Result<Comparisons> {
    let mut comparisons = Comparisons::default();
    let shapes = [[1, 1, 1, 2], [2, 3, 5, 6], [3, 90, 4, 18]];
    for (seed, shape @ [rows, tokens, heads, width]) in shapes.into_iter().enumerate() {
        let (count, half) = (rows * tokens * heads * width, width / 2);
        fill_with_nan(count, device).await?;
        let (x, pulls) = (random(count, 1.0, 600 + seed), random(count, 1.0, 700 + seed));
        let angles = wide(&random(tokens * half, 3.0, 800 + seed));
        let table = |of: fn(f64) -> f64| -> Vec<f32> {
            angles.iter().map(|&angle| of(angle) as f32).collect()
        };
        let device = device.clone().autodiff();
        let [cosines, sines] =
            [f64::cos, f64::sin].map(|of| tensor(&table(of), [1, tokens, 1, half], &device));
        let leaf = leaf(&x, shape, &device);
        let found = kernels::rotate(leaf.clone(), cosines, sines);
        let found = Found::of(found, &pulls, (&leaf, &leaf)).await?;
        let (x, pulls) = (wide(&x), wide(&pulls));
        let (mut expected, mut slopes) = (Vec::new(), Vec::new());
        for (head, (x, pulls)) in x.chunks_exact(width).zip(pulls.chunks_exact(width)).enumerate() {
            let token = head / heads % tokens;
            let angles = &angles[token * half..(token + 1) * half];
            expected.extend(oracle::rotate(x, angles));
            slopes.extend(oracle::slopes(x, pulls, |x| oracle::rotate(x, angles)));
        }
        let name = |what: &str| format!("{what} of {shape:?}");
        comparisons.compare(name("rotation"), &found.result, &expected, BOUND);
        comparisons.compare(name("gradient"), &found.gradients[0], &slopes, BOUND);
    }
    Ok(comparisons)
}

/// Whether a row is NaN at least once, and the others never are.
fn only_row(values: &[f32], width: usize, bad: usize) -> bool {
    let nan = |row: &[f32]| row.iter().any(|value| value.is_nan());
    values.chunks_exact(width).enumerate().all(|(row, values)| nan(values) == (row == bad))
}

/// NaN in a row makes a NaN there, in results and gradients, and in no other row. An infinite score makes
/// its query NaN, if the query sees it.
pub(super) async fn non_finite(device: &Device) -> Result<Comparisons> {
    let mut comparisons = Comparisons::default();
    let (shape @ [rows, width], bad) = ([70, 70], 40);
    let sound = random(rows * width, 1.0, 900);
    let pulls = vec![1.0; rows * width];
    let device = device.clone().autodiff();
    let mut expect = |what: &str, values: &[f32]| {
        comparisons
            .expect(format!("{what}: not only row {bad} is NaN"), only_row(values, width, bad));
    };
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut changed = sound.clone();
        changed[bad * width + 20] = value;
        let scores = leaf(&changed, [1, rows, width], &device);
        let found = kernels::causal_softmax(scores.clone(), 0.5);
        let found = Found::of(found, &pulls, (&scores, &scores)).await?;
        expect(&format!("softmax with {value}"), &found.result);
        expect(&format!("gradient of the softmax with {value}"), &found.gradients[0]);
    }
    let mut changed = sound.clone();
    changed[bad * width + 20] = f32::NAN;
    let leaves = (leaf(&changed, shape, &device), leaf(&sound, shape, &device));
    let found = kernels::swiglu(leaves.0.clone(), leaves.1.clone());
    let found = Found::of(found, &pulls, (&leaves.0, &leaves.1)).await?;
    expect("SwiGLU", &found.result);
    expect("gradient of the gate", &found.gradients[0]);
    let weight = leaf(&sound[..width], [width], &device);
    let found = kernels::rms_norm(leaves.0.clone(), weight.clone(), 1e-5);
    let found = Found::of(found, &pulls, (&leaves.0, &weight)).await?;
    expect("normalisation", &found.result);
    expect("gradient of rows", &found.gradients[0]);
    let [cosines, sines] = [0, 1].map(|part| {
        let table = &sound[part * rows * width / 2..][..rows * width / 2];
        tensor(table, [1, rows, 1, width / 2], &device)
    });
    let heads = leaf(&changed, [1, rows, 1, width], &device);
    let found = kernels::rotate(heads, cosines, sines);
    expect("rotation", &read_async(found.inner()).await?);
    // A key that no query before it sees.
    let mut hidden = sound;
    hidden[width - 1] = f32::NAN;
    let found = kernels::causal_softmax(tensor(&hidden, [1, rows, width], &device), 0.5);
    let finite = read_async(found.inner()).await?.iter().all(|weight| weight.is_finite());
    comparisons.expect("an unseen score has an influence", finite);
    Ok(comparisons)
}

/// Three steps of parameters of several sizes.
pub(super) async fn adamw(device: &Device) -> Result<Comparisons> {
    let mut comparisons = Comparisons::default();
    let (beta_1, beta_2, epsilon, rate, decay) = (0.9f64, 0.999f64, 1e-8, 0.01, 0.1);
    for count in [1, 7, 1000, 40_001] {
        fill_with_nan(count, device).await?;
        let start = random(count, 1.0, 1000 + count);
        let zeros = || Tensor::<1>::zeros([count], device);
        let mut state = [tensor(&start, [count], device), zeros(), zeros()];
        let mut expected = [wide(&start), vec![0.0; count], vec![0.0; count]];
        for time in 1..=3 {
            let gradient = random(count, 2.0, 2000 + count + time);
            let correction = |beta: f64| 1.0 / (1.0 - beta.powi(time as i32));
            let step = AdamWStep {
                rate: rate as f32,
                kept: (1.0 - rate * decay) as f32,
                beta_1: beta_1 as f32,
                beta_2: beta_2 as f32,
                correction_1: correction(beta_1) as f32,
                correction_2: correction(beta_2) as f32,
                epsilon: epsilon as f32,
            };
            state = kernels::adamw(state, tensor(&gradient, [count], device), step);
            let [parameters, first, second] = &mut expected;
            for (at, gradient) in wide(&gradient).into_iter().enumerate() {
                first[at] = beta_1 * first[at] + (1.0 - beta_1) * gradient;
                second[at] = beta_2 * second[at] + (1.0 - beta_2) * gradient * gradient;
                let root = (second[at] * correction(beta_2)).sqrt() + epsilon;
                parameters[at] -=
                    rate * (decay * parameters[at] + first[at] * correction(beta_1) / root);
            }
        }
        let names = ["parameters", "first moments", "second moments"];
        for ((name, found), expected) in names.into_iter().zip(state).zip(&expected) {
            // 1 − 0.999 in 32 bits is off by 1e-5 of itself.
            let bound = if name == "second moments" { 3e-5 } else { 2e-6 };
            comparisons.compare(
                format!("{count} {name}"),
                &read_async(found).await?,
                expected,
                bound,
            );
        }
    }
    Ok(comparisons)
}
