//! The loss of the value head.

use burn::tensor::Tensor;

/// What estimated values are compared with. All tensors have the shape `[rows]`.
#[derive(Debug, Clone)]
pub struct ValueTargets {
    /// The returns that values estimate.
    pub returns: Tensor<1>,
    /// The values when the episodes were played.
    pub old_values: Tensor<1>,
    /// The weight of each row. The weights of a minibatch add up to 1; those of a shard of it add up to the
    /// shard's share.
    pub weights: Tensor<1>,
}

/// Half the squared error of values, with the clip of PPO (as in the code of arXiv 1707.06347; arXiv
/// 2005.12729 gives the formula): `[1]`.
///
/// ```text
/// loss = ½ · weighted mean over rows of max( (V − R)², (V_old + clip(V − V_old, −c, c) − R)² )
/// ```
///
/// so a value gains nothing by moving further than `clip` from what it was when the episodes were played. 0
/// turns the clip off. The gradient flows through `values` alone.
pub fn clipped_value_loss(values: Tensor<1>, targets: ValueTargets, clip: f32) -> Tensor<1> {
    let ValueTargets { returns, old_values, weights } = targets;
    let free = (values.clone() - returns.clone()).square();
    let errors = if clip > 0.0 {
        let moved = (values - old_values.clone()).clamp(-clip, clip);
        free.max_pair((old_values + moved - returns).square())
    } else {
        free
    };
    (errors * weights).sum().mul_scalar(0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::read;
    use burn::tensor::Device;
    use proptest::prelude::*;

    /// The formula row by row in f64.
    fn reference(values: &[f64], rows: &[(f32, f32, f32)], clip: f64) -> f64 {
        let row = |(value, &(old, target, weight)): (&f64, &(f32, f32, f32))| {
            let (old, target) = (f64::from(old), f64::from(target));
            let free = (value - target).powi(2);
            let clipped = (old + (value - old).clamp(-clip, clip) - target).powi(2);
            let error = if clip > 0.0 { free.max(clipped) } else { free };
            0.5 * f64::from(weight) * error
        };
        values.iter().zip(rows).map(row).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn loss_and_gradient_agree_with_finite_differences(
            values in prop::collection::vec(-2f32..2.0, 5..6),
            rows in prop::collection::vec((-2f32..2.0, -2f32..2.0, 0f32..1.0), 5..6),
            clip in prop::sample::select(vec![0f32, 0.2, 1.0]),
        ) {
            let device = Device::flex().autodiff();
            let vector = |values: Vec<f32>| Tensor::<1>::from_floats(values.as_slice(), &device);
            let tensor = vector(values.clone()).require_grad();
            let targets = ValueTargets {
                old_values: vector(rows.iter().map(|row| row.0).collect()),
                returns: vector(rows.iter().map(|row| row.1).collect()),
                weights: vector(rows.iter().map(|row| row.2).collect()),
            };
            let loss = clipped_value_loss(tensor.clone(), targets, clip);
            let gradients = loss.clone().backward();
            let gradient = read(tensor.grad(&gradients).unwrap()).unwrap();
            let wide: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
            let at = |wide: &[f64]| reference(wide, &rows, f64::from(clip));
            prop_assert!((f64::from(read(loss).unwrap()[0]) - at(&wide)).abs() < 1e-5);
            for row in 0..values.len() {
                let shifted = |by: f64| {
                    let mut wide = wide.clone();
                    wide[row] += by;
                    at(&wide)
                };
                let slopes = [0.0, 1e-6].map(|from| (shifted(from) - shifted(from - 1e-6)) / 1e-6);
                // At a kink the slopes of both sides differ, and either is one.
                let (least, most) = (slopes[0].min(slopes[1]), slopes[0].max(slopes[1]));
                let found = f64::from(gradient[row]);
                prop_assert!(found > least - 1e-4 && found < most + 1e-4, "{} {:?}", found, slopes);
            }
        }
    }
}
