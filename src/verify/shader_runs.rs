//! Runs of every shader with their expected results, for other implementations of WebGPU: `checks/run`
//! and the page of `web/`.
//!
//! A run follows the headers of the shaders, independent of the code that launches them in this crate.

use rand::Rng;
use serde_json::{Value, json};

use super::cases::{Case, NEIGHBOURS};
use super::oracle::{self, ProximityOracle, TokenCase, TokenOracle};
use crate::credit::{Beta, CreditConfig, Inclusion, Normalize, SuccessPrior};
use crate::error::Result;
use crate::kernels::shader_file_name;
use crate::stream::{Purpose, Stream};

fn floats(numbers: &[f32]) -> Value {
    json!(numbers.iter().map(|number| number.to_bits()).collect::<Vec<u32>>())
}

fn pass(shader: &str, grid: [usize; 3], bind: &[&str], uniform: &[u32]) -> Value {
    json!({ "shader": shader_file_name(shader), "grid": grid, "bind": bind, "uniform": uniform })
}

/// The neighbours of each row: begin, end, hole begin, hole end.
fn spans(case: &Case) -> Vec<u32> {
    let mut spans = Vec::new();
    for episodes in case.group_offsets.windows(2) {
        let offset = |episode: usize| case.episode_offsets[episode] as u32;
        for episode in episodes[0]..episodes[1] {
            for row in offset(episode)..offset(episode + 1) {
                let hole = match (case.same_episode, case.self_weight) {
                    (Inclusion::Exclude, _) => [offset(episode), offset(episode + 1)],
                    (_, Inclusion::Exclude) => [row, row + 1],
                    (_, Inclusion::Include) => [row, row],
                };
                spans.extend([offset(episodes[0]), offset(episodes[1]), hole[0], hole[1]]);
            }
        }
    }
    spans
}

/// Proximity and its gradients, with workgroups of the given side.
fn proximity(case: &Case, side: usize, chunk: usize) -> Value {
    let (rows, width, columns) = (case.rows(), case.width, case.columns);
    let gradient = case.gradient();
    let expected = ProximityOracle::of(case);
    let (to_embeddings, to_values) = expected.gradients(case, &gradient);
    let nan = f32::NAN.to_bits();
    let words = |sizes: &[usize]| sizes.iter().map(|&size| size as u32).collect::<Vec<u32>>();
    let mut pairs = words(&[rows, width, columns]);
    pairs.extend([case.temperature.recip().to_bits(), nan, 0]);
    let tiles = rows.div_ceil(4 * side);
    // Rounding of cosines, magnified by the temperature.
    let within = 2e-5 + 1e-6 / f64::from(case.temperature);
    json!({
        "name": format!("proximity, side {side}, chunk {chunk}: {}", case.name),
        "buffers": {
            "embeddings": floats(&case.embeddings), "values": floats(&case.values),
            "gradient": floats(&gradient), "spans": spans(case),
            "scales": 2 * rows, "means": rows * columns, "neighbours": rows, "state": 2 * rows,
            "terms": 5 * rows, "to_embeddings": rows * width, "to_values": rows * columns,
        },
        "passes": [
            pass("proximity_rows", [rows.div_ceil(16), 1, 1], &["embeddings", "values", "scales"],
                &words(&[rows, width, columns, 0])),
            pass(&format!("proximity (side {side}, chunk {chunk})"),
                [tiles, 1, columns.div_ceil(chunk)],
                &["embeddings", "values", "scales", "spans", "means", "neighbours", "state"],
                &pairs),
            pass("proximity_gradient_rows", [rows.div_ceil(64), 1, 1],
                &["scales", "state", "means", "gradient", "terms"], &words(&[rows, columns, 0])),
            pass(&format!("proximity_gradient (side {side})"), [tiles, 1, 1],
                &["embeddings", "values", "gradient", "terms", "spans", "to_embeddings",
                    "to_values"],
                &pairs),
        ],
        "expected": {
            "means": { "numbers": expected.means, "within": within },
            "neighbours": { "numbers": expected.neighbours, "within": within },
            "to_embeddings": { "numbers": to_embeddings, "within": 5.0 * within },
            "to_values": { "numbers": to_values, "within": within },
        },
    })
}

fn returns(case: &Case, rewards: &[f32]) -> Result<Value> {
    let expected = oracle::returns(&case.layout()?, rewards, f64::from(0.95f32));
    let episodes = case.episode_offsets.len() - 1;
    Ok(json!({
        "name": format!("returns: {}", case.name),
        "buffers": {
            "rewards": floats(rewards), "offsets": case.episode_offsets, "returns": rewards.len(),
        },
        "passes": [pass("returns", [episodes.div_ceil(64), 1, 1],
            &["rewards", "offsets", "returns"],
            &[episodes as u32, 0.95f32.to_bits(), f32::NAN.to_bits()])],
        "expected": { "returns": { "numbers": expected, "within": 1e-6 } },
    }))
}

