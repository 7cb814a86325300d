//! Proximity and its gradients on a device, against the definition.

use std::sync::LazyLock;

use burn::tensor::{Device, Tensor, TensorData};

use super::cases::{self, Case};
use super::comparisons::{Comparisons, distance};
use super::oracle::ProximityOracle;
use crate::device::read_async;
use crate::error::{Error, Result};
use crate::kernels::proximity;

/// Cases and their expected results, computed once.
struct SolvedCases(LazyLock<Vec<(Case, ProximityOracle)>>);

impl SolvedCases {
    const fn of(cases: fn() -> Vec<(Case, ProximityOracle)>) -> Self {
        Self(LazyLock::new(cases))
    }

    fn each(&self) -> impl Iterator<Item = &(Case, ProximityOracle)> {
        self.0.iter()
    }
}

fn solved(cases: Vec<Case>) -> Vec<(Case, ProximityOracle)> {
    let solved = cases.into_iter().map(|case| {
        let expected = ProximityOracle::of(&case);
        (case, expected)
    });
    solved.collect()
}

static SHAPES: SolvedCases = SolvedCases::of(|| solved(cases::shapes()));
static SETTINGS: SolvedCases = SolvedCases::of(|| solved(cases::settings()));
static EXTREMES: SolvedCases = SolvedCases::of(|| solved(cases::extremes()));
static NON_FINITE: SolvedCases = SolvedCases::of(|| solved(cases::non_finite()));

pub(super) async fn shapes(device: &Device) -> Result<Comparisons> {
    forward(&SHAPES, device).await
}

pub(super) async fn settings(device: &Device) -> Result<Comparisons> {
    forward(&SETTINGS, device).await
}

pub(super) async fn extremes(device: &Device) -> Result<Comparisons> {
    forward(&EXTREMES, device).await
}

pub(super) async fn non_finite(device: &Device) -> Result<Comparisons> {
    forward(&NON_FINITE, device).await
}

pub(super) async fn gradients_of_shapes(device: &Device) -> Result<Comparisons> {
    backward(&SHAPES, device).await
}

pub(super) async fn gradients_of_settings(device: &Device) -> Result<Comparisons> {
    backward(&SETTINGS, device).await
}

pub(super) async fn gradients_of_extremes(device: &Device) -> Result<Comparisons> {
    backward(&EXTREMES, device).await
}

pub(super) async fn gradients_of_non_finite(device: &Device) -> Result<Comparisons> {
    let mut comparisons = backward(&NON_FINITE, device).await?;
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        non_finite_gradient(value, device, &mut comparisons).await?;
    }
    Ok(comparisons)
}

/// A device's results: means, neighbours and the gradients of embeddings and values.
struct Found {
    means: Vec<f32>,
    neighbours: Vec<f32>,
    to_embeddings: Vec<f32>,
    to_values: Vec<f32>,
}

