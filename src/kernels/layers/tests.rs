//! Operations of layers against formulas in 64 bits, and the CPU's bodies against the portable ones.

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Device, Shape, Tensor, TensorData};
use rand::Rng;

use super::*;
use crate::device::read;
use crate::kernels::{cpu, portable};
use crate::stream::{Purpose, Stream};

type Float = FloatTensor<Flex>;

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = Stream::new(seed, Purpose::Generator).rng();
    (0..count).map(|_| rng.random_range(-2.0..2.0)).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn assert_close(found: &[f32], expected: &[f64], name: &str) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (at, (&found, expected)) in found.iter().zip(expected).enumerate() {
        let off = (f64::from(found) - expected).abs();
        assert!(off <= 5e-6 * (1.0 + expected.abs()), "{name}[{at}]: {found}, not {expected}");
    }
}

/// Checks an operation on two arguments, and its gradients, against its formula. The formula's own
/// gradients are central differences in 64 bits.
fn check<const D: usize>(
    name: &str,
    shapes: [&[usize]; 2],
    operation: impl Fn(Tensor<1>, Tensor<1>) -> Tensor<D>,
    formula: impl Fn(&[f64], &[f64]) -> Vec<f64>,
) {
    let device = Device::flex().autodiff();
    let counts = shapes.map(|shape| shape.iter().product::<usize>());
    let arguments = [random(counts[0], 1), random(counts[1], 2)];
    let leaves = arguments
        .clone()
        .map(|values| Tensor::<1>::from_data(values.as_slice(), &device).require_grad());
    let result = operation(leaves[0].clone(), leaves[1].clone());
    let result = result.reshape([-1]);
    let exact = arguments.each_ref().map(|values| wide(values));
    assert_close(&read(result.clone().inner()).unwrap(), &formula(&exact[0], &exact[1]), name);

    let upstream = random(result.dims()[0], 3);
    let loss = |[a, b]: [&[f64]; 2]| -> f64 {
        formula(a, b).iter().zip(wide(&upstream)).map(|(y, c)| y * c).sum()
    };
    let constant = Tensor::<1>::from_data(upstream.as_slice(), &device);
    let gradients = (result * constant).sum().backward();
    for (place, leaf) in leaves.iter().enumerate() {
        let expected: Vec<f64> = (0..counts[place])
            .map(|at| {
                let moved = |by: f64| {
                    let mut moved = exact.clone();
                    moved[place][at] += by;
                    loss([&moved[0], &moved[1]])
                };
                (moved(1e-5) - moved(-1e-5)) / 2e-5
            })
            .collect();
        let found = leaf
            .grad(&gradients)
            .map_or(vec![0.0; counts[place]], |gradient| read(gradient).unwrap());
        assert_close(&found, &expected, &format!("{name}, the gradient of argument {place}"));
    }
}

/// Numbers of rows and widths: single, odd, whole vectors and more.
const SIZES: [[usize; 2]; 6] = [[1, 1], [1, 7], [3, 16], [5, 33], [2, 64], [9, 17]];

#[test]
fn gated_units_and_their_gradients_are_those_of_64_bits() {
    for [rows, width] in SIZES {
        check(
            &format!("swiglu {rows} by {width}"),
            [&[rows, width], &[rows, width]],
            |gate, up| swiglu(gate.reshape([rows, width]), up.reshape([rows, width])),
            |gate, up| gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect(),
        );
    }
}

#[test]
fn normalisations_and_their_gradients_are_those_of_64_bits() {
    for [rows, width] in SIZES {
        check(
            &format!("rms_norm {rows} by {width}"),
            [&[rows, width], &[width]],
            |x, weight| rms_norm(x.reshape([rows, width]), weight, 0.1),
            |x, weight| {
                let normed = x.chunks(width).flat_map(|x| {
                    let mean = x.iter().map(|x| x * x).sum::<f64>() / width as f64;
                    x.iter()
                        .zip(weight)
                        .map(move |(x, w)| x * w / (mean + f64::from(0.1f32)).sqrt())
                });
                normed.collect()
            },
        );
    }
}

#[test]
fn a_frozen_weight_changes_nothing_for_the_gradient_of_the_input() {
    let device = Device::flex().autodiff();
    let gradient = |is_frozen: bool| {
        let x = Tensor::<2>::from_data(TensorData::new(random(50, 1), [5, 10]), &device);
        let weight = Tensor::<1>::from_data(random(10, 2).as_slice(), &device);
        let (x, weight) = (x.require_grad(), weight.set_require_grad(!is_frozen));
        let gradients = rms_norm(x.clone(), weight.clone(), 1e-6).powi_scalar(3).sum().backward();
        assert_eq!(weight.grad(&gradients).is_none(), is_frozen);
        read(x.grad(&gradients).unwrap()).unwrap()
    };
    assert_eq!(gradient(true), gradient(false));
}

