//! The definition that devices are held to, and what no other test of theirs looks at.

use proxmo::device::Backend;
use proxmo::episodes::Layout;
use proxmo::kernels::{Excluded, ProximityOptions, proximity};
use proxmo::verify::Expected;
use proxmo::verify::cases::{Case, poisoned};

use super::devices::{matrix, numbers, on_every_device};

#[test]
fn the_gradients_are_those_of_the_means() {
    let case = Case::of(&[1, 6, 4], 3, 2).without(Excluded::Itself).at(0.3);
    let gradient = case.gradient();
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
fn the_definition_knows_poison() {
    for case in poisoned() {
        let means = Expected::of(&case).means;
        let unsound = means.iter().filter(|mean| mean.is_nan()).count();
        let is_poisoned = case.name.contains("poisoned");
        assert_eq!(unsound > 0, is_poisoned, "{}", case.name);
        assert!(unsound < means.len(), "{}: nobody is spared", case.name);
    }
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
        assert!(numbers(found.unwrap().means) == values, "{}", adapter.name);
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
