//! The kernels on every adapter of this machine, against references in 64 bits.

#[path = "cross_backend/cases.rs"]
mod cases;
#[path = "cross_backend/devices.rs"]
mod devices;
#[path = "cross_backend/episodes.rs"]
mod episodes;
#[cfg(feature = "wgpu")]
#[path = "cross_backend/files.rs"]
mod files;
#[path = "cross_backend/proximity.rs"]
mod proximity;
#[path = "cross_backend/reference.rs"]
mod reference;
