//! The kernels against plain tensor operations on the same device, the cost of a launch, and the two
//! engines of credit assignment.
//!
//! `cargo bench --bench kernels -- FILTER`, where a filter is a part of a name such as
//! `proximity/vulkan/forward`, `scan/`, `launch/flex`, `credit_engine/` or `tokens/`. Compare times within one run;
//! those of a software GPU say nothing of hardware. `PROXMO_BENCH_BACKENDS` (such as `flex,vulkan`)
//! selects the devices. Without a filter, or with the filter `memory`, the bench prints the memory that
//! devices reserve too.

#![allow(missing_docs, reason = "criterion's macros write functions without them")]

use std::time::{Duration, Instant};

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, criterion_group, criterion_main};
use proxmo::credit::CreditConfig;
use proxmo::device::{Adapter, Backend, Opened, adapters, open, read};
use proxmo::episodes::Layout;
use proxmo::kernels::{discounted_returns, episode_advantages, plain_proximity, proximity};
use proxmo::stream::{Purpose, Stream};
use rand::Rng;

#[path = "kernels/engines.rs"]
mod engines;
#[cfg(all(feature = "wgpu", not(feature = "fusion")))]
#[path = "kernels/scan.rs"]
mod scan;
#[path = "kernels/tokens.rs"]
mod tokens;

/// An iteration of the paper's size: 16 groups of 8 episodes of 50 steps.
const ROWS: usize = 6_400;
const GROUP: usize = 400;
const WIDTH: usize = 256;
const TEMPERATURE: f64 = 0.1; // the default

/// Rows on a device.
struct Rows {
    layout: Layout,
    embeddings: Tensor<2>,
    values: Tensor<2>,
    group_of: Vec<i32>,
}

impl Rows {
    fn of(rows: usize, group: usize, device: &Device) -> Self {
        let mut rng = Stream::new(1, Purpose::Generator).rng();
        let mut matrix = |columns: usize| {
            let numbers: Vec<f32> =
                (0..rows * columns).map(|_| rng.random_range(-1.0..1.0)).collect();
            Tensor::from_data(TensorData::new(numbers, [rows, columns]), device)
        };
        let (embeddings, values) = (matrix(WIDTH), matrix(1));
        let offsets: Vec<usize> = (0..=rows / group).map(|at| at * group).collect();
        let group_of = (0..rows).map(|row| (row / group) as i32).collect();
        let layout = Layout::of_groups(&offsets).expect("offsets rise from 0");
        Self { layout, embeddings, values, group_of }
    }

    fn fused(&self, embeddings: Tensor<2>, values: Tensor<2>) -> Tensor<2> {
        proximity(embeddings, values, &self.layout, &CreditConfig::default())
            .expect("the rows fit")
            .means
    }

    /// In plain operations, group by group.
    fn by_group(&self, embeddings: Tensor<2>, values: Tensor<2>) -> Tensor<2> {
        plain_proximity(embeddings, values, &self.layout, &CreditConfig::default())
            .expect("the rows fit")
            .means
    }

    /// In plain operations over the matrix of all pairs, the obvious way to write it.
    fn plain(
        &self,
        apart: &Tensor<2, Bool>,
        embeddings: Tensor<2>,
        values: Tensor<2>,
    ) -> Tensor<2> {
        let unit = unit(embeddings);
        let cosines = unit.clone().matmul(unit.transpose()) / TEMPERATURE;
        softmax(cosines.mask_fill(apart.clone(), -1e30), 1).matmul(values)
    }

    /// Whether two rows belong to different groups.
    fn apart(&self) -> Tensor<2, Bool> {
        let rows = self.group_of.len();
        let group_of = TensorData::new(self.group_of.clone(), [rows]);
        let group_of = Tensor::<1, Int>::from_data(group_of, &self.embeddings.device());
        let down = group_of.clone().reshape([rows, 1]).expand([rows, rows]);
        down.not_equal(group_of.reshape([1, rows]).expand([rows, rows]))
    }

    /// Forward.
    fn asked(&self, forward: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<2>) -> Tensor<2> {
        forward(self.embeddings.clone(), self.values.clone())
    }

    /// Forward and backward, to the gradient of the embeddings.
    fn trained(&self, forward: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<2>) -> Tensor<2> {
        let embeddings = Tensor::from_inner(self.embeddings.clone()).require_grad();
        let values = Tensor::from_inner(self.values.clone());
        let gradients = forward(embeddings.clone(), values).sum().backward();
        embeddings.grad(&gradients).expect("the loss hangs on the embeddings")
    }
}

