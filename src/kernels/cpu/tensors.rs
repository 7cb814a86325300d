//! Tensors of a CPU backend as numbers, and back.

use std::any::Any;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, TensorMetadata};
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

/// The numbers of a tensor in order, all 32 bits wide. Those of a flex tensor whose memory is in order are
/// not copied.
pub(super) enum Numbers {
    Flex(FloatTensor<Flex>),
    Data(TensorData),
}

impl Numbers {
    pub fn of<B: Backend>(tensor: FloatTensor<B>) -> Self {
        match (&tensor as &dyn Any).downcast_ref::<FloatTensor<Flex>>() {
            Some(flex) if flex.as_slice::<f32>().is_some() => Self::Flex(flex.clone()),
            Some(flex) => Self::Flex(flex.to_contiguous()),
            None => Self::Data(data::<B>(tensor)),
        }
    }

    pub fn slice(&self) -> &[f32] {
        let numbers = match self {
            Self::Flex(tensor) => tensor.as_slice(),
            Self::Data(data) => data.as_slice().ok(),
        };
        numbers.expect("the numbers are 32 bits wide and in order")
    }
}

/// The numbers of a tensor, all 32 bits wide, in memory that can be changed. Without other owners the tensor's
/// own memory is taken.
pub(super) fn owned<B: Backend>(tensor: FloatTensor<B>) -> Vec<f32> {
    data::<B>(tensor).try_into_vec().expect("the numbers are 32 bits wide")
}

fn data<B: Backend>(tensor: FloatTensor<B>) -> TensorData {
    pollster::block_on(B::float_into_data(tensor)).expect("memory of the CPU can be read")
}
