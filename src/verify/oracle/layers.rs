//! Layers of language models, row by row, and their gradients by central differences.

/// `x / (1 + e^−x) · up`, number by number.
pub fn swiglu(gate: &[f64], up: &[f64]) -> Vec<f64> {
    gate.iter().zip(up).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect()
}

/// A row of root mean square normalisation.
pub fn rms_norm(x: &[f64], weight: &[f64], epsilon: f64) -> Vec<f64> {
    let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
    let rms = (mean + epsilon).sqrt();
    x.iter().zip(weight).map(|(x, weight)| x / rms * weight).collect()
}

/// A row of the causal softmax of the query that sees `seen` keys.
pub fn causal_softmax(scores: &[f64], seen: usize, scale: f64) -> Vec<f64> {
    let greatest = scores[..seen].iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weight = |(key, score): (usize, &f64)| match key < seen {
        true => (scale * (score - greatest)).exp(),
        false => 0.0,
    };
    let weights: Vec<f64> = scores.iter().enumerate().map(weight).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

/// The rotation of a head by the angle of each pair.
pub fn rotate(head: &[f64], angles: &[f64]) -> Vec<f64> {
    let (low, high) = head.split_at(angles.len());
    let pairs = || low.iter().zip(high).zip(angles);
    let first = pairs().map(|((a, b), angle)| a * angle.cos() - b * angle.sin());
    let second = pairs().map(|((a, b), angle)| b * angle.cos() + a * angle.sin());
    first.chain(second).collect()
}

/// The gradient of `Σ weights · f(x)`.
pub fn slopes(x: &[f64], weights: &[f64], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let sum = |x: &[f64]| f(x).iter().zip(weights).map(|(y, weight)| y * weight).sum::<f64>();
    let moved = |at: usize, step: f64| {
        let mut x = x.to_vec();
        x[at] += step;
        sum(&x)
    };
    (0..x.len()).map(|at| (moved(at, STEP) - moved(at, -STEP)) / (2.0 * STEP)).collect()
}
