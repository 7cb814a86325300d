//! The operations on the CPU backends.

mod episodes;
mod lanes;
mod proximity;
mod units;

pub(super) use episodes::{discounted_returns, episode_advantages};
pub(super) use proximity::{Given, proximity, proximity_gradients};

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Shape, TensorData};

/// A tensor's numbers, where they are 32 bits wide and at hand.
fn numbers<B: Backend>(tensor: &FloatTensor<B>) -> Option<TensorData> {
    let data = pollster::block_on(B::float_into_data(tensor.clone())).ok()?;
    data.as_slice::<f32>().is_ok().then_some(data)
}

/// The same of a tensor that nobody else looks at: they are not copied.
fn taken<B: Backend>(tensor: FloatTensor<B>) -> Option<Vec<f32>> {
    pollster::block_on(B::float_into_data(tensor)).ok()?.try_into_vec().ok()
}

fn tensor<B: Backend, const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    like: &FloatTensor<B>,
) -> FloatTensor<B> {
    use burn::backend::TensorMetadata;
    B::float_from_data(TensorData::new(values, Shape::from(shape)), &like.device())
}
