//! Cases for proximity: shapes, settings and numbers at the edges of what is defined.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::credit::{CreditConfig, Inclusion, Temperature};
use crate::episodes::Layout;
use crate::error::Result;
use crate::stream::{Purpose, Stream};

/// Rows in groups, and the settings to compute them with.
#[derive(Debug, Clone)]
pub struct Case {
    /// What the case tests.
    pub name: String,
    /// The first episode of each group, and the number of episodes: `[groups + 1]`.
    pub group_offsets: Vec<usize>,
    /// The first row of each episode, and the number of rows: `[episodes + 1]`.
    pub episode_offsets: Vec<usize>,
    /// The length of an embedding.
    pub width: usize,
    /// How many values a row has.
    pub columns: usize,
    /// `[rows, width]`
    pub embeddings: Vec<f32>,
    /// `[rows, columns]`
    pub values: Vec<f32>,
    /// The kernel's temperature.
    pub temperature: f32,
    /// Whether a row is a neighbour of itself.
    pub self_weight: Inclusion,
    /// Whether the rows of a row's own episode are its neighbours.
    pub same_episode: Inclusion,
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
            self_weight: Inclusion::Include,
            same_episode: Inclusion::Include,
        }
    }

    /// The case with a prefix to its name.
    pub fn named(mut self, name: &str) -> Self {
        self.name = format!("{name}: {}", self.name);
        self
    }

    /// The case at another temperature than 0.1.
    pub fn at(mut self, temperature: f32) -> Self {
        self.temperature = temperature;
        self.named(&format!("temperature {temperature}"))
    }

    /// The case with fewer neighbours.
    pub fn neighbours(mut self, (self_weight, same_episode): (Inclusion, Inclusion)) -> Self {
        (self.self_weight, self.same_episode) = (self_weight, same_episode);
        self.named(&format!("self {self_weight:?}, episode {same_episode:?}"))
    }

    /// The layout of the rows.
    ///
    /// # Errors
    /// Fails if the offsets do not fit each other.
    pub fn layout(&self) -> Result<Layout> {
        Layout::new(&self.group_offsets, &self.episode_offsets)
    }

    /// The settings of the kernel.
    pub fn config(&self) -> CreditConfig {
        CreditConfig {
            temperature: Temperature::Fixed(f64::from(self.temperature)),
            self_weight: self.self_weight,
            same_episode: self.same_episode,
            ..CreditConfig::default()
        }
    }

    /// Some gradient of the means.
    pub fn gradient(&self) -> Vec<f32> {
        let mut rng = rng(self.rows());
        self.values.iter().map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    /// The bound of an error, as a share of the largest number expected. Cosines of 32-bit numbers are
    /// off by about 1e-7, which the temperature magnifies.
    pub fn bound(&self) -> f64 {
        2e-5 + 1e-6 / f64::from(self.temperature)
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    /// One row's embedding.
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

/// The random numbers of a case.
pub(super) fn rng(seed: usize) -> ChaCha8Rng {
    Stream::new(seed as u64, Purpose::Generator).rng()
}

/// Groups of one to thousands of rows around the sizes of tiles, embeddings of 1 to 1,024 numbers, one
/// and many columns of values; one group, groups of one, ragged ones and empty ones.
pub fn shapes() -> Vec<Case> {
    let mut cases = Vec::new();
    // Tiles have 32 or 64 rows on a GPU, blocks 64 on the CPU.
    for rows in [1, 2, 3, 31, 32, 33, 63, 64, 65, 127, 128, 129] {
        cases.push(Case::of(&[rows], 5, 1));
    }
    // Embeddings are read 16 numbers at a time.
    for width in [1, 2, 15, 16, 17, 31, 64, 256, 511] {
        cases.push(Case::of(&[20, 50], width, 2));
    }
    for columns in [3, 4, 8, 9, 33, 70] {
        cases.push(Case::of(&[40, 30], 7, columns));
    }
    cases.push(Case::of(&[40, 3], 1024, 1));
    cases.push(Case::of(&[1500, 500], 4, 1));
    cases.push(Case::of(&[1; 70], 6, 1));
    cases.push(Case::of(&[1, 90, 3, 1, 0, 17, 64, 2, 130, 1], 24, 2));
    cases
}

/// Every choice of neighbours: all rows of the group, all but the row itself, all but its episode.
pub const NEIGHBOURS: [(Inclusion, Inclusion); 3] = [
    (Inclusion::Include, Inclusion::Include),
    (Inclusion::Exclude, Inclusion::Include),
    (Inclusion::Include, Inclusion::Exclude),
];

/// Temperatures from 1e-3 to 1e3, and rows with fewer neighbours than their group.
pub fn settings() -> Vec<Case> {
    let mut cases = Vec::new();
    for neighbours in [NEIGHBOURS[1], NEIGHBOURS[2]] {
        cases.push(Case::of(&[1, 2, 3, 70, 1, 40], 9, 2).neighbours(neighbours));
        cases.push(Case::of(&[1; 40], 3, 1).neighbours(neighbours));
        cases.push(Case::of(&[65, 20], 8, 1).at(1e-3).neighbours(neighbours));
    }
    for temperature in [1e-3, 1e-2, 1.0, 30.0, 1e3] {
        cases.push(Case::of(&[50, 33], 12, 1).at(temperature));
    }
    cases
}

/// Identical rows, zeros, huge and tiny numbers.
pub fn extremes() -> Vec<Case> {
    let mut cases = vec![identical(0.1), identical(1e-3), identical(1e3)];
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
    for (name, scale) in [("huge values", 1e30), ("tiny values", 1e-30)] {
        let mut values = Case::of(&[30, 30], 6, 1).named(name);
        values.values.iter_mut().for_each(|value| *value *= scale);
        cases.push(values);
    }
    cases
}

fn identical(temperature: f32) -> Case {
    let mut case = Case::of(&[70, 40], 16, 1).at(temperature).named("identical rows");
    let first = case.row(0).to_vec();
    (0..110).for_each(|row| case.row(row).copy_from_slice(&first));
    case
}

/// NaN and infinities in some rows, and denormal numbers.
pub fn non_finite() -> Vec<Case> {
    let sizes = [3, 70, 1, 40, 2];
    let mut cases = Vec::new();
    for neighbours in NEIGHBOURS {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut case = Case::of(&sizes, 5, 2).neighbours(neighbours);
            case.row(1)[4] = value;
            case.values[2 * 100] = value;
            case.row(73)[0] = value;
            cases.push(case.named(&format!("with {value}")));
        }
    }
    let mut denormal = Case::of(&sizes, 5, 2).named("denormal embeddings");
    denormal.row(5).fill(1e-40);
    denormal.row(6).iter_mut().for_each(|value| *value *= 1e-38);
    denormal.row(7)[2] = -1e-42;
    cases.push(denormal);
    let mut denormal = Case::of(&sizes, 5, 2).named("denormal values");
    denormal.values.iter_mut().skip(1).step_by(2).for_each(|value| *value = 1e-40);
    denormal.values[2 * 3] = -1e-44;
    cases.push(denormal);
    cases
}
