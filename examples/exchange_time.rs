//! Times the exchange of gradients between the ranks of a training, without a training:
//!
//! ```text
//! mpirun -n 2 target/release/examples/exchange_time 57728 3400000
//! mpirun -n 2 target/release/examples/exchange_time 57728x4
//! ```
//!
//! An argument is a number of weights, and with `xK` the number of gradients of this size that each rank
//! has, one for each of its parts. They are added in both ways of `distributed.gradient_sum`. By part, a
//! rank sends every other one a slice of each of its gradients, adds up the slices that it receives, and
//! sends the sum to all. By rank, it adds up its own gradients, and MPI adds the sums.

use std::time::Instant;

use proxmo::Error;
use proxmo::ranks::{Communicator, MpiCommunicator};

/// Number of exchanges of each size.
const REPEATS: usize = 200;

fn main() -> proxmo::Result<()> {
    let ranks = MpiCommunicator::start()?;
    for argument in std::env::args().skip(1) {
        let (weights, parts) = sizes(&argument).ok_or_else(|| {
            Error::input(&argument, "expected a number of weights, as 57728, or 57728x4")
        })?;
        let gradients = vec![vec![1f32; weights]; parts];
        for (name, add) in [("by part", by_part as Add), ("by rank", by_rank)] {
            let mut seconds = Vec::with_capacity(REPEATS);
            for _ in 0..REPEATS {
                ranks.all_gather(Vec::new())?;
                let begun = Instant::now();
                let sum = add(&ranks, &gradients)?;
                seconds.push(begun.elapsed().as_secs_f64());
                assert!(sum.iter().all(|&sum| sum == (ranks.size() * parts) as f32));
            }
            seconds.sort_by(f64::total_cmp);
            if ranks.rank() == 0 {
                let (least, median) = (1e3 * seconds[0], 1e3 * seconds[REPEATS / 2]);
                println!(
                    "{weights} weights, {parts} parts a rank, {name}: {least:.2} ms at least, median \
                     {median:.2} ms"
                );
            }
        }
    }
    Ok(())
}

/// Number of weights, and of gradients of a rank.
fn sizes(argument: &str) -> Option<(usize, usize)> {
    let (weights, parts) = argument.split_once('x').unwrap_or((argument, "1"));
    Some((weights.parse().ok()?, parts.parse().ok().filter(|&parts| parts > 0)?))
}

/// Adds the gradients of all ranks.
type Add = fn(&MpiCommunicator, &[Vec<f32>]) -> proxmo::Result<Vec<f32>>;

fn by_part(ranks: &MpiCommunicator, gradients: &[Vec<f32>]) -> proxmo::Result<Vec<f32>> {
    let (total, size) = (gradients[0].len(), ranks.size());
    let slice = |rank: usize| total * rank / size..total * (rank + 1) / size;
    let to_rank = |rank: usize| {
        let slices = gradients.iter().map(|gradient| to_bytes(&gradient[slice(rank)]));
        slices.collect::<Vec<_>>().concat()
    };
    let mut sum = vec![0f32; slice(ranks.rank()).len()];
    for slices in ranks.all_to_all((0..size).map(to_rank).collect())? {
        for slice in slices.chunks_exact(4 * sum.len().max(1)) {
            add(&mut sum, &to_numbers(slice));
        }
    }
    Ok(to_numbers(&ranks.all_gather(to_bytes(&sum))?.concat()))
}

fn by_rank(ranks: &MpiCommunicator, gradients: &[Vec<f32>]) -> proxmo::Result<Vec<f32>> {
    let mut sum = gradients[0].clone();
    gradients[1..].iter().for_each(|gradient| add(&mut sum, gradient));
    ranks.all_reduce(sum)
}

fn add(sum: &mut [f32], addend: &[f32]) {
    sum.iter_mut().zip(addend).for_each(|(sum, value)| *sum += value);
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn to_numbers(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}
