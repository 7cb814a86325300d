//! Proximity and its gradients, one group at a time.

use std::ops::Range;

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;

use super::array::Array;
use crate::kernels::parameters::{Neighbourhood, Span};

/// Below every cosine.
const FAR: f32 = -4.0;

/// A group's rows and their pairs.
struct Rows<B: Backend> {
    /// Embeddings of unit length, or all zero.
    unit: Array<B>,
    /// 1 / the length of each, 0 for a row of zeros.
    scale: Array<B>,
    /// 1 for a row that holds a NaN or an infinity.
    non_finite: Array<B>,
    cosines: Array<B>,
    /// 1 if row `j` is a neighbour of row `i`.
    neighbours: Array<B>,
    /// 1 for a row without neighbours.
    isolated: Array<B>,
}

impl<B: Backend> Rows<B> {
    fn of(embeddings: Array<B>, spans: &[Span], rows: Range<usize>) -> Self {
        let non_finite = row_flags(&embeddings);
        let embeddings = embeddings.clone().fill(embeddings.non_finite(), 0.0);
        let tiny = embeddings.clone().abs().below(f32::MIN_POSITIVE);
        let embeddings = embeddings.fill(tiny, 0.0);
        // The largest number is divided out first: squares of the rest neither overflow nor vanish.
        let largest = embeddings.clone().abs().max();
        let zero = largest.below(f32::MIN_POSITIVE);
        let largest = largest.fill(zero.clone(), 1.0);
        let scaled = embeddings / largest.clone();
        let length = (scaled.clone() * scaled.clone()).sum().sqrt().fill(zero.clone(), 1.0);
        let unit = scaled / length.clone();
        let one = length.flags(length.above(0.0));
        let scale = (one / length / largest).fill(zero, 0.0);
        let (neighbours, isolated) = neighbours(&unit, &spans[rows.clone()], rows);
        let cosines = unit.clone().matmul(unit.clone().transpose());
        Self { unit, scale, non_finite, cosines, neighbours, isolated }
    }

    /// The weight of row `j` for row `i`, relative to the nearest's.
    fn weights(&self, nearest: Array<B>, temperature: f32) -> Array<B> {
        let far = (self.neighbours.clone() - 1.0) * -FAR;
        let cosines = self.cosines.clone() * self.neighbours.clone() + far;
        let behind = cosines - nearest;
        let behind = behind.clone().fill(behind.above(0.0), 0.0);
        (behind / temperature).exp() * self.neighbours.clone()
    }

    fn nearest(&self) -> Array<B> {
        let far = (self.neighbours.clone() - 1.0) * -FAR;
        (self.cosines.clone() * self.neighbours.clone() + far).max()
    }
}

/// Which rows are neighbours, and which have none.
fn neighbours<B: Backend>(
    like: &Array<B>,
    spans: &[Span],
    rows: Range<usize>,
) -> (Array<B>, Array<B>) {
    let number = |yes: bool| if yes { 1.0 } else { 0.0 };
    let pairs = spans
        .iter()
        .flat_map(|span| rows.clone().map(move |row| number(span.contains(row as u32))));
    let isolated = spans.iter().map(|span| number(span.is_isolated())).collect();
    let count = spans.len();
    (like.constant(pairs.collect(), [count, count]), like.constant(isolated, [count, 1]))
}

/// 1 for each row that holds a NaN or an infinity, as a column.
fn row_flags<B: Backend>(array: &Array<B>) -> Array<B> {
    array.flags(array.non_finite()).max()
}

/// The groups that have rows.
fn groups(neighbourhood: &Neighbourhood) -> impl Iterator<Item = Range<usize>> + '_ {
    neighbourhood.layout.group_rows().filter(|rows| !rows.is_empty())
}

