//! Tensors that are computed and read back part by part.

use burn::tensor::{Device, Tensor};

use crate::device::{computes_here, read_async};
use crate::error::Result;
use crate::parallel::par_map;

/// Computes `count` tensors and reads them back in order.
///
/// On a CPU backend, `compute` runs in parallel and reading back is a copy. Elsewhere each tensor is
/// read before the next one is computed, which bounds the device memory in use.
///
/// # Errors
/// Fails if the device fails.
pub(crate) async fn read_parts<const D: usize>(
    device: &Device,
    count: usize,
    compute: impl Fn(usize) -> Tensor<D> + Send + Sync,
) -> Result<Vec<Vec<f32>>> {
    let mut values = Vec::with_capacity(count);
    if computes_here(device) {
        for tensor in par_map(count, compute) {
            values.push(read_async(tensor).await?);
        }
    } else {
        for part in 0..count {
            values.push(read_async(compute(part)).await?);
        }
    }
    Ok(values)
}
