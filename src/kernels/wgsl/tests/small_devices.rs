//! Kernels at the limits of smaller devices than the present one.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Cube, DispatchTensorKind, TensorMetadata};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::device;
use crate::credit::{CreditConfig, Inclusion, Temperature};
use crate::episodes::Layout;
use crate::kernels::parameters::{Neighbourhood, Targets};
use crate::kernels::portable;
use crate::kernels::wgsl::launch::{Launch, Prefilled};
use crate::kernels::wgsl::limits::KernelLimits;
use crate::kernels::wgsl::sources::ReturnsKernel;
use crate::kernels::wgsl::{Float, gradients, proximity, ready, token_log_probs};
use crate::stream::{Purpose, Stream};

fn random(columns: usize, seed: u64, device: &Device) -> Float {
    let mut rng = Stream::new(seed, Purpose::Generator).rng();
    let numbers: Vec<f32> = (0..ROWS * columns).map(|_| rng.random_range(-1.0..1.0)).collect();
    let tensor = Tensor::<2>::from_data(TensorData::new(numbers, [ROWS, columns]), device);
    match tensor.into_dispatch().kind {
        DispatchTensorKind::Cube(tensor) => tensor.float(),
        _ => panic!("a tensor on a GPU has another backend"),
    }
}

fn assert_same(found: Float, expected: Float, what: &str) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    let numbers = |tensor: Float| -> Vec<f32> {
        let data = pollster::block_on(<Cube as FloatTensorOps<Cube>>::float_into_data(tensor));
        data.unwrap().try_into_vec().unwrap()
    };
    for (at, (a, b)) in numbers(found).into_iter().zip(numbers(expected)).enumerate() {
        assert!((a - b).abs() <= 2e-5 * (1.0 + b.abs()), "{what}[{at}]: {a}, not {b}");
    }
}

const ROWS: usize = 330;

/// `verify` runs its tests under this guard.
#[test]
fn a_result_that_is_not_written_shows() {
    let Some(device) = device() else { return };
    let _prefilled = Prefilled::new();
    let rewards = ready(&random(1, 1, &device)).unwrap();
    let launch = Launch::on(&rewards, KernelLimits::of(&rewards));
    let offsets = launch.words(vec![0, 30, ROWS as u32]);
    let returns = launch.empty([ROWS, 1]);
    // The memory of two episodes, and a launch over one.
    let parameters = [1, 1f32.to_bits(), f32::NAN.to_bits()];
    launch.run(ReturnsKernel, (1, 1), &[&rewards, &offsets, &returns], &parameters).unwrap();
    let data = pollster::block_on(<Cube as FloatTensorOps<Cube>>::float_into_data(returns));
    let numbers: Vec<f32> = data.unwrap().try_into_vec().unwrap();
    assert!(numbers[..30].iter().all(|value| value.is_finite()));
    assert!(
        numbers[30..].iter().all(|value| value.is_nan()),
        "a number that was not written is not NaN"
    );
}

#[test]
fn small_workgroups_folded_grids_and_small_buffers_compute_the_same() {
    let Some(device) = device() else { return };
    let layout = Layout::new(&[0, 3, 4, 5], &[0, 50, 110, 200, 201, ROWS]).unwrap();
    let config = CreditConfig {
        self_weight: Inclusion::Exclude,
        temperature: Temperature::Fixed(0.2),
        ..CreditConfig::default()
    };
    let neighbourhood = Neighbourhood::of(&layout, &config).unwrap();
    let (embeddings, values) = (random(37, 1, &device), random(11, 2, &device));
    let gradient = random(11, 3, &device);
    let (means, neighbours, state) =
        portable::proximity::<Cube>(embeddings.clone(), values.clone(), &neighbourhood);
    let slopes = portable::proximity_gradients::<Cube>(
        embeddings.clone(),
        values.clone(),
        means.clone(),
        state.clone(),
        gradient.clone(),
        &neighbourhood,
    );
    // Buffers for all rows, and for the first two groups.
    let (roomy, tight) = (20 * ROWS, 20 * 201);
    for (invocations, memory, binding) in
        [(256, 32 << 10, roomy), (256, 16 << 10, tight), (64, 16 << 10, tight)]
    {
        let limits = |_: &_| KernelLimits { invocations, memory, grid: 5, binding };
        let found = proximity(&embeddings, &values, &neighbourhood, limits).unwrap();
        assert_same(found.0, means.clone(), "means");
        assert_same(found.1, neighbours.clone(), "neighbours");
        let given = [&embeddings, &values, &means, &state, &gradient];
        let found = gradients(given, &neighbourhood, limits).unwrap();
        assert_same(found.0, slopes.0.clone(), "the gradient of embeddings");
        assert_same(found.1, slopes.1.clone(), "the gradient of values");
    }
    let none =
        |_: &_| KernelLimits { invocations: 256, memory: 16 << 10, grid: 5, binding: 20 * 199 };
    assert!(proximity(&embeddings, &values, &neighbourhood, none).is_none());
}

#[test]
fn scores_of_tokens_are_the_same_in_windows_of_the_vocabulary() {
    let Some(device) = device() else { return };
    let (hidden, head, gradient) =
        (random(13, 1, &device), random(13, 2, &device), random(3, 3, &device));
    let targets = Targets::new((0..ROWS as u32).map(|row| row * 7 % ROWS as u32).collect());
    let statistics = portable::logit_statistics::<Cube>(hidden.clone(), head.clone(), &targets);
    let given = [hidden.clone(), head.clone(), statistics.clone(), gradient];
    let slopes = portable::logit_gradients::<Cube>(given.clone(), &targets);
    // Buffers for all gradients of logits, and for those of 64 tokens.
    for (invocations, binding) in [(256, 1 << 20), (256, 4 * 64 * ROWS), (64, 4 * 64 * ROWS)] {
        let limits = |_: &_| KernelLimits { invocations, memory: 16 << 10, grid: 6, binding };
        let found = token_log_probs::statistics(&hidden, &head, &targets, limits).unwrap();
        assert_same(found, statistics.clone(), "statistics");
        let found = token_log_probs::gradients(&given, &targets, limits).unwrap();
        assert_same(found.0, slopes.0.clone(), "the gradient of hidden states");
        assert_same(found.1, slopes.1.clone(), "the gradient of the head");
        let frozen = targets.clone().with_gradients(true, false);
        let found = token_log_probs::gradients(&given, &frozen, limits).unwrap();
        assert_same(found.0, slopes.0.clone(), "the gradient of hidden states alone");
        assert_eq!(found.1.shape().num_elements(), 1);
    }
}
