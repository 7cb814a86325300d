//! Log-probabilities and entropies of tokens on a device, against the definition.

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::cases::rng;
use super::comparisons::Comparisons;
use super::oracle::{TokenCase, TokenOracle};
use super::proximity::fill_with_nan;
use crate::device::read_async;
use crate::error::{Error, Result};
use crate::kernels::{TokenLogProbs, token_log_probs};

/// Random hidden states and head, with logits of about `scale`.
fn case(rows: usize, width: usize, vocabulary: usize, scale: f32) -> TokenCase {
    let mut rng = rng(rows * 1000 + width * 10 + vocabulary);
    let mut numbers = |count: usize, size: f32| -> Vec<f32> {
        (0..count).map(|_| size * rng.random_range(-1.0..1.0)).collect()
    };
    let size = scale / (width as f32).sqrt();
    let (hidden, head) = (numbers(rows * width, size), numbers(vocabulary * width, 3.0));
    let targets = (0..rows).map(|_| rng.random_range(0..vocabulary as u32)).collect();
    let name = format!("{rows} rows, {width} wide, {vocabulary} tokens, scale {scale}");
    TokenCase { name, width, hidden, head, targets }
}

/// Distributions from even to one-hot.
fn scales(scales: &[f32]) -> impl Iterator<Item = TokenCase> {
    scales.iter().map(|&scale| case(20, 12, 200, scale))
}

/// Sizes around those of tiles, splits and windows, and every scale.
fn cases() -> Vec<TokenCase> {
    let shapes = [
        (1, 1, 1),
        (1, 3, 5),
        (63, 16, 64),
        (64, 17, 65),
        (65, 15, 300),
        (7, 40, 1000),
        (130, 33, 129),
        (300, 4, 4200),
        (2, 8, 40_000),
    ];
    let mut all: Vec<TokenCase> =
        shapes.iter().map(|&(rows, width, tokens)| case(rows, width, tokens, 2.0)).collect();
    all.extend(scales(&[0.0, 30.0, 1e4, 1e15]));
    all
}

fn matrix(values: &[f32], columns: usize, device: &Device) -> Tensor<2> {
    let shape = [values.len() / columns, columns];
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// The head in `count` parts.
fn parts(head: &Tensor<2>, count: usize) -> Vec<Tensor<2>> {
    let rows = head.dims()[0];
    let size = rows.div_ceil(count);
    let firsts = (0..rows).step_by(size);
    firsts.map(|first| head.clone().narrow(0, first, size.min(rows - first))).collect()
}

/// Compares scores by their errors, for entropies may be 0, relative to the largest logit.
async fn compare(
    case: &TokenCase,
    found: TokenLogProbs,
    expected: &TokenOracle,
    comparisons: &mut Comparisons,
) -> Result<()> {
    let scale = case.largest_logit().max(10.0);
    let columns = [
        ("log-probability", read_async(found.log_probs).await?, &expected.log_probs),
        ("entropy", read_async(found.entropies).await?, &expected.entropies),
    ];
    for (what, found, expected) in columns {
        comparisons
            .expect(format!("not every {what} of {}", case.name), found.len() == expected.len());
        for (row, (&found, &expected)) in found.iter().zip(expected).enumerate() {
            let what = format!("{what} {row} of {}", case.name);
            if expected.is_nan() || found.is_nan() {
                comparisons.expect(
                    format!("{what} is {found}, expected {expected}"),
                    expected.is_nan() && found.is_nan(),
                );
            } else {
                comparisons.record(what, (f64::from(found) - expected).abs() / scale, 2e-6);
            }
        }
    }
    Ok(())
}

pub(super) async fn scores(device: &Device) -> Result<Comparisons> {
    let mut comparisons = Comparisons::default();
    for case in cases() {
        let expected = TokenOracle::of(&case);
        for count in [1, 3] {
            fill_with_nan(case.head.len(), device).await?;
            let head = parts(&matrix(&case.head, case.width, device), count);
            let hidden = matrix(&case.hidden, case.width, device);
            let found = token_log_probs(hidden, &head, &case.targets)?;
            compare(&case, found, &expected, &mut comparisons).await?;
        }
    }
    Ok(comparisons)
}

/// The gradients of a device of `Σ a · log_probs + Σ b · entropies`, with the head in `count` parts.
async fn slopes(
    case: &TokenCase,
    [a, b]: [&[f32]; 2],
    count: usize,
    device: &Device,
) -> Result<(Vec<f32>, Vec<f32>)> {
    fill_with_nan(case.head.len(), device).await?;
    let device = device.clone().autodiff();
    let hidden = matrix(&case.hidden, case.width, &device).require_grad();
    let head = matrix(&case.head, case.width, &device).require_grad();
    let found = token_log_probs(hidden.clone(), &parts(&head, count), &case.targets)?;
    let vector = |values: &[f32]| {
        Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), &device)
    };
    let loss = (found.log_probs * vector(a)).sum() + (found.entropies * vector(b)).sum();
    let gradients = loss.backward();
    let missing = || Error::Run("token log-probabilities gave no gradient".into());
    Ok((
        read_async(hidden.grad(&gradients).ok_or_else(missing)?).await?,
        read_async(head.grad(&gradients).ok_or_else(missing)?).await?,
    ))
}

