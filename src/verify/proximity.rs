//! Proximity and its gradients on a device, against the definition.

use std::sync::LazyLock;

use burn::tensor::{Device, Tensor, TensorData};

use super::cases::{self, Case};
use super::compare::{Tally, distance};
use super::reference::Expected;
use crate::device::read;
use crate::error::{Error, Result};
use crate::kernels::proximity;

/// Cases and what they should come to, worked out once.
struct Known(LazyLock<Vec<(Case, Expected)>>);

impl Known {
    const fn of(cases: fn() -> Vec<(Case, Expected)>) -> Self {
        Self(LazyLock::new(cases))
    }

    fn each(&self) -> impl Iterator<Item = &(Case, Expected)> {
        self.0.iter()
    }
}

fn solved(cases: Vec<Case>) -> Vec<(Case, Expected)> {
    let solved = cases.into_iter().map(|case| {
        let expected = Expected::of(&case);
        (case, expected)
    });
    solved.collect()
}

static SHAPES: Known = Known::of(|| solved(cases::shapes()));
static SETTINGS: Known = Known::of(|| solved(cases::settings()));
static EXTREMES: Known = Known::of(|| solved(cases::extremes()));
static POISONED: Known = Known::of(|| solved(cases::poisoned()));

pub(super) fn shapes(device: &Device) -> Result<Tally> {
    forward(&SHAPES, device)
}

pub(super) fn settings(device: &Device) -> Result<Tally> {
    forward(&SETTINGS, device)
}

pub(super) fn extremes(device: &Device) -> Result<Tally> {
    forward(&EXTREMES, device)
}

pub(super) fn poisoned(device: &Device) -> Result<Tally> {
    forward(&POISONED, device)
}

pub(super) fn gradients_of_shapes(device: &Device) -> Result<Tally> {
    backward(&SHAPES, device)
}

pub(super) fn gradients_of_settings(device: &Device) -> Result<Tally> {
    backward(&SETTINGS, device)
}

pub(super) fn gradients_of_extremes(device: &Device) -> Result<Tally> {
    backward(&EXTREMES, device)
}

pub(super) fn gradients_of_poisoned(device: &Device) -> Result<Tally> {
    let mut tally = backward(&POISONED, device)?;
    for poison in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        poisoned_gradient(poison, device, &mut tally)?;
    }
    Ok(tally)
}

/// What a device answered: means, neighbours and the gradients of embeddings and values.
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

/// Fills memory with NaN and lets it go: a kernel that reads what it did not write will show it.
pub(super) fn litter(numbers: usize, device: &Device) -> Result<()> {
    for size in [numbers, 3 * numbers, 64] {
        read(Tensor::<1>::full([size], f32::NAN, device) * 2.0)?;
    }
    Ok(())
}

fn forward(known: &Known, device: &Device) -> Result<Tally> {
    let mut tally = Tally::default();
    for (case, expected) in known.each() {
        litter(case.embeddings.len(), device)?;
        let embeddings = matrix(&case.embeddings, case.width, device);
        let values = matrix(&case.values, case.columns, device);
        let found = proximity(embeddings, values, &case.layout()?, &case.options())?;
        let (means, neighbours) = (read(found.means)?, read(found.neighbours)?);
        let name = |what: &str| format!("{what} of {}", case.name);
        tally.numbers(name("means"), &means, &expected.means, case.bound());
        tally.numbers(name("neighbours"), &neighbours, &expected.neighbours, case.bound());
    }
    Ok(tally)
}

fn backward(known: &Known, device: &Device) -> Result<Tally> {
    let mut tally = Tally::default();
    for (case, expected) in known.each() {
        let gradient = case.gradient();
        let found = ask(case, &gradient, device)?;
        let (to_embeddings, to_values) = expected.gradients(case, &gradient);
        let name = |what: &str| format!("{what} of {}", case.name);
        tally.numbers(name("means"), &found.means, &expected.means, case.bound());
        let gradients = name("the gradient of values");
        tally.numbers(gradients, &found.to_values, &to_values, case.bound());
        rows(case, &gradient, expected, &to_embeddings, &found.to_embeddings, &mut tally);
    }
    Ok(tally)
}

fn ask(case: &Case, gradient: &[f32], device: &Device) -> Result<Found> {
    litter(case.embeddings.len(), device)?;
    let device = device.clone().autodiff();
    let embeddings = matrix(&case.embeddings, case.width, &device).require_grad();
    let values = matrix(&case.values, case.columns, &device).require_grad();
    let found = proximity(embeddings.clone(), values.clone(), &case.layout()?, &case.options())?;
    let weighted = found.means.clone() * matrix(gradient, case.columns, &device);
    let gradients = weighted.sum().backward();
    let missing = || Error::Run("proximity gave no gradient".into());
    Ok(Found {
        means: read(found.means)?,
        neighbours: read(found.neighbours)?,
        to_embeddings: read(embeddings.grad(&gradients).ok_or_else(missing)?)?,
        to_values: read(values.grad(&gradients).ok_or_else(missing)?)?,
    })
}

/// The gradients of embeddings. Rows of different length have gradients of different size, and each is
/// judged by its own. Where pulls cancel out, what is left is rounding, of a few parts in ten million of
/// what the pull of a single row could be.
fn rows(
    case: &Case,
    gradient: &[f32],
    expected: &Expected,
    wanted: &[f64],
    found: &[f32],
    tally: &mut Tally,
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
                Ok(error) => tally.note(what, error * size / size.max(least), bound),
                Err(message) => tally.holds(format!("{what}{message}"), false),
            }
        }
    }
    tally.holds(
        format!("no gradient of embeddings of {}", case.name),
        found.len() == wanted.len() && !found.is_empty(),
    );
}

/// A gradient that is not finite reaches whom its row exchanges with, and nobody else.
fn poisoned_gradient(poison: f32, device: &Device, tally: &mut Tally) -> Result<()> {
    let case = Case::of(&[4, 40, 3], 5, 2);
    let mut gradient = case.gradient();
    gradient[2 * 10] = poison;
    let found = ask(&case, &gradient, device)?;
    let finite = |numbers: &[f32]| numbers.iter().all(|value| value.is_finite());
    let told = format!("with {poison} as a gradient");
    tally.holds(
        format!("{told}, means are not finite"),
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
            tally.holds(format!("{told}, row {row} of its group is not NaN"), reached);
        } else {
            tally.holds(
                format!("{told}, row {row} of another group is not finite"),
                finite(&numbers),
            );
        }
    }
    Ok(())
}