fn matrix(values: &[f32], columns: usize, device: &Device) -> Tensor<2> {
    let shape = [values.len() / columns, columns];
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// Fills memory with NaN and frees it, so that a kernel that reads memory it did not write gets NaN.
pub(super) async fn fill_with_nan(numbers: usize, device: &Device) -> Result<()> {
    for size in [numbers, 3 * numbers, 64] {
        read_async(Tensor::<1>::full([size], f32::NAN, device) * 2.0).await?;
    }
    Ok(())
}

async fn forward(known: &SolvedCases, device: &Device) -> Result<Comparisons> {
    let mut comparisons = Comparisons::default();
    for (case, expected) in known.each() {
        fill_with_nan(case.embeddings.len(), device).await?;
        let embeddings = matrix(&case.embeddings, case.width, device);
        let values = matrix(&case.values, case.columns, device);
        let found = proximity(embeddings, values, &case.layout()?, &case.config())?;
        let (means, neighbours) =
            (read_async(found.means).await?, read_async(found.neighbours).await?);
        let name = |what: &str| format!("{what} of {}", case.name);
        comparisons.compare(name("means"), &means, &expected.means, case.bound());
        comparisons.compare(name("neighbours"), &neighbours, &expected.neighbours, case.bound());
    }
    Ok(comparisons)
}

async fn backward(known: &SolvedCases, device: &Device) -> Result<Comparisons> {
    let mut comparisons = Comparisons::default();
    for (case, expected) in known.each() {
        let gradient = case.gradient();
        let found = results(case, &gradient, device).await?;
        let (to_embeddings, to_values) = expected.gradients(case, &gradient);
        let name = |what: &str| format!("{what} of {}", case.name);
        comparisons.compare(name("means"), &found.means, &expected.means, case.bound());
        let gradients = name("the gradient of values");
        comparisons.compare(gradients, &found.to_values, &to_values, case.bound());
        rows(case, &gradient, expected, &to_embeddings, &found.to_embeddings, &mut comparisons);
    }
    Ok(comparisons)
}

async fn results(case: &Case, gradient: &[f32], device: &Device) -> Result<Found> {
    fill_with_nan(case.embeddings.len(), device).await?;
    let device = device.clone().autodiff();
    let embeddings = matrix(&case.embeddings, case.width, &device).require_grad();
    let values = matrix(&case.values, case.columns, &device).require_grad();
    let found = proximity(embeddings.clone(), values.clone(), &case.layout()?, &case.config())?;
    let weighted = found.means.clone() * matrix(gradient, case.columns, &device);
    let gradients = weighted.sum().backward();
    let missing = || Error::Run("proximity gave no gradient".into());
    Ok(Found {
        means: read_async(found.means).await?,
        neighbours: read_async(found.neighbours).await?,
        to_embeddings: read_async(embeddings.grad(&gradients).ok_or_else(missing)?).await?,
        to_values: read_async(values.grad(&gradients).ok_or_else(missing)?).await?,
    })
}

/// Compares the gradients of embeddings. Rows of different length have gradients of different size, so
/// each row has a bound of its own. If pulls cancel out, the rest is rounding, of a few parts in ten
/// million of the possible pull of a single row.
fn rows(
    case: &Case,
    gradient: &[f32],
    expected: &ProximityOracle,
    wanted: &[f64],
    found: &[f32],
    comparisons: &mut Comparisons,
) {
    let greatest = |values: &[f32]| {
        let finite = values.iter().filter(|value| value.is_finite());
        finite.fold(0f64, |most, value| most.max(f64::from(value.abs())))
    };
    let pull = greatest(gradient) * greatest(&case.values) / f64::from(case.temperature);
    let (smallest, bound) = (f64::from(f32::MIN_POSITIVE), 5.0 * case.bound());
    let rows = found.chunks_exact(case.width).zip(wanted.chunks_exact(case.width));
    for (row, (found, wanted)) in rows.enumerate() {
        let what = format!("the gradient of embedding {row} of {}", case.name);
        let size = wanted.iter().fold(smallest, |most, value| most.max(value.abs()));
        // A row of zeros has no gradient at all.
        let length = expected.length(row);
        let least = if length > 0.0 { 5e-3 * pull / length } else { 0.0 };
        // A gradient beyond 32 bits is infinite, and rightly so.
        if size < f64::from(f32::MAX) {
            match distance(found, wanted) {
                Ok(error) => comparisons.record(what, error * size / size.max(least), bound),
                Err(message) => comparisons.expect(format!("{what}{message}"), false),
            }
        }
    }
    comparisons.expect(
        format!("no gradient of embeddings of {}", case.name),
        found.len() == wanted.len() && !found.is_empty(),
    );
}

/// A non-finite gradient reaches the rows of its group, and no other.
async fn non_finite_gradient(
    value: f32,
    device: &Device,
    comparisons: &mut Comparisons,
) -> Result<()> {
    let case = Case::of(&[4, 40, 3], 5, 2);
    let mut gradient = case.gradient();
    gradient[2 * 10] = value;
    let found = results(&case, &gradient, device).await?;
    let finite = |numbers: &[f32]| numbers.iter().all(|value| value.is_finite());
    let context = format!("with {value} as a gradient");
    comparisons.expect(
        format!("{context}, means are not finite"),
        finite(&found.means) && finite(&found.neighbours),
    );
    for (row, (group, _)) in case.memberships().into_iter().enumerate() {
        let numbers = [
            &found.to_embeddings[row * 5..(row + 1) * 5],
            &found.to_values[row * 2..(row + 1) * 2],
        ]
        .concat();
        if group == 1 {
            let reached = numbers.iter().all(|value| value.is_nan());
            comparisons.expect(format!("{context}, row {row} of its group is not NaN"), reached);
        } else {
            comparisons.expect(
                format!("{context}, row {row} of another group is not finite"),
                finite(&numbers),
            );
        }
    }
    Ok(())
}
