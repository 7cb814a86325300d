//! Kernel sums: weighted sums over the nodes of a group.
//!
//! Step baselines spend most of their time in these loops. They are written in lanes, so that the
//! compiler can use vector instructions of any width, and with an exponential that is faster than the
//! standard library's and gives the same bits on every machine.

/// The number of independent running sums.
const LANES: usize = 4;

/// The rows of every node: their counts and the sums of their returns.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ReturnSums {
    /// The number of rows of each node.
    pub counts: Vec<f64>,
    /// The sum of each node's returns.
    pub sums: Vec<f64>,
}

/// The rows of one node.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct ReturnSum {
    /// The number of rows.
    pub count: f64,
    /// The sum of their returns.
    pub sum: f64,
}

impl ReturnSums {
    /// `nodes` nodes without rows.
    pub fn new(nodes: usize) -> Self {
        Self { counts: vec![0.0; nodes], sums: vec![0.0; nodes] }
    }

    /// The rows of one node.
    pub fn get(&self, node: usize) -> ReturnSum {
        ReturnSum { count: self.counts[node], sum: self.sums[node] }
    }

    /// Replaces the rows of one node.
    pub fn set(&mut self, node: usize, rows: ReturnSum) {
        self.counts[node] = rows.count;
        self.sums[node] = rows.sum;
    }
}

impl ReturnSum {
    /// With one more value.
    pub fn with(self, value: f64) -> Self {
        Self { count: self.count + 1.0, sum: self.sum + value }
    }

    /// Without one of its values.
    pub fn without(self, value: f64) -> Self {
        if self.count <= 1.0 {
            return Self::default();
        }
        Self { count: self.count - 1.0, sum: self.sum - value }
    }
}

/// A weighted mean of returns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The effective number of rows, `(Σ w)² / Σ w²`.
    pub neighbours: f64,
}

/// Weighted sums over rows. Weights are relative to that of the nearest row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct KernelSums {
    nearest: f64,
    weight: f64,
    returns: f64,
    weights_squared: f64,
}

impl KernelSums {
    /// The sums over all nodes that have rows, except `skipped`.
    pub fn over(
        rows: &ReturnSums,
        cosines: &[f64],
        skipped: Option<usize>,
        temperature: f64,
        weights: &mut Vec<f64>,
    ) -> Self {
        weights.clear();
        let counted = cosines.iter().zip(&rows.counts);
        weights.extend(counted.map(|(&c, &n)| if n > 0.0 { c } else { f64::NEG_INFINITY }));
        if let Some(node) = skipped {
            weights[node] = f64::NEG_INFINITY;
        }
        let nearest = largest(weights);
        if nearest == f64::NEG_INFINITY {
            return Self { nearest, weight: 0.0, returns: 0.0, weights_squared: 0.0 };
        }
        let scale = 1.0 / temperature;
        weights.iter_mut().for_each(|weight| *weight = exp((*weight - nearest) * scale));
        let [weight, weights_squared] = norms(&rows.counts, weights);
        Self { nearest, weight, returns: dot(&rows.sums, weights), weights_squared }
    }

    /// With more rows, at one cosine.
    pub fn with(self, rows: ReturnSum, cosine: f64, temperature: f64) -> Self {
        if rows.count <= 0.0 {
            return self;
        }
        let nearest = self.nearest.max(cosine);
        let scale = 1.0 / temperature;
        let shrink = exp((self.nearest - nearest) * scale);
        let weight = exp((cosine - nearest) * scale);
        Self {
            nearest,
            weight: self.weight * shrink + weight * rows.count,
            returns: self.returns * shrink + weight * rows.sum,
            weights_squared: self.weights_squared * shrink * shrink + weight * weight * rows.count,
        }
    }

    /// The weighted mean; nothing without rows.
    pub fn estimate(&self) -> Option<Estimate> {
        (self.weight > 0.0).then(|| Estimate {
            mean: self.returns / self.weight,
            neighbours: self.weight * self.weight / self.weights_squared,
        })
    }
}

/// `e^x` for `x ≤ 0`, with a relative error below 1e-14. Below −700 it is constant, which is negligible
/// next to the weight 1 of the nearest row.
///
/// `x = k ln 2 + r`, `e^x = 2^k e^r`, and `e^r` by its series for `|r| ≤ ½ ln 2`, in independent
/// parts. There are no branches: adding a large number rounds `k` to an integer that then occupies the
/// low bits of the sum, from where it is shifted into an exponent.
#[inline]
pub(crate) fn exp(x: f64) -> f64 {
    const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 · 2^52
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let x = if x > -700.0 { x } else { -700.0 };
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
    let r2 = r * r;
    let r4 = r2 * r2;
    let low = (SERIES[0] + SERIES[1] * r) + (SERIES[2] + SERIES[3] * r) * r2;
    let middle = (SERIES[4] + SERIES[5] * r) + (SERIES[6] + SERIES[7] * r) * r2;
    let high = (SERIES[8] + SERIES[9] * r) + (SERIES[10] + SERIES[11] * r) * r2;
    let power = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52));
    (low + (middle + high * r4) * r4) * power
}

/// 1/0!, 1/1!, … 1/11!.
const SERIES: [f64; 12] = [
    1.0,
    1.0,
    1.0 / 2.0,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5_040.0,
    1.0 / 40_320.0,
    1.0 / 362_880.0,
    1.0 / 3_628_800.0,
    1.0 / 39_916_800.0,
];

