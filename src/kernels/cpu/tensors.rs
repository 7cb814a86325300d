//! Tensors of a CPU backend as numbers, and back.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{Shape, TensorData};

/// A tensor's numbers; `None` if they are not 32 bits wide.
pub(super) fn numbers<B: Backend>(tensor: &FloatTensor<B>) -> Option<TensorData> {
    let data = pollster::block_on(B::float_into_data(tensor.clone())).ok()?;
    data.as_slice::<f32>().is_ok().then_some(data)
}

/// The same of a tensor without other owners, which is not copied.
pub(super) fn taken<B: Backend>(tensor: FloatTensor<B>) -> Option<Vec<f32>> {
    pollster::block_on(B::float_into_data(tensor)).ok()?.try_into_vec().ok()
}

/// Numbers as a tensor on the device of another.
pub(super) fn tensor<B: Backend, const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    like: &FloatTensor<B>,
) -> FloatTensor<B> {
    B::float_from_data(TensorData::new(values, Shape::from(shape)), &like.device())
}