fn unit(embeddings: Tensor<2>) -> Tensor<2> {
    let length = embeddings.clone().powi_scalar(2).sum_dim(1).sqrt().clamp_min(1e-12);
    embeddings / length
}

/// Waits for the result, by reading one number of it.
fn wait(result: Tensor<2>) {
    read(result.slice([0..1, 0..1])).expect("the device answers");
}

fn time(group: &mut BenchmarkGroup<WallTime>, name: &str, work: impl Fn() -> Tensor<2>) {
    group.bench_function(name, |bencher| bencher.iter(|| wait(work())));
}

/// A group of benches that take seconds each.
fn slow<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(2));
    group
}

/// The requested devices; by default the CPU and the first adapter of Vulkan or Metal.
fn devices() -> Vec<Opened> {
    let asked =
        std::env::var("PROXMO_BENCH_BACKENDS").unwrap_or_else(|_| "flex,vulkan,metal".into());
    let here = adapters();
    let backends = asked.split(',').filter_map(|name| name.trim().parse::<Backend>().ok());
    let here = backends.filter(|&backend| here.iter().any(|one| one.backend == backend));
    here.filter_map(|backend| open(backend, 0).ok()).collect()
}

/// The rows of as many whole groups as have a matrix of pairs within the device's largest buffer. WebGPU
/// guarantees 128 MiB, too little for 6,400 rows.
fn rows_in_pairs(adapter: &Adapter) -> usize {
    let most = match adapter.max_binding {
        0 => u64::MAX,
        bytes => bytes,
    };
    let fits = |&rows: &usize| 4 * (rows * rows) as u64 <= most;
    (GROUP..=ROWS).rev().step_by(GROUP).find(fits).unwrap_or(GROUP)
}

fn proximity_and_its_gradients(criterion: &mut Criterion) {
    for Opened { device, adapter } in devices() {
        let backend = adapter.backend;
        let mut group = slow(criterion, &format!("proximity/{backend}"));
        for rows in [rows_in_pairs(&adapter), ROWS] {
            let given = Rows::of(rows, GROUP, &device);
            let name = |what: &str, how: &str| format!("{what}/{rows}/{how}");
            let (fused, by_group) =
                (|e, v| given.fused(e, v), |e: Tensor<2>, v: Tensor<2>| given.by_group(e, v));
            time(&mut group, &name("forward", "fused"), || given.asked(fused));
            time(&mut group, &name("backward", "fused"), || given.trained(fused));
            time(&mut group, &name("forward", "by group"), || given.asked(by_group));
            time(&mut group, &name("backward", "by group"), || given.trained(by_group));
            if rows == rows_in_pairs(&adapter) {
                let apart = given.apart();
                let plain = |e: Tensor<2>, v: Tensor<2>| given.plain(&apart, e, v);
                time(&mut group, &name("forward", "plain"), || given.asked(plain));
                time(&mut group, &name("backward", "plain"), || given.trained(plain));
            }
            if rows == ROWS {
                break;
            }
        }
    }
}

#[cfg(any(not(feature = "wgpu"), feature = "fusion"))]
fn against_a_scan(_: &mut Criterion) {}

/// The kernel against one that compares every row with all rows.
#[cfg(all(feature = "wgpu", not(feature = "fusion")))]
fn against_a_scan(criterion: &mut Criterion) {
    for Opened { device, adapter } in devices() {
        if matches!(adapter.backend, Backend::Flex | Backend::Ndarray) {
            continue;
        }
        let mut group = slow(criterion, &format!("scan/{}", adapter.backend));
        let given = Rows::of(ROWS, GROUP, &device);
        let unit = unit(given.embeddings.clone());
        let group_of: Vec<f32> = given.group_of.iter().map(|&group| group as f32).collect();
        let group_of = Tensor::from_data(TensorData::new(group_of, [ROWS]), &device);
        let scan = || scan::scan(&unit, &given.values, &group_of, TEMPERATURE as f32);
        group.bench_function("all rows", |bencher| bencher.iter(scan));
        group.bench_function("fused", |bencher| {
            bencher
                .iter(|| read(given.asked(|e, v| given.fused(e, v))).expect("the device answers"));
        });
    }
}

