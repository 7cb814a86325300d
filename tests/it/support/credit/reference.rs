//! Credit assignment restated slowly: row against row in f64, without merging, indices or threads.

use std::collections::{BTreeMap, HashMap};

use proxmo::credit::{
    CreditConfig, Distance, Embedding, Estimator, Inclusion, Modulation, Normalize, Statistics,
    Temperature,
};

use super::Episode;

const EPSILON: f64 = 1e-6;

/// One step with everything that is known of it.
struct Row<'a> {
    group: usize,
    /// The episode within its group, and the step within the episode.
    episode: usize,
    time: usize,
    text: &'a str,
    valid: bool,
    value: f64,
}

/// Returns, episode parts, step parts and advantages of all rows.
#[derive(Debug, Default)]
pub struct Reference {
    pub returns: Vec<f64>,
    pub episode: Vec<f64>,
    pub step: Vec<f64>,
    pub advantages: Vec<f64>,
}

/// Assigns credit with settings whose every `auto` is written out.
pub fn assign(groups: &[Vec<Episode>], config: &CreditConfig) -> Reference {
    let mut rows = Vec::new();
    for (group, episodes) in groups.iter().enumerate() {
        for (episode, played) in episodes.iter().enumerate() {
            for (time, step) in played.steps.iter().enumerate() {
                let (text, valid) = (step.observation.as_str(), step.valid);
                rows.push(Row { group, episode, time, text, valid, value: 0.0 });
            }
        }
    }
    set_returns(&mut rows, groups, config);
    let episode_parts = episode_parts(groups, config);
    let mut episode: Vec<f64> =
        rows.iter().map(|row| episode_parts[row.group][row.episode]).collect();
    let step = match config.estimator {
        Estimator::Proxmo => proximity(&rows, config),
        Estimator::Gigpo => clusters(&rows, &cluster_texts(&rows, config.similarity), config),
        Estimator::Graphgpo => clusters(&rows, &cluster_texts(&rows, None), config),
        Estimator::G2po => g2po(&rows, groups, config),
        Estimator::Hgpo => {
            let step = hgpo(&rows, &episode, config);
            episode.fill(0.0);
            step
        }
        _ => vec![0.0; rows.len()],
    };
    let advantages = episode
        .iter()
        .zip(&step)
        .map(|(episode, step)| config.episode_weight * episode + config.step_weight * step)
        .collect();
    Reference { returns: rows.iter().map(|row| row.value).collect(), episode, step, advantages }
}

fn total(episode: &Episode) -> f64 {
    episode.steps.iter().map(|step| f64::from(step.reward)).sum()
}

