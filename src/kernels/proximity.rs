//! Proximity-based soft aggregation on tensors.

use burn::backend::Dispatch;
use burn::backend::tensor::FloatTensor;
use burn::tensor::Tensor;

use super::backend::KernelBackend;
use super::parameters::Neighbourhood;
use super::shapes;
use crate::credit::CreditConfig;
use crate::episodes::Layout;
use crate::error::Result;

/// The soft aggregation of each row's neighbours.
#[derive(Debug, Clone)]
pub struct Proximity {
    /// The softmax-weighted mean of each column of values: `[rows, columns]`.
    pub means: Tensor<2>,
    /// The effective sample size of each mean, `(Σ w)² / Σ w²`; 0 for a row without neighbours. A
    /// constant to autodiff: `[rows]`.
    pub neighbours: Tensor<1>,
}

/// The mean of the values of each row's neighbours `j`, weighted by proximity:
///
/// ```text
/// b_i = Σ_j w_ij v_j / Σ_j w_ij        w_ij = exp(cos(e_i, e_j) / τ)
/// ```
///
/// `embeddings` are `[rows, width]` of any length, `values` are `[rows, columns]`. Of `config` this
/// reads the temperature `τ`, which must be a number, and which rows are neighbours: all rows of the
/// group, without the row itself if `self_weight` is `exclude`, without its episode if `same_episode`
/// is. Gradients reach embeddings and values. Memory beside arguments and results is a few numbers a
/// row: no matrix of pairs is built.
///
/// Every case is defined:
/// - a row of zeros has cosine 0 to every row, itself too, and no gradient; denormal numbers in
///   embeddings are zeros;
/// - a row without neighbours keeps its own values, and has an effective sample size of 0;
/// - a row is NaN throughout if its own embedding or values, or those of a neighbour, hold a NaN or an
///   infinity. Gradients are NaN for a row that is NaN, that has such a neighbour or that receives a
///   non-finite gradient. Other groups are not affected;
/// - values up to 1e30 are safe from overflow; denormal values, and means that would be denormal, may
///   count as 0.
///
/// Cosines of 32-bit numbers are right to about 1e-7, so weights are rough at temperatures below 1e-5.
/// Devices agree up to rounding: WGSL kernels run on wgpu in 32 bits, CPU backends have their own
/// path, and burn's other devices compute the same from plain tensor operations, a group at a time.
///
/// # Errors
/// Fails if shapes or devices do not fit, or a setting is out of range.
pub fn proximity(
    embeddings: Tensor<2>,
    values: Tensor<2>,
    layout: &Layout,
    config: &CreditConfig,
) -> Result<Proximity> {
    let neighbourhood = Neighbourhood::of(layout, config)?;
    aggregate(embeddings, values, neighbourhood, Dispatch::proximity)
}

/// [`proximity`] in burn's own operations on any device, with burn's own gradients: the comparison for
/// tests and benches. It builds a matrix of pairs for each group.
///
/// # Errors
/// As [`proximity`].
pub fn plain_proximity(
    embeddings: Tensor<2>,
    values: Tensor<2>,
    layout: &Layout,
    config: &CreditConfig,
) -> Result<Proximity> {
    let neighbourhood = Neighbourhood::of(layout, config)?;
    aggregate(embeddings, values, neighbourhood, Dispatch::plain_proximity)
}

/// [`proximity`] with launch parameters.
pub(super) fn proximity_in(
    embeddings: Tensor<2>,
    values: Tensor<2>,
    neighbourhood: Neighbourhood,
) -> Result<Proximity> {
    aggregate(embeddings, values, neighbourhood, Dispatch::proximity)
}

type Primitive = FloatTensor<Dispatch>;

fn aggregate(
    embeddings: Tensor<2>,
    values: Tensor<2>,
    neighbourhood: Neighbourhood,
    operation: impl FnOnce(Primitive, Primitive, Neighbourhood) -> (Primitive, Primitive, Primitive),
) -> Result<Proximity> {
    let (rows, columns) = (neighbourhood.layout.rows(), values.dims()[1]);
    shapes::matrix("embeddings", &embeddings, rows)?;
    shapes::matrix("values", &values, rows)?;
    shapes::same_device("values", &values, &embeddings)?;
    if rows == 0 {
        let device = values.device();
        let means = Tensor::zeros([0, columns], &device);
        return Ok(Proximity { means, neighbours: Tensor::zeros([0], &device) });
    }
    let (means, neighbours, _) =
        operation(embeddings.into_dispatch(), values.into_dispatch(), neighbourhood);
    Ok(Proximity {
        means: Tensor::from_dispatch(means),
        neighbours: Tensor::from_dispatch(neighbours),
    })
}
