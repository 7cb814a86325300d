//! Texts: tf-idf and the similarity of Python's `difflib`.

use std::collections::{BTreeMap, HashMap};

/// The tf-idf of each text, a map of terms to weights of unit length. A term is a word of at least two
/// characters; ties in total count go to the alphabetically first.
pub(super) fn tfidf(texts: &[&str], max_features: usize) -> Vec<BTreeMap<String, f64>> {
    let counts: Vec<BTreeMap<String, f64>> = texts
        .iter()
        .map(|text| {
            let mut counts = BTreeMap::new();
            let lower = text.to_lowercase();
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
        ((1.0 + texts.len() as f64) / (1.0 + having)).ln() + 1.0
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

/// `difflib.SequenceMatcher(None, first, second).ratio()` of Python, block by block.
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
