//! The GPU of a browser, through WebGPU.

use burn::tensor::Device;

use crate::error::{Error, Result};

/// The GPU that the browser offers, open.
#[derive(Debug, Clone)]
pub struct BrowserGpu {
    /// burn's device, without autodiff.
    pub device: Device,
    /// The name, as far as the browser tells it.
    pub name: String,
}

/// Opens the GPU that the browser offers. Call it once, before any tensor is made there: a browser opens
/// a GPU only asynchronously.
///
/// # Errors
/// Fails if the browser has no WebGPU, offers no GPU, or the GPU was opened before.
pub async fn open_browser_gpu_async() -> Result<BrowserGpu> {
    let opened = Device::wgpu_options().init_with_setup_async().await;
    let (device, setup) =
        opened.map_err(|error| Error::Device(format!("cannot open WebGPU: {error}")))?;
    let info = setup.adapter.get_info();
    let parts = [info.name, info.driver, info.driver_info];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let name = if parts.is_empty() { "a GPU without a name".into() } else { parts.join(", ") };
    Ok(BrowserGpu { device, name })
}
