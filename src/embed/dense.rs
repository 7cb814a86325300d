//! Rows without zeros to skip, as a policy's encoder gives them.

/// A matrix of rows of unit length, or all zero.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseRows {
    values: Vec<f64>,
    width: usize,
}

impl DenseRows {
    /// Cuts `values` into rows of `width` (a rest that fills no row is dropped) and scales each to
    /// unit length; a row of zeros stays so.
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

    /// How many rows there are.
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
    /// Where `row` is not below [`DenseRows::len`].
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
