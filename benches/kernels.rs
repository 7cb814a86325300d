//! The kernels against the same in plain tensor operations, on the same device.
//!
//! `cargo bench --bench kernels`. Ratios within one run are what counts; on a software GPU times
//! mean nothing. `PROXMO_BENCH_BACKENDS` (such as `flex,vulkan`) picks the devices.

#![allow(missing_docs, reason = "criterion's macros write functions without them")]

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use proxmo::device::{Backend, adapters, open, read};
use proxmo::kernels::{
    EpisodeOptions, Layout, ProximityOptions, discounted_returns, episode_advantages, proximity,
};
use proxmo::stream::{Purpose, Stream};
use rand::Rng;

const WIDTH: usize = 256;
const TEMPERATURE: f32 = 0.1;

/// Rows on a device.
struct Rows {
    layout: Layout,
    embeddings: Tensor<2>,
    values: Tensor<2>,
    /// Where two rows are of different groups, as plain operations need it.
    apart: Tensor<2, Bool>,
}

impl Rows {
    fn of(rows: usize, groups: usize, device: &Device) -> Self {
        let mut rng = Stream::new(1, Purpose::Generator).rng();
        let mut matrix = |columns: usize| {
            let numbers: Vec<f32> =
                (0..rows * columns).map(|_| rng.random_range(-1.0..1.0)).collect();
            Tensor::from_data(TensorData::new(numbers, [rows, columns]), device)
        };
        let (embeddings, values) = (matrix(WIDTH), matrix(1));
        let offsets: Vec<usize> = (0..=groups).map(|group| group * rows / groups).collect();
        let group_of = offsets
            .windows(2)
            .enumerate()
            .flat_map(|(group, ends)| std::iter::repeat_n(group as i32, ends[1] - ends[0]));
        let group_of = TensorData::new(group_of.collect::<Vec<i32>>(), [rows]);
        let group_of = Tensor::<1, Int>::from_data(group_of, device);
        let down = group_of.clone().reshape([rows, 1]).expand([rows, rows]);
        let apart = down.not_equal(group_of.reshape([1, rows]).expand([rows, rows]));
        let layout = Layout::of_groups(&offsets).expect("offsets rise from 0");
        Self { layout, embeddings, values, apart }
    }

    fn fused(&self, embeddings: Tensor<2>, values: Tensor<2>) -> Tensor<2> {
        let options = ProximityOptions { temperature: TEMPERATURE, ..Default::default() };
        proximity(embeddings, values, &self.layout, &options).expect("the rows fit").means
    }

    fn plain(&self, embeddings: Tensor<2>, values: Tensor<2>) -> Tensor<2> {
        let length = embeddings.clone().powi_scalar(2).sum_dim(1).sqrt().clamp_min(1e-12);
        let unit = embeddings / length;
        let cosines = unit.clone().matmul(unit.transpose()) / TEMPERATURE;
        softmax(cosines.mask_fill(self.apart.clone(), -1e30), 1).matmul(values)
    }

    /// Forward and backward, to the gradient of the embeddings.
    fn trained(&self, forward: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<2>) -> Tensor<2> {
        let embeddings = Tensor::from_inner(self.embeddings.clone()).require_grad();
        let values = Tensor::from_inner(self.values.clone());
        let gradients = forward(embeddings.clone(), values).sum().backward();
        embeddings.grad(&gradients).expect("the loss hangs on the embeddings")
    }
}

fn time(group: &mut BenchmarkGroup<WallTime>, name: &str, work: impl Fn() -> Tensor<2>) {
    group.bench_function(name, |bencher| {
        bencher.iter(|| read(work().slice([0..1, 0..1])).expect("the device answers"));
    });
}

/// The devices asked for, or the CPU and the first adapter of Vulkan or Metal.
fn devices() -> Vec<(String, Device)> {
    let asked =
        std::env::var("PROXMO_BENCH_BACKENDS").unwrap_or_else(|_| "flex,vulkan,metal".into());
    let here = adapters();
    let backends = asked.split(',').filter_map(|name| name.trim().parse::<Backend>().ok());
    let here = backends.filter(|&backend| here.iter().any(|one| one.backend == backend));
    here.filter_map(|backend| Some((backend.to_string(), open(backend, 0).ok()?.device))).collect()
}

fn proximity_and_its_gradients(criterion: &mut Criterion) {
    for (name, device) in devices() {
        // With 6,400 rows the matrix of pairs that plain operations build is beyond the 128 MiB that
        // WebGPU grants to a buffer.
        for (rows, groups) in [(1_600, 4), (5_600, 14)] {
            let mut group = criterion.benchmark_group(format!("proximity/{name}/{rows}x{groups}"));
            group.sample_size(10);
            let given = Rows::of(rows, groups, &device);
            let (embeddings, values) = (&given.embeddings, &given.values);
            time(&mut group, "forward/kernel", || given.fused(embeddings.clone(), values.clone()));
            time(&mut group, "forward/plain", || given.plain(embeddings.clone(), values.clone()));
            time(&mut group, "backward/kernel", || given.trained(|e, v| given.fused(e, v)));
            time(&mut group, "backward/plain", || given.trained(|e, v| given.plain(e, v)));
        }
        // What looking at the own group alone is worth: the same rows as one group.
        let mut group = criterion.benchmark_group(format!("proximity/{name}/1600 as one group"));
        group.sample_size(10);
        let given = Rows::of(1_600, 1, &device);
        time(&mut group, "forward/kernel", || {
            given.fused(given.embeddings.clone(), given.values.clone())
        });
    }
}

fn episodes(criterion: &mut Criterion) {
    for (name, device) in devices() {
        let mut group = criterion.benchmark_group(format!("episodes/{name}"));
        group.sample_size(20);
        let episodes: Vec<usize> = (0..=128).map(|episode| episode * 50).collect();
        let groups: Vec<usize> = (0..=16).map(|group| group * 8).collect();
        let layout = Layout::new(&groups, &episodes).expect("offsets rise from 0");
        let rewards = Tensor::<1>::ones([6_400], &device);
        let success = Tensor::<1>::ones([128], &device);
        time(&mut group, "returns", || {
            let returns = discounted_returns(rewards.clone(), &layout, 0.95);
            returns.expect("the rows fit").unsqueeze_dim(1)
        });
        time(&mut group, "advantages", || {
            let options = EpisodeOptions::default();
            let found = episode_advantages(rewards.clone(), success.clone(), &layout, &options);
            found.expect("the rows fit").advantages.unsqueeze_dim(1)
        });
        // Launching and reading alone, to be taken off the above.
        time(&mut group, "nothing", || rewards.clone().unsqueeze_dim(1));
    }
}

criterion_group!(benches, proximity_and_its_gradients, episodes);
criterion_main!(benches);
