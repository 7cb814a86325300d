//! Buffers, grids and parameters.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::backend::wgpu::{CubeTensor, SourceKernel};
use burn::tensor::{DType, Shape};
use cubecl::CubeCount;
use cubecl::server::{KernelArguments, MetadataBindingInfo};

use super::counters;
use super::limits::KernelLimits;
use super::sources::{Kernel, Rows};
use crate::kernels::parameters::Span;

/// While a value of this type exists, memory for the results of WGSL kernels is filled with NaN before
/// a launch, in the whole process: a result that a kernel does not write is NaN.
#[derive(Debug)]
pub struct Prefilled(());

static PREFILLED: AtomicUsize = AtomicUsize::new(0);

impl Prefilled {
    /// Fills memory from here on, until the value is dropped.
    #[allow(clippy::new_without_default)] // A default would hide that it does something.
    pub fn new() -> Self {
        PREFILLED.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Prefilled {
    fn drop(&mut self) {
        PREFILLED.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Launches kernels on the device of a tensor.
pub(super) struct Launch<'a> {
    like: &'a CubeTensor,
    limits: KernelLimits,
}

impl<'a> Launch<'a> {
    pub fn on(like: &'a CubeTensor, limits: KernelLimits) -> Self {
        Self { like, limits }
    }

    /// Memory for a result.
    pub fn empty<const D: usize>(&self, shape: [usize; D]) -> CubeTensor {
        let shape = Shape::from(shape);
        #[cfg(test)]
        counters::tests::note_memory(shape.num_elements());
        let bytes = shape.num_elements() * DType::F32.size();
        let buffer = if PREFILLED.load(Ordering::Relaxed) > 0 {
            self.like.client.create_from_slice(&vec![0xff; bytes])
        } else {
            self.like.client.empty(bytes)
        };
        let (client, device) = (self.like.client.clone(), self.like.device.clone());
        CubeTensor::new_contiguous(client, device, shape, buffer, DType::F32)
    }

    /// Numbers from the host.
    pub fn words(&self, words: Vec<u32>) -> CubeTensor {
        #[cfg(test)]
        counters::tests::note_memory(words.len());
        let buffer = self.like.client.create_from_slice(bytemuck::cast_slice(&words));
        let (client, device) = (self.like.client.clone(), self.like.device.clone());
        CubeTensor::new_contiguous(client, device, Shape::from([words.len()]), buffer, DType::U32)
    }

    /// The neighbours of each row of a window, counted from the window's first row.
    pub fn spans(&self, spans: &[Span], window: &Range<usize>) -> CubeTensor {
        let first = window.start as u32;
        let words = spans[window.clone()].iter().flat_map(|span| span.words(first));
        self.words(words.collect())
    }

    /// The factors that scale each row of a window to unit length.
    pub fn scales(
        &self,
        embeddings: &CubeTensor,
        values: &CubeTensor,
        window: &Range<usize>,
    ) -> Option<CubeTensor> {
        let scales = self.empty([window.len(), 2]);
        let sizes = [window.len(), columns(embeddings), columns(values), window.start];
        self.run(
            Rows,
            (window.len().div_ceil(16), 1),
            &[embeddings, values, &scales],
            &sizes.map(|size| size as u32),
        )?;
        Some(scales)
    }

    /// Runs a kernel on a grid of `(tiles, layers)`, tiles folded into two dimensions. `None` if the
    /// grid exceeds the limits of every device.
    pub fn run(
        &self,
        kernel: impl Kernel,
        (tiles, layers): (usize, usize),
        buffers: &[&CubeTensor],
        parameters: &[u32],
    ) -> Option<()> {
        let [x, y] = folded(tiles, self.limits.grid)?;
        let layers =
            u32::try_from(layers).ok().filter(|&layers| layers as usize <= self.limits.grid)?;
        let buffers = buffers.iter().map(|tensor| tensor.handle.clone().binding()).collect();
        let arguments = KernelArguments::new().with_buffers(buffers).with_info(packed(parameters));
        counters::count_launch();
        let workgroup = kernel.workgroup();
        let kernel = Box::new(SourceKernel::new(kernel, workgroup));
        self.like.client.launch(kernel, CubeCount::Static(x, y, layers), arguments);
        Some(())
    }
}

/// A tensor that shares no memory with `others`: WebGPU does not let a dispatch bind writable memory
/// twice.
pub(super) fn apart(tensor: CubeTensor, others: &[&CubeTensor]) -> CubeTensor {
    let memory = |tensor: &CubeTensor| tensor.handle.clone().binding().memory.id();
    let own = memory(&tensor);
    if others.iter().any(|other| memory(other) == own) { tensor.copy() } else { tensor }
}

/// A matrix's columns.
pub(super) fn columns(tensor: &CubeTensor) -> usize {
    tensor.meta.shape()[1]
}

/// `None` if a size does not fit the 32 bits that kernels count in.
pub(super) fn countable(sizes: &[usize]) -> Option<()> {
    sizes.iter().all(|&size| u32::try_from(size).is_ok()).then_some(())
}

/// A grid of at least `tiles` workgroups, neither side longer than `most`.
fn folded(tiles: usize, most: usize) -> Option<[u32; 2]> {
    let x = tiles.min(most);
    let y = tiles.div_ceil(x.max(1));
    (y <= most).then_some([x as u32, y as u32])
}

/// Parameters in cubecl's format, padded to the alignment of a WGSL uniform buffer.
fn packed(parameters: &[u32]) -> MetadataBindingInfo {
    let mut words = parameters.to_vec();
    words.resize(parameters.len().next_multiple_of(4), 0);
    let pairs = words.chunks_exact(2);
    let pairs = pairs.map(|pair| u64::from(pair[0]) | u64::from(pair[1]) << 32);
    MetadataBindingInfo::custom(pairs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_are_folded_and_cover_all_tiles() {
        assert_eq!(folded(1, 65_535), Some([1, 1]));
        assert_eq!(folded(65_535, 65_535), Some([65_535, 1]));
        assert_eq!(folded(65_536, 65_535), Some([65_535, 2]));
        assert_eq!(folded(10, 3), None);
        assert_eq!(folded(9, 3), Some([3, 3]));
    }
}
