//! Dense rows, such as the embeddings of a policy's encoder.

/// A matrix of rows that have unit length or are zero.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseRows {
    values: Vec<f64>,
    width: usize,
}

impl DenseRows {
    /// Splits `values` into rows of `width` (an incomplete last row is dropped) and scales each to unit
    /// length. A zero row stays zero.
    pub fn unit(values: &[f32], width: usize) -> Self {
        let mut unit = Vec::with_capacity(values.len());
        for row in values.chunks_exact(width.max(1)) {
            let square = |&value: &f32| f64::from(value) * f64::from(value);
            let length = row.iter().map(square).sum::<f64>().sqrt();
            let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
            unit.extend(row.iter().map(|&value| f64::from(value) * scale));
        }
        Self { values: unit, width }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The numbers of a row.
    ///
    /// # Panics
    /// Panics if `row` is not below [`DenseRows::len`].
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..(row + 1) * self.width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_scaled_to_unit_length() {
        let rows = DenseRows::unit(&[3.0, 4.0, 0.0, 0.0, 1e-30, 0.0], 2);
        assert_eq!(rows.len(), 3);
        assert!((rows.row(0)[0] - 0.6).abs() < 1e-15 && (rows.row(0)[1] - 0.8).abs() < 1e-15);
        assert_eq!(rows.row(1), [0.0, 0.0]);
        assert!((rows.row(2)[0] - 1.0).abs() < 1e-15);
    }
}
