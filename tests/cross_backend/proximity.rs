//! Proximity and its gradients.

use burn::tensor::Device;
use proxmo::device::{Adapter, Backend};
use proxmo::kernels::{Excluded, Layout, ProximityOptions, proximity};
use rand::Rng;

use super::cases::{Case, hard, rng};
use super::devices::{error, litter, matrix, numbers, on_every_device};
use super::reference::Expected;

/// What a device answered: means, neighbours and the gradients of embeddings and values.
struct Found {
    means: Vec<f32>,
    neighbours: Vec<f32>,
    to_embeddings: Vec<f32>,
    to_values: Vec<f32>,
}

fn options(case: &Case) -> ProximityOptions {
    ProximityOptions { temperature: case.temperature, excluded: case.excluded }
}

fn ask(case: &Case, gradient: &[f32], device: &Device) -> Found {
    litter(case.embeddings.len(), device);
    let device = device.clone().autodiff();
    let embeddings = matrix(&case.embeddings, case.width, &device).require_grad();
    let values = matrix(&case.values, case.columns, &device).require_grad();
    let (layout, options) = (case.layout(), options(case));
    let found = proximity(embeddings.clone(), values.clone(), &layout, &options).unwrap();
    let weighted = found.means.clone() * matrix(gradient, case.columns, &device);
    let gradients = weighted.sum().backward();
    Found {
        means: numbers(found.means),
        neighbours: numbers(found.neighbours),
        to_embeddings: numbers(embeddings.grad(&gradients).unwrap()),
        to_values: numbers(values.grad(&gradients).unwrap()),
    }
}

/// Any gradient will do.
fn gradient(case: &Case) -> Vec<f32> {
    let mut rng = rng(case.rows());
    case.values.iter().map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// How far off an answer may be. Cosines of 32-bit numbers are off by about 1e-7, which the
/// temperature magnifies.
fn bound(case: &Case) -> f64 {
    2e-5 + 1e-6 / f64::from(case.temperature)
}

fn compare(case: &Case, found: &Found, expected: &Expected, gradient: &[f32], on: &str) -> f64 {
    let (to_embeddings, to_values) = expected.gradients(case, gradient);
    let name = |what: &str| format!("{what} on {on}, {}", case.name);
    let mut worst = 0f64;
    for (what, found, expected) in [
        ("means", &found.means, &expected.means),
        ("neighbours", &found.neighbours, &expected.neighbours),
        ("the gradient of values", &found.to_values, &to_values),
    ] {
        let off = error(found, expected, &name(what));
        assert!(off < bound(case), "{} is off by {off}", name(what));
        worst = worst.max(off);
    }
    // Rows of different length have gradients of different size, and each is judged by its own: by
    // what the pull of a single row could be.
    let greatest = |values: &[f32]| {
        let finite = values.iter().filter(|value| value.is_finite());
        finite.fold(0f64, |most, value| most.max(f64::from(value.abs())))
    };
    let pull = greatest(gradient) * greatest(&case.values) / f64::from(case.temperature);
    let rows = found.to_embeddings.chunks_exact(case.width);
    for (row, (found, wanted)) in rows.zip(to_embeddings.chunks_exact(case.width)).enumerate() {
        let what = name(&format!("the gradient of embedding {row}"));
        let size = wanted.iter().fold(0f64, |most, value| most.max(value.abs()));
        let least = 1e-3 * pull / expected.length(row).max(f64::MIN_POSITIVE);
        // A gradient beyond 32 bits is infinite, and rightly so.
        if size < f64::from(f32::MAX) {
            let off = error(found, wanted, &what) * if size < least { size / least } else { 1.0 };
            assert!(off < 5.0 * bound(case), "{what} is off by {off}");
            worst = worst.max(off);
        }
    }
    worst
}

fn each(on: &Adapter) -> String {
    format!("{} ({})", on.backend, on.name)
}

#[test]
fn every_device_agrees_with_the_definition() {
    let cases = hard();
    let expected: Vec<Expected> = cases.iter().map(Expected::of).collect();
    on_every_device(|device, adapter| {
        let (mut worst, started) = (0f64, std::time::Instant::now());
        for (case, expected) in cases.iter().zip(&expected) {
            let gradient = gradient(case);
            let found = ask(case, &gradient, device);
            worst = worst.max(compare(case, &found, expected, &gradient, &each(adapter)));
        }
        println!("{}: worst error {worst:.1e}, {:.1?}", each(adapter), started.elapsed());
    });
}

#[test]
fn the_gradients_are_those_of_the_means() {
    let case = Case::of(&[1, 6, 4], 3, 2).without(Excluded::Itself).at(0.3);
    let gradient = gradient(&case);
    let (to_embeddings, to_values) = Expected::of(&case).gradients(&case, &gradient);
    let embeddings: Vec<f64> = case.embeddings.iter().map(|&value| f64::from(value)).collect();
    let values: Vec<f64> = case.values.iter().map(|&value| f64::from(value)).collect();
    let loss = |embeddings: &[f64], values: &[f64]| -> f64 {
        let means = Expected::at(&case, embeddings, values).means;
        means.iter().zip(&gradient).map(|(mean, &pull)| mean * f64::from(pull)).sum()
    };
    let moved = |numbers: &[f64], at: usize, by: f64| {
        let mut numbers = numbers.to_vec();
        numbers[at] += by;
        numbers
    };
    let step = 1e-6;
    for (at, expected) in to_embeddings.iter().enumerate() {
        let there = loss(&moved(&embeddings, at, step), &values);
        let slope = (there - loss(&moved(&embeddings, at, -step), &values)) / (2.0 * step);
        assert!((slope - expected).abs() < 1e-7, "embedding {at}: {slope}, not {expected}");
    }
    for (at, expected) in to_values.iter().enumerate() {
        let there = loss(&embeddings, &moved(&values, at, step));
        let slope = (there - loss(&embeddings, &moved(&values, at, -step))) / (2.0 * step);
        assert!((slope - expected).abs() < 1e-7, "value {at}: {slope}, not {expected}");
    }
}

#[test]
fn poison_stays_where_it_was_looked_at() {
    let sizes = [3, 70, 1, 40, 2];
    let mut cases = Vec::new();
    for excluded in [Excluded::Nobody, Excluded::Itself, Excluded::Episode] {
        for poison in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut case = Case::of(&sizes, 5, 2).without(excluded);
            case.row(1)[4] = poison;
            case.values[2 * 100] = poison;
            case.row(73)[0] = poison;
            cases.push(case.named("poisoned"));
        }
    }
    let mut denormal = Case::of(&sizes, 5, 2).named("denormal numbers");
    denormal.row(5).fill(1e-40);
    denormal.row(6).iter_mut().for_each(|value| *value *= 1e-38);
    denormal.row(7)[2] = -1e-42;
    cases.push(denormal);
    let expected: Vec<Expected> = cases.iter().map(Expected::of).collect();
    assert!(expected[0].means.iter().any(|mean| mean.is_nan()));
    on_every_device(|device, adapter| {
        for (case, expected) in cases.iter().zip(&expected) {
            let gradient = gradient(case);
            let found = ask(case, &gradient, device);
            compare(case, &found, expected, &gradient, &each(adapter));
        }
    });
}

