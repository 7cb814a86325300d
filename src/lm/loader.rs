//! Parameters of modules, made of weights in files or of initial values.

use std::cell::RefCell;
use std::f64::consts::TAU;
use std::ops::Range;

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::weights::Weights;
use crate::error::{Error, Result};
use crate::parallel::par_each;
use crate::stream::{Purpose, Stream};

/// Where the values of parameters come from.
enum Source<'a> {
    /// Files.
    Files(&'a Weights),
    /// The initial values of an untrained model.
    Initial(Box<RefCell<ChaCha8Rng>>),
}

/// Makes parameters of weights.
pub(super) struct Loader<'a> {
    source: Source<'a>,
    /// Whether names, shapes, types and limits are checked only, and no values read or allocated.
    is_checking: bool,
    device: &'a Device,
    /// The largest buffer that the device can bind, in bytes, if it has a limit.
    max_binding: Option<u64>,
}

/// Standard deviation of the initial weights, as transformers initialises Llama.
const INITIAL_DEVIATION: f32 = 0.02;

impl<'a> Loader<'a> {
    /// A loader of weights in files. `max_binding` is the largest buffer that the device can bind, in
    /// bytes.
    pub(super) fn of_files(
        weights: &'a Weights,
        device: &'a Device,
        max_binding: Option<u64>,
    ) -> Self {
        Self { source: Source::Files(weights), is_checking: false, device, max_binding }
    }

    /// A loader that gives initial values: normal with deviation 0.02, norms 1 and biases 0. The seed
    /// determines the weights.
    pub(super) fn initial(seed: u64, device: &'a Device, max_binding: Option<u64>) -> Self {
        let rng = Stream::new(seed, Purpose::Weights).rng();
        let source = Source::Initial(Box::new(RefCell::new(rng)));
        Self { source, is_checking: false, device, max_binding }
    }

    /// The same loader, if it checks only: its parameters are never materialised.
    pub(super) fn checking(self) -> Self {
        Self { is_checking: true, ..self }
    }

    /// The weight of a name and shape as a parameter.
    ///
    /// # Errors
    /// Returns an error if there is no such weight, or the device cannot bind it.
    pub(super) fn parameter<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>> {
        self.check_binding(name, shape)?;
        self.rows(name, shape, 0..shape[0])
    }

    fn check_binding<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<()> {
        let bytes = bytes(shape);
        match self.max_binding.filter(|&limit| bytes > limit) {
            Some(limit) => Err(too_large(name, bytes, limit)),
            None => Ok(()),
        }
    }

    /// The transpose of the weight of a name and shape as a parameter.
    ///
    /// # Errors
    /// As [`parameter`](Self::parameter).
    pub(super) fn transposed(
        &self,
        name: &str,
        [rows, columns]: [usize; 2],
    ) -> Result<Param<Tensor<2>>> {
        self.check_binding(name, [rows, columns])?;
        let values = self.values(name, [rows, columns], 0..rows)?;
        let values = values.map(|values| transposed(&values, columns));
        Ok(self.made(values, [columns, rows]))
    }

    /// A table, `[rows, width]`, as parameters of consecutive rows: one, or where the device cannot bind
    /// the whole table, as many of about the same size as are needed.
    ///
    /// # Errors
    /// Returns an error if there is no such weight, or the device cannot bind a single row.
    pub(super) fn table(
        &self,
        name: &str,
        [rows, width]: [usize; 2],
    ) -> Result<Vec<Param<Tensor<2>>>> {
        let fitting = match self.max_binding {
            Some(limit) => usize::try_from(limit / bytes([width])).unwrap_or(rows),
            None => rows,
        };
        if fitting == 0 {
            return Err(too_large(name, bytes([width]), self.max_binding.unwrap_or_default()));
        }
        let size = rows.div_ceil(rows.div_ceil(fitting));
        let part = |first| self.rows(name, [rows, width], first..(first + size).min(rows));
        (0..rows).step_by(size).map(part).collect()
    }

    /// Some rows of a weight whose shape is `shape`.
    fn rows<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        rows: Range<usize>,
    ) -> Result<Param<Tensor<D>>> {
        let mut part = shape;
        part[0] = rows.len();
        Ok(self.made(self.values(name, shape, rows)?, part))
    }

    /// The values of some rows of a weight; `None` if the loader checks only.
    fn values<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        rows: Range<usize>,
    ) -> Result<Option<Vec<f32>>> {
        let count = rows.len() * shape[1..].iter().product::<usize>();
        Ok(match &self.source {
            Source::Files(weights) => {
                let (entry, encoding) = weights.entry(name, &shape)?;
                match self.is_checking {
                    true => None,
                    false => Some(weights.read(name, entry, encoding, rows)?),
                }
            }
            Source::Initial(_) if self.is_checking => None,
            Source::Initial(rng) => Some(initial(name, count, rng)),
        })
    }

    /// A parameter of values.
    fn made<const D: usize>(
        &self,
        values: Option<Vec<f32>>,
        shape: [usize; D],
    ) -> Param<Tensor<D>> {
        Param::from_tensor(match values {
            Some(values) => Tensor::from_data(TensorData::new(values, shape), self.device),
            None => Tensor::zeros([1; D], self.device),
        })
    }
}

/// The transpose of a matrix with rows of `columns` values.
fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    // Columns side by side that are read at a time, so that no cache line is read twice.
    const SIDE: usize = 16;
    let rows = values.len() / columns.max(1);
    let mut out = vec![0.0; values.len()];
    let blocks: Vec<(usize, &mut [f32])> =
        out.chunks_mut((SIDE * rows).max(1)).enumerate().collect();
    par_each(blocks, 1, |(block, out)| {
        for (row, values) in values.chunks_exact(columns).enumerate() {
            let values = &values[block * SIDE..];
            for (out, value) in out.chunks_exact_mut(rows).zip(values) {
                out[row] = *value;
            }
        }
    });
    out
}

/// Size of a parameter in bytes.
fn bytes<const D: usize>(shape: [usize; D]) -> u64 {
    shape.iter().fold(4, |product, &x| product.saturating_mul(x as u64))
}

fn too_large(name: &str, bytes: u64, limit: u64) -> Error {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    Error::Device(format!(
        "weight '{name}' takes {} MiB, and the device binds at most {} MiB at once; use the CPU, a \
         device with larger buffers, or a smaller model",
        mib(bytes),
        mib(limit)
    ))
}

/// Initial values of a weight, of which `count` are next.
fn initial(name: &str, count: usize, rng: &RefCell<ChaCha8Rng>) -> Vec<f32> {
    match name {
        name if name.ends_with("norm.weight") => vec![1.0; count],
        name if name.ends_with(".bias") => vec![0.0; count],
        _ => {
            let mut rng = rng.borrow_mut();
            (0..count).map(|_| INITIAL_DEVIATION * normal(&mut rng)).collect()
        }
    }
}

/// A number of the standard normal distribution, by the Box-Muller transform.
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let (radius, angle): (f64, f64) = (rng.random(), rng.random());
    ((-2.0 * (1.0 - radius).ln()).sqrt() * (TAU * angle).cos()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transpose_of_a_matrix_has_its_rows_as_columns_whatever_the_shape() {
        for (rows, columns) in [(1, 1), (3, 40), (40, 3), (17, 33), (1, 20), (20, 1)] {
            let values: Vec<f32> = (0..rows * columns).map(|at| at as f32).collect();
            let turned = transposed(&values, columns);
            assert_eq!(turned.len(), values.len());
            for (at, value) in values.iter().enumerate() {
                assert_eq!(turned[at % columns * rows + at / columns], *value);
            }
        }
    }
}
