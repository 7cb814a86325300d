//! Credit assignment as a whole, for every estimator: row against row, without merging or indices.

use super::episodes::{episode_advantages, weight};
use super::graph::graph_return;
use super::play::{OracleEpisode, Row, groups, rows};
use super::statistics::{deviation, mean};
use super::texts::{difflib_ratio, tfidf};
use super::values::{above_values, lambda_return, mixed};
use crate::credit::{
    CreditConfig, Embedding, Estimator, Inclusion, Modulation, Normalize, Statistics, SuccessPrior,
    Temperature,
};
use crate::episodes::{Batch, Embeddings, Values};
use crate::error::{Error, Result};

pub(super) const EPSILON: f64 = 1e-6;

/// Returns, episode parts, step parts and advantages of all rows, `[rows]` each.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreditOracle {
    /// The return of each row.
    pub returns: Vec<f64>,
    /// The episode part of each advantage.
    pub episode: Vec<f64>,
    /// The step part of each advantage.
    pub step: Vec<f64>,
    /// The weighted sum of both parts.
    pub advantages: Vec<f64>,
}

/// Assigns credit by definition. Time is quadratic in the number of rows.
///
/// # Errors
/// Fails for settings that the oracle does not define: an automatic temperature, hashed embeddings, a
/// fitted prior, and given embeddings or values that the batch lacks.
pub fn credit(batch: &Batch, config: &CreditConfig) -> Result<CreditOracle> {
    config.validate()?;
    let config = &config.resolved();
    if config.success_prior == SuccessPrior::Fitted {
        return Err(undefined("success_prior", "fitted"));
    }
    let groups = groups(batch);
    let mut rows = rows(batch, &groups);
    let values = if config.needs_values() { Some(values(batch)?) } else { None };
    set_returns(&mut rows, &groups, config, values.map(|values| (values, batch)));
    let mut episode = episode_parts(batch, &groups, config);
    let step = match config.estimator {
        Estimator::Proxmo => proximity(batch, &rows, config)?,
        Estimator::Gigpo => clusters(&rows, &cluster_texts(&rows, config.similarity), config),
        Estimator::Graphgpo => clusters(&rows, &cluster_texts(&rows, None), config),
        Estimator::G2po => g2po(&rows, &groups, config),
        Estimator::Hgpo => {
            let step = hgpo(&rows, &episode, config);
            episode.fill(0.0);
            step
        }
        Estimator::Ppo => {
            episode.fill(0.0);
            above_values(&rows, values.unwrap_or(&Values::default()), config)
        }
        _ => vec![0.0; rows.len()],
    };
    let step = match (values, config.estimator) {
        (Some(values), Estimator::Proxmo | Estimator::Gigpo) => {
            mixed(&rows, &step, values, config.value_weight)
        }
        _ => step,
    };
    let advantages = episode
        .iter()
        .zip(&step)
        .map(|(episode, step)| config.episode_weight * episode + config.step_weight * step)
        .collect();
    let returns = rows.iter().map(|row| row.value).collect();
    Ok(CreditOracle { returns, episode, step, advantages })
}

fn values(batch: &Batch) -> Result<&Values> {
    batch.values().ok_or_else(|| Error::input("values", "are missing from the batch"))
}

fn undefined(key: &str, value: &str) -> Error {
    Error::setting(
        format!("credit.{key}"),
        format!("is '{value}', which the oracle does not define"),
    )
}

/// Sets the return of every row.
fn set_returns(
    rows: &mut [Row],
    groups: &[Vec<OracleEpisode>],
    config: &CreditConfig,
    valued: Option<(&Values, &Batch)>,
) {
    for (at, row) in rows.iter_mut().enumerate() {
        let episode = &groups[row.group][row.episode];
        let value: f64 = match config.estimator {
            Estimator::Ppo => valued.map_or(f64::NAN, |(values, batch)| {
                let end = batch.layout().episode_of_row(at);
                lambda_return(episode, row, (at, end), values, config)
            }),
            Estimator::Graphgpo => graph_return(&groups[row.group], row, config),
            Estimator::G2po => {
                episode.total() * config.gamma.powi((episode.rewards.len() - row.time) as i32)
            }
            _ => (row.time..episode.rewards.len())
                .map(|t| episode.rewards[t] * config.gamma.powi((t - row.time) as i32))
                .sum(),
        };
        row.value = value;
    }
}

/// The divisor of centred values.
fn scale(values: &[f64], lost: usize, config: &CreditConfig) -> f64 {
    match config.normalize {
        Normalize::MeanStd => deviation(values, lost) + EPSILON,
        _ => 1.0,
    }
}