#[test]
fn a_poisoned_gradient_reaches_whom_its_row_exchanges_with() {
    let case = Case::of(&[4, 40, 3], 5, 2);
    on_every_device(|device, adapter| {
        let mut gradient = gradient(&case);
        gradient[2 * 10] = f32::NAN;
        let found = ask(&case, &gradient, device);
        assert!(found.means.iter().all(|mean| mean.is_finite()), "{}", each(adapter));
        for (row, (group, _)) in case.memberships().into_iter().enumerate() {
            let numbers = [
                &found.to_embeddings[row * 5..(row + 1) * 5],
                &found.to_values[row * 2..(row + 1) * 2],
            ];
            let reached = numbers.concat().iter().all(|value| value.is_nan());
            let spared = numbers.concat().iter().all(|value| value.is_finite());
            assert!(if group == 1 { reached } else { spared }, "row {row}, {}", each(adapter));
        }
    });
}

#[test]
fn grids_may_be_longer_than_a_device_allows() {
    // One tile more than fits into a dimension of the grid, in groups of one.
    let rows = 65_535 * 64 + 1;
    let offsets: Vec<usize> = (0..=rows).collect();
    let layout = Layout::of_groups(&offsets).unwrap();
    let values: Vec<f32> = (0..rows).map(|row| (row % 1000) as f32).collect();
    on_every_device(|device, adapter| {
        if adapter.backend != Backend::Vulkan {
            return;
        }
        let tensor = matrix(&values, 1, device);
        let found = proximity(tensor.clone(), tensor, &layout, &ProximityOptions::default());
        assert!(numbers(found.unwrap().means) == values, "{}", each(adapter));
    });
}

#[test]
fn what_does_not_fit_is_refused() {
    let device = burn::tensor::Device::flex();
    let layout = Layout::of_groups(&[0, 2]).unwrap();
    let options = ProximityOptions::default();
    let two = || matrix(&[1.0, 2.0], 1, &device);
    let message = |rows: &[f32], options: &ProximityOptions| {
        proximity(matrix(rows, 1, &device), two(), &layout, options).unwrap_err().to_string()
    };
    let three = message(&[1.0, 2.0, 3.0], &options);
    assert_eq!(three, "embeddings: is 3 by 1, expected 2 rows of at least 1 column");
    let cold = ProximityOptions { temperature: 0.0, ..options };
    assert!(message(&[1.0, 2.0], &cold).starts_with("setting 'temperature': is 0, expected"));
    let none = Layout::of_groups(&[0]).unwrap();
    on_every_device(|device, _| {
        let empty = || matrix(&[], 1, device);
        let found = proximity(empty(), empty(), &none, &options).unwrap();
        assert_eq!((found.means.dims(), found.neighbours.dims()), ([0, 1], [0]));
    });
}
