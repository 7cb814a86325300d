//! The oracle of proximity, grids beyond a device's limit, and inputs that do not fit.

use proxmo::credit::{CreditConfig, Temperature};
use proxmo::device::Backend;
use proxmo::episodes::Layout;
use proxmo::kernels::proximity;
use proxmo::verify::cases::{Case, NEIGHBOURS, non_finite};
use proxmo::verify::oracle::ProximityOracle;

use super::devices::{matrix, numbers, on_every_device};

#[test]
fn the_oracles_gradients_are_finite_differences_of_its_means() {
    let case = Case::of(&[1, 6, 4], 3, 2).neighbours(NEIGHBOURS[1]).at(0.3);
    let gradient = case.gradient();
    let (to_embeddings, to_values) = ProximityOracle::of(&case).gradients(&case, &gradient);
    let embeddings: Vec<f64> = case.embeddings.iter().map(|&value| f64::from(value)).collect();
    let values: Vec<f64> = case.values.iter().map(|&value| f64::from(value)).collect();
    let loss = |embeddings: &[f64], values: &[f64]| -> f64 {
        let means = ProximityOracle::at(&case, embeddings, values).means;
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
fn the_oracle_confines_nan_to_the_neighbours_of_a_row() {
    for case in non_finite() {
        let means = ProximityOracle::of(&case).means;
        let nan = means.iter().filter(|mean| mean.is_nan()).count();
        let is_non_finite = case.name.starts_with("with ");
        assert_eq!(nan > 0, is_non_finite, "{}", case.name);
        assert!(nan < means.len(), "{}: every row is NaN", case.name);
    }
}

#[test]
fn grids_longer_than_a_device_allows_are_folded() {
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
        let found = proximity(tensor.clone(), tensor, &layout, &CreditConfig::default());
        assert!(numbers(found.unwrap().means) == values, "{}", adapter.name);
    });
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let device = burn::tensor::Device::flex();
    let layout = Layout::of_groups(&[0, 2]).unwrap();
    let config = CreditConfig::default();
    let two = || matrix(&[1.0, 2.0], 1, &device);
    let message = |rows: &[f32], config: &CreditConfig| {
        proximity(matrix(rows, 1, &device), two(), &layout, config).unwrap_err().to_string()
    };
    let three = message(&[1.0, 2.0, 3.0], &config);
    assert_eq!(three, "embeddings: is 3 by 1, expected 2 rows of at least 1 column");
    let cold = CreditConfig { temperature: Temperature::Fixed(0.0), ..CreditConfig::default() };
    assert!(
        message(&[1.0, 2.0], &cold).starts_with("setting 'credit.temperature': is 0, expected")
    );
    let none = Layout::of_groups(&[0]).unwrap();
    on_every_device(|device, _| {
        let empty = || matrix(&[], 1, device);
        let found = proximity(empty(), empty(), &none, &config).unwrap();
        assert_eq!((found.means.dims(), found.neighbours.dims()), ([0, 1], [0]));
    });
}
