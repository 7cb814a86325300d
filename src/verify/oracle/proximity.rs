//! Soft aggregation by proximity, and its gradients.

use crate::credit::Inclusion;
use crate::verify::cases::Case;

/// The expected results of proximity. Builds the matrix of all pairs.
#[derive(Debug)]
pub struct ProximityOracle {
    /// `[rows, columns]`
    pub means: Vec<f64>,
    /// `[rows]`
    pub neighbours: Vec<f64>,
    /// Softmax weights of all pairs, for the gradients.
    weights: Vec<f64>,
    unit: Vec<f64>,
    lengths: Vec<f64>,
    isolated: Vec<bool>,
    /// Whether a row (first index) has another (second index) as a neighbour.
    neighbour_of: Vec<bool>,
}

impl ProximityOracle {
    /// The results of a case.
    pub fn of(case: &Case) -> Self {
        let wide: Vec<f64> = case.embeddings.iter().map(|&value| f64::from(value)).collect();
        let values: Vec<f64> = case.values.iter().map(|&value| f64::from(value)).collect();
        Self::at(case, &wide, &values)
    }

    /// The results of a case with other embeddings and values.
    pub fn at(case: &Case, embeddings: &[f64], values: &[f64]) -> Self {
        let (rows, columns) = (case.rows(), case.columns);
        let (unit, lengths) = units(embeddings, case.width);
        let neighbour_of = neighbours(case);
        let non_finite = |row: usize| {
            let mut numbers = embeddings[row * case.width..(row + 1) * case.width]
                .iter()
                .chain(&values[row * columns..(row + 1) * columns]);
            numbers.any(|value| !value.is_finite())
        };
        let non_finite: Vec<bool> = (0..rows).map(non_finite).collect();
        let mut expected = Self {
            means: vec![f64::NAN; rows * columns],
            neighbours: vec![f64::NAN; rows],
            weights: vec![0.0; rows * rows],
            unit,
            lengths,
            isolated: vec![false; rows],
            neighbour_of,
        };
        for row in 0..rows {
            let seen: Vec<usize> =
                (0..rows).filter(|other| expected.neighbour_of[row * rows + other]).collect();
            if non_finite[row] || seen.iter().any(|&other| non_finite[other]) {
                continue;
            }
            expected.row(case, row, &seen, values);
        }
        expected
    }

    /// The length of a row's embedding.
    pub fn length(&self, row: usize) -> f64 {
        self.lengths[row]
    }

    fn row(&mut self, case: &Case, row: usize, seen: &[usize], values: &[f64]) {
        let (rows, width, columns) = (case.rows(), case.width, case.columns);
        let means = row * columns..(row + 1) * columns;
        if seen.is_empty() {
            self.isolated[row] = true;
            self.neighbours[row] = 0.0;
            self.means[means.clone()].copy_from_slice(&values[means]);
            return;
        }
        let cosine = |other: usize| -> f64 {
            (0..width).map(|k| self.unit[row * width + k] * self.unit[other * width + k]).sum()
        };
        let cosines: Vec<f64> = seen.iter().map(|&other| cosine(other)).collect();
        let nearest = cosines.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let temperature = f64::from(case.temperature);
        let weights: Vec<f64> =
            cosines.iter().map(|cosine| ((cosine - nearest) / temperature).exp()).collect();
        let total: f64 = weights.iter().sum();
        let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
        self.neighbours[row] = total * total / squares;
        self.means[means.clone()].fill(0.0);
        for (&other, weight) in seen.iter().zip(weights) {
            self.weights[row * rows + other] = weight / total;
            for column in 0..columns {
                self.means[means.start + column] +=
                    weight / total * values[other * columns + column];
            }
        }
    }

    /// The gradients of `Σ gradient · means`, by the definition of a derivative of a softmax.
    pub fn gradients(&self, case: &Case, gradient: &[f32]) -> (Vec<f64>, Vec<f64>) {
        let (rows, width, columns) = (case.rows(), case.width, case.columns);
        let mut to_unit = vec![0.0; rows * width];
        let mut to_values = vec![0.0; rows * columns];
        for row in 0..rows {
            if self.isolated[row] {
                for at in row * columns..(row + 1) * columns {
                    to_values[at] += f64::from(gradient[at]);
                }
            }
            for other in 0..rows {
                let weight = self.weights[row * rows + other];
                if weight == 0.0 {
                    continue;
                }
                let mut slope = 0.0;
                for column in 0..columns {
                    let pull = f64::from(gradient[row * columns + column]);
                    let value = f64::from(case.values[other * columns + column]);
                    to_values[other * columns + column] += weight * pull;
                    slope += weight * pull * (value - self.means[row * columns + column]);
                }
                slope /= f64::from(case.temperature);
                for k in 0..width {
                    to_unit[row * width + k] += slope * self.unit[other * width + k];
                    to_unit[other * width + k] += slope * self.unit[row * width + k];
                }
            }
        }
        for row in 0..rows {
            let numbers = row * width..(row + 1) * width;
            let unit = &self.unit[numbers.clone()];
            let along: f64 = to_unit[numbers.clone()].iter().zip(unit).map(|(a, b)| a * b).sum();
            for (pull, unit) in to_unit[numbers].iter_mut().zip(unit) {
                let across = *pull - along * unit;
                *pull = if self.lengths[row] > 0.0 { across / self.lengths[row] } else { 0.0 };
            }
        }
        self.spread_nan(case, &mut to_unit, &mut to_values);
        (to_unit, to_values)
    }

    /// Gradients are NaN for a row that is NaN or has a NaN neighbour.
    fn spread_nan(&self, case: &Case, to_embeddings: &mut [f64], to_values: &mut [f64]) {
        let rows = case.rows();
        for row in 0..rows {
            let bad = |other: usize| {
                (other == row || self.neighbour_of[row * rows + other])
                    && self.neighbours[other].is_nan()
            };
            if (0..rows).any(bad) {
                to_embeddings[row * case.width..(row + 1) * case.width].fill(f64::NAN);
                to_values[row * case.columns..(row + 1) * case.columns].fill(f64::NAN);
            }
        }
    }
}

/// Rows scaled to unit length, and their lengths.
fn units(embeddings: &[f64], width: usize) -> (Vec<f64>, Vec<f64>) {
    let flushed = |value: f64| if value.abs() < f64::from(f32::MIN_POSITIVE) { 0.0 } else { value };
    let mut unit: Vec<f64> = embeddings.iter().map(|&value| flushed(value)).collect();
    let lengths = unit.chunks_exact_mut(width).map(|row| {
        let length = row.iter().map(|value| value * value).sum::<f64>().sqrt();
        if length > 0.0 {
            row.iter_mut().for_each(|value| *value /= length);
        }
        length
    });
    let lengths = lengths.collect();
    (unit, lengths)
}

fn neighbours(case: &Case) -> Vec<bool> {
    let memberships = case.memberships();
    let mut neighbours = Vec::new();
    for (row, (group, episode)) in memberships.iter().enumerate() {
        neighbours.extend(memberships.iter().enumerate().map(
            |(other, (other_group, other_episode))| {
                group == other_group
                    && match (case.same_episode, case.self_weight) {
                        (Inclusion::Exclude, _) => episode != other_episode,
                        (_, Inclusion::Exclude) => row != other,
                        (_, Inclusion::Include) => true,
                    }
            },
        ));
    }
    neighbours
}
