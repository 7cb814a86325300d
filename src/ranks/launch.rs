//! Whether a launcher of MPI has started this process, as its variables tell.

use std::env;

/// What a launcher, such as `mpirun` or `srun`, tells the processes that it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// Number of the process.
    pub rank: usize,
    /// Number of processes.
    pub size: usize,
}

/// Variables with the number of processes and that of the process: Open MPI, MPICH and its relatives,
/// Slurm with PMIx. Slurm sets its own variables in every job, so one of PMIx has to be there too.
const VARIABLES: [[&str; 2]; 3] = [
    ["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"],
    ["PMI_SIZE", "PMI_RANK"],
    ["SLURM_STEP_NUM_TASKS", "PMIX_RANK"],
];

/// The launch of this process. `None` if it was started by itself.
pub fn launched() -> Option<Launch> {
    launch_of(&|name| env::var(name).ok())
}

fn launch_of(variable: &dyn Fn(&str) -> Option<String>) -> Option<Launch> {
    let number = |name: &str| variable(name)?.trim().parse::<usize>().ok();
    let launch =
        |[size, rank]: [&str; 2]| Some(Launch { size: number(size)?, rank: number(rank)? });
    VARIABLES.into_iter().find_map(launch).filter(|launch| launch.rank < launch.size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_of_a_launcher_give_rank_and_size() {
        let of = |variables: &'static [(&str, &str)]| {
            launch_of(&|name| {
                let found = variables.iter().find(|(one, _)| *one == name);
                found.map(|(_, value)| value.to_string())
            })
        };
        let open_mpi = of(&[("OMPI_COMM_WORLD_SIZE", "4"), ("OMPI_COMM_WORLD_RANK", "3")]);
        assert_eq!(open_mpi, Some(Launch { rank: 3, size: 4 }));
        let slurm = of(&[("SLURM_STEP_NUM_TASKS", "2"), ("PMIX_RANK", "0"), ("SLURM_PROCID", "0")]);
        assert_eq!(slurm, Some(Launch { rank: 0, size: 2 }));
        // A job that runs one process by itself.
        assert_eq!(of(&[("SLURM_NTASKS", "8"), ("SLURM_PROCID", "0")]), None);
        assert_eq!(of(&[("PMI_SIZE", "2"), ("PMI_RANK", "x")]), None);
        assert_eq!(of(&[]), None);
    }
}
