//! ProxMO credit for a small batch on the host, without tensors.
//!
//! ```text
//! cargo run --release --example credit
//! ```

use proxmo::credit::{Credit, ProxMo};
use proxmo::episodes::{Batch, Episode, Step};

fn main() -> proxmo::Result<()> {
    let (batch, credit) = run()?;
    for (episode, success) in batch.success().iter().enumerate() {
        println!("{}", if *success { "success" } else { "failure" });
        for row in batch.rows_of_episode(episode) {
            let text = &batch.texts()[batch.observations()[row] as usize];
            println!("  {:+.3}   {text}", credit.advantages[row]);
        }
    }
    Ok(())
}

/// Builds a batch of one group and assigns credit to its steps.
pub fn run() -> proxmo::Result<(Batch, Credit)> {
    let hall = "You are in the hall.";
    let cellar = "You are in the dark cellar.";
    let batch = Batch::builder()
        .group([
            Episode::new().step(hall, 0.0).step("You are in the study. A key!", 1.0).success(true),
            Episode::new().step(hall, 0.0).step(cellar, 0.0).step(cellar, 0.0),
            Episode::new().steps([Step::new(hall, 0.0).valid(false), Step::new(cellar, 0.0)]),
        ])
        .build()?;
    let credit = ProxMo::default().assign(&batch)?;
    Ok((batch, credit))
}
