//! Checks of shapes and devices, before a kernel sees the tensors.

use burn::tensor::Tensor;

use crate::error::{Error, Result};

/// Checks for a matrix of `rows` rows and at least one column.
pub(super) fn matrix(name: &str, tensor: &Tensor<2>, rows: usize) -> Result<()> {
    let [found, columns] = tensor.dims();
    if found == rows && columns > 0 {
        return Ok(());
    }
    let message = format!("is {found} by {columns}, expected {rows} rows of at least 1 column");
    Err(Error::input(name, message))
}

/// Checks for a vector of `length` numbers, one for each `of`.
pub(super) fn vector(name: &str, tensor: &Tensor<1>, length: usize, of: &str) -> Result<()> {
    let [found] = tensor.dims();
    if found == length {
        return Ok(());
    }
    Err(Error::input(name, format!("has {found} entries, expected {length}, one for each {of}")))
}

/// Checks that two tensors are on one device.
pub(super) fn same_device<const A: usize, const B: usize>(
    name: &str,
    tensor: &Tensor<A>,
    other: &Tensor<B>,
) -> Result<()> {
    let (found, expected) = (tensor.device().without_autodiff(), other.device().without_autodiff());
    if found == expected {
        return Ok(());
    }
    Err(Error::input(name, format!("is on {found:?}, expected {expected:?} like the others")))
}
