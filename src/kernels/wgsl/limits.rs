//! The limits of a device, and the sizes of workgroups and launches that follow from them.

use std::ops::Range;

use burn::backend::wgpu::CubeTensor;

use crate::episodes::Layout;

/// The bytes a row in the largest buffer that kernels keep beside arguments and results: five numbers.
const MAX_ROW_BYTES: usize = 20;

/// The limits of a device that kernels depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct KernelLimits {
    /// Invocations of a workgroup.
    pub invocations: usize,
    /// Bytes of workgroup memory.
    pub memory: usize,
    /// Workgroups in a dimension of the grid.
    pub grid: usize,
    /// Bytes of a buffer.
    pub binding: usize,
}

impl KernelLimits {
    /// The limits of a tensor's device; grids at most as long as core WebGPU allows.
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

    /// The same if a tile of pairs must fit into workgroup memory.
    pub fn side_for_pairs(self) -> usize {
        if self.memory >= 32 << 10 { self.side() } else { 8 }
    }

    /// Runs of whole groups whose intermediate results fit into a buffer, whatever the width of the
    /// rows themselves. `None` if a single group does not fit.
    pub fn windows(self, layout: &Layout) -> Option<Vec<Range<usize>>> {
        let most = self.binding / MAX_ROW_BYTES;
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_whole_groups_that_fit() {
        let layout = Layout::of_groups(&[0, 3, 3, 5, 9, 10]).unwrap();
        let windows = |rows: usize| {
            let binding = rows * MAX_ROW_BYTES + 19;
            let limits = KernelLimits { invocations: 256, memory: 16 << 10, grid: 65_535, binding };
            let windows = limits.windows(&layout)?.into_iter();
            Some(windows.map(|rows| (rows.start, rows.end)).collect::<Vec<_>>())
        };
        assert_eq!(windows(10), Some(vec![(0, 10)]));
        assert_eq!(windows(9), Some(vec![(0, 9), (9, 10)]));
        assert_eq!(windows(5), Some(vec![(0, 5), (5, 10)]));
        assert_eq!(windows(4), Some(vec![(0, 3), (3, 5), (5, 9), (9, 10)]));
        assert_eq!(windows(3), None);
    }
}
