//! Sparse rows.

/// A matrix in compressed sparse row format, with ascending columns in each row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SparseRows {
    offsets: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f64>,
    width: usize,
}

impl SparseRows {
    /// A matrix without rows, of `width` columns.
    pub fn new(width: usize) -> Self {
        Self { offsets: vec![0], columns: Vec::new(), values: Vec::new(), width }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The number of stored entries.
    pub fn stored(&self) -> usize {
        self.columns.len()
    }

    /// The columns and values of a row.
    ///
    /// # Panics
    /// Panics if `row` is not below [`SparseRows::len`].
    pub fn row(&self, row: usize) -> (&[u32], &[f64]) {
        let entries = self.offsets[row]..self.offsets[row + 1];
        (&self.columns[entries.clone()], &self.values[entries])
    }

    /// Appends a row of `(column, value)` and scales it to unit length. A zero row stays zero.
    ///
    /// Entries are sorted in place. Columns must be unique and below the width.
    pub fn push_unit(&mut self, entries: &mut [(u32, f64)]) {
        entries.sort_unstable_by_key(|&(column, _)| column);
        let length = entries.iter().map(|(_, value)| value * value).sum::<f64>().sqrt();
        for &(column, value) in entries.iter() {
            debug_assert!((column as usize) < self.width);
            self.columns.push(column);
            self.values.push(if length > 0.0 { value / length } else { 0.0 });
        }
        self.offsets.push(self.columns.len());
    }

    /// The rows as a dense row-major matrix: `[rows, width]`.
    pub fn to_dense(&self) -> Vec<f32> {
        let mut dense = vec![0.0; self.len() * self.width];
        for row in 0..self.len() {
            let (columns, values) = self.row(row);
            for (&column, &value) in columns.iter().zip(values) {
                dense[row * self.width + column as usize] = value as f32;
            }
        }
        dense
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_unit_length_or_are_zero() {
        let mut rows = SparseRows::new(5);
        rows.push_unit(&mut [(4, 3.0), (1, 4.0)]);
        rows.push_unit(&mut []);
        assert_eq!((rows.len(), rows.width(), rows.stored()), (2, 5, 2));
        assert_eq!(rows.row(0), (&[1, 4][..], &[0.8, 0.6][..]));
        assert_eq!(rows.row(1), (&[][..], &[][..]));
        assert_eq!(rows.to_dense(), [0.0, 0.8, 0.0, 0.0, 0.6, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
