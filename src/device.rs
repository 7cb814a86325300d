//! The backends and devices of this machine, and the choice of one.

use std::fmt;
use std::str::FromStr;

use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// A hardware GPU if there is one, else flex; never a software GPU. Training chooses
    /// between them by measurement ([`crate::runs::auto`]); other commands, whose time hardly depends on
    /// the policy's forward passes, take the GPU.
    #[default]
    Auto,
    /// wgpu on Vulkan.
    Vulkan,
    /// wgpu on Metal.
    Metal,
    /// wgpu on Direct3D 12.
    Dx12,
    /// wgpu on OpenGL.
    Gl,
    /// The CPU, through burn-flex.
    Flex,
    /// The CPU, through burn-ndarray (feature `ndarray`).
    Ndarray,
}

impl Backend {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 7] =
        [Self::Auto, Self::Vulkan, Self::Metal, Self::Dx12, Self::Gl, Self::Flex, Self::Ndarray];

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
            Self::Dx12 => "dx12",
            Self::Gl => "gl",
            Self::Flex => "flex",
            Self::Ndarray => "ndarray",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Backend {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|backend| backend.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::setting("backend", format!("'{name}' is unknown, expected one of {names}"))
        })
    }
}

/// The kind of processor behind an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdapterKind {
    /// A GPU with memory of its own.
    DiscreteGpu,
    /// A GPU that shares the CPU's memory.
    IntegratedGpu,
    /// A GPU lent to a virtual machine.
    VirtualGpu,
    /// The CPU: a CPU backend, or a software GPU.
    Cpu,
    /// The driver does not say.
    Other,
}

impl AdapterKind {
    /// Whether `auto` may select it.
    pub fn is_gpu(self) -> bool {
        matches!(self, Self::DiscreteGpu | Self::IntegratedGpu | Self::VirtualGpu)
    }
}

/// A device that this build can use.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Adapter {
    /// The backend that reaches it.
    pub backend: Backend,
    /// Its number among the adapters of that backend, the value of `device`.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// The driver and its version; empty for the CPU backends.
    pub driver: String,
    /// The kind of processor.
    pub kind: AdapterKind,
    /// The largest buffer that a kernel can bind, in bytes; 0 without a limit.
    pub max_binding: u64,
    /// Workgroup memory, in bytes; 0 for the CPU backends.
    pub workgroup_memory: u32,
    /// The maximum number of invocations in a workgroup; 0 for the CPU backends.
    pub max_invocations: u32,
}

impl Adapter {
    /// Whether its tensors lie in the machine's own memory, as far as is known.
    pub fn uses_host_memory(&self) -> bool {
        self.kind == AdapterKind::Cpu
    }
}

/// An open device.
#[derive(Debug, Clone)]
pub struct Opened {
    /// burn's device, without autodiff.
    pub device: Device,
    /// Its adapter.
    pub adapter: Adapter,
}

/// All adapters of this machine that this build can use, CPU backends last.
pub fn adapters() -> Vec<Adapter> {
    let mut adapters = gpu_adapters(&GPU_BACKENDS);
    adapters.extend(cpu_adapters());
    adapters
}

/// The backends that reach a GPU, in the order in which they are listed.
const GPU_BACKENDS: [Backend; 4] = [Backend::Vulkan, Backend::Metal, Backend::Dx12, Backend::Gl];

/// The adapters that a request for `backend` chooses from. OpenGL is
/// initialised only if it is requested by name: a hardware GPU has one of the other APIs, and OpenGL's
/// libraries write to the terminal if there is no display. The CPU backends initialise no GPU API.
pub(crate) fn candidates(backend: Backend) -> Vec<Adapter> {
    let mut adapters = match backend {
        Backend::Flex | Backend::Ndarray => Vec::new(),
        Backend::Gl => gpu_adapters(&GPU_BACKENDS),
        _ => gpu_adapters(&[Backend::Vulkan, Backend::Metal, Backend::Dx12]),
    };
    adapters.extend(cpu_adapters());
    adapters
}

fn cpu_adapters() -> Vec<Adapter> {
    let cpu = |backend, name: &str| Adapter {
        backend,
        index: 0,
        name: name.into(),
        driver: String::new(),
        kind: AdapterKind::Cpu,
        max_binding: 0,
        workgroup_memory: 0,
        max_invocations: 0,
    };
    let mut adapters = vec![cpu(Backend::Flex, "CPU (burn-flex)")];
    if cfg!(feature = "ndarray") {
        adapters.push(cpu(Backend::Ndarray, "CPU (burn-ndarray)"));
    }
    adapters
}