/// Centred, scaled and modulated advantages, counted by episode, with a prior of one success and
/// three failures.
fn advantages(case: &Case, rewards: &[f32], success: &[f32]) -> Result<Value> {
    let (steepness, factor) = (4.0, 0.05 / (1.0 / (1.0 + (-1f64).exp()) - 0.5));
    let config = CreditConfig {
        normalize: Normalize::MeanStd,
        success_prior: SuccessPrior::Beta(Beta { successes: 1.0, failures: 3.0 }),
        ..CreditConfig::default()
    };
    let wide: Vec<f64> = rewards.iter().map(|&reward| reward.into()).collect();
    let oracle::EpisodeParts { advantages, statistics } =
        oracle::episode_advantages(&case.layout()?, &wide, success, &config);
    let groups = case.group_offsets.len() - 1;
    let numbers = [steepness, factor as f32, 1.0, 3.0, f32::NAN].map(f32::to_bits);
    Ok(json!({
        "name": format!("advantages: {}", case.name),
        "buffers": {
            "rewards": floats(rewards), "success": floats(success),
            "groups": case.group_offsets, "episodes": case.episode_offsets,
            "totals": success.len(), "advantages": rewards.len(), "statistics": 3 * groups,
        },
        "passes": [pass("modulation", [groups, 1, 1],
            &["rewards", "success", "groups", "episodes", "totals", "advantages", "statistics"],
            &[&[groups as u32, 0, 1], &numbers[..]].concat())],
        "expected": {
            "advantages": { "numbers": advantages, "within": 1e-5 },
            "statistics": { "numbers": statistics, "within": 1e-5 },
        },
    }))
}

/// Statistics of logits and their gradients, with workgroups of the given side and the vocabulary in
/// three shares.
fn token_log_probs(side: usize) -> Value {
    let (rows, width, vocabulary) = (70, 19, 150);
    let mut rng = Stream::new(9, Purpose::Generator).rng();
    let mut numbers =
        |count: usize| -> Vec<f32> { (0..count).map(|_| rng.random_range(-1.0..1.0)).collect() };
    let (hidden, head, gradient) =
        (numbers(rows * width), numbers(vocabulary * width), numbers(3 * rows));
    let targets: Vec<u32> = (0..rows).map(|row| (row * 7 % vocabulary) as u32).collect();
    let case = TokenCase { name: String::new(), width, hidden, head, targets };
    let expected = TokenOracle::of(&case);
    let (mut statistics, mut slopes) = (Vec::new(), Vec::new());
    for (row, logits) in case.logits().chunks_exact(vocabulary).enumerate() {
        let target = case.targets[row] as usize;
        let log_sum = logits[target] - expected.log_probs[row];
        let entropy = expected.entropies[row];
        statistics.extend([log_sum, entropy, logits[target]]);
        let [a, b, c] = [0, 1, 2].map(|column| f64::from(gradient[3 * row + column]));
        slopes.extend(logits.iter().enumerate().map(|(token, logit)| {
            let log_p = logit - log_sum;
            let own = if token == target { c } else { 0.0 };
            log_p.exp() * (a - b * (log_p + entropy)) + own
        }));
    }
    let tile = 4 * side;
    let share = 64;
    let splits = vocabulary.div_ceil(share);
    let nan = f32::NAN.to_bits();
    let words = |sizes: &[usize]| sizes.iter().map(|&size| size as u32).collect::<Vec<u32>>();
    json!({
        "name": format!("token log-probabilities, side {side}"),
        "buffers": {
            "hidden": floats(&case.hidden), "head": floats(&case.head), "targets": case.targets,
            "gradient": floats(&gradient), "partials": 5 * splits * rows,
            "statistics": 3 * rows, "slopes": rows * vocabulary,
        },
        "passes": [
            pass(&format!("token_log_probs (side {side})"), [rows.div_ceil(tile), 1, splits],
                &["hidden", "head", "targets", "partials"],
                &words(&[rows, width, vocabulary, share])),
            pass("token_log_probs_rows", [rows.div_ceil(64), 1, 1], &["partials", "statistics"],
                &[words(&[rows, splits]), vec![nan]].concat()),
            pass(&format!("token_log_probs_gradient (side {side})"),
                [rows.div_ceil(tile), 1, vocabulary.div_ceil(tile)],
                &["hidden", "head", "targets", "statistics", "gradient", "slopes"],
                &[words(&[rows, width, vocabulary, 0, vocabulary]), vec![nan]].concat()),
        ],
        "expected": {
            "statistics": { "numbers": statistics, "within": 1e-5 },
            "slopes": { "numbers": slopes, "within": 1e-5 },
        },
    })
}

/// Runs of every shader, as JSON objects: `name`; `buffers` by name, each with its 32-bit words, or with
/// their number if it is written only; `passes`, each with a `shader` (a
/// [file's name](crate::kernels::Shader::file_name)), its `grid`, the names of the buffers that it binds
/// in order, and the words of its uniform, the last binding; and the `expected` numbers of some buffers,
/// with the bound of the error relative to the largest of them.
///
/// # Errors
/// Fails if a case is malformed.
pub fn shader_runs() -> Result<Vec<Value>> {
    let sizes = [1, 90, 3, 1, 17, 64, 2];
    let mut runs = Vec::new();
    for side in [8, 16] {
        runs.push(token_log_probs(side));
        for (columns, chunk, neighbours) in [
            (1, 1, NEIGHBOURS[0]),
            (2, 2, NEIGHBOURS[1]),
            (3, 4, NEIGHBOURS[2]),
            (9, 8, NEIGHBOURS[0]),
        ] {
            let case = Case::of(&sizes, 24 + columns, columns).neighbours(neighbours);
            runs.push(proximity(&case, side, chunk));
        }
    }
    let case = Case::of(&sizes, 1, 1);
    let mut rng = Stream::new(7, Purpose::Generator).rng();
    let rewards: Vec<f32> = (0..case.rows()).map(|_| rng.random_range(-1.0..2.0)).collect();
    let episodes = case.episode_offsets.len() - 1;
    let success: Vec<f32> =
        (0..episodes).map(|_| if rng.random_bool(0.4) { 1.0 } else { 0.0 }).collect();
    runs.push(returns(&case, &rewards)?);
    runs.push(advantages(&case, &rewards, &success)?);
    Ok(runs)
}
