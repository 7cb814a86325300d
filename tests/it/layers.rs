//! Operations of layers of language models on the CPU.

use burn::tensor::{Device, Tensor, TensorData};
use proxmo::device::read;
use proxmo::kernels::{
    AdamWStep, adamw, causal_softmax, rms_norm, rotate, swiglu, token_log_probs,
};
use proxmo::stream::{Purpose, Stream};
use rand::Rng;

/// Random numbers with gradients.
fn leaf<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let mut rng = Stream::new(seed, Purpose::Generator).rng();
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.random_range(-2.0..2.0)).collect();
    let device = Device::flex().autodiff();
    Tensor::from_data(TensorData::new(values, shape), &device).require_grad()
}

/// A result and the gradients by its arguments, as bits.
fn bits<const D: usize>(result: Tensor<D>, leaves: &[&Tensor<2>]) -> Vec<u32> {
    let gradients = result.clone().powi_scalar(3).sum().backward();
    let mut numbers = read(result.inner()).unwrap();
    for leaf in leaves {
        numbers.extend(read(leaf.grad(&gradients).unwrap()).unwrap());
    }
    numbers.into_iter().map(f32::to_bits).collect()
}

/// Results and gradients of all operations, each of several pieces of work.
fn results() -> Vec<Vec<u32>> {
    let [x, y] = [1, 2].map(|seed| leaf([700, 70], seed));
    let device = Device::flex().autodiff();
    let angles = Tensor::<1>::from_data([0.5f32, -1.0, 2.0, 0.25, 3.0].as_slice(), &device);
    let angles = angles.reshape([1, 1, 1, 5]).expand([1, 700, 1, 5]);
    let targets: Vec<u32> = (0..700).map(|row| row % 70).collect();
    let scores = token_log_probs(x.clone(), &[y.clone().narrow(0, 0, 70)], &targets).unwrap();
    let step = AdamWStep {
        rate: 0.1,
        kept: 0.9,
        beta_1: 0.9,
        beta_2: 0.99,
        correction_1: 10.0,
        correction_2: 100.0,
        epsilon: 1e-8,
    };
    let [parameter, gradient] = [&x, &y].map(|tensor| tensor.clone().inner());
    let moments = [gradient.clone(), gradient.clone().square()];
    let [first, second] = moments;
    let stepped = adamw([parameter, first, second], gradient, step);
    let mut all = vec![
        bits(swiglu(x.clone(), y.clone()), &[&x, &y]),
        bits(rms_norm(x.clone(), y.clone().narrow(0, 0, 1).squeeze_dim(0), 1e-5), &[&x, &y]),
        bits(causal_softmax(x.clone().reshape([10, 70, 70]), 0.3), &[&x]),
        bits(rotate(x.clone().reshape([1, 700, 7, 10]), angles.clone(), angles), &[&x]),
        bits(scores.log_probs + scores.entropies, &[&x, &y]),
    ];
    all.extend(stepped.map(|tensor| read(tensor).unwrap().into_iter().map(f32::to_bits).collect()));
    all
}

#[test]
fn results_and_gradients_do_not_depend_on_the_number_of_threads() {
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(results)
    };
    let (one, three) = (with(1), with(3));
    for (operation, (one, three)) in one.iter().zip(&three).enumerate() {
        assert!(one == three, "operation {operation} depends on the number of threads");
    }
}
