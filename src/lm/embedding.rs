//! A table with one row a token: the embedding, or the output head.

use burn::module::{Module, Param};
use burn::tensor::{Bool, Device, IndexingUpdateOp, Int, Tensor};

use super::loader::Loader;
use crate::error::Result;
use crate::gradients::Gradient;

/// A table `[vocabulary, width]`, in one part, or in several of consecutive rows where a buffer of the
/// device cannot hold all of it. The parts change no result.
#[derive(Module, Debug)]
pub struct Embedding {
    parts: Vec<Param<Tensor<2>>>,
}

impl Embedding {
    pub(super) fn load(loader: &Loader, name: &str, shape: [usize; 2]) -> Result<Self> {
        Ok(Self { parts: loader.table(name, shape)? })
    }

    /// The parts of the table, in order.
    pub fn parts(&self) -> Vec<Tensor<2>> {
        self.parts.iter().map(Param::val).collect()
    }

    /// The rows of tokens, `[tokens, width]`. Every id must be a row of the table.
    pub fn lookup(&self, ids: Tensor<1, Int>) -> Tensor<2> {
        if let [whole] = self.parts.as_slice() {
            return whole.val().select(0, ids);
        }
        let mut first = 0;
        let mut sum: Option<Tensor<2>> = None;
        for part in &self.parts {
            let part = part.val();
            let size = part.dims()[0] as i64;
            let (inside, outside) = places(ids.clone().sub_scalar(first), size);
            let rows = without(part.select(0, inside), outside);
            sum = Some(match sum {
                Some(sum) => sum + rows,
                None => rows,
            });
            first += size;
        }
        sum.expect("a table has at least one part")
    }

    /// Adds what [`lookup`](Self::lookup) contributes to the table's gradient: `upstream`, `[tokens,
    /// width]`, is the gradient by the rows of `ids`. It is added in place where nothing else holds the
    /// table's gradient. All tensors are without autodiff.
    pub(super) fn add_gradient(
        &self,
        ids: &Tensor<1, Int>,
        upstream: &Tensor<2>,
        gradient: &mut Gradient,
    ) {
        let mut first = 0;
        for part in &self.parts {
            let before = gradient.0.remove::<2>(part.id);
            let before = before.unwrap_or_else(|| part.val().inner().zeros_like());
            let size = before.dims()[0] as i64;
            let (ids, rows) = match self.parts.len() {
                1 => (ids.clone(), upstream.clone()),
                _ => {
                    let (inside, outside) = places(ids.clone().sub_scalar(first), size);
                    (inside, without(upstream.clone(), outside))
                }
            };
            gradient.0.register(part.id, before.select_assign(0, ids, rows, IndexingUpdateOp::Add));
            first += size;
        }
    }

    /// Products with every row: `[rows, vocabulary]` of `hidden`, `[rows, width]`.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        let of_part = |part: &Param<Tensor<2>>| hidden.clone().matmul(part.val().transpose());
        let mut parts: Vec<Tensor<2>> = self.parts.iter().map(of_part).collect();
        match parts.len() {
            1 => parts.swap_remove(0),
            _ => Tensor::cat(parts, 1),
        }
    }

    /// Whether the table gets gradients.
    pub(super) fn is_require_grad(&self) -> bool {
        self.parts[0].is_require_grad()
    }

    /// The device of the table.
    pub fn device(&self) -> Device {
        self.parts[0].val().device()
    }
}

/// Places in a part of `size` rows, and which of them, `[tokens, 1]`, lie outside of it. Those give some row
/// of the part.
fn places(own: Tensor<1, Int>, size: i64) -> (Tensor<1, Int>, Tensor<2, Bool>) {
    let inside = own.clone().clamp(0, size - 1);
    let outside = own.not_equal(inside.clone()).unsqueeze_dim::<2>(1);
    (inside, outside)
}

/// Rows, of which those that are marked are replaced by zeros.
fn without(rows: Tensor<2>, marked: Tensor<2, Bool>) -> Tensor<2> {
    let marked = marked.expand(rows.dims());
    rows.mask_fill(marked, 0.0)
}

#[cfg(test)]
mod tests {
    use burn::optim::GradientsParams;

    use super::*;
    use crate::device::read;

    #[test]
    fn the_gradient_of_a_lookup_is_that_of_autodiff_in_one_part_and_in_several() {
        let device = Device::flex();
        for sizes in [&[5][..], &[2, 2, 1]] {
            let parts = sizes.iter().map(|&size| {
                Param::from_tensor(Tensor::ones([size, 3], &device.clone().autodiff()))
            });
            let table = Embedding { parts: parts.collect() };
            let ids = Tensor::<1, Int>::from_data([4, 1, 1, 2, 0], &device);
            let upstream = Tensor::<1, Int>::arange(0..15, &device).float().reshape([5, 3]);
            let looked = table.lookup(Tensor::from_inner(ids.clone()));
            let loss = (looked * Tensor::from_inner(upstream.clone())).sum();
            let expected = GradientsParams::from_grads(loss.backward(), &table);
            // One part has a gradient already, the others have none.
            let mut found = Gradient(GradientsParams::new());
            let first = &table.parts[0];
            found.0.register(first.id, Tensor::<2>::ones(first.shape(), &device));
            table.add_gradient(&ids, &upstream, &mut found);
            for (index, part) in table.parts.iter().enumerate() {
                let expected = expected.get::<2>(part.id).unwrap();
                let expected = if index == 0 { expected + 1.0 } else { expected };
                let found = read(found.0.get::<2>(part.id).unwrap()).unwrap();
                assert_eq!(found, read(expected).unwrap(), "part {index} of {sizes:?}");
            }
        }
    }
}