/// Compares gradients relative to those that a single token, or a single row, can give.
pub(super) async fn gradients(device: &Device) -> Result<Comparisons> {
    let mut comparisons = Comparisons::default();
    // Few shapes: a software GPU compiles the backend's own matrix product for each.
    let shapes = [(1, 3, 5), (65, 15, 300), (300, 4, 4200)];
    let shapes = shapes.map(|(rows, width, tokens)| case(rows, width, tokens, 2.0));
    for case in shapes.into_iter().chain(scales(&[0.0, 30.0])) {
        let expected = TokenOracle::of(&case);
        let mut rng = rng(case.rows());
        let mut weights =
            || -> Vec<f32> { (0..case.rows()).map(|_| rng.random_range(-1.0..1.0)).collect() };
        let (a, b) = (weights(), weights());
        let (to_hidden, to_head) = expected.gradients(&case, &a, &b);
        let counts: &[usize] = if case.rows() == 65 { &[1, 3] } else { &[1] };
        for &count in counts {
            let found = slopes(&case, [&a, &b], count, device).await?;
            let bound = 1e-5 + 2e-6 * case.largest_logit();
            let sides = [
                ("hidden states", &found.0, &to_hidden, &case.head),
                ("the head", &found.1, &to_head, &case.hidden),
            ];
            for (what, found, expected, other) in sides {
                let pull = other.iter().fold(0f64, |most, one| most.max(f64::from(one.abs())));
                let errors = found.iter().zip(expected);
                let errors = errors.map(|(&found, expected)| (f64::from(found) - expected).abs());
                let worst = errors.fold(
                    0.0,
                    |worst: f64, error| {
                        if error.is_nan() { error } else { worst.max(error) }
                    },
                );
                let what = format!("the gradient of {what} of {}", case.name);
                comparisons.record(what, worst / pull.max(f64::MIN_POSITIVE), bound);
            }
        }
    }
    Ok(comparisons)
}

/// A non-finite hidden state makes its own row NaN, and no other; so does a non-finite gradient.
pub(super) async fn non_finite(device: &Device) -> Result<Comparisons> {
    let mut comparisons = Comparisons::default();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut changed = case(70, 9, 90, 2.0);
        changed.hidden[9 * 66 + 4] = value;
        let hidden = matrix(&changed.hidden, 9, device);
        let head = matrix(&changed.head, 9, device);
        let found = token_log_probs(hidden, &[head], &changed.targets)?;
        compare(&changed, found, &TokenOracle::of(&changed), &mut comparisons).await?;

        let sound = case(70, 9, 90, 2.0);
        let (mut a, b) = (vec![0.5; 70], vec![0.1; 70]);
        a[66] = value;
        for (case, a, bad) in [(&changed, &vec![0.5; 70], 66), (&sound, &a, 66)] {
            let (to_hidden, to_head) = slopes(case, [a, &b], 1, device).await?;
            for (row, slopes) in to_hidden.chunks_exact(9).enumerate() {
                let ok = if row == bad {
                    slopes.iter().all(|slope| slope.is_nan())
                } else {
                    slopes.iter().all(|slope| slope.is_finite())
                };
                comparisons.expect(format!("with {value} in row {bad}, row {row}: {slopes:?}"), ok);
            }
            comparisons.expect(
                format!("with {value} in a row, the gradient of the head is finite"),
                to_head.iter().all(|slope| slope.is_nan()),
            );
        }
    }
    Ok(comparisons)
}
