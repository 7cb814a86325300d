//! GPUs, through wgpu.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use burn::tensor::wgpu::{WgpuBackend, wgpu};
use burn::tensor::{Device, DeviceKind};

use super::{Adapter, AdapterKind, Backend};
use crate::error::{Error, Result};

pub(super) fn gpu_adapters(backends: &[Backend]) -> Vec<Adapter> {
    let apis = backends.iter().map(|backend| match backend {
        Backend::Vulkan => wgpu::Backends::VULKAN,
        Backend::Metal => wgpu::Backends::METAL,
        Backend::Dx12 => wgpu::Backends::DX12,
        Backend::Gl => wgpu::Backends::GL,
        _ => wgpu::Backends::empty(),
    });
    let apis: wgpu::Backends = apis.collect();
    // Some drivers' loaders crash if several threads create and drop instances at once.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: apis,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let found = pollster::block_on(instance.enumerate_adapters(apis));
    let mut adapters: Vec<Adapter> = found.iter().filter_map(describe).collect();
    adapters.sort_by_key(|adapter| Backend::ALL.iter().position(|one| *one == adapter.backend));
    for place in 0..adapters.len() {
        let backend = adapters[place].backend;
        adapters[place].index =
            adapters[..place].iter().filter(|one| one.backend == backend).count();
    }
    adapters
}

fn describe(adapter: &wgpu::Adapter) -> Option<Adapter> {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    let backend = match info.backend {
        wgpu::Backend::Vulkan => Backend::Vulkan,
        wgpu::Backend::Metal => Backend::Metal,
        wgpu::Backend::Dx12 => Backend::Dx12,
        wgpu::Backend::Gl => Backend::Gl,
        _ => return None,
    };
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => AdapterKind::DiscreteGpu,
        wgpu::DeviceType::IntegratedGpu => AdapterKind::IntegratedGpu,
        wgpu::DeviceType::VirtualGpu => AdapterKind::VirtualGpu,
        wgpu::DeviceType::Cpu => AdapterKind::Cpu,
        wgpu::DeviceType::Other => AdapterKind::Other,
    };
    Some(Adapter {
        backend,
        index: 0,
        name: info.name,
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
        kind,
        max_binding: limits.max_storage_buffer_binding_size,
        workgroup_memory: limits.max_compute_workgroup_storage_size,
        max_invocations: limits.max_compute_invocations_per_workgroup,
    })
}

/// Devices by backend and index.
type OpenDevices = HashMap<(Backend, usize), (Device, Adapter)>;

/// The open devices. A wgpu device can be initialised only once in a process.
static OPENED: Mutex<Option<OpenDevices>> = Mutex::new(None);

/// The adapter of a device that this process opened.
pub(super) fn open_adapter(device: &Device) -> Option<Adapter> {
    let device = device.clone().without_autodiff();
    let opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut opened = opened.iter().flat_map(HashMap::values);
    opened.find(|(one, _)| *one == device).map(|(_, adapter)| adapter.clone())
}

pub(super) fn open_gpu(adapter: &Adapter, adapters: &[Adapter]) -> Result<Device> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let opened = opened.get_or_insert_with(HashMap::new);
    let key = (adapter.backend, adapter.index);
    if let Some((device, _)) = opened.get(&key) {
        return Ok(device.clone());
    }
    // burn counts adapters by kind, within one graphics API.
    let same_kind = |one: &&Adapter| one.backend == adapter.backend && one.kind == adapter.kind;
    let place =
        adapters.iter().filter(same_kind).position(|one| one == adapter).unwrap_or_default();
    let kind = match adapter.kind {
        AdapterKind::DiscreteGpu => DeviceKind::DiscreteGpu(place),
        AdapterKind::IntegratedGpu => DeviceKind::IntegratedGpu(place),
        AdapterKind::VirtualGpu => DeviceKind::VirtualGpu(place),
        AdapterKind::Cpu => DeviceKind::Cpu,
        AdapterKind::Other => DeviceKind::DefaultDevice,
    };
    let api = match adapter.backend {
        Backend::Metal => WgpuBackend::Metal,
        Backend::Dx12 => WgpuBackend::Dx12,
        Backend::Gl => WgpuBackend::Gl,
        _ => WgpuBackend::Vulkan,
    };
    let device =
        Device::wgpu_options().device_kind(kind).graphics_api(api).init().map_err(|error| {
            Error::Device(format!("cannot open {} ({}): {error}", adapter.name, adapter.backend))
        })?;
    opened.insert(key, (device.clone(), adapter.clone()));
    Ok(device)
}
