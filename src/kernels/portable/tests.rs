//! The portable bodies against the CPU path.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Shape, TensorData};
use rand::Rng;

use crate::credit::{Beta, Curve, Inclusion, Normalize, Statistics};
use crate::episodes::Layout;
use crate::kernels::cpu::{self, GradientInputs};
use crate::kernels::parameters::{EpisodeComparison, Neighbourhood, Targets};
use crate::stream::{Purpose, Stream};

type Float = FloatTensor<Flex>;

fn random<const D: usize>(shape: [usize; D], seed: u64) -> Vec<f32> {
    let mut rng = Stream::new(seed, Purpose::Generator).rng();
    (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Float {
    <Flex as burn::backend::ops::FloatTensorOps<Flex>>::float_from_data(
        TensorData::new(values, Shape::from(shape)),
        &Default::default(),
    )
}

fn numbers(tensor: &Float) -> Vec<f32> {
    let data = pollster::block_on(
        <Flex as burn::backend::ops::FloatTensorOps<Flex>>::float_into_data(tensor.clone()),
    );
    data.unwrap().try_into_vec().unwrap()
}

fn assert_same(found: &Float, expected: &Float, name: &str) {
    assert_eq!(found.shape(), expected.shape(), "{name}");
    for (at, (a, b)) in numbers(found).into_iter().zip(numbers(expected)).enumerate() {
        let close = (a - b).abs() <= 2e-5 * (1.0 + b.abs());
        assert!(close || (a.is_nan() && b.is_nan()), "{name}[{at}]: {a}, not {b}");
    }
}

fn layout() -> Layout {
    Layout::new(&[0, 1, 4, 4, 6], &[0, 1, 20, 20, 70, 75, 110]).unwrap()
}

#[test]
fn proximity_is_that_of_the_cpu_path() {
    use Inclusion::{Exclude, Include};
    for (self_weight, same_episode) in [(Include, Include), (Exclude, Include), (Include, Exclude)]
    {
        let mut embeddings = random([110, 6], 1);
        embeddings[6 * 5..6 * 6].fill(0.0);
        embeddings[6 * 6..6 * 7].iter_mut().for_each(|value| *value *= 1e30);
        embeddings[6 * 80 + 2] = f32::NAN;
        embeddings[6 * 7] = 1e-40;
        let mut gradient = random([110, 2], 3);
        gradient[3] = f32::INFINITY;
        let (embeddings, values) =
            (tensor(embeddings, [110, 6]), tensor(random([110, 2], 2), [110, 2]));
        let gradient = tensor(gradient, [110, 2]);
        let neighbourhood =
            Neighbourhood { layout: layout(), self_weight, same_episode, temperature: 0.3 };
        let (means, neighbours, state) =
            super::proximity::<Flex>(embeddings.clone(), values.clone(), &neighbourhood);
        let quick = cpu::proximity::<Flex>(&embeddings, &values, &neighbourhood).unwrap();
        assert_same(&means, &quick.0, "means");
        assert_same(&neighbours, &quick.1, "neighbours");
        let given = GradientInputs {
            embeddings: &embeddings,
            values: &values,
            means: &means,
            state: &state,
            gradient: &gradient,
        };
        let quick = cpu::proximity_gradients::<Flex>(&given, &neighbourhood).unwrap();
        let (to_embeddings, to_values) = super::proximity_gradients::<Flex>(
            embeddings.clone(),
            values.clone(),
            means.clone(),
            state.clone(),
            gradient.clone(),
            &neighbourhood,
        );
        assert_same(&to_embeddings, &quick.0, "the gradient of embeddings");
        assert_same(&to_values, &quick.1, "the gradient of values");
    }
}

#[test]
fn episodes_are_those_of_the_cpu_path() {
    let mut rewards = random([110], 4);
    rewards[100] = f32::NAN;
    let rewards = tensor(rewards, [110]);
    let success = tensor(vec![1.0, 0.0, 1.0, 0.0, 0.0, 1.0], [6]);
    let returns = super::discounted_returns::<Flex>(rewards.clone(), &layout(), 0.9);
    let quick = cpu::discounted_returns::<Flex>(&rewards, &layout(), 0.9).unwrap();
    assert_same(&returns, &quick, "returns");
    let beta = Beta { successes: 1.0, failures: 2.0 };
    for (statistics, normalize, prior) in [
        (Statistics::Episode, Normalize::Mean, None),
        (Statistics::Step, Normalize::MeanStd, Some(beta)),
        (Statistics::Episode, Normalize::MeanStd, None),
    ] {
        let modulation = Some(Curve { steepness: 1.5, range: 0.5 });
        let layout = layout();
        let comparison = EpisodeComparison { layout, statistics, normalize, modulation, prior };
        let (advantages, statistics) =
            super::episode_advantages::<Flex>(rewards.clone(), success.clone(), &comparison);
        let quick = cpu::episode_advantages::<Flex>(&rewards, &success, &comparison).unwrap();
        assert_same(&advantages, &quick.0, "advantages");
        assert_same(&statistics, &quick.1, "statistics");
    }
}

#[test]
fn equal_rewards_are_exactly_their_mean() {
    // Nine times 0.7, added and divided in 32 bits, is not 0.7.
    let rewards = tensor(vec![0.7; 9], [9]);
    let success = tensor(vec![0.0; 9], [9]);
    let offsets: Vec<usize> = (0..=9).collect();
    let layout = Layout::new(&[0, 9], &offsets).unwrap();
    let comparison = EpisodeComparison::plain(layout, Normalize::MeanStd);
    let (advantages, _) = super::episode_advantages::<Flex>(rewards, success, &comparison);
    assert_eq!(numbers(&advantages), [0.0; 9]);
}

#[test]
fn scores_of_tokens_are_those_of_the_cpu_path() {
    // Two blocks of rows and two windows of the CPU path, and two windows of the portable body.
    let (rows, width, vocabulary) = (900, 4, 5000);
    let hidden = tensor(random([rows, width], 1), [rows, width]);
    let head = tensor(random([vocabulary, width], 2), [vocabulary, width]);
    let gradient = tensor(random([rows, 3], 3), [rows, 3]);
    let tokens = (0..rows as u32).map(|row| if row % 9 == 0 { Targets::NONE } else { row * 5 });
    let targets = Targets::new(tokens.collect());
    let statistics = super::logit_statistics::<Flex>(hidden.clone(), head.clone(), &targets);
    let quick = cpu::logit_statistics::<Flex>(&hidden, &head, &targets).unwrap();
    assert_same(&quick, &statistics, "statistics");
    assert_eq!(numbers(&quick)[2], 0.0, "a row without a target has no logit of a target");
    let given = [hidden, head, statistics, gradient];
    let slopes = super::logit_gradients::<Flex>(given.clone(), &targets);
    let quick = cpu::logit_gradients::<Flex>(&given, &targets).unwrap();
    assert_same(&quick.0, &slopes.0, "the gradient of hidden states");
    assert_same(&quick.1, &slopes.1, "the gradient of the head");
    let frozen = targets.with_gradients(true, false);
    let quick = cpu::logit_gradients::<Flex>(&given, &frozen).unwrap();
    assert_same(&quick.0, &slopes.0, "the gradient of hidden states alone");
    assert_eq!(quick.1.shape().num_elements(), 1);
}
