//! The scorer's value head.
//!
//! With u(s) the state vector of the [network](super::network) and t the share of the step limit that is
//! used, the value of a state is
//!
//! ```text
//! V(s) = w . relu( M relu(u(s)) + t p + c ) + b
//! ```
//!
//! It shares the encoding of texts and u(s) with the scores, so its gradient shapes them too.

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};

use super::network::Initializer;
use super::pack::Packed;

/// The weights of the value head. A matrix has the shape `[inputs, outputs]`.
#[derive(Module, Debug)]
pub struct ValueHead {
    hidden: Param<Tensor<2>>,
    progress: Param<Tensor<2>>,
    hidden_bias: Param<Tensor<1>>,
    output: Param<Tensor<2>>,
    output_bias: Param<Tensor<1>>,
}

impl ValueHead {
    /// A head for state vectors of a length.
    pub(super) fn init(hidden: usize, init: &mut Initializer) -> Self {
        Self {
            hidden: init.matrix(hidden, hidden, 1.4),
            progress: init.matrix(1, hidden, 0.5),
            hidden_bias: init.bias(hidden),
            // Small, so that an untrained head estimates about 0.
            output: init.matrix(hidden, 1, 0.1),
            output_bias: init.bias(1),
        }
    }

    /// The values of a batch's rows from their state vectors, `[rows, hidden]`: `[rows]`.
    pub(super) fn values(&self, batch: &Packed, states: Tensor<2>) -> Tensor<1> {
        let progress = TensorData::new(batch.progress.clone(), [batch.rows, 1]);
        let progress = Tensor::<2>::from_data(progress, &states.device());
        let first = relu(states).matmul(self.hidden.val())
            + progress.matmul(self.progress.val())
            + self.hidden_bias.val().unsqueeze();
        let values = relu(first).matmul(self.output.val()) + self.output_bias.val().unsqueeze();
        values.reshape([-1])
    }
}
