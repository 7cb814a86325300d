//! Rows to compute on, as hard as they come.

use proxmo::kernels::{Excluded, Layout};
use proxmo::stream::{Purpose, Stream};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Rows, their groups, and what is asked of them.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub group_offsets: Vec<usize>,
    pub episode_offsets: Vec<usize>,
    pub width: usize,
    pub columns: usize,
    pub embeddings: Vec<f32>,
    pub values: Vec<f32>,
    pub temperature: f32,
    pub excluded: Excluded,
}

impl Case {
    /// Random rows in groups of the given sizes, each of up to three episodes.
    pub fn of(sizes: &[usize], width: usize, columns: usize) -> Self {
        let rows: usize = sizes.iter().sum();
        let mut rng = rng(rows * 1000 + width * 10 + columns);
        let (mut group_offsets, mut episode_offsets) = (vec![0], vec![0]);
        let mut done = 0;
        for &size in sizes {
            for third in 0..3 {
                let steps = (size + third) / 3;
                if steps > 0 {
                    done += steps;
                    episode_offsets.push(done);
                }
            }
            group_offsets.push(episode_offsets.len() - 1);
        }
        let numbers = |count: usize, rng: &mut ChaCha8Rng| -> Vec<f32> {
            (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
        };
        Self {
            name: format!("{} groups, {rows} rows, {width} wide, {columns} columns", sizes.len()),
            group_offsets,
            episode_offsets,
            width,
            columns,
            embeddings: numbers(rows * width, &mut rng),
            values: numbers(rows * columns, &mut rng),
            temperature: 0.1,
            excluded: Excluded::Nobody,
        }
    }

    pub fn named(mut self, name: &str) -> Self {
        self.name = format!("{name}: {}", self.name);
        self
    }

    pub fn at(mut self, temperature: f32) -> Self {
        self.temperature = temperature;
        self.named(&format!("temperature {temperature}"))
    }

    pub fn without(mut self, excluded: Excluded) -> Self {
        self.excluded = excluded;
        self.named(&format!("without {excluded:?}"))
    }

    pub fn layout(&self) -> Layout {
        Layout::new(&self.group_offsets, &self.episode_offsets).unwrap()
    }

    pub fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    pub fn row(&mut self, row: usize) -> &mut [f32] {
        &mut self.embeddings[row * self.width..(row + 1) * self.width]
    }

    /// The group and the episode of every row.
    pub fn memberships(&self) -> Vec<(usize, usize)> {
        let mut memberships = Vec::new();
        for (group, episodes) in self.group_offsets.windows(2).enumerate() {
            for episode in episodes[0]..episodes[1] {
                let rows = self.episode_offsets[episode]..self.episode_offsets[episode + 1];
                memberships.extend(rows.map(|_| (group, episode)));
            }
        }
        memberships
    }
}

pub fn rng(seed: usize) -> ChaCha8Rng {
    Stream::new(seed as u64, Purpose::Generator).rng()
}

/// Sizes around a tile, widths around a stage, and everything at the edge of what is defined.
pub fn hard() -> Vec<Case> {
    let mut cases = Vec::new();
    for rows in [1, 2, 31, 32, 33, 63, 64, 65] {
        cases.push(Case::of(&[rows], 5, 1));
    }
    for width in [1, 15, 16, 17, 64, 256] {
        cases.push(Case::of(&[20, 50], width, 2));
    }
    for columns in [3, 8, 9, 33, 70] {
        cases.push(Case::of(&[40, 30], 7, columns));
    }
    cases.push(Case::of(&[40, 3], 1024, 1));
    cases.push(Case::of(&[1500, 500], 4, 1));
    cases.push(Case::of(&[1; 70], 6, 1));
    cases.push(Case::of(&[1, 90, 3, 1, 0, 17, 64, 2, 130, 1], 24, 2));
    for excluded in [Excluded::Itself, Excluded::Episode] {
        cases.push(Case::of(&[1, 2, 3, 70, 1, 40], 9, 2).without(excluded));
        cases.push(Case::of(&[1; 40], 3, 1).without(excluded));
    }
    for temperature in [1e-3, 1e-2, 1.0, 1e3] {
        cases.push(Case::of(&[50, 33], 12, 1).at(temperature));
    }
    cases.push(identical(0.1));
    cases.push(identical(1e-3));
    let mut zeros = Case::of(&[40, 5], 8, 1).named("rows of zeros");
    for row in [0, 7, 40, 41, 42, 43, 44] {
        zeros.row(row).fill(0.0);
    }
    cases.push(zeros);
    let mut scales = Case::of(&[60], 10, 2).named("huge and tiny rows");
    for row in 0..60 {
        let scale = 10f32.powi(row as i32 * 75 / 59 - 37);
        scales.row(row).iter_mut().for_each(|value| *value *= scale);
    }
    scales.row(3).fill(f32::MAX);
    scales.row(4).fill(-f32::MAX);
    cases.push(scales);
    let mut values = Case::of(&[30, 30], 6, 1).named("huge values");
    values.values.iter_mut().for_each(|value| *value *= 1e30);
    cases.push(values);
    cases
}

fn identical(temperature: f32) -> Case {
    let mut case = Case::of(&[70, 40], 16, 1).at(temperature).named("identical rows");
    let first = case.row(0).to_vec();
    (0..110).for_each(|row| case.row(row).copy_from_slice(&first));
    case
}