/// The episode part of each row's advantage.
fn episode_parts(batch: &Batch, groups: &[Vec<OracleEpisode>], config: &CreditConfig) -> Vec<f64> {
    let flags = batch.success().iter().map(|&success| f32::from(u8::from(success)));
    let flags: Vec<f32> = flags.collect();
    let parts = episode_advantages(batch.layout(), batch.rewards(), &flags, config);
    let mut by_episode: Vec<Vec<f64>> = match config.estimator {
        Estimator::Rloo => groups.iter().map(|group| leave_one_out(group, config)).collect(),
        Estimator::ReinforcePp | Estimator::ReinforcePpBaseline => over_batch(groups, config),
        _ => return parts.advantages,
    };
    if let Modulation::On(curve) = config.modulation {
        for (group, (episodes, advantages)) in groups.iter().zip(&mut by_episode).enumerate() {
            let rate = parts.statistics[3 * group];
            for (episode, advantage) in episodes.iter().zip(advantages) {
                *advantage *= weight(curve, rate, episode.success);
            }
        }
    }
    let episodes = groups.iter().flatten().zip(by_episode.iter().flatten());
    episodes.flat_map(|(episode, &part)| vec![part; episode.rewards.len()]).collect()
}

/// A number of every episode, once or once a step.
fn counted(group: &[OracleEpisode], values: &[f64], config: &CreditConfig) -> Vec<f64> {
    let times = |episode: &OracleEpisode| match config.statistics {
        Statistics::Episode => 1,
        Statistics::Step => episode.rewards.len(),
    };
    group.iter().zip(values).flat_map(|(episode, &value)| vec![value; times(episode)]).collect()
}

/// Each episode's total reward less the mean of the others.
fn leave_one_out(group: &[OracleEpisode], config: &CreditConfig) -> Vec<f64> {
    let totals: Vec<f64> = group.iter().map(OracleEpisode::total).collect();
    let advantage = |own: usize| {
        let [before, after] = [0..own, own + 1..group.len()]
            .map(|others| counted(&group[others.clone()], &totals[others], config));
        let others = [before, after].concat();
        if others.is_empty() { 0.0 } else { totals[own] - mean(&others) }
    };
    (0..group.len()).map(advantage).collect()
}

/// Total rewards, or their distances from the mean of the group, normalized over the batch.
fn over_batch(groups: &[Vec<OracleEpisode>], config: &CreditConfig) -> Vec<Vec<f64>> {
    let by_group = |group: &Vec<OracleEpisode>| {
        let totals: Vec<f64> = group.iter().map(OracleEpisode::total).collect();
        let all = counted(group, &totals, config);
        let single = config.statistics == Statistics::Step && all.len() == 1;
        if config.estimator == Estimator::ReinforcePp || single {
            return totals;
        }
        totals.iter().map(|total| total - mean(&all)).collect()
    };
    let mut parts: Vec<Vec<f64>> = groups.iter().map(by_group).collect();
    let counted = groups.iter().zip(&parts).map(|(group, part)| counted(group, part, config));
    let all: Vec<f64> = counted.flatten().collect();
    let (mean, scale) = (mean(&all), scale(&all, 1, config));
    parts.iter_mut().flatten().for_each(|part| *part = (*part - mean) / scale);
    parts
}

/// The cluster of each row, numbered within its group.
fn cluster_texts(rows: &[Row], similarity: Option<f64>) -> Vec<(usize, usize)> {
    let mut founders: Vec<(usize, &str)> = Vec::new();
    let mut clusters = Vec::new();
    for row in rows {
        let alike = |text: &str| match similarity {
            None => text == row.text,
            Some(threshold) => difflib_ratio(row.text, text) >= threshold,
        };
        let found = founders.iter().position(|&(group, text)| group == row.group && alike(text));
        let cluster = found.unwrap_or(founders.len());
        if found.is_none() {
            founders.push((row.group, row.text));
        }
        clusters.push((row.group, cluster));
    }
    clusters
}

/// Values centred within their cluster.
fn centred<K: PartialEq>(values: &[f64], keys: &[K], config: &CreditConfig) -> Vec<f64> {
    let advantage = |(&value, key): (&f64, &K)| {
        let same = values.iter().zip(keys).filter(|(_, other)| *other == key);
        let same: Vec<f64> = same.map(|(&value, _)| value).collect();
        if same.len() < 2 { 0.0 } else { (value - mean(&same)) / scale(&same, 1, config) }
    };
    values.iter().zip(keys).map(advantage).collect()
}

/// Each row's return within its cluster.
fn clusters<K: PartialEq>(rows: &[Row], keys: &[K], config: &CreditConfig) -> Vec<f64> {
    let values: Vec<f64> = rows.iter().map(|row| row.value).collect();
    centred(&values, keys, config)
}
/// ProxMO's step part.
fn proximity(batch: &Batch, rows: &[Row], config: &CreditConfig) -> Result<Vec<f64>> {
    let cosines = cosines(batch, rows, config)?;
    let Temperature::Fixed(temperature) = config.temperature else {
        return Err(undefined("temperature", "auto"));
    };
    let mut parts = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let is_neighbour = |&j: &usize| {
            let other = &rows[j];
            other.group == row.group
                && (j != i || config.self_weight == Inclusion::Include)
                && (other.episode != row.episode || config.same_episode == Inclusion::Include)
        };
        let around: Vec<usize> = (0..rows.len()).filter(is_neighbour).collect();
        if around.is_empty() {
            parts.push(0.0);
            continue;
        }
        let cosine = |j: usize| cosines(i, j);
        let weights: Vec<f64> = around.iter().map(|&j| (cosine(j) / temperature).exp()).collect();
        let all: f64 = weights.iter().sum();
        let sum: f64 = around.iter().zip(&weights).map(|(&j, weight)| weight * rows[j].value).sum();
        let group: Vec<f64> =
            rows.iter().filter(|other| other.group == row.group).map(|row| row.value).collect();
        parts.push((row.value - sum / all) / scale(&group, 1, config));
    }
    Ok(parts)
}

