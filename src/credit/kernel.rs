//! Kernel sums: what the nodes of a group add up to, each weighed by how near it is.
//!
//! These loops are where the time of a step baseline goes. They are written in lanes, so that the
//! compiler can use vector instructions of any width, and with an exponential of their own, which
//! costs a fraction of the library's and gives the same bits on every machine.

/// Independent running sums.
const LANES: usize = 4;

/// Counts and sums of every node, side by side.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tallies {
    /// How many rows each node has.
    pub counts: Vec<f64>,
    /// The sum of their returns.
    pub sums: Vec<f64>,
}

/// One node's share of [`Tallies`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tally {
    /// How many rows.
    pub count: f64,
    /// The sum of their returns.
    pub sum: f64,
}

impl Tallies {
    /// Of `nodes` nodes without rows.
    pub fn new(nodes: usize) -> Self {
        Self { counts: vec![0.0; nodes], sums: vec![0.0; nodes] }
    }

    /// One node's.
    pub fn get(&self, node: usize) -> Tally {
        Tally { count: self.counts[node], sum: self.sums[node] }
    }

    /// Replaces one node's.
    pub fn set(&mut self, node: usize, tally: Tally) {
        self.counts[node] = tally.count;
        self.sums[node] = tally.sum;
    }
}

impl Tally {
    /// The same with one value more.
    pub fn with(self, value: f64) -> Self {
        Self { count: self.count + 1.0, sum: self.sum + value }
    }

    /// The same without one of its values.
    pub fn without(self, value: f64) -> Self {
        if self.count <= 1.0 {
            return Self::default();
        }
        Self { count: self.count - 1.0, sum: self.sum - value }
    }
}

/// A weighted mean of returns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The effective number of rows, `(Σ w)² / Σ w²`.
    pub neighbours: f64,
}

/// Sums over rows, all weights relative to that of the nearest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sums {
    nearest: f64,
    weight: f64,
    returns: f64,
    weights_squared: f64,
}

impl Sums {
    /// Over the nodes that have rows, except `skipped`.
    pub fn around(
        tallies: &Tallies,
        cosines: &[f64],
        skipped: Option<usize>,
        temperature: f64,
        weights: &mut Vec<f64>,
    ) -> Self {
        weights.clear();
        let counted = cosines.iter().zip(&tallies.counts);
        weights.extend(counted.map(|(&c, &n)| if n > 0.0 { c } else { f64::NEG_INFINITY }));
        if let Some(node) = skipped {
            weights[node] = f64::NEG_INFINITY;
        }
        let nearest = greatest(weights);
        if nearest == f64::NEG_INFINITY {
            return Self { nearest, weight: 0.0, returns: 0.0, weights_squared: 0.0 };
        }
        let scale = 1.0 / temperature;
        weights.iter_mut().for_each(|weight| *weight = exp((*weight - nearest) * scale));
        let [weight, weights_squared] = norms(&tallies.counts, weights);
        Self { nearest, weight, returns: dot(&tallies.sums, weights), weights_squared }
    }

    /// The same with more rows, at one cosine.
    pub fn and(self, tally: Tally, cosine: f64, temperature: f64) -> Self {
        if tally.count <= 0.0 {
            return self;
        }
        let nearest = self.nearest.max(cosine);
        let scale = 1.0 / temperature;
        let shrink = exp((self.nearest - nearest) * scale);
        let weight = exp((cosine - nearest) * scale);
        Self {
            nearest,
            weight: self.weight * shrink + weight * tally.count,
            returns: self.returns * shrink + weight * tally.sum,
            weights_squared: self.weights_squared * shrink * shrink + weight * weight * tally.count,
        }
    }

    /// The weighted mean; nothing where no row is among the sums.
    pub fn estimate(&self) -> Option<Estimate> {
        (self.weight > 0.0).then(|| Estimate {
            mean: self.returns / self.weight,
            neighbours: self.weight * self.weight / self.weights_squared,
        })
    }
}

