//! Means and deviations.

/// The mean; NaN without values.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation with `lost` degrees of freedom taken off; 0 where none are left.
pub(super) fn deviation(values: &[f64], lost: usize) -> f64 {
    if values.len() <= lost {
        return 0.0;
    }
    let mean = mean(values);
    let spread: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (spread / (values.len() - lost) as f64).sqrt()
}