type Cosine<'a> = Box<dyn Fn(usize, usize) -> f64 + 'a>;

/// The cosine between the embeddings of two rows.
fn cosines<'a>(batch: &'a Batch, rows: &[Row], config: &CreditConfig) -> Result<Cosine<'a>> {
    match (config.embedding, batch.embeddings()) {
        (Embedding::Tfidf, _) => {
            let texts: Vec<&str> = rows.iter().map(|row| row.text).collect();
            let embeddings = tfidf(&texts, config.max_features);
            Ok(Box::new(move |i, j| {
                let other = |(term, x): (&String, &f64)| embeddings[j].get(term).map(|y| x * y);
                embeddings[i].iter().filter_map(other).sum()
            }))
        }
        (Embedding::Hashed, _) => Err(undefined("embedding", "hashed")),
        (Embedding::Given | Embedding::Policy, None) => {
            Err(Error::input("embeddings", "are missing from the batch"))
        }
        (Embedding::Given | Embedding::Policy, Some(embeddings)) => {
            let (values, width) = match embeddings {
                Embeddings::Texts { values, width } | Embeddings::Steps { values, width } => {
                    (values, *width)
                }
            };
            let by_text = matches!(embeddings, Embeddings::Texts { .. });
            let unit = move |row: usize| {
                let item = if by_text { batch.observations()[row] as usize } else { row };
                let numbers = &values[item * width..(item + 1) * width];
                let numbers: Vec<f64> = numbers.iter().map(|&value| f64::from(value)).collect();
                let length = numbers.iter().map(|value| value * value).sum::<f64>().sqrt();
                let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
                numbers.into_iter().map(|value| value * scale).collect::<Vec<f64>>()
            };
            let units: Vec<Vec<f64>> = (0..rows.len()).map(unit).collect();
            Ok(Box::new(move |i, j| units[i].iter().zip(&units[j]).map(|(a, b)| a * b).sum()))
        }
    }
}

/// HGPO's step part.
fn hgpo(rows: &[Row], episode: &[f64], config: &CreditConfig) -> Vec<f64> {
    let history = |i: usize, length: usize| -> Option<Vec<&str>> {
        let enough = rows[i].time + 1 >= length;
        enough.then(|| rows[i + 1 - length..=i].iter().map(|row| row.text).collect())
    };
    let mut parts = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let (mut sum, mut weights) = (0.0, 0.0);
        let mut add = |length: usize, advantage: f64| {
            if advantage != 0.0 {
                let weight = (length as f64 + 1.0).powf(config.length_weight);
                sum += weight * advantage;
                weights += weight;
            }
        };
        if config.base_group {
            add(0, episode[i]);
        }
        for length in 1..=config.history + 1 {
            let Some(own) = history(i, length) else { continue };
            let same: Vec<f64> = (0..rows.len())
                .filter(|&j| {
                    rows[j].group == row.group && history(j, length).as_ref() == Some(&own)
                })
                .map(|j| rows[j].value)
                .collect();
            if same.len() > 1 {
                add(length, (row.value - mean(&same)) / scale(&same, 0, config));
            }
        }
        parts.push(sum / (weights + EPSILON));
    }
    parts
}

/// G2PO's step part.
fn g2po(rows: &[Row], groups: &[Vec<OracleEpisode>], config: &CreditConfig) -> Vec<f64> {
    let value_at = |group: usize, text: &str| {
        let here = rows.iter().filter(|row| row.group == group && row.text == text);
        mean(&here.map(|row| row.value).collect::<Vec<f64>>())
    };
    let next: Vec<f64> = rows
        .iter()
        .enumerate()
        .map(|(i, row)| {
            let episode = &groups[row.group][row.episode];
            let won = match config.success_value {
                Some(value) => episode.total() == value,
                None => episode.success,
            };
            match row.time + 1 < episode.rewards.len() {
                true => value_at(row.group, rows[i + 1].text),
                false if won => episode.total(),
                false => 0.0,
            }
        })
        .collect();
    let penalty = |row: &Row| if row.valid { 0.0 } else { config.invalid_action_penalty };
    let arrival: Vec<f64> = rows.iter().zip(&next).map(|(row, next)| next - penalty(row)).collect();
    let change: Vec<f64> =
        rows.iter().zip(&next).map(|(row, next)| next - value_at(row.group, row.text)).collect();
    let nodes: Vec<(usize, &str)> = rows.iter().map(|row| (row.group, row.text)).collect();
    let whole: Vec<usize> = rows.iter().map(|row| row.group).collect();
    let (a, b) = (centred(&arrival, &nodes, config), centred(&change, &whole, config));
    a.iter().zip(&b).map(|(a, b)| a + b).collect()
}
