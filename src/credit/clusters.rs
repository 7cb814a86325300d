//! Step baselines from clusters: each row is compared with the mean of its cluster.

use super::config::Normalize;
use super::parts::StepPart;

/// Added to every standard deviation used as a divisor, as in the published codes.
pub(crate) const EPSILON: f64 = 1e-6;

/// Count, mean and summed squared deviation of the values with one label.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Moments {
    /// The number of values.
    pub count: f64,
    /// Their mean; 0 without any.
    pub mean: f64,
    /// The sum of their squared distances from the mean.
    pub spread: f64,
}

impl Moments {
    /// The moments of `values` by label; labels are below `labels`.
    pub fn by_label(values: &[f64], label_of: &[u32], labels: usize) -> Vec<Self> {
        let mut moments = vec![Self::default(); labels];
        // Measured from the first, equal values are exactly equal to their mean.
        let mut firsts = vec![0.0; labels];
        for (&value, &label) in values.iter().zip(label_of) {
            let (cluster, first) = (&mut moments[label as usize], &mut firsts[label as usize]);
            if cluster.count == 0.0 {
                *first = value;
            }
            cluster.count += 1.0;
            cluster.mean += value - *first;
        }
        for (cluster, first) in moments.iter_mut().zip(&firsts) {
            cluster.mean = first + cluster.mean / cluster.count.max(1.0);
        }
        for (&value, &label) in values.iter().zip(label_of) {
            let cluster = &mut moments[label as usize];
            cluster.spread += (value - cluster.mean).powi(2);
        }
        moments
    }

    /// The unbiased standard deviation; 0 for fewer than two values.
    pub fn deviation(&self) -> f64 {
        (self.spread / (self.count - 1.0).max(1.0)).sqrt()
    }

    /// The divisor of centred values.
    pub fn scale(&self, normalize: Normalize) -> f64 {
        match normalize {
            Normalize::MeanStd => self.deviation() + EPSILON,
            Normalize::Mean | Normalize::Auto => 1.0,
        }
    }
}

/// Each value minus the mean of the values with its label, divided by their unbiased deviation + 1e-6
/// with `mean-std`. A value with a unique label becomes 0.
pub(crate) fn centred(
    values: &[f64],
    label_of: &[u32],
    labels: usize,
    normalize: Normalize,
) -> Vec<f64> {
    let clusters = Moments::by_label(values, label_of, labels);
    let centre = |(&value, &label): (&f64, &u32)| {
        let cluster = &clusters[label as usize];
        (value - cluster.mean) / cluster.scale(normalize)
    };
    values.iter().zip(label_of).map(centre).collect()
}

/// Each row's return minus the mean of its cluster, divided by the unbiased deviation + 1e-6 with
/// `mean-std`. The only row of a cluster gets 0.
pub(crate) fn step_part(
    returns: &[f64],
    label_of: &[u32],
    labels: usize,
    normalize: Normalize,
) -> StepPart {
    let clusters = Moments::by_label(returns, label_of, labels);
    let mut part = StepPart {
        advantages: centred(returns, label_of, labels, normalize),
        ..StepPart::default()
    };
    for (&value, &label) in returns.iter().zip(label_of) {
        let cluster = &clusters[label as usize];
        part.baselines.push(cluster.mean);
        part.neighbours.push(cluster.count);
        if cluster.count > 1.0 {
            // Leaving the row out increases its distance from the mean by n / (n − 1).
            let error = (value - cluster.mean) * cluster.count / (cluster.count - 1.0);
            part.held_out.push(error * error);
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_compared_within_their_cluster() {
        let part = step_part(&[1.0, 3.0, 7.0, 5.0], &[0, 0, 2, 0], 3, Normalize::Mean);
        assert_eq!(part.advantages, [-2.0, 0.0, 0.0, 2.0]);
        assert_eq!(part.baselines, [3.0, 3.0, 7.0, 3.0]);
        assert_eq!(part.neighbours, [3.0, 3.0, 1.0, 3.0]);
        assert_eq!(part.held_out, [9.0, 0.0, 9.0]);
        let scaled = step_part(&[1.0, 3.0, 7.0, 5.0], &[0, 0, 2, 0], 3, Normalize::MeanStd);
        assert!((scaled.advantages[0] + 2.0 / (2.0 + EPSILON)).abs() < 1e-12);
        assert_eq!(scaled.advantages[2], 0.0);
    }

    #[test]
    fn equal_returns_have_advantage_zero_with_scaling() {
        let part = step_part(&[0.1; 7], &[0; 7], 1, Normalize::MeanStd);
        assert_eq!(part.advantages, [0.0; 7]);
    }
}