fn episodes(criterion: &mut Criterion) {
    for Opened { device, adapter } in devices() {
        let mut group = criterion.benchmark_group(format!("episodes/{}", adapter.backend));
        group.sample_size(20);
        let episodes: Vec<usize> = (0..=128).map(|episode| episode * 50).collect();
        let groups: Vec<usize> = (0..=16).map(|group| group * 8).collect();
        let layout = Layout::new(&groups, &episodes).expect("offsets rise from 0");
        let rewards = Tensor::<1>::ones([ROWS], &device);
        let success = Tensor::<1>::ones([128], &device);
        time(&mut group, "returns", || {
            let returns = discounted_returns(rewards.clone(), &layout, 0.95);
            returns.expect("the rows fit").unsqueeze_dim(1)
        });
        time(&mut group, "advantages", || {
            let config = CreditConfig::default();
            let found = episode_advantages(rewards.clone(), success.clone(), &layout, &config);
            found.expect("the rows fit").advantages.unsqueeze_dim(1)
        });
    }
}

/// Costs beside a kernel's work: launches and transfers.
fn launches(criterion: &mut Criterion) {
    for Opened { device, adapter } in devices() {
        let mut group = criterion.benchmark_group(format!("launch/{}", adapter.backend));
        group.sample_size(20);
        let layout = Layout::of_groups(&[0, 1]).expect("offsets rise from 0");
        let one = Tensor::<1>::ones([1], &device);
        let launch = || discounted_returns(one.clone(), &layout, 0.5).expect("the row fits");
        time(&mut group, "reading a number", || one.clone().unsqueeze_dim(1));
        time(&mut group, "a launch and reading", || launch().unsqueeze_dim(1));
        time(&mut group, "100 launches and reading", || {
            (1..100).for_each(|_| drop(launch()));
            launch().unsqueeze_dim(1)
        });
        let numbers = vec![1.0f32; ROWS * WIDTH];
        let given = || {
            let data = TensorData::new(numbers.clone(), [ROWS, WIDTH]);
            Tensor::<2>::from_data(data, &device)
        };
        time(&mut group, "writing 6400 x 256 and reading a number", given);
        let there = given();
        group.bench_function("reading 6400 x 256", |bencher| {
            bencher.iter(|| read(there.clone()).expect("the device answers"));
        });
    }
}

/// Printed once: the time of a first launch, and the memory that devices reserve.
fn memory(_: &mut Criterion) {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if filter.is_some_and(|filter| !"memory".contains(&filter)) {
        return;
    }
    for Opened { device, adapter } in devices() {
        // Each number of columns is a variant of the kernel.
        for columns in [2, 4, 8] {
            let layout = Layout::of_groups(&[0, 4]).expect("offsets rise from 0");
            let four = || Tensor::<2>::ones([4, columns], &device);
            let launch = || {
                let started = Instant::now();
                wait(
                    proximity(four(), four(), &layout, &CreditConfig::default())
                        .expect("the rows fit")
                        .means,
                );
                started.elapsed()
            };
            let (first, second) = (launch(), launch());
            println!(
                "{} variant {columns}: {first:.1?} first, {second:.1?} again",
                adapter.backend
            );
        }
        let reserved = || Some(device.memory_pool_usage()?.bytes_reserved >> 20);
        for rows in [ROWS / 4, ROWS / 2, ROWS] {
            device.memory_cleanup();
            // One group: pairs are rows squared.
            let given = Rows::of(rows, rows, &device);
            let Some(before) = reserved() else { break };
            wait(given.trained(|e, v| given.fused(e, v)));
            let fused = reserved().unwrap_or_default() - before;
            print!("{} {rows} rows, MiB reserved: fused {fused}", adapter.backend);
            if rows <= rows_in_pairs(&adapter) {
                let apart = given.apart();
                wait(given.trained(|e, v| given.plain(&apart, e, v)));
                print!(", plain {}", reserved().unwrap_or_default() - before);
            }
            println!();
        }
    }
}

fn credit_engine(criterion: &mut Criterion) {
    engines::credit_engine(criterion, devices());
}

fn token_log_probs(criterion: &mut Criterion) {
    tokens::tokens(criterion, devices());
}

criterion_group!(
    benches,
    memory,
    proximity_and_its_gradients,
    against_a_scan,
    episodes,
    launches,
    credit_engine,
    token_log_probs
);
criterion_main!(benches);
