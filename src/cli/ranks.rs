//! A command on several ranks: processes that `mpirun` or `srun` has started.

use std::sync::atomic::Ordering;

#[cfg(feature = "mpi")]
pub use super::mpi::on_ranks;
use super::signals::stop_on_signal;
use crate::device::{Adapter, Backend, candidates};
use crate::device_check::DeviceCheck;
use crate::error::{Error, Result};
use crate::ranks::Ranks;
use crate::ranks::launch::launched;
use crate::runs::{FollowerResources, dismiss, follow};
use crate::train::Config;

/// Whether a launcher has started this process, or the one that has started it, as another rank than the
/// leader.
pub fn is_follower() -> bool {
    launched().is_some_and(|launch| launch.rank > 0)
}

/// Runs work in the only process that a launcher has started, if it has started one at all. Of several, the
/// first says that they are too many, and the others end without an error.
///
/// # Errors
/// Fails in the first of several processes.
pub fn in_one_process(refusal: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    match launched() {
        Some(launch) if launch.rank > 0 => Ok(()),
        Some(launch) if launch.size > 1 => {
            Err(Error::Device(format!("{} processes were started, but {refusal}", launch.size)))
        }
        _ => work(),
    }
}

/// Runs a training on all ranks: `lead` on the leader, which alone has settings and a folder.
pub fn train_on_ranks(check: DeviceCheck, lead: impl FnOnce(&Ranks) -> Result<()>) -> Result<()> {
    on_ranks(|ranks| {
        if ranks.is_leader() {
            let result = lead(ranks);
            dismiss(ranks, &result);
            return result;
        }
        let stop = stop_on_signal("iteration")?;
        let open = |config: &Config| open_resources(config, ranks, check);
        follow(ranks, &open, &|| stop.load(Ordering::Relaxed)).map(drop)
    })
}

/// Runs work in this process.
///
/// # Errors
/// Fails if a launcher has started several processes.
#[cfg(not(feature = "mpi"))]
pub fn on_ranks(work: impl FnOnce(&Ranks) -> Result<()>) -> Result<()> {
    let refusal = "this build runs in one: build it with --features mpi";
    in_one_process(refusal, || work(&Ranks::alone()))
}

/// Opens what the settings of the leader name, on this machine.
fn open_resources(config: &Config, ranks: &Ranks, check: DeviceCheck) -> Result<FollowerResources> {
    let environment = config.env.open(config.env.split())?;
    let held_out = config.env.open(&config.eval.split)?;
    let backend = config.run.backend;
    let device = device_for_rank(backend, config.run.device, ranks);
    let opened = check.open(backend, device)?.opened;
    Ok(FollowerResources { environment, held_out, opened })
}

/// The number of a rank's device of a backend: ranks on one machine take one after the other, from number
/// `device` on.
pub fn device_for_rank(backend: Backend, device: usize, ranks: &Ranks) -> usize {
    match ranks.local_rank() {
        0 => device,
        local_rank => device_of(&candidates(backend), backend, device, local_rank),
    }
}

/// The number of the device of a rank. Hardware GPUs are not mixed with software ones.
fn device_of(adapters: &[Adapter], backend: Backend, first: usize, local_rank: usize) -> usize {
    if backend == Backend::Auto {
        let gpus = adapters.iter().filter(|one| one.kind.is_gpu()).count();
        return (first + local_rank).checked_rem(gpus).unwrap_or(first);
    }
    let here = || adapters.iter().filter(|one| one.backend == backend);
    let is_gpu = here().any(|one| one.index == first && one.kind.is_gpu());
    let same: Vec<usize> =
        here().filter(|one| one.kind.is_gpu() == is_gpu).map(|one| one.index).collect();
    let place = same.iter().position(|&index| index == first);
    // A device that is not there is an error of opening it.
    place.map_or(first, |place| same[(place + local_rank) % same.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::AdapterKind;

    #[test]
    fn ranks_of_a_machine_take_one_gpu_after_the_other_and_no_software_gpu() {
        let adapter = |backend, index, kind| Adapter {
            backend,
            index,
            name: String::new(),
            driver: String::new(),
            kind,
            max_binding: 0,
            workgroup_memory: 0,
            max_invocations: 0,
        };
        let here = [
            adapter(Backend::Vulkan, 0, AdapterKind::DiscreteGpu),
            adapter(Backend::Vulkan, 1, AdapterKind::Cpu),
            adapter(Backend::Vulkan, 2, AdapterKind::DiscreteGpu),
            adapter(Backend::Flex, 0, AdapterKind::Cpu),
        ];
        let devices = |backend, first| {
            (0..4).map(|rank| device_of(&here, backend, first, rank)).collect::<Vec<_>>()
        };
        assert_eq!(devices(Backend::Vulkan, 0), [0, 2, 0, 2]);
        assert_eq!(devices(Backend::Vulkan, 2), [2, 0, 2, 0]);
        assert_eq!(devices(Backend::Vulkan, 1), [1, 1, 1, 1]);
        assert_eq!(devices(Backend::Flex, 0), [0; 4]);
        // The numbers of auto count hardware GPUs.
        assert_eq!(devices(Backend::Auto, 1), [1, 0, 1, 0]);
        assert_eq!(devices(Backend::Vulkan, 9), [9; 4]);
    }
}
