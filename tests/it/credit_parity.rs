//! Agreement with the numbers of the published codes and with a slow reference implementation.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::credit::{Draw, Episode, Step, batch};
use crate::support::shared::shared;
use proxmo::credit::{
    Credit, CreditConfig, Curve, Distance, Estimator, Inclusion, Modulation, Normalize, Statistics,
    Temperature, assign,
};
use proxmo::verify::oracle::{self, CreditOracle, difflib_ratio};
use serde_json::Value;

/// Compares every `NAME.SETTING.json` with the credit of `NAME.episodes.jsonl`.
#[test]
fn credit_agrees_with_the_published_codes() {
    let Some(folder) = shared("credit") else { return };
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut compared = 0;
    for input in files.iter().filter(|path| name(path).ends_with(".episodes.jsonl")) {
        let prefix = name(input).replace("episodes.jsonl", "");
        let groups = episodes(input);
        let expected = |path: &&PathBuf| name(path).starts_with(&prefix) && *path != input;
        for path in files.iter().filter(expected) {
            let file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            let mut settings = file["settings"].clone();
            // The published files write null for `off`.
            if settings.get("modulation").is_some_and(Value::is_null) {
                settings["modulation"] = "off".into();
            }
            let config: CreditConfig = serde_json::from_value(settings)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let credit = assign(&batch(&groups), &config)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let episodes = groups.iter().map(Vec::len).sum();
            compare(path, &file["expected"], episodes, &credit);
            compared += 1;
        }
    }
    assert!(compared > 0, "{} holds no numbers", folder.display());
    println!("{compared} files of numbers agree");
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The episodes of a file by group. Groups are contiguous.
fn episodes(path: &Path) -> Vec<Vec<Episode>> {
    let mut groups: Vec<Vec<Episode>> = Vec::new();
    let mut last = None;
    for line in fs::read_to_string(path).unwrap().lines() {
        let episode: Value = serde_json::from_str(line).unwrap();
        if last.as_ref() != Some(&episode["group"]) {
            groups.push(Vec::new());
            last = Some(episode["group"].clone());
        }
        let step = |step: &Value| Step {
            observation: step["observation"].as_str().unwrap().to_string(),
            reward: step["reward"].as_f64().unwrap(),
            valid: step["valid"].as_bool().unwrap_or(true),
        };
        groups.last_mut().unwrap().push(Episode {
            steps: episode["steps"].as_array().unwrap().iter().map(step).collect(),
            success: episode["success"].as_bool().unwrap(),
            final_observation: episode["final_observation"].as_str().map(str::to_string),
        });
    }
    groups
}

/// Compares the numbers that a file has within 1e-5 (relative above 1).
fn compare(path: &Path, expected: &Value, episodes: usize, credit: &Credit) {
    let expected = expected.as_array().unwrap();
    assert_eq!(expected.len(), episodes, "{}", path.display());
    for (key, found) in [
        ("returns", &credit.returns),
        ("graph_returns", &credit.returns),
        ("node_values", &credit.baselines),
        ("episode", &credit.episode_advantages),
        ("episode_advantages", &credit.episode_advantages),
        ("step", &credit.step_advantages),
        ("step_advantages", &credit.step_advantages),
        ("advantages", &credit.advantages),
    ] {
        let numbers: Vec<f64> = expected
            .iter()
            .filter_map(|episode| episode[key].as_array())
            .flatten()
            .map(|number| number.as_f64().unwrap())
            .collect();
        if numbers.is_empty() && key != "advantages" {
            continue;
        }
        assert_eq!(numbers.len(), found.len(), "{}: {key}", path.display());
        for (row, (&number, &found)) in numbers.iter().zip(found).enumerate() {
            let off = (found - number).abs() / number.abs().max(1.0);
            assert!(off <= 1e-5, "{}: {key}[{row}] is {found}, not {number}", path.display());
        }
    }
}

/// Random episodes and settings for every estimator.
#[test]
fn credit_agrees_with_the_reference() {
    for seed in 0..400 {
        let draw = Draw::of(seed);
        let groups = draw.groups(seed);
        let batch = batch(&groups);
        for &estimator in Estimator::ALL {
            let config = settings(estimator, seed, draw);
            let credit = assign(&batch, &config).unwrap();
            let expected = oracle::credit(&batch, &config).unwrap();
            same(&credit, &expected, &format!("seed {seed}, {config:?}"));
        }
    }
}

/// Settings that vary with the seed, each with its own period.
fn settings(estimator: Estimator, seed: u64, draw: Draw) -> CreditConfig {
    let every = |n: u64| seed.is_multiple_of(n);
    let divides = !matches!(estimator, Estimator::DrGrpo | Estimator::Rloo);
    CreditConfig {
        gamma: [0.95, 0.5, 1.0][seed as usize % 3],
        step_weight: if every(5) { 0.5 } else { 1.0 },
        episode_weight: if every(7) { 2.0 } else { 1.0 },
        normalize: if divides && every(2) { Normalize::MeanStd } else { Normalize::Mean },
        statistics: if every(3) { Statistics::Step } else { Statistics::Episode },
        modulation: match seed % 4 {
            0 => Modulation::On(Curve { steepness: 2.0, range: 0.2 }),
            1 => Modulation::Off,
            _ => Modulation::Auto,
        },
        max_features: if every(4) { 5 } else { 1024 },
        temperature: Temperature::Fixed([0.1, 0.02, 1.0][seed as usize % 3]),
        self_weight: if every(3) { Inclusion::Exclude } else { Inclusion::Include },
        same_episode: if every(4) { Inclusion::Exclude } else { Inclusion::Include },
        similarity: every(2).then_some(0.6),
        history: seed as usize % 4,
        length_weight: [1.0, 0.5][seed as usize % 2],
        base_group: every(3),
        success_value: every(2).then_some(draw.success_value),
        distance: if every(2) { Distance::Delta } else { Distance::Absolute },
        // Without a division only.
        value_weight: if every(2) { 0.0 } else { [0.0, 0.3, 1.0][seed as usize % 3] },
        gae_lambda: [0.95, 0.0, 0.5, 1.0][seed as usize % 4],
        ..CreditConfig::of(estimator)
    }
}

fn same(credit: &Credit, expected: &CreditOracle, place: &str) {
    for (key, found, expected) in [
        ("returns", &credit.returns, &expected.returns),
        ("episode_advantages", &credit.episode_advantages, &expected.episode),
        ("step_advantages", &credit.step_advantages, &expected.step),
        ("advantages", &credit.advantages, &expected.advantages),
    ] {
        assert_eq!(found.len(), expected.len(), "{place}: {key}");
        for (row, (&found, &expected)) in found.iter().zip(expected).enumerate() {
            let off = (found - expected).abs() / expected.abs().max(1.0);
            assert!(off <= 1e-6, "{place}: {key}[{row}] is {found}, not {expected}");
        }
    }
}

/// Expected values are from Python's documentation and shell.
#[test]
fn the_references_similarity_is_that_of_python() {
    assert_eq!(difflib_ratio("abcd", "bcde"), 0.75);
    assert_eq!(difflib_ratio("", ""), 1.0);
    assert_eq!(difflib_ratio("private thread", "private volatile"), 20.0 / 30.0);
    assert_eq!(difflib_ratio("private volatile", "private thread"), 18.0 / 30.0);
}