pub(in crate::kernels) fn proximity<B: Backend>(
    embeddings: FloatTensor<B>,
    values: FloatTensor<B>,
    neighbourhood: &Neighbourhood,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let (embeddings, values) = (Array::<B>(embeddings), Array::<B>(values));
    let spans = neighbourhood.spans();
    let (mut means, mut neighbours, mut states) = (Vec::new(), Vec::new(), Vec::new());
    for group in groups(neighbourhood) {
        let values = values.rows(group.clone());
        let rows = Rows::of(embeddings.rows(group.clone()), &spans, group);
        let bad = rows.non_finite.clone() + row_flags(&values);
        let bad = (bad.clone() + rows.neighbours.clone().matmul(bad)).above(0.0);
        let values = values.clone().fill(values.non_finite(), 0.0);

        let nearest = rows.nearest();
        let weights = rows.weights(nearest.clone(), neighbourhood.temperature);
        let (isolated, total) = (rows.isolated.clone(), weights.clone().sum());
        let squares = (weights.clone() * weights.clone()).sum();
        let inverse = (isolated.clone() * -1.0 + 1.0) / (total.clone() + isolated.clone());
        let mean = weights.matmul(values.clone()) * inverse.clone() + values * isolated.clone();
        let effective = total.clone() * total / (squares + isolated);

        means.push(mean.clone().fill(mean.stretched(bad.clone()), f32::NAN));
        neighbours.push(effective.fill(bad.clone(), f32::NAN));
        states.push(nearest.beside(inverse.fill(bad, -1.0)));
    }
    let count = spans.len();
    let neighbours = Array::<B>::reshape(Array::stack(neighbours), [count]);
    (Array::stack(means), neighbours, Array::stack(states))
}

pub(in crate::kernels) fn proximity_gradients<B: Backend>(
    embeddings: FloatTensor<B>,
    values: FloatTensor<B>,
    means: FloatTensor<B>,
    state: FloatTensor<B>,
    gradient: FloatTensor<B>,
    neighbourhood: &Neighbourhood,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (embeddings, values, means) =
        (Array::<B>(embeddings), Array::<B>(values), Array::<B>(means));
    let (state, gradient) = (Array::<B>(state), Array::<B>(gradient));
    let spans = neighbourhood.spans();
    let (mut to_embeddings, mut to_values) = (Vec::new(), Vec::new());
    for group in groups(neighbourhood) {
        let state = state.rows(group.clone());
        let (nearest, inverse) = (state.column(0), state.column(1));
        let gradient = gradient.rows(group.clone());
        let bad = row_flags(&gradient) + inverse.flags(inverse.below(0.0));
        let finite = |array: Array<B>| array.clone().fill(array.non_finite(), 0.0);
        let (means, values) = (finite(means.rows(group.clone())), values.rows(group.clone()));
        let (values, gradient) = (finite(values), finite(gradient));
        let rows = Rows::of(embeddings.rows(group.clone()), &spans, group);
        let bad = (bad.clone() + rows.neighbours.clone().matmul(bad)).above(0.0);

        // p: softmax weights. A mean's gradient g_i gives each logit p_ij (g_i · v_j − g_i · b_i).
        let p = rows.weights(nearest, neighbourhood.temperature) * inverse;
        let agreement = gradient.clone().matmul(values.transpose());
        let expected = (gradient.clone() * means).sum();
        let slope = p.clone() * (agreement - expected) / neighbourhood.temperature;
        // Each cosine is between two rows, and pulls at both.
        let slope = slope.clone() + slope.transpose();
        let pull = slope.clone().matmul(rows.unit.clone());
        let along = (slope * rows.cosines.clone()).sum();
        let to_embedding = (pull - rows.unit * along) * rows.scale;
        let to_value = p.transpose().matmul(gradient.clone()) + gradient * rows.isolated;

        let fill = |array: Array<B>| array.clone().fill(array.stretched(bad.clone()), f32::NAN);
        to_embeddings.push(fill(to_embedding));
        to_values.push(fill(to_value));
    }
    (Array::stack(to_embeddings), Array::stack(to_values))
}
