//! Proximity-based soft aggregation on tensors.

use burn::backend::Dispatch;
use burn::backend::tensor::FloatTensor;
use burn::tensor::Tensor;

use super::backend::KernelBackend;
use super::shapes;
use crate::episodes::Layout;
use crate::error::{Error, Result};

/// Whom a row does not look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Excluded {
    /// It looks at every row of its group, itself too.
    #[default]
    Nobody,
    /// Not at itself.
    Itself,
    /// Not at its own episode, nor at itself.
    Episode,
}

/// Where a row looks, and how far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProximityOptions {
    /// Bandwidth `τ` in units of cosine, from 1e-6 to 1e6. Cosines of 32-bit numbers are right to
    /// about 1e-7, so below 1e-5 weights are rough.
    pub temperature: f32,
    /// Whom a row does not look at.
    pub excluded: Excluded,
}

impl Default for ProximityOptions {
    fn default() -> Self {
        Self { temperature: 0.1, excluded: Excluded::Nobody }
    }
}

/// What a row's surroundings come to.
#[derive(Debug, Clone)]
pub struct Proximity {
    /// The softmax-weighted mean of each column of values: `[rows, columns]`.
    pub means: Tensor<2>,
    /// How many rows each mean effectively averages, `(Σ w)² / Σ w²`; 0 where there is nobody to
    /// look at. A constant to autodiff: `[rows]`.
    pub neighbours: Tensor<1>,
}

/// What the kernels are told about a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Surroundings {
    pub(super) layout: Layout,
    pub(super) excluded: Excluded,
    pub(super) temperature: f32,
}

/// One row's reach: it looks at the rows from `begin` to `end`, except from `hole.0` to `hole.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub begin: u32,
    pub end: u32,
    pub hole: [u32; 2],
}

impl Span {
    pub(super) fn reaches(&self, row: u32) -> bool {
        (self.begin..self.end).contains(&row) && !(self.hole[0]..self.hole[1]).contains(&row)
    }

    /// As kernels read it, counted from the row `first`.
    #[cfg(feature = "wgpu")]
    pub(super) fn words(&self, first: u32) -> [u32; 4] {
        [self.begin, self.end, self.hole[0], self.hole[1]].map(|row| row - first)
    }

    /// Whether there is nobody to look at.
    pub(super) fn is_lonely(&self) -> bool {
        self.hole[1] - self.hole[0] == self.end - self.begin
    }
}

impl Surroundings {
    /// The reach of every row.
    pub(super) fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::with_capacity(self.layout.rows());
        for episodes in self.layout.group_episodes() {
            let group = self.layout.rows_of(episodes.clone());
            let (begin, end) = (group.start as u32, group.end as u32);
            for episode in episodes {
                let rows = self.layout.rows_of(episode..episode + 1);
                let own = [rows.start as u32, rows.end as u32];
                spans.extend(rows.map(|row| {
                    let row = row as u32;
                    let hole = match self.excluded {
                        Excluded::Nobody => [row, row],
                        Excluded::Itself => [row, row + 1],
                        Excluded::Episode => own,
                    };
                    Span { begin, end, hole }
                }));
            }
        }
        spans
    }
}

/// For each row `i` the mean of the values of the rows `j` it looks at, weighted by proximity:
///
/// ```text
/// b_i = Σ_j w_ij v_j / Σ_j w_ij        w_ij = exp(cos(e_i, e_j) / τ)
/// ```
///
/// `embeddings` are `[rows, width]` of any length, `values` are `[rows, columns]`. Gradients reach
/// both. Memory beside arguments and results is a few numbers a row: no matrix of pairs is built.
///
/// Everything is defined:
/// - a row of zeros has cosine 0 to every row, itself too, and no gradient; denormal numbers in
///   embeddings are zeros;
/// - a row with nobody to look at keeps its own values, and has 0 neighbours;
/// - a row is NaN throughout where its own embedding or values, or those of a row it looks at, hold
///   a NaN or an infinity. Gradients are NaN for a row that is, that looks at one that is or that
///   gets a gradient that is not finite. Other groups never notice;
/// - values up to 1e30 are safe from overflow; denormal values, and means that would be denormal, may
///   count as 0.
///
/// Devices agree up to rounding: WGSL kernels run on wgpu in 32 bits, CPU backends have their own
/// path, and burn's other devices compute the same from plain tensor operations, a group at a time.
///
/// # Errors
/// Where shapes or devices do not fit, or the temperature is out of range.
pub fn proximity(
    embeddings: Tensor<2>,
    values: Tensor<2>,
    layout: &Layout,
    options: &ProximityOptions,
) -> Result<Proximity> {
    answered(embeddings, values, layout, options, Dispatch::proximity)
}

/// [`proximity`] in burn's own operations on any device, with burn's own gradients: what the kernels
/// are held against. It makes a matrix of pairs for each group.
///
/// # Errors
/// As [`proximity`].
pub fn plain_proximity(
    embeddings: Tensor<2>,
    values: Tensor<2>,
    layout: &Layout,
    options: &ProximityOptions,
) -> Result<Proximity> {
    answered(embeddings, values, layout, options, Dispatch::plain_proximity)
}

type Primitive = FloatTensor<Dispatch>;

fn answered(
    embeddings: Tensor<2>,
    values: Tensor<2>,
    layout: &Layout,
    options: &ProximityOptions,
    answer: impl FnOnce(Primitive, Primitive, Surroundings) -> (Primitive, Primitive, Primitive),
) -> Result<Proximity> {
    if !(1e-6..=1e6).contains(&options.temperature) {
        let message = format!("is {}, expected from 1e-6 to 1e6", options.temperature);
        return Err(Error::setting("temperature", message));
    }
    let (rows, columns) = (layout.rows(), values.dims()[1]);
    shapes::matrix("embeddings", &embeddings, rows)?;
    shapes::matrix("values", &values, rows)?;
    shapes::same_device("values", &values, &embeddings)?;
    if rows == 0 {
        let device = values.device();
        let means = Tensor::zeros([0, columns], &device);
        return Ok(Proximity { means, neighbours: Tensor::zeros([0], &device) });
    }
    let surroundings = Surroundings {
        layout: layout.clone(),
        excluded: options.excluded,
        temperature: options.temperature,
    };
    let (means, neighbours, _) =
        answer(embeddings.into_dispatch(), values.into_dispatch(), surroundings);
    Ok(Proximity {
        means: Tensor::from_dispatch(means),
        neighbours: Tensor::from_dispatch(neighbours),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_reach_the_group_without_the_hole() {
        let layout = Layout::new(&[0, 2, 3], &[0, 2, 3, 4]).unwrap();
        let spans = |excluded| {
            let around = Surroundings { layout: layout.clone(), excluded, temperature: 1.0 };
            around.spans()
        };
        let reach = |span: &Span| (0..4).filter(|&row| span.reaches(row)).collect::<Vec<u32>>();
        let everyone = spans(Excluded::Nobody);
        assert_eq!(
            everyone.iter().map(reach).collect::<Vec<_>>()[1..],
            [vec![0, 1, 2], vec![0, 1, 2], vec![3]]
        );
        let others = spans(Excluded::Itself);
        assert_eq!(reach(&others[1]), [0, 2]);
        assert!(others[3].is_lonely() && !others[2].is_lonely());
        let episodes = spans(Excluded::Episode);
        assert_eq!((reach(&episodes[0]), reach(&episodes[2])), (vec![2], vec![0, 1]));
        assert!(episodes[3].is_lonely());
    }
}
