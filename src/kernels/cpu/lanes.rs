//! Loops that compilers turn into vector instructions: several running results side by side, and no
//! branches.

/// Running results side by side.
const LANES: usize = 8;

/// The same for the widest vectors.
const WIDE: usize = 32;

/// Added to a small number, it leaves the number rounded in its lowest bits.
const ROUND: f32 = 12_582_912.0;

/// `Σ a b` in 64 bits.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0f64; LANES];
    let (left, right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = left.remainder().iter().zip(right.remainder());
    let rest: f64 = rest.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
    for (a, b) in left.zip(right) {
        for lane in 0..LANES {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// `Σ a` in 64 bits.
pub(super) fn sum(a: &[f32]) -> f64 {
    let mut sums = [0f64; LANES];
    let chunks = a.chunks_exact(LANES);
    let rest: f64 = chunks.remainder().iter().copied().map(f64::from).sum();
    for a in chunks {
        for lane in 0..LANES {
            sums[lane] += f64::from(a[lane]);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// The greatest of numbers without NaN.
#[inline(always)]
pub(super) fn greatest(a: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut most = [f32::NEG_INFINITY; WIDE];
    let chunks = a.chunks_exact(WIDE);
    let rest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, larger);
    for a in chunks {
        for lane in 0..WIDE {
            most[lane] = larger(most[lane], a[lane]);
        }
    }
    most.into_iter().fold(rest, larger)
}

/// `e^x` for `x` up to 0, right to 3e-7 of itself; 0 below −87, where 32-bit numbers become denormal; NaN
/// of NaN. `2^n e^r` with `|r|` at most half of ln 2, and Taylor's series for the latter.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // ln 2 in two parts, so that n times the first is exact.
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    const LEAST: f32 = -87.0;
    let bounded = if x < LEAST { LEAST } else { x };
    let shifted = bounded * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (bounded - n * HIGH) - n * LOW;
    let mut series = 1.0 / 5040.0;
    for factorial in [720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0] {
        series = series * r + 1.0 / factorial;
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23)) * series;
    if x < LEAST { 0.0 } else { power }
}

/// `1 / (1 + e^−x)`, right to 5e-7 of itself; 0 below −87.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    let small = exp(-x.abs());
    let share = 1.0 / (1.0 + small);
    if x < 0.0 { small * share } else { share }
}

/// `Σ f(a, b)` over pairs, in 32 bits.
#[inline(always)]
pub(super) fn sum_of(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0f32; WIDE];
    let length = a.len().min(b.len());
    let (left, right) = (a[..length].chunks_exact(WIDE), b[..length].chunks_exact(WIDE));
    let rest = left.remainder().iter().zip(right.remainder());
    let rest: f32 = rest.map(|(&a, &b)| f(a, b)).sum();
    for (a, b) in left.zip(right) {
        for lane in 0..WIDE {
            sums[lane] += f(a[lane], b[lane]);
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Replaces gates by `silu(gate) up`.
#[inline(always)]
pub(super) fn swiglu(gates: &mut [f32], ups: &[f32]) {
    for (gate, up) in gates.iter_mut().zip(ups) {
        *gate = *gate * sigmoid(*gate) * up;
    }
}

/// Replaces gates by their gradients, and the gradients of [`swiglu`] by those of the ups.
#[inline(always)]
pub(super) fn swiglu_slopes(gates: &mut [f32], ups: &[f32], gradients: &mut [f32]) {
    for ((gate, up), gradient) in gates.iter_mut().zip(ups).zip(gradients) {
        let share = sigmoid(*gate);
        let silu = *gate * share;
        *gate = *gradient * up * (share + silu * (1.0 - share));
        *gradient *= silu;
    }
}

/// Replaces scores by `softmax(scale · scores)`, all NaN if one is NaN or infinite.
#[inline(always)]
pub(super) fn softmax(scores: &mut [f32], scale: f32) {
    let greatest = greatest(scores);
    for score in scores.iter_mut() {
        // The product with 0 is NaN where the score is not finite.
        *score = exp((*score - greatest) * scale) + *score * 0.0;
    }
    let share = 1.0 / sum_of(scores, scores, |weight, _| weight);
    scores.iter_mut().for_each(|weight| *weight *= share);
}

/// Rotates the pairs `(x_i, x_{i + half})` of a head by angles, or back.
#[inline(always)]
pub(super) fn rotate(head: &mut [f32], [cosines, sines]: [&[f32]; 2], back: bool) {
    let sign = if back { -1.0 } else { 1.0 };
    let (low, high) = head.split_at_mut(cosines.len());
    for ((a, b), (cosine, sine)) in low.iter_mut().zip(high).zip(cosines.iter().zip(sines)) {
        let sine = sine * sign;
        (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
    }
}

/// `Σ exp(l − greatest)` and `Σ exp(l − greatest) (l − greatest)` of a few hundred numbers.
pub(super) fn softmax_sums(logits: &[f32], greatest: f32) -> (f32, f32) {
    let (mut totals, mut weighed) = ([0f32; LANES], [0f32; LANES]);
    let chunks = logits.chunks_exact(LANES);
    for (lane, &logit) in chunks.remainder().iter().enumerate() {
        let below = logit - greatest;
        totals[lane] += exp(below);
        weighed[lane] += exp(below) * below;
    }
    for logits in chunks {
        for lane in 0..LANES {
            let below = logits[lane] - greatest;
            let weight = exp(below);
            totals[lane] += weight;
            weighed[lane] += weight * below;
        }
    }
    (totals.iter().sum(), weighed.iter().sum())
}

/// `exp((l − greatest) · scale)` of each logit, where none exceeds the greatest.
pub(crate) fn softmax_weights(logits: &[f32], scale: f32) -> Vec<f32> {
    let greatest = greatest(logits);
    logits.iter().map(|logit| exp((logit - greatest) * scale)).collect()
}

/// Replaces logits by `p (a − b (log p + H))`, the gradient of their softmax's log-sum and entropy.
pub(super) fn softmax_slopes(logits: &mut [f32], [log_sum, entropy]: [f32; 2], [a, b]: [f32; 2]) {
    for logit in logits {
        let log_p = *logit - log_sum;
        *logit = exp(log_p.min(0.0)) * (a - b * (log_p + entropy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_right_to_the_last_digits() {
        for step in 0..87_000 {
            let x = -0.001 * step as f32;
            let exact = f64::from(x).exp();
            let off = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(off < 3e-7, "e^{x} is off by {off}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!((0.0..2e-38).contains(&exp(-1e30)) && (0.0..2e-38).contains(&exp(f32::MIN)));
    }

    #[test]
    fn sums_are_those_of_plain_loops_at_every_length() {
        for length in 0..40 {
            let a: Vec<f32> = (0..length).map(|at| ((at * 7) % 11) as f32 - 5.0).collect();
            let b: Vec<f32> = a.iter().map(|value| value * 0.5 + 1.0).collect();
            let plain = a.iter().zip(&b).map(|(&a, &b)| f64::from(a * b)).sum::<f64>();
            assert_eq!(dot(&a, &b), plain);
            assert_eq!(sum(&a), a.iter().map(|&value| f64::from(value)).sum::<f64>());
            assert_eq!(greatest(&a), a.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}
