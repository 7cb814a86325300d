//! Sparse or dense embeddings, and the cosines between them.

use super::dense::DenseRows;
use super::sparse::SparseRows;

/// One embedding a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Matrix {
    /// Sparse, for texts.
    Sparse(SparseRows),
    /// Dense.
    Dense(DenseRows),
}

impl Matrix {
    /// Selects some rows for computing the cosines among them.
    ///
    /// # Panics
    /// Panics if one of `rows` is not a row of the matrix.
    pub fn among<'a>(&'a self, rows: &'a [u32]) -> Among<'a> {
        match self {
            Self::Sparse(matrix) => Among::Sparse { matrix, rows, index: Index::of(matrix, rows) },
            Self::Dense(matrix) => Among::Dense { matrix, rows },
        }
    }
}

/// Selected rows of a matrix, prepared for comparison with each other.
#[derive(Debug)]
pub enum Among<'a> {
    /// Sparse rows with an index by column.
    Sparse {
        /// All rows.
        matrix: &'a SparseRows,
        /// The selected rows.
        rows: &'a [u32],
        /// The selected rows by column.
        index: Index,
    },
    /// Dense rows.
    Dense {
        /// All rows.
        matrix: &'a DenseRows,
        /// The selected rows.
        rows: &'a [u32],
    },
}

impl Among<'_> {
    /// Writes the cosine between each selected row and the selected row number `at`. A zero row has
    /// cosine 0 to every row, itself included.
    ///
    /// # Panics
    /// Panics if `at` is not below the number of selected rows.
    pub fn cosines(&self, at: usize, cosines: &mut Vec<f64>) {
        cosines.clear();
        match self {
            Self::Sparse { matrix, rows, index } => {
                cosines.resize(rows.len(), 0.0);
                let (columns, values) = matrix.row(rows[at] as usize);
                for (&column, &value) in columns.iter().zip(values) {
                    index.add_column(column, value, cosines);
                }
            }
            Self::Dense { matrix, rows } => {
                let row = matrix.row(rows[at] as usize);
                cosines.extend(rows.iter().map(|&other| dot(row, matrix.row(other as usize))));
            }
        }
    }
}

/// Sparse rows by column: the rows that have each column, and their values.
///
/// Summing by column touches only the columns that two rows share, and the sums of different rows are
/// independent.
#[derive(Debug)]
pub struct Index {
    offsets: Vec<u32>,
    entries: Vec<(u32, f64)>,
    /// Columns that more than half of the rows have, as dense columns: `[columns, rows]`.
    common: Vec<f64>,
    /// The start of each column in `common`, or `RARE`.
    place: Vec<u32>,
    rows: usize,
}

const RARE: u32 = u32::MAX;

impl Index {
    fn of(matrix: &SparseRows, rows: &[u32]) -> Self {
        let mut offsets = vec![0u32; matrix.width() + 1];
        for &row in rows {
            matrix.row(row as usize).0.iter().for_each(|&column| offsets[column as usize + 1] += 1);
        }
        let (mut place, mut common) = (vec![RARE; matrix.width()], 0);
        for (column, place) in place.iter_mut().enumerate() {
            if offsets[column + 1] as usize * 2 > rows.len() {
                *place = common;
                common += rows.len() as u32;
                offsets[column + 1] = 0;
            }
            offsets[column + 1] += offsets[column];
        }
        let mut next = offsets.clone();
        let mut entries = vec![(0, 0.0); offsets[matrix.width()] as usize];
        let mut common = vec![0.0; common as usize];
        for (at, &row) in rows.iter().enumerate() {
            let (columns, values) = matrix.row(row as usize);
            for (&column, &value) in columns.iter().zip(values) {
                let column = column as usize;
                if place[column] == RARE {
                    entries[next[column] as usize] = (at as u32, value);
                    next[column] += 1;
                } else {
                    common[place[column] as usize + at] = value;
                }
            }
        }
        Self { offsets, entries, common, place, rows: rows.len() }
    }

    /// Adds `value` times each row's entry in `column` to the row's sum.
    fn add_column(&self, column: u32, value: f64, sums: &mut [f64]) {
        let column = column as usize;
        if self.place[column] == RARE {
            let entries = self.offsets[column] as usize..self.offsets[column + 1] as usize;
            for &(row, other) in &self.entries[entries] {
                sums[row as usize] += value * other;
            }
        } else {
            let start = self.place[column] as usize;
            for (sum, other) in sums.iter_mut().zip(&self.common[start..start + self.rows]) {
                *sum += value * other;
            }
        }
    }
}

/// Four independent running sums, so that the compiler can use vector instructions.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (quads_a, quads_b) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = quads_a.remainder().iter().zip(quads_b.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in quads_a.zip(quads_b) {
        for lane in 0..4 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    rest + (sums[0] + sums[1]) + (sums[2] + sums[3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_and_dense_cosines_agree() {
        let mut sparse = SparseRows::new(6);
        sparse.push_unit(&mut [(0, 1.0), (5, 2.0)]);
        sparse.push_unit(&mut [(5, 1.0), (1, 3.0), (2, 1.0)]);
        sparse.push_unit(&mut []);
        sparse.push_unit(&mut [(5, 1.0), (2, 2.0)]);
        let dense = Matrix::Dense(DenseRows::unit(&sparse.to_dense(), 6));
        let sparse = Matrix::Sparse(sparse);
        let rows = [2, 0, 1, 3];
        let (sparse, dense) = (sparse.among(&rows), dense.among(&rows));
        let (mut from_sparse, mut from_dense) = (Vec::new(), Vec::new());
        for at in 0..rows.len() {
            sparse.cosines(at, &mut from_sparse);
            dense.cosines(at, &mut from_dense);
            assert_eq!(from_sparse[0], 0.0);
            assert!((from_sparse[at] - if at == 0 { 0.0 } else { 1.0 }).abs() < 1e-12);
            for (a, b) in from_sparse.iter().zip(&from_dense) {
                assert!((a - b).abs() < 1e-7, "{from_sparse:?} {from_dense:?}");
            }
        }
        assert!((from_sparse[1] - 2.0 / 5.0).abs() < 1e-12);
        assert_eq!(dot(&[1.0, 2.0, 3.0, 4.0, 5.0], &[1.0; 5]), 15.0);
    }
}