/// `e^x` for `x ≤ 0`, to a relative error below 1e-14. Below −700 it stays what it is there, which
/// beside the weight 1 of the nearest is nothing.
///
/// `x = k ln 2 + r`, `e^x = 2^k e^r`, and `e^r` by its series for `|r| ≤ ½ ln 2`, in parts that
/// need not wait for each other. Without a branch: `k` is rounded by adding a number so large that no
/// place is left behind the point, stands then in the sum's low bits, and moves from there into an
/// exponent.
#[inline]
pub fn exp(x: f64) -> f64 {
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

/// The greatest of some numbers, minus infinity without any.
fn greatest(values: &[f64]) -> f64 {
    let mut lanes = [f64::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    let larger = |a: f64, b: f64| if b > a { b } else { a };
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], chunk[lane]);
        }
    }
    lanes.iter().chain(rest).fold(f64::NEG_INFINITY, |most, &value| larger(most, value))
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
    fn the_exponential_is_the_librarys() {
        for step in 0..70_000 {
            let x = f64::from(step) * -0.01;
            let off = (exp(x) - x.exp()).abs() / x.exp();
            assert!(off < 1e-14, "e^{x} is {}, not {}: off by {off}", exp(x), x.exp());
        }
        assert_eq!((exp(0.0), exp(-0.0)), (1.0, 1.0));
        assert_eq!(exp(f64::NEG_INFINITY), exp(-700.0));
        assert!(exp(-700.0) < 1e-303);
    }

    fn five() -> (Tallies, [f64; 5]) {
        let mut tallies = Tallies::new(5);
        let tally = |values: &[f64]| {
            values.iter().fold(Tally::default(), |tally, &value| tally.with(value))
        };
        tallies.set(0, tally(&[-2.0, 0.0, 3.0]));
        tallies.set(1, tally(&[-1.0]));
        tallies.set(3, tally(&[5.0, 5.0]));
        tallies.set(4, tally(&[1.0]));
        (tallies, [1.0, 0.5, 0.99, 0.0, -0.25])
    }

    #[test]
    fn sums_are_weighted_means_at_any_temperature() {
        let (tallies, cosines) = five();
        let around = |temperature| {
            let sums = Sums::around(&tallies, &cosines, None, temperature, &mut Vec::new());
            sums.estimate().unwrap()
        };
        let values = [(-2.0, 0), (0.0, 0), (3.0, 0), (-1.0, 1), (5.0, 3), (5.0, 3), (1.0, 4)];
        let weigh = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
            values.iter().map(|&(value, node)| of(value, (cosines[node] / 0.3f64).exp())).sum()
        };
        let mean = weigh(&|value, weight| value * weight) / weigh(&|_, weight| weight);
        let estimate = around(0.3);
        assert!((estimate.mean - mean).abs() < 1e-12);
        let neighbours = weigh(&|_, weight| weight).powi(2) / weigh(&|_, weight| weight * weight);
        assert!((estimate.neighbours - neighbours).abs() < 1e-12);
        assert!((around(1e12).mean - 11.0 / 7.0).abs() < 1e-9);
        assert!((around(1e-12).mean - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn rows_kept_apart_add_up_to_the_whole() {
        let (tallies, cosines) = five();
        let around = |skipped| Sums::around(&tallies, &cosines, skipped, 0.1, &mut Vec::new());
        let apart = around(Some(0)).and(tallies.get(0), 1.0, 0.1).estimate().unwrap();
        let whole = around(None).estimate().unwrap();
        assert!((apart.mean - whole.mean).abs() < 1e-12);
        assert!((apart.neighbours - whole.neighbours).abs() < 1e-12);
    }

    #[test]
    fn the_nearest_may_be_far_and_there_may_be_none() {
        let (mut tallies, cosines) = five();
        let alone = Sums::around(&tallies, &cosines, Some(0), 1e-5, &mut Vec::new());
        assert_eq!(alone.estimate().unwrap().mean, -1.0);
        for node in 0..5 {
            tallies.set(node, Tally::default());
        }
        let none = Sums::around(&tallies, &cosines, None, 0.1, &mut Vec::new());
        assert_eq!(none.estimate(), None);
        let itself = none.and(Tally::default().with(4.0), 0.0, 0.1).estimate().unwrap();
        assert_eq!((itself.mean, itself.neighbours), (4.0, 1.0));
    }

    #[test]
    fn a_value_taken_off_leaves_the_others() {
        let two = Tally::default().with(1.0).with(4.0);
        assert_eq!(two.without(1.0), Tally::default().with(4.0));
        assert_eq!(two.without(1.0).without(4.0), Tally::default());
    }
}