/// Selects the adapter for `backend` and device `index`.
///
/// # Errors
/// Fails if there is no such adapter, and lists the available ones.
pub fn choose(adapters: &[Adapter], backend: Backend, index: usize) -> Result<&Adapter> {
    let found = match backend {
        Backend::Auto => adapters
            .iter()
            .filter(|adapter| adapter.kind.is_gpu())
            .nth(index)
            .or_else(|| adapters.iter().find(|adapter| adapter.backend == Backend::Flex)),
        _ => adapters.iter().find(|one| one.backend == backend && one.index == index),
    };
    found.ok_or_else(|| {
        let list: Vec<String> = adapters
            .iter()
            .map(|one| format!("{} {} ({})", one.backend, one.index, one.name))
            .collect();
        let hint = match adapters.iter().any(|one| one.backend == backend) {
            true => String::new(),
            false => format!(" ({})", missing(backend)),
        };
        Error::Device(format!(
            "backend '{backend}' has no device {index} here{hint}; the available ones are {}",
            list.join(", ")
        ))
    })
}

/// The adapters that `auto` measures: each hardware GPU once, by the first API that reaches it, and flex.
/// A device `index` above 0 keeps only the GPU of that number. With `software`, software GPUs count as
/// hardware ones.
pub(crate) fn auto_candidates(adapters: &[Adapter], index: usize, software: bool) -> Vec<Adapter> {
    let is_gpu = |one: &Adapter| {
        let is_software = one.kind == AdapterKind::Cpu && one.max_invocations > 0;
        one.kind.is_gpu() || software && is_software
    };
    let mut gpus: Vec<&Adapter> = Vec::new();
    for gpu in adapters.iter().filter(|one| is_gpu(one)) {
        if index > 0 || gpus.iter().all(|one| one.name != gpu.name) {
            gpus.push(gpu);
        }
    }
    if index > 0 {
        gpus = gpus.into_iter().skip(index).take(1).collect();
    }
    let flex = adapters.iter().filter(|one| one.backend == Backend::Flex);
    gpus.into_iter().chain(flex).cloned().collect()
}

/// The reason why a backend has no adapter on this machine.
pub fn missing(backend: Backend) -> String {
    let is_gpu = !matches!(backend, Backend::Auto | Backend::Flex | Backend::Ndarray);
    let system = match backend {
        Backend::Metal => cfg!(target_vendor = "apple"),
        Backend::Dx12 => cfg!(windows),
        Backend::Vulkan | Backend::Gl => !cfg!(target_vendor = "apple"),
        _ => true,
    };
    if is_gpu && !cfg!(feature = "wgpu") {
        "not compiled in; build with --features wgpu".into()
    } else if backend == Backend::Ndarray && !cfg!(feature = "ndarray") {
        "not compiled in; build with --features ndarray".into()
    } else if !system {
        let name = if backend == Backend::Dx12 { "Direct3D 12" } else { backend.name() };
        format!("{name} does not exist on {}", std::env::consts::OS)
    } else {
        "no adapter found".into()
    }
}

/// Opens the device for `backend` and `index`.
///
/// # Errors
/// Fails if there is no such adapter, or its driver fails.
pub fn open(backend: Backend, index: usize) -> Result<Opened> {
    let candidates = candidates(backend);
    // The error lists all adapters, including those that the request did not consider.
    let adapter = match choose(&candidates, backend, index) {
        Ok(adapter) => adapter.clone(),
        Err(_) => choose(&adapters(), backend, index)?.clone(),
    };
    let device = match adapter.backend {
        Backend::Flex => Device::flex(),
        #[cfg(feature = "ndarray")]
        #[allow(deprecated)] // Kept as a second opinion on the CPU until burn drops it.
        Backend::Ndarray => Device::ndarray(),
        _ => open_gpu(&adapter, &candidates)?,
    };
    Ok(Opened { device, adapter })
}

/// Reads a tensor back. The only place where the host waits for a device.
///
/// # Errors
/// Fails if the device does.
pub async fn read_async<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let failed = |error: &dyn fmt::Display| Error::Run(format!("the device failed: {error}"));
    let data = tensor.into_data_async().await.map_err(|error| failed(&error))?;
    data.try_into_vec::<f32>().map_err(|error| failed(&error))
}

/// [`read_async`], blocking the thread.
///
/// # Errors
/// Fails if the device does.
pub fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    pollster::block_on(read_async(tensor))
}

#[cfg(not(feature = "wgpu"))]
fn open_adapter(_: &Device) -> Option<Adapter> {
    None
}

/// Whether `device` is a software GPU that this process opened.
pub(crate) fn is_software_gpu(device: &Device) -> bool {
    open_adapter(device).is_some_and(|adapter| adapter.kind == AdapterKind::Cpu)
}

