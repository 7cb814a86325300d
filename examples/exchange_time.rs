//! Times the exchange of gradients between the ranks of a training, without a training:
//!
//! ```text
//! mpirun -n 2 target/release/examples/exchange_time 57728 3400000
//! ```
//!
//! An argument is a number of weights. Each rank has one gradient of this size. It sends every other rank
//! a slice of it, adds up the slices that it receives, and sends the sum to all.

use std::time::Instant;

use proxmo::Error;
use proxmo::ranks::{Communicator, MpiCommunicator};

/// Number of exchanges of each size.
const REPEATS: usize = 200;

fn main() -> proxmo::Result<()> {
    let ranks = MpiCommunicator::start()?;
    for argument in std::env::args().skip(1) {
        let weights: usize = argument
            .parse()
            .map_err(|_| Error::input(&argument, "expected a number of weights"))?;
        let slice = weights.div_ceil(ranks.size());
        let mut seconds = Vec::with_capacity(REPEATS);
        for _ in 0..REPEATS {
            ranks.all_gather(Vec::new())?;
            let begun = Instant::now();
            let slices = ranks.all_to_all(vec![vec![0; 4 * slice]; ranks.size()])?;
            let mut sum = vec![0f32; slice];
            for slice in &slices {
                for (sum, bytes) in sum.iter_mut().zip(slice.as_chunks().0) {
                    *sum += f32::from_le_bytes(*bytes);
                }
            }
            ranks.all_gather(sum.iter().flat_map(|value| value.to_le_bytes()).collect())?;
            seconds.push(begun.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        if ranks.rank() == 0 {
            let (least, median) = (1e3 * seconds[0], 1e3 * seconds[REPEATS / 2]);
            println!("{weights} weights: {least:.2} ms at least, median {median:.2} ms");
        }
    }
    Ok(())
}
