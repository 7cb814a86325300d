//! The two engines of credit assignment, from embeddings on a device to credit on the host.

use burn::tensor::{Device, Tensor, TensorData};
use criterion::Criterion;
use proxmo::credit::{Credit, CreditConfig, CreditState, Embedding, assign_with};
use proxmo::device::{Opened, read};
use proxmo::episodes::{Batch, Embeddings, Episode};
use proxmo::kernels::assign;
use proxmo::stream::{Purpose, Stream};
use proxmo::verify::{distance, oracle};
use rand::Rng;

/// The width of the scorer's embeddings.
const WIDTH: usize = 64;

/// Groups, episodes a group and steps an episode: an iteration of training, and a large one.
const SIZES: [(&str, [usize; 3]); 2] = [("16x8x30", [16, 8, 30]), ("32x16x50", [32, 16, 50])];

fn batch([groups, episodes, steps]: [usize; 3]) -> Batch {
    let mut rng = Stream::new(1, Purpose::Generator).rng();
    let mut builder = Batch::builder();
    for _ in 0..groups {
        let played: Vec<bool> = (0..episodes).map(|_| rng.random_bool(0.4)).collect();
        builder.push_group(played.into_iter().map(|success| {
            let mut episode = Episode::new().success(success);
            for step in 0..steps {
                let reward = if success && step + 1 == steps { 1.0 } else { 0.0 };
                // A tenth of the rows have an observation of their own.
                let room =
                    if rng.random_bool(0.1) { rng.random() } else { rng.random_range(0..40u32) };
                episode = episode.step(format!("room {room}"), reward);
            }
            episode
        }));
    }
    builder.build().expect("rewards are finite")
}

fn embeddings(rows: usize, device: &Device) -> Tensor<2> {
    let mut rng = Stream::new(2, Purpose::Generator).rng();
    let numbers: Vec<f32> = (0..rows * WIDTH).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_data(TensorData::new(numbers, [rows, WIDTH]), device)
}

fn on_host(batch: &Batch, embeddings: &Tensor<2>, config: &CreditConfig) -> Credit {
    let values = read(embeddings.clone()).expect("the device answers");
    let embedded = batch.with_embeddings(Embeddings::Steps { values, width: WIDTH });
    let embedded = embedded.expect("there is one for each row");
    assign_with(&embedded, config, &mut CreditState::default()).expect("the settings are sound")
}

fn on_device(batch: &Batch, embeddings: &Tensor<2>, config: &CreditConfig) -> Credit {
    let (state, device) = (&mut CreditState::default(), embeddings.device());
    assign(batch, Some(embeddings.clone()), &device, config, state).expect("the device answers")
}

/// Both engines agree with the oracle on a small batch.
fn check(device: &Device, config: &CreditConfig) {
    let batch = batch([2, 3, 5]);
    let embeddings = embeddings(batch.rows(), device);
    let values = read(embeddings.clone()).expect("the device answers");
    let embedded = batch.with_embeddings(Embeddings::Steps { values, width: WIDTH });
    let embedded = embedded.expect("there is one for each row");
    let expected = oracle::credit(&embedded, config).expect("the oracle defines the settings");
    for credit in [on_host(&batch, &embeddings, config), on_device(&batch, &embeddings, config)] {
        let off = distance(&credit.advantages_f32(), &expected.advantages).expect("all are finite");
        assert!(off < 1e-5, "advantages are off by {off}");
    }
}

/// Benches `credit_engine/BACKEND/SIZE/ENGINE`.
pub fn credit_engine(criterion: &mut Criterion, devices: Vec<Opened>) {
    let config = CreditConfig { embedding: Embedding::Policy, ..CreditConfig::default() };
    for Opened { device, adapter } in devices {
        let mut group = super::slow(criterion, &format!("credit_engine/{}", adapter.backend));
        check(&device, &config);
        for (name, size) in SIZES {
            let batch = batch(size);
            let embeddings = embeddings(batch.rows(), &device);
            group.bench_function(format!("{name}/host"), |bencher| {
                bencher.iter(|| on_host(&batch, &embeddings, &config));
            });
            group.bench_function(format!("{name}/device"), |bencher| {
                bencher.iter(|| on_device(&batch, &embeddings, &config));
            });
        }
    }
}
