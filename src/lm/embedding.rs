//! A table with one row a token: the embedding, or the output head.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

use super::loader::Loader;
use crate::error::Result;

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
            // Ids of other parts select some row here, which is then replaced by zeros.
            let own = ids.clone().sub_scalar(first);
            let inside = own.clone().clamp(0, size - 1);
            let outside = own.not_equal(inside.clone()).unsqueeze_dim::<2>(1);
            let rows = part.select(0, inside);
            let outside = outside.expand(rows.dims());
            let rows = rows.mask_fill(outside, 0.0);
            sum = Some(match sum {
                Some(sum) => sum + rows,
                None => rows,
            });
            first += size;
        }
        sum.expect("a table has at least one part")
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
