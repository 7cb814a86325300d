//! Tensors of a CPU backend as numbers, and back.

use std::borrow::Cow;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, TensorMetadata};
use burn::tensor::{DType, Shape, TensorData};

/// A backend whose tensors are in the memory of this process.
pub(in crate::kernels) trait Host: Backend {
    /// A tensor's numbers, not copied if they are in order in memory. They are 32 bits wide.
    fn view(tensor: &FloatTensor<Self>) -> Cow<'_, [f32]> {
        Cow::Owned(numbers::<Self>(tensor).map_or_else(Vec::new, |data| floats(&data).to_vec()))
    }
}

impl Host for Flex {
    fn view(tensor: &FloatTensor<Self>) -> Cow<'_, [f32]> {
        match tensor.as_slice() {
            Some(numbers) => Cow::Borrowed(numbers),
            None => Cow::Owned(tensor.to_contiguous().as_slice().unwrap_or_default().to_vec()),
        }
    }
}

#[cfg(feature = "ndarray")]
#[allow(deprecated)] // Kept as a second opinion on the CPU until burn drops it.
impl Host for burn::backend::NdArray {}

fn floats(data: &TensorData) -> &[f32] {
    data.as_slice().unwrap_or_default()
}

/// A tensor whose numbers are changed and that becomes a tensor again. Nothing is copied if it has no
/// other owner.
pub(super) struct Owned<B: Backend> {
    data: TensorData,
    device: burn::backend::tensor::Device<B>,
}

impl<B: Backend> Owned<B> {
    /// Takes a tensor of 32-bit numbers.
    pub(super) fn of(tensor: FloatTensor<B>) -> Self {
        let device = tensor.device();
        let data = pollster::block_on(B::float_into_data(tensor));
        Self { data: data.expect("memory of the CPU can be read"), device }
    }

    pub(super) fn numbers(&mut self) -> &mut [f32] {
        self.data.as_mut_slice().unwrap_or_default()
    }

    pub(super) fn tensor(self) -> FloatTensor<B> {
        B::float_from_data(self.data, &self.device)
    }
}

/// Whether all numbers are 32 bits wide.
pub(super) fn are_floats<B: Backend>(tensors: &[&FloatTensor<B>]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

/// The length of a tensor's last dimension.
pub(super) fn width<B: Backend>(tensor: &FloatTensor<B>) -> usize {
    let shape = tensor.shape();
    shape[shape.num_dims() - 1]
}

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