#[test]
fn causal_softmaxes_and_their_gradients_are_those_of_64_bits() {
    for [rows, queries, keys] in [[1, 1, 1], [2, 5, 5], [3, 17, 17], [1, 33, 33], [2, 3, 20]] {
        check(
            &format!("causal_softmax {rows} by {queries} by {keys}"),
            [&[rows, queries, keys], &[1]],
            |scores, _| causal_softmax(scores.reshape([rows, queries, keys]), 0.7),
            |scores, _| {
                let rows = scores.chunks(keys).enumerate().flat_map(|(row, scores)| {
                    let seen = keys.min(row % queries + 1);
                    let of = move |at: usize| {
                        if at < seen { (f64::from(0.7f32) * scores[at]).exp() } else { 0.0 }
                    };
                    let total: f64 = (0..keys).map(of).sum();
                    (0..keys).map(move |at| of(at) / total)
                });
                rows.collect()
            },
        );
    }
}

#[test]
fn rotations_and_their_gradients_are_those_of_64_bits() {
    for [rows, tokens, heads, width] in [[1, 1, 1, 2], [2, 3, 2, 6], [1, 5, 3, 32]] {
        let angles: Vec<f32> = random(tokens * width / 2, 4);
        let table = |of: fn(f32) -> f32| {
            let values: Vec<f32> = angles.iter().map(|&angle| of(angle)).collect();
            let shape = [1, tokens, 1, width / 2];
            Tensor::<4>::from_data(TensorData::new(values, shape), &Device::flex().autodiff())
        };
        let (cosines, sines) = (table(f32::cos), table(f32::sin));
        check(
            &format!("rotate {rows} by {tokens} by {heads} by {width}"),
            [&[rows, tokens, heads, width], &[1]],
            |x, _| rotate(x.reshape([rows, tokens, heads, width]), &cosines, &sines),
            |x, _| {
                let half = width / 2;
                let mut turned = x.to_vec();
                for (head, turned) in turned.chunks_mut(width).enumerate() {
                    let token = head / heads % tokens;
                    for pair in 0..half {
                        let angle = angles[token * half + pair];
                        let (sine, cosine) = (f64::from(angle.sin()), f64::from(angle.cos()));
                        let (a, b) = (turned[pair], turned[pair + half]);
                        turned[pair] = a * cosine - b * sine;
                        turned[pair + half] = b * cosine + a * sine;
                    }
                }
                turned
            },
        );
    }
}

#[test]
fn steps_of_the_optimizer_are_those_of_64_bits() {
    let device = Device::flex();
    for count in [1, 7, 100] {
        let values = random(count, 1);
        let (mut exact, mut m, mut v) = (wide(&values), vec![0.0; count], vec![0.0; count]);
        let mut parameter = Tensor::<1>::from_data(values.as_slice(), &device);
        let mut moments = [parameter.zeros_like(), parameter.zeros_like()];
        for time in 1..=4 {
            let gradient = random(count, 10 + time as u64);
            let step = AdamWStep {
                rate: 0.1,
                kept: 0.75,
                betas: [0.5, 0.75],
                corrections: [0.5f32, 0.75].map(|beta| 1.0 - beta.powi(time)),
                epsilon: 0.125,
            };
            let given = Tensor::<1>::from_data(gradient.as_slice(), &device);
            (parameter, moments) = adamw(parameter, given, moments, step);
            for at in 0..count {
                let g = f64::from(gradient[at]);
                m[at] = 0.5 * m[at] + 0.5 * g;
                v[at] = 0.75 * v[at] + 0.25 * g * g;
                let (m, v) =
                    (m[at] / (1.0 - 0.5f64.powi(time)), v[at] / (1.0 - 0.75f64.powi(time)));
                exact[at] = 0.75 * exact[at] - f64::from(0.1f32) * m / (v.sqrt() + 0.125);
            }
        }
        assert_close(&read(parameter).unwrap(), &exact, "parameter");
        let [first, second] = moments.map(|moment| read(moment).unwrap());
        assert_close(&first, &m, "first moment");
        assert_close(&second, &v, "second moment");
    }
}

fn float(values: Vec<f32>, shape: &[usize]) -> Float {
    Flex::float_from_data(TensorData::new(values, Shape::from(shape.to_vec())), &Default::default())
}

fn numbers(tensor: Float) -> Vec<f32> {
    pollster::block_on(Flex::float_into_data(tensor)).unwrap().try_into_vec().unwrap()
}