/// The largest buffer that a kernel of `device` can bind, in bytes; `None` if it has no limit, or this
/// process has not opened the device.
#[cfg(feature = "lm")]
pub(crate) fn max_binding(device: &Device) -> Option<u64> {
    open_adapter(device).map(|adapter| adapter.max_binding).filter(|&limit| limit > 0)
}

/// Whether tensors on `device` are computed by the calling thread, so that two threads compute twice as
/// much.
pub(crate) fn computes_here(device: &Device) -> bool {
    let device = device.clone().without_autodiff();
    #[cfg(feature = "ndarray")]
    #[allow(deprecated)] // As above.
    if device == Device::ndarray() {
        return true;
    }
    device == Device::flex()
}

/// Whether tensors on `device` lie in the machine's own memory, as far as is known.
#[cfg(feature = "lm")]
pub(crate) fn uses_host_memory(device: &Device) -> bool {
    computes_here(device) || is_software_gpu(device)
}

#[cfg(not(feature = "wgpu"))]
fn gpu_adapters(_: &[Backend]) -> Vec<Adapter> {
    Vec::new()
}

#[cfg(not(feature = "wgpu"))]
fn open_gpu(adapter: &Adapter, _: &[Adapter]) -> Result<Device> {
    Err(Error::Device(format!("this build has no GPU backend for {}", adapter.name)))
}

#[cfg(feature = "wgpu")]
use gpu::{gpu_adapters, open_adapter, open_gpu};

#[cfg(feature = "wgpu")]
mod gpu;

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(backend: Backend, index: usize, kind: AdapterKind) -> Adapter {
        Adapter {
            backend,
            index,
            name: format!("{backend}{index}"),
            driver: String::new(),
            kind,
            max_binding: 0,
            workgroup_memory: 0,
            max_invocations: 0,
        }
    }

    #[test]
    fn auto_selects_a_hardware_gpu_and_never_a_software_one() {
        let software = adapter(Backend::Vulkan, 0, AdapterKind::Cpu);
        let real = adapter(Backend::Vulkan, 1, AdapterKind::IntegratedGpu);
        let flex = adapter(Backend::Flex, 0, AdapterKind::Cpu);
        let here = [software.clone(), real.clone(), flex.clone()];
        assert_eq!(choose(&here, Backend::Auto, 0).unwrap(), &real);
        assert_eq!(choose(&here[..1], Backend::Vulkan, 0).unwrap(), &software);
        let without = [software, flex.clone()];
        assert_eq!(choose(&without, Backend::Auto, 0).unwrap(), &flex);
    }

    #[test]
    fn auto_measures_each_hardware_gpu_once() {
        let mut software = adapter(Backend::Vulkan, 0, AdapterKind::Cpu);
        software.max_invocations = 256;
        let gpu = |backend, index, name: &str| Adapter {
            name: name.into(),
            ..adapter(backend, index, AdapterKind::DiscreteGpu)
        };
        let (one, two) = (gpu(Backend::Vulkan, 1, "one"), gpu(Backend::Vulkan, 2, "two"));
        let again = gpu(Backend::Dx12, 0, "one");
        let flex = adapter(Backend::Flex, 0, AdapterKind::Cpu);
        let here = [software.clone(), one.clone(), two.clone(), again.clone(), flex.clone()];
        assert_eq!(auto_candidates(&here, 0, false), [one.clone(), two.clone(), flex.clone()]);
        let all = [software.clone(), one, two.clone(), flex.clone()];
        assert_eq!(auto_candidates(&here, 0, true), all);
        assert_eq!(auto_candidates(&here, 1, false), [two, flex.clone()]);
        assert_eq!(auto_candidates(&here, 2, false), [again, flex.clone()]);
        assert_eq!(auto_candidates(&here, 9, false), std::slice::from_ref(&flex));
        assert_eq!(auto_candidates(&[software, flex.clone()], 0, false), [flex]);
    }

    #[test]
    fn a_missing_backend_lists_the_available_ones() {
        let here = [
            adapter(Backend::Gl, 0, AdapterKind::Cpu),
            adapter(Backend::Flex, 0, AdapterKind::Cpu),
        ];
        let message = choose(&here, Backend::Metal, 0).unwrap_err().to_string();
        assert!(message.contains("'metal' has no device 0 here ("), "{message}");
        assert!(message.contains("gl 0 (gl0), flex 0 (flex0)"), "{message}");
        let message = choose(&here, Backend::Gl, 3).unwrap_err().to_string();
        assert!(
            message
                .contains("'gl' has no device 3 here; the available ones are gl 0 (gl0), flex 0"),
            "{message}"
        );
        assert!("wgpu".parse::<Backend>().unwrap_err().to_string().contains("auto, vulkan"));
    }
}
