//! ProxMO on a device, and credit as tensors.

use burn::tensor::{Device, Tensor, TensorData};

use super::assign::{assign, assign_async};
use crate::credit::{Credit, CreditState, ProxMo};
use crate::episodes::Batch;
use crate::error::Result;

impl ProxMo {
    /// Assigns credit on the device of `embeddings`, the states of the batch's rows: `[rows, width]`.
    /// They need not have unit length, and they stay there.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use proxmo::credit::ProxMo;
    /// use proxmo::episodes::{Batch, Episode};
    ///
    /// # fn main() -> proxmo::Result<()> {
    /// let batch = Batch::builder()
    ///     .group([
    ///         Episode::new().step("the hall", 0.0).step("the study", 1.0).success(true),
    ///         Episode::new().step("the hall", 0.0).step("the cellar", 0.0),
    ///     ])
    ///     .build()?;
    /// let device = Device::flex();
    /// let states = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5]];
    /// let credit = ProxMo::default().assign_on(&batch, Tensor::from_floats(states, &device))?;
    /// let advantages: Tensor<1> = credit.to_tensor(&device);
    /// assert_eq!(advantages.dims(), [4]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Fails if a setting is out of range, if embeddings are not one for each row or hold a NaN or an
    /// infinity, and if the device fails.
    pub fn assign_on(&self, batch: &Batch, embeddings: Tensor<2>) -> Result<Credit> {
        let device = embeddings.device();
        assign(batch, Some(embeddings), &device, self.config(), &mut CreditState::default())
    }

    /// [`ProxMo::assign_on`] without blocking the thread.
    ///
    /// # Errors
    /// As [`ProxMo::assign_on`].
    pub async fn assign_on_async(&self, batch: &Batch, embeddings: Tensor<2>) -> Result<Credit> {
        let device = embeddings.device();
        let mut state = CreditState::default();
        assign_async(batch, Some(embeddings), &device, self.config(), &mut state).await
    }
}

impl Credit {
    /// The advantages as a tensor: `[rows]`.
    pub fn to_tensor(&self, device: &Device) -> Tensor<1> {
        let data = TensorData::new(self.advantages.clone(), [self.advantages.len()]);
        Tensor::from_data(data, device)
    }
}