/// The results of every operation by one of the bodies, on rows of 40 numbers.
macro_rules! results {
    ($body:ident, $rows:expr, $spoiled:expr) => {{
        let (rows, spoiled): (usize, Option<usize>) = ($rows, $spoiled);
        let shape = [rows, 40];
        let make = |seed: u64| {
            let mut values = random(rows * 40, seed);
            if let Some(place) = spoiled {
                values[place] = f32::NAN;
            }
            float(values, &shape)
        };
        let weight = || float(random(40, 9), &[40]);
        let norm = Normalisation { epsilon: 1e-5, to_weight: true };
        let scale = CausalScale { queries: rows.clamp(1, 50), scale: 0.3 };
        let heads = || Flex::float_reshape(make(1), Shape::from([1, rows, 2, 20]));
        let table = |seed| float(random(rows * 10, seed), &[1, rows, 1, 10]);
        let step = AdamWStep {
            rate: 0.1,
            kept: 0.9,
            betas: [0.9, 0.99],
            corrections: [0.1, 0.01],
            epsilon: 1e-8,
        };
        let gate = $body::swiglu_gradients::<Flex>(make(1), make(2), make(3));
        let normed = $body::rms_norm_gradients::<Flex>(make(1), weight(), make(3), norm);
        let squares = Flex::float_mul(make(5), make(5));
        let weights = $body::causal_softmax::<Flex>(make(1), scale);
        let advanced = $body::adamw::<Flex>([make(1), make(3), make(4), squares], step);
        let all = [
            ("swiglu", $body::swiglu::<Flex>(make(1), make(2))),
            ("swiglu, gate", gate.0),
            ("swiglu, up", gate.1),
            ("rms_norm", $body::rms_norm::<Flex>(make(1), weight(), norm)),
            ("rms_norm, x", normed.0),
            ("causal_softmax", weights.clone()),
            (
                "causal_softmax, scores",
                $body::causal_softmax_gradients::<Flex>(weights, make(3), scale),
            ),
            ("rotate", $body::rotate::<Flex>(heads(), table(6), table(7), false)),
            ("rotate, back", $body::rotate::<Flex>(heads(), table(6), table(7), true)),
            ("adamw", advanced.0),
            ("adamw, first", advanced.1),
            ("adamw, second", advanced.2),
            ("rms_norm, weight", normed.1),
        ];
        all.map(|(name, tensor)| (name, numbers(tensor)))
    }};
}

#[test]
fn the_bodies_of_the_cpu_are_the_portable_ones() {
    // Several pieces of work.
    for ((name, found), (_, expected)) in
        results!(cpu, 900, None).into_iter().zip(results!(portable, 900, None))
    {
        for (at, (a, b)) in found.iter().zip(&expected).enumerate() {
            assert!((a - b).abs() <= 2e-5 * (1.0 + b.abs()), "{name}[{at}]: {a}, not {b}");
        }
        assert_eq!(found.len(), expected.len(), "{name}");
    }
}

#[test]
fn a_nan_reaches_its_own_row_only() {
    // Row 3, column 2: query 3 sees it.
    let place = 3 * 40 + 2;
    for (body, results) in [
        ("cpu", results!(cpu, 100, Some(place))),
        ("portable", results!(portable, 100, Some(place))),
    ] {
        for (name, values) in results {
            if values.len() == 40 {
                // The weight's gradient is a sum over rows.
                assert!(values.iter().all(|value| value.is_nan()), "{body}, {name}");
                continue;
            }
            assert!(values[place].is_nan(), "{body}, {name}");
            for (at, value) in values.iter().enumerate().filter(|(at, _)| at / 40 != 3) {
                assert!(value.is_finite(), "{body}, {name}[{at}] is {value}");
            }
        }
    }
}

#[test]
fn no_rows_give_no_rows() {
    for (name, values) in results!(cpu, 0, None) {
        let expected = if name == "rms_norm, weight" { vec![0.0; 40] } else { Vec::new() };
        assert_eq!(values, expected, "{name}");
    }
}

#[test]
fn tensors_that_are_not_in_order_in_memory_are_read_by_their_places() {
    let turned = |seed| Flex::float_transpose(float(random(600, seed), &[20, 30]));
    let straight = |seed| float(numbers(turned(seed)), &[30, 20]);
    let result = |make: &dyn Fn(u64) -> Float| numbers(cpu::swiglu::<Flex>(make(1), make(2)));
    assert_eq!(result(&turned), result(&straight));
    assert_eq!(turned(1).shape(), straight(1).shape());
}

#[test]
fn a_shared_argument_is_not_changed() {
    let gate = float(random(100, 1), &[10, 10]);
    let before = numbers(gate.clone());
    let result = cpu::swiglu::<Flex>(gate.clone(), float(random(100, 2), &[10, 10]));
    assert_ne!(numbers(result), before);
    assert_eq!(numbers(gate), before);
}

#[cfg(feature = "parallel")]
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| results!(cpu, 2000, None))
    };
    assert_eq!(with(1), with(3));
}