/// The largest of some numbers; minus infinity without any.
fn largest(values: &[f64]) -> f64 {
    let mut lanes = [f64::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    let larger = |a: f64, b: f64| if b > a { b } else { a };
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], chunk[lane]);
        }
    }
    lanes.iter().chain(rest).fold(f64::NEG_INFINITY, |largest, &value| larger(largest, value))
}

/// `Σ a b`.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (chunks_a, chunks_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = chunks_a.remainder().iter().zip(chunks_b.remainder());
    let rest: f64 = rest.map(|(a, b)| a * b).sum();
    for (a, b) in chunks_a.zip(chunks_b) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    rest + (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
}

/// `Σ n w` and `Σ n w²`.
fn norms(counts: &[f64], weights: &[f64]) -> [f64; 2] {
    let mut sums = [[0.0; LANES]; 2];
    let (chunks_n, chunks_w) = (counts.chunks_exact(LANES), weights.chunks_exact(LANES));
    let mut rest = [0.0; 2];
    for (n, w) in chunks_n.remainder().iter().zip(chunks_w.remainder()) {
        rest[0] += n * w;
        rest[1] += n * w * w;
    }
    for (n, w) in chunks_n.zip(chunks_w) {
        for lane in 0..LANES {
            let weight = n[lane] * w[lane];
            sums[0][lane] += weight;
            sums[1][lane] += weight * w[lane];
        }
    }
    [0, 1].map(|at| rest[at] + (sums[at][0] + sums[at][1]) + (sums[at][2] + sums[at][3]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_agrees_with_the_standard_library() {
        for step in 0..70_000 {
            let x = f64::from(step) * -0.01;
            let off = (exp(x) - x.exp()).abs() / x.exp();
            assert!(off < 1e-14, "e^{x} is {}, not {}: off by {off}", exp(x), x.exp());
        }
        assert_eq!((exp(0.0), exp(-0.0)), (1.0, 1.0));
        assert_eq!(exp(f64::NEG_INFINITY), exp(-700.0));
        assert!(exp(-700.0) < 1e-303);
    }

    fn five() -> (ReturnSums, [f64; 5]) {
        let mut nodes = ReturnSums::new(5);
        let rows = |values: &[f64]| {
            values.iter().fold(ReturnSum::default(), |rows, &value| rows.with(value))
        };
        nodes.set(0, rows(&[-2.0, 0.0, 3.0]));
        nodes.set(1, rows(&[-1.0]));
        nodes.set(3, rows(&[5.0, 5.0]));
        nodes.set(4, rows(&[1.0]));
        (nodes, [1.0, 0.5, 0.99, 0.0, -0.25])
    }

    #[test]
    fn sums_are_weighted_means_at_any_temperature() {
        let (nodes, cosines) = five();
        let estimate = |temperature| {
            let sums = KernelSums::over(&nodes, &cosines, None, temperature, &mut Vec::new());
            sums.estimate().unwrap()
        };
        let values = [(-2.0, 0), (0.0, 0), (3.0, 0), (-1.0, 1), (5.0, 3), (5.0, 3), (1.0, 4)];
        let weigh = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
            values.iter().map(|&(value, node)| of(value, (cosines[node] / 0.3f64).exp())).sum()
        };
        let mean = weigh(&|value, weight| value * weight) / weigh(&|_, weight| weight);
        let found = estimate(0.3);
        assert!((found.mean - mean).abs() < 1e-12);
        let neighbours = weigh(&|_, weight| weight).powi(2) / weigh(&|_, weight| weight * weight);
        assert!((found.neighbours - neighbours).abs() < 1e-12);
        assert!((estimate(1e12).mean - 11.0 / 7.0).abs() < 1e-9);
        assert!((estimate(1e-12).mean - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn rows_summed_separately_give_the_same_sums() {
        let (nodes, cosines) = five();
        let over = |skipped| KernelSums::over(&nodes, &cosines, skipped, 0.1, &mut Vec::new());
        let separate = over(Some(0)).with(nodes.get(0), 1.0, 0.1).estimate().unwrap();
        let whole = over(None).estimate().unwrap();
        assert!((separate.mean - whole.mean).abs() < 1e-12);
        assert!((separate.neighbours - whole.neighbours).abs() < 1e-12);
    }

    #[test]
    fn the_nearest_row_may_be_far_or_absent() {
        let (mut nodes, cosines) = five();
        let alone = KernelSums::over(&nodes, &cosines, Some(0), 1e-5, &mut Vec::new());
        assert_eq!(alone.estimate().unwrap().mean, -1.0);
        for node in 0..5 {
            nodes.set(node, ReturnSum::default());
        }
        let none = KernelSums::over(&nodes, &cosines, None, 0.1, &mut Vec::new());
        assert_eq!(none.estimate(), None);
        let itself = none.with(ReturnSum::default().with(4.0), 0.0, 0.1).estimate().unwrap();
        assert_eq!((itself.mean, itself.neighbours), (4.0, 1.0));
    }

    #[test]
    fn removing_a_value_leaves_the_others() {
        let two = ReturnSum::default().with(1.0).with(4.0);
        assert_eq!(two.without(1.0), ReturnSum::default().with(4.0));
        assert_eq!(two.without(1.0).without(4.0), ReturnSum::default());
    }
}
