//! Buffers, grids and parameters.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::backend::wgpu::{CubeTensor, SourceKernel};
use burn::tensor::{DType, Shape};
use cubecl::CubeCount;
use cubecl::server::{KernelArguments, MetadataBindingInfo};

use super::sources::{Kernel, Rows};
use crate::episodes::Layout;
use crate::kernels::proximity::Span;

/// The most bytes a row that kernels keep to themselves in one buffer: five numbers.
const NOTES: usize = 20;

/// What kernels are cut to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Invocations of a workgroup.
    pub invocations: usize,
    /// Bytes of workgroup memory.
    pub memory: usize,
    /// Workgroups in a dimension of the grid.
    pub grid: usize,
    /// Bytes of a buffer.
    pub binding: usize,
}

impl Limits {
    /// Those of the device that a tensor is on; grids never beyond what WebGPU grants to all.
    pub fn of(tensor: &CubeTensor) -> Self {
        let properties = tensor.client.properties();
        let hardware = &properties.hardware;
        Self {
            invocations: hardware.max_units_per_cube as usize,
            memory: hardware.max_shared_memory_size,
            grid: 65_535,
            binding: usize::try_from(properties.memory.max_page_size).unwrap_or(usize::MAX),
        }
    }

    /// Invocations along each side of a tile's workgroup.
    pub fn side(self) -> usize {
        if self.invocations >= 256 { 16 } else { 8 }
    }

    /// Runs of whole groups, as long as what a kernel notes of their rows fits into a buffer, whatever
    /// the width of the rows themselves. Nothing where a single group is beyond that.
    pub fn windows(self, layout: &Layout) -> Option<Vec<Range<usize>>> {
        let most = self.binding / NOTES;
        let mut windows: Vec<Range<usize>> = Vec::new();
        for group in layout.group_rows().filter(|rows| !rows.is_empty()) {
            match windows.last_mut() {
                Some(window) if group.end - window.start <= most => window.end = group.end,
                _ if group.len() <= most => windows.push(group),
                _ => return None,
            }
        }
        Some(windows)
    }

    /// The same where a tile of pairs must fit into workgroup memory.
    pub fn side_for_pairs(self) -> usize {
        if self.memory >= 32 << 10 { self.side() } else { 8 }
    }
}

/// While one of these lives, memory for the results of WGSL kernels holds NaN beforehand, in the whole
/// process: a result that a kernel fails to write shows, whatever was in that memory before.
#[derive(Debug)]
pub struct Prefilled(());

static PREFILLED: AtomicUsize = AtomicUsize::new(0);

impl Prefilled {
    /// From here on, until it is dropped.
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

/// Launches kernels where a tensor is.
pub(super) struct Launch<'a> {
    like: &'a CubeTensor,
    limits: Limits,
}

impl<'a> Launch<'a> {
    pub fn on(like: &'a CubeTensor, limits: Limits) -> Self {
        Self { like, limits }
    }

    /// Memory for a result.
    pub fn empty<const D: usize>(&self, shape: [usize; D]) -> CubeTensor {
        let shape = Shape::from(shape);
        #[cfg(test)]
        super::tests::note_memory(shape.num_elements());
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
        super::tests::note_memory(words.len());
        let buffer = self.like.client.create_from_slice(bytemuck::cast_slice(&words));
        let (client, device) = (self.like.client.clone(), self.like.device.clone());
        CubeTensor::new_contiguous(client, device, Shape::from([words.len()]), buffer, DType::U32)
    }

    /// Where each row of a window looks, counted from the window's first.
    pub fn spans(&self, spans: &[Span], window: &Range<usize>) -> CubeTensor {
        let first = window.start as u32;
        let words = spans[window.clone()].iter().flat_map(|span| span.words(first));
        self.words(words.collect())
    }

    /// How each row of a window is scaled to unit length.
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

    /// Runs a kernel on a grid of `(tiles, layers)`, tiles folded into two dimensions. Nothing where
    /// the grid is beyond every device.
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
        let workgroup = kernel.workgroup();
        let kernel = Box::new(SourceKernel::new(kernel, workgroup));
        self.like.client.launch(kernel, CubeCount::Static(x, y, layers), arguments);
        Some(())
    }
}

/// A tensor that shares no memory with others: WebGPU lets no dispatch bind memory twice that it may
/// write to.
pub(super) fn apart(tensor: CubeTensor, others: &[&CubeTensor]) -> CubeTensor {
    let memory = |tensor: &CubeTensor| tensor.handle.clone().binding().memory.id();
    let own = memory(&tensor);
    if others.iter().any(|other| memory(other) == own) { tensor.copy() } else { tensor }
}

/// A matrix's columns.
pub(super) fn columns(tensor: &CubeTensor) -> usize {
    tensor.meta.shape()[1]
}

/// Whether kernels can count that far.
pub(super) fn countable(sizes: &[usize]) -> Option<()> {
    sizes.iter().all(|&size| u32::try_from(size).is_ok()).then_some(())
}

/// A grid of at least `tiles` workgroups, none of its sides longer than `most`.
fn folded(tiles: usize, most: usize) -> Option<[u32; 2]> {
    let x = tiles.min(most);
    let y = tiles.div_ceil(x.max(1));
    (y <= most).then_some([x as u32, y as u32])
}

/// Parameters as cubecl wants them, padded as WGSL wants a uniform buffer.
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
    fn windows_are_whole_groups_that_fit() {
        let layout = Layout::of_groups(&[0, 3, 3, 5, 9, 10]).unwrap();
        let windows = |rows: usize| {
            let binding = rows * NOTES + 19;
            let limits = Limits { invocations: 256, memory: 16 << 10, grid: 65_535, binding };
            let windows = limits.windows(&layout)?.into_iter();
            Some(windows.map(|rows| (rows.start, rows.end)).collect::<Vec<_>>())
        };
        assert_eq!(windows(10), Some(vec![(0, 10)]));
        assert_eq!(windows(9), Some(vec![(0, 9), (9, 10)]));
        assert_eq!(windows(5), Some(vec![(0, 5), (5, 10)]));
        assert_eq!(windows(4), Some(vec![(0, 3), (3, 5), (5, 9), (9, 10)]));
        assert_eq!(windows(3), None);
    }

    #[test]
    fn grids_are_folded_and_cover_all_tiles() {
        assert_eq!(folded(1, 65_535), Some([1, 1]));
        assert_eq!(folded(65_535, 65_535), Some([65_535, 1]));
        assert_eq!(folded(65_536, 65_535), Some([65_535, 2]));
        assert_eq!(folded(10, 3), None);
        assert_eq!(folded(9, 3), Some([3, 3]));
    }
}