fn set_returns(rows: &mut [Row], groups: &[Vec<Episode>], config: &CreditConfig) {
    for row in rows {
        let episode = &groups[row.group][row.episode];
        let value: f64 = match config.estimator {
            Estimator::Graphgpo => graph_return(&groups[row.group], row, config),
            Estimator::G2po => {
                total(episode) * config.gamma.powi((episode.steps.len() - row.time) as i32)
            }
            _ => (row.time..episode.steps.len())
                .map(|t| {
                    f64::from(episode.steps[t].reward) * config.gamma.powi((t - row.time) as i32)
                })
                .sum(),
        };
        // Returns are handed out in f32, and everything else is made from what is handed out.
        row.value = f64::from(value as f32);
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation with `lost` degrees of freedom taken off; 0 where none are left.
fn deviation(values: &[f64], lost: usize) -> f64 {
    if values.len() <= lost {
        return 0.0;
    }
    let mean = mean(values);
    let spread: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (spread / (values.len() - lost) as f64).sqrt()
}

fn scale(values: &[f64], lost: usize, config: &CreditConfig) -> f64 {
    match config.normalize {
        Normalize::MeanStd => deviation(values, lost) + EPSILON,
        _ => 1.0,
    }
}

/// Every episode's reward, once or once a step.
fn counted(group: &[Episode], config: &CreditConfig, of: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut values = Vec::new();
    for (number, episode) in group.iter().enumerate() {
        let times = match config.statistics {
            Statistics::Episode => 1,
            Statistics::Step => episode.steps.len(),
        };
        values.extend(vec![of(number); times]);
    }
    values
}

fn episode_parts(groups: &[Vec<Episode>], config: &CreditConfig) -> Vec<Vec<f64>> {
    let global =
        matches!(config.estimator, Estimator::ReinforcePp | Estimator::ReinforcePpBaseline);
    let mut parts: Vec<Vec<f64>> =
        groups.iter().map(|group| group_part(group, config, global)).collect();
    if global {
        let all: Vec<f64> = groups
            .iter()
            .zip(&parts)
            .flat_map(|(group, part)| counted(group, config, |number| part[number]))
            .collect();
        let (mean, scale) = (mean(&all), scale(&all, 1, config));
        parts.iter_mut().flatten().for_each(|part| *part = (*part - mean) / scale);
    }
    if let Modulation::On(curve) = config.modulation {
        for (group, part) in groups.iter().zip(&mut parts) {
            let won = |number: usize| f64::from(u8::from(group[number].success));
            let rate = mean(&counted(group, config, won));
            let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
            let beta = curve.range / (logistic(1.0) - 0.5);
            for (episode, part) in group.iter().zip(part) {
                *part *= 1.0
                    + beta
                        * if episode.success {
                            logistic((1.0 - rate).powf(curve.steepness)) - 0.5
                        } else {
                            logistic(-rate.powf(curve.steepness)) - 0.5
                        };
            }
        }
    }
    parts
}

fn group_part(group: &[Episode], config: &CreditConfig, global: bool) -> Vec<f64> {
    let rewards: Vec<f64> = group.iter().map(total).collect();
    if config.estimator == Estimator::ReinforcePp {
        return rewards;
    }
    if config.estimator == Estimator::Rloo {
        let others = |own: usize| {
            let mut others = group.to_vec();
            others.remove(own);
            let values = counted(&others, config, |number| total(&others[number]));
            if values.is_empty() { rewards[own] } else { mean(&values) }
        };
        return (0..group.len()).map(|own| rewards[own] - others(own)).collect();
    }
    let all = counted(group, config, |number| rewards[number]);
    if config.statistics == Statistics::Step && all.len() == 1 {
        return rewards;
    }
    let scale = if global { 1.0 } else { scale(&all, 1, config) };
    rewards.iter().map(|reward| (reward - mean(&all)) / scale).collect()
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

fn clusters<K: PartialEq>(rows: &[Row], keys: &[K], config: &CreditConfig) -> Vec<f64> {
    let values: Vec<f64> = rows.iter().map(|row| row.value).collect();
    centred(&values, keys, config)
}

fn proximity(rows: &[Row], config: &CreditConfig) -> Vec<f64> {
    let embeddings = match config.embedding {
        Embedding::Tfidf => tfidf(rows, config.max_features),
        other => unimplemented!("the reference has no {other:?}"),
    };
    let Temperature::Fixed(temperature) = config.temperature else {
        unimplemented!("the reference has no automatic temperature")
    };
    let mut parts = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let let_in = |&j: &usize| {
            let other = &rows[j];
            other.group == row.group
                && (j != i || config.self_weight == Inclusion::Include)
                && (other.episode != row.episode || config.same_episode == Inclusion::Include)
        };
        let around: Vec<usize> = (0..rows.len()).filter(let_in).collect();
        if around.is_empty() {
            parts.push(0.0);
            continue;
        }
        let cosine = |j: usize| {
            let shared =
                embeddings[i].iter().filter_map(|(term, x)| embeddings[j].get(term).map(|y| x * y));
            shared.sum::<f64>()
        };
        let weights: Vec<f64> = around.iter().map(|&j| (cosine(j) / temperature).exp()).collect();
        let all: f64 = weights.iter().sum();
        let sum: f64 = around.iter().zip(&weights).map(|(&j, weight)| weight * rows[j].value).sum();
        let group: Vec<f64> =
            rows.iter().filter(|other| other.group == row.group).map(|row| row.value).collect();
        parts.push((row.value - sum / all) / scale(&group, 1, config));
    }
    parts
}

/// A map of terms to weights for every row.
fn tfidf(rows: &[Row], max_features: usize) -> Vec<BTreeMap<String, f64>> {
    let counts: Vec<BTreeMap<String, f64>> = rows
        .iter()
        .map(|row| {
            let mut counts = BTreeMap::new();
            let lower = row.text.to_lowercase();
            let words = lower.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            for word in words.filter(|word| word.chars().count() >= 2) {
                *counts.entry(word.to_string()).or_insert(0.0) += 1.0;
            }
            counts
        })
        .collect();
    let mut totals: BTreeMap<&String, f64> = BTreeMap::new();
    for (term, count) in counts.iter().flatten() {
        *totals.entry(term).or_insert(0.0) += count;
    }
    let mut terms: Vec<(&String, f64)> = totals.into_iter().collect();
    terms.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    terms.truncate(max_features);
    let idf = |term: &String| {
        let having = counts.iter().filter(|counts| counts.contains_key(term)).count() as f64;
        ((1.0 + rows.len() as f64) / (1.0 + having)).ln() + 1.0
    };
    let idf: BTreeMap<&String, f64> = terms.iter().map(|&(term, _)| (term, idf(term))).collect();
    let embed = |counts: &BTreeMap<String, f64>| {
        let kept = counts.iter().filter_map(|(term, count)| Some((term, count * idf.get(term)?)));
        let mut embedding: BTreeMap<String, f64> = kept.map(|(t, x)| (t.clone(), x)).collect();
        let length = embedding.values().map(|x| x * x).sum::<f64>().sqrt();
        embedding.values_mut().for_each(|x| *x /= length);
        embedding
    };
    counts.iter().map(embed).collect()
}

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

fn g2po(rows: &[Row], groups: &[Vec<Episode>], config: &CreditConfig) -> Vec<f64> {
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
                Some(value) => total(episode) == value,
                None => episode.success,
            };
            match row.time + 1 < episode.steps.len() {
                true => value_at(row.group, rows[i + 1].text),
                false if won => total(episode),
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

/// The return of a row in its group's graph; the goal is the node without a text.
fn graph_return(group: &[Episode], row: &Row, config: &CreditConfig) -> f64 {
    let mut edges: Vec<(Option<&str>, Option<&str>)> = Vec::new();
    let mut own = (None, None);
    for (number, episode) in group.iter().enumerate() {
        for (time, step) in episode.steps.iter().enumerate() {
            let to = match episode.steps.get(time + 1) {
                Some(next) => Some(next.observation.as_str()),
                None if episode.success => None,
                None => episode.final_observation.as_deref(),
            };
            edges.push((Some(step.observation.as_str()), to));
            if (number, time) == (row.episode, row.time) {
                own = *edges.last().unwrap();
            }
        }
    }
    // Distances by relaxing every edge as often as there are nodes at most.
    let mut distances: HashMap<Option<&str>, usize> = HashMap::from([(None, 0)]);
    for _ in 0..=edges.len() {
        for (from, to) in &edges {
            if let Some(&there) = distances.get(to) {
                let here = distances.entry(*from).or_insert(there + 1);
                *here = (*here).min(there + 1);
            }
        }
    }
    let farthest = distances.values().max().copied().unwrap_or(0);
    let distance = |node| distances.get(&node).copied().unwrap_or(farthest + 1) as i32;
    let won: Vec<f64> = group.iter().filter(|episode| episode.success).map(total).collect();
    let value = config.success_value.unwrap_or(if won.is_empty() { 0.0 } else { mean(&won) });
    let exponent = match config.distance {
        Distance::Absolute => distance(own.1),
        Distance::Delta => distance(own.1) - distance(own.0) + 1,
    };
    value * config.gamma.powi(exponent)
}

/// `difflib.SequenceMatcher(None, first, second).ratio()`, block by block.
pub fn difflib_ratio(first: &str, second: &str) -> f64 {
    let (a, b): (Vec<char>, Vec<char>) = (first.chars().collect(), second.chars().collect());
    if a.len() + b.len() == 0 {
        return 1.0;
    }
    let mut places: HashMap<char, Vec<usize>> = HashMap::new();
    b.iter().enumerate().for_each(|(at, &c)| places.entry(c).or_default().push(at));
    if b.len() >= 200 {
        places.retain(|_, places| places.len() <= b.len() / 100 + 1);
    }
    2.0 * matched(&a, &b, &places, (0, a.len()), (0, b.len())) as f64 / (a.len() + b.len()) as f64
}

fn matched(
    a: &[char],
    b: &[char],
    places: &HashMap<char, Vec<usize>>,
    (a_from, a_to): (usize, usize),
    (b_from, b_to): (usize, usize),
) -> usize {
    // The longest run of characters that may start a match: earliest in `a`, then in `b`.
    let (mut i, mut j, mut length) = (a_from, b_from, 0);
    for from_a in a_from..a_to {
        for from_b in b_from..b_to {
            let run = (0..(a_to - from_a).min(b_to - from_b))
                .take_while(|&n| {
                    let may_match = places.get(&a[from_a + n]);
                    may_match.is_some_and(|places| places.contains(&(from_b + n)))
                })
                .count();
            if run > length {
                (i, j, length) = (from_a, from_b, run);
            }
        }
    }
    while i > a_from && j > b_from && a[i - 1] == b[j - 1] {
        (i, j, length) = (i - 1, j - 1, length + 1);
    }
    while i + length < a_to && j + length < b_to && a[i + length] == b[j + length] {
        length += 1;
    }
    if length == 0 {
        return 0;
    }
    matched(a, b, places, (a_from, i), (b_from, j))
        + length
        + matched(a, b, places, (i + length, a_to), (j + length, b_to))
}
