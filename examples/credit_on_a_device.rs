//! ProxMO's credit from embeddings that are on a device.
//!
//! `cargo run --release --example credit_on_a_device [BACKEND]`, with a backend such as `flex` (the
//! default), `vulkan` or `metal`.

use burn::tensor::{Distribution, Tensor};
use proxmo::credit::{Credit, ProxMo};
use proxmo::device::{Backend, open};
use proxmo::episodes::{Batch, Episode};

fn main() -> proxmo::Result<()> {
    let backend = match std::env::args().nth(1) {
        Some(name) => name.parse()?,
        None => Backend::Flex,
    };
    let (batch, credit) = run(backend)?;
    println!("{} rows on {backend}, advantages {:.3?}", batch.rows(), credit.advantages);
    Ok(())
}

/// Assigns credit to a small batch on a backend's first device.
pub fn run(backend: Backend) -> proxmo::Result<(Batch, Credit)> {
    let device = open(backend, 0)?.device;

    // Two groups of four episodes, as a rollout gives them.
    let mut builder = Batch::builder();
    for task in 0..2 {
        builder.push_group((0..4).map(|number| {
            let (steps, success) = (3 + number, (task + number) % 2 == 0);
            let mut episode = Episode::new().success(success);
            for step in 0..steps {
                let reward = if success && step + 1 == steps { 1.0 } else { 0.0 };
                episode = episode.step(format!("task {task}, room {}", step % 4), reward);
            }
            episode
        }));
    }
    let batch = builder.build()?;

    // The states as a policy's encoder embeds them: on the device, where they stay.
    let states = Tensor::<2>::random([batch.rows(), 64], Distribution::Default, &device);
    let credit = ProxMo::default().assign_on(&batch, states)?;

    // Advantages for the loss, on the device again.
    let advantages = credit.to_tensor(&device);
    assert_eq!(advantages.dims(), [batch.rows()]);
    Ok((batch, credit))
}
