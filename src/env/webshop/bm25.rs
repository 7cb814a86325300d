//! The search engine: BM25 as Lucene 8 computes it, over an inverted index in flat arrays.
//!
//! A term's postings are a run of bytes: for each document the gap from the one before, and how often
//! the term occurs there, both as numbers of 7 bits a byte. Frequencies of 1, most of them, cost a bit.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Mutex;

use super::analysis::{Analyzer, tokens};
use crate::parallel::par_map;

/// The parameters of BM25.
const K1: f32 = 0.9;
const B: f32 = 0.4;

/// The most results of a search.
pub(crate) const MAX_RESULTS: usize = 50;

/// The most different terms of a query; the original fails with more, here there are no results.
const MAX_TERMS: usize = 1024;

/// How many documents are indexed together, by one thread.
const SHARD: usize = 8192;

/// What the index holds; all of it is written to its file.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Postings {
    /// The terms, sorted, laid end to end.
    pub terms: String,
    pub term_ends: Vec<u32>,
    /// Where each term's postings end.
    pub ends: Vec<u64>,
    /// How many documents have each term.
    pub counts: Vec<u32>,
    pub bytes: Vec<u8>,
    /// The length of each document in tokens, as [`length_byte`] keeps it.
    pub lengths: Vec<u8>,
    /// How many tokens all documents have together.
    pub tokens: u64,
}

/// An index that can be searched.
#[derive(Debug)]
pub(crate) struct Index {
    postings: Postings,
    /// For each length byte, 1 / (k1·((1 − b) + b·length/average)).
    inverse: [f32; 256],
    /// The number of documents with at least one token.
    documents: u64,
    /// Scores of all documents, all 0, used by one search at a time.
    scores: Mutex<Vec<Vec<f64>>>,
}

/// A document and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Hit {
    pub document: u32,
    pub score: f32,
}

/// A length as one byte: exact below 40, then its 4 leading bits.
fn length_byte(length: u32) -> u8 {
    let Some(over) = length.checked_sub(24) else { return length as u8 };
    // Lucene's SmallFloat.intToByte4.
    let bits = 32 - over.leading_zeros();
    if bits < 4 {
        return 24 + over as u8;
    }
    let shift = bits - 4;
    24 + (((over >> shift) & 7) | ((shift + 1) << 3)) as u8
}

/// The length that a byte stands for.
fn byte_length(byte: u8) -> u32 {
    let Some(over) = byte.checked_sub(24) else { return u32::from(byte) };
    let (bits, shift) = (u32::from(over & 7), u32::from(over >> 3));
    match shift {
        0 => 24 + bits,
        shift => 24u32.saturating_add((bits | 8).checked_shl(shift - 1).unwrap_or(u32::MAX)),
    }
}

fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a number. Bytes of a file are checked before; a number that runs over their end ends there.
fn read_number(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    while let Some((&byte, rest)) = bytes.split_first() {
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << (shift & 63);
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    number
}

fn write_posting(gap: u32, frequency: u32, out: &mut Vec<u8>) {
    write_number(u64::from(gap) << 1 | u64::from(frequency == 1), out);
    if frequency != 1 {
        write_number(u64::from(frequency), out);
    }
}

fn read_posting(bytes: &mut &[u8]) -> (u32, u32) {
    let number = read_number(bytes);
    let frequency = if number & 1 == 1 { 1 } else { read_number(bytes) as u32 };
    ((number >> 1) as u32, frequency)
}

/// The index of some consecutive documents, counted from 0.
struct Shard {
    terms: Vec<Box<str>>,
    /// For each term: where its postings end, how many they are, and its last document.
    ends: Vec<usize>,
    counts: Vec<u32>,
    lasts: Vec<u32>,
    bytes: Vec<u8>,
    lengths: Vec<u8>,
    tokens: u64,
}

impl Shard {
    fn new(first: usize, count: usize, write_document: &dyn Fn(usize, &mut String)) -> Self {
        let mut analyzer = Analyzer::default();
        let mut numbers: HashMap<Box<str>, u32> = HashMap::new();
        // What became of each token: the same ones come again and again.
        let mut known: HashMap<Box<str>, Option<u32>> = HashMap::new();
        let mut found: Vec<u64> = Vec::new();
        let (mut lengths, mut total) = (Vec::with_capacity(count), 0);
        let mut text = String::new();
        for document in 0..count {
            write_document(first + document, &mut text);
            let mut length = 0;
            tokens(&text, &mut |token| {
                let number = match known.get(token) {
                    Some(&number) => number,
                    None => {
                        let number = analyzer.term(token).map(|term| {
                            let next = numbers.len() as u32;
                            match numbers.get(term) {
                                Some(&number) => number,
                                None => *numbers.entry(term.into()).or_insert(next),
                            }
                        });
                        known.insert(token.into(), number);
                        number
                    }
                };
                if let Some(number) = number {
                    found.push(u64::from(number) << 32 | document as u64);
                    length += 1;
                }
            });
            total += u64::from(length);
            lengths.push(length_byte(length));
        }
        found.sort_unstable();
        Self::of_pairs(numbers, &found, lengths, total)
    }

    /// Writes the postings of sorted pairs of a term's number and a document.
    fn of_pairs(
        numbers: HashMap<Box<str>, u32>,
        found: &[u64],
        lengths: Vec<u8>,
        tokens: u64,
    ) -> Self {
        let mut starts = vec![0; numbers.len() + 1];
        for pair in found {
            starts[(pair >> 32) as usize + 1] += 1;
        }
        for index in 1..starts.len() {
            starts[index] += starts[index - 1];
        }
        let mut terms: Vec<(Box<str>, u32)> = numbers.into_iter().collect();
        terms.sort_unstable();
        let mut shard = Self {
            terms: Vec::with_capacity(terms.len()),
            ends: Vec::with_capacity(terms.len()),
            counts: Vec::with_capacity(terms.len()),
            lasts: Vec::with_capacity(terms.len()),
            bytes: Vec::with_capacity(2 * found.len()),
            lengths,
            tokens,
        };
        for (term, number) in terms {
            let pairs = &found[starts[number as usize]..starts[number as usize + 1]];
            let (mut last, mut count) = (0, 0);
            for run in pairs.chunk_by(|a, b| a == b) {
                let document = run[0] as u32;
                write_posting(document - last, run.len() as u32, &mut shard.bytes);
                last = document;
                count += 1;
            }
            shard.terms.push(term);
            shard.ends.push(shard.bytes.len());
            shard.counts.push(count);
            shard.lasts.push(last);
        }
        shard.bytes.shrink_to_fit();
        shard
    }

    fn postings(&self, term: usize) -> &[u8] {
        let start = if term == 0 { 0 } else { self.ends[term - 1] };
        &self.bytes[start..self.ends[term]]
    }
}

/// Indexes documents, in parallel. `write_document` replaces a text by that of a document.
pub(crate) fn build(
    documents: usize,
    write_document: impl Fn(usize, &mut String) + Sync + Send,
) -> Postings {
    let shards = par_map(documents.div_ceil(SHARD), |shard| {
        let first = shard * SHARD;
        Shard::new(first, SHARD.min(documents - first), &write_document)
    });
    merge(shards)
}

fn merge(shards: Vec<Shard>) -> Postings {
    use std::collections::BinaryHeap;
    let sum = |of: fn(&Shard) -> usize| shards.iter().map(of).sum::<usize>();
    let mut merged = Postings {
        bytes: Vec::with_capacity(sum(|shard| shard.bytes.len())),
        lengths: Vec::with_capacity(sum(|shard| shard.lengths.len())),
        ..Default::default()
    };
    for shard in &shards {
        merged.lengths.extend_from_slice(&shard.lengths);
        merged.tokens += shard.tokens;
    }
    // The least term over all shards, of equal ones that of the first shard.
    use std::cmp::Reverse;
    let mut next = vec![0; shards.len()];
    let mut heap: BinaryHeap<Reverse<(&str, usize)>> = BinaryHeap::new();
    for (number, shard) in shards.iter().enumerate() {
        heap.extend(shard.terms.first().map(|term| Reverse((&**term, number))));
    }
    while let Some(&Reverse((term, _))) = heap.peek() {
        let (mut last, mut count) = (0u32, 0);
        while let Some(&Reverse((other, number))) = heap.peek()
            && other == term
        {
            heap.pop();
            let (shard, at) = (&shards[number], next[number]);
            let first = (number * SHARD) as u32;
            let mut postings = shard.postings(at);
            let (document, frequency) = read_posting(&mut postings);
            write_posting(first + document - last, frequency, &mut merged.bytes);
            merged.bytes.extend_from_slice(postings);
            last = first + shard.lasts[at];
            count += shard.counts[at];
            next[number] += 1;
            heap.extend(shard.terms.get(at + 1).map(|term| Reverse((&**term, number))));
        }
        merged.terms.push_str(term);
        merged.term_ends.push(u32::try_from(merged.terms.len()).unwrap_or(u32::MAX));
        merged.ends.push(merged.bytes.len() as u64);
        merged.counts.push(count);
    }
    merged.bytes.shrink_to_fit();
    merged
}

impl Postings {
    fn term(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.term_ends[index - 1] as usize };
        self.terms.get(start..self.term_ends[index] as usize).unwrap_or_default()
    }

    fn find(&self, term: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.term_ends.len());
        while low < high {
            let middle = (low + high) / 2;
            match self.term(middle).cmp(term) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Some(middle),
                Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Whether all parts fit together, so that a search reads nothing beyond their ends.
    #[cfg(any(test, feature = "fs"))]
    pub fn is_sound(&self, documents: usize) -> bool {
        self.lengths.len() == documents
            && self.ends.len() == self.term_ends.len()
            && self.counts.len() == self.term_ends.len()
            && self.term_ends.is_sorted()
            && self.ends.is_sorted()
            && self.term_ends.last().copied().unwrap_or(0) as usize == self.terms.len()
            && self.ends.last().copied().unwrap_or(0) == self.bytes.len() as u64
    }

    /// How many bytes of memory they take.
    pub fn memory(&self) -> usize {
        self.terms.capacity()
            + 4 * (self.term_ends.capacity() + self.counts.capacity())
            + 8 * self.ends.capacity()
            + self.bytes.capacity()
            + self.lengths.capacity()
    }
}

impl Index {
    pub fn new(postings: Postings) -> Self {
        let documents = postings.lengths.iter().filter(|&&length| length > 0).count() as u64;
        let average = (postings.tokens as f64 / documents.max(1) as f64) as f32;
        let inverse = std::array::from_fn(|byte| {
            let length = byte_length(byte as u8) as f32;
            1.0 / (K1 * ((1.0 - B) + B * length / average))
        });
        Self { postings, inverse, documents, scores: Mutex::default() }
    }

    /// The best documents for a query, at most [`MAX_RESULTS`]. `order` decides between equal scores.
    pub fn search(&self, query: &str, order: impl Fn(u32, u32) -> Ordering) -> Vec<Hit> {
        let terms = self.query_terms(query);
        if terms.is_empty() {
            return Vec::new();
        }
        let pool = || self.scores.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut scores = pool().pop().unwrap_or_else(|| vec![0.0; self.postings.lengths.len()]);
        let mut touched = Vec::new();
        for (term, count) in terms {
            self.add(term, count, &mut scores, &mut touched);
        }
        let mut hits: Vec<Hit> = Vec::with_capacity(touched.len());
        for document in touched {
            let score = std::mem::take(&mut scores[document as usize]) as f32;
            if score > 0.0 {
                hits.push(Hit { document, score });
            }
        }
        pool().push(scores);
        let compare = |a: &Hit, b: &Hit| {
            b.score.total_cmp(&a.score).then_with(|| order(a.document, b.document))
        };
        if hits.len() > MAX_RESULTS {
            hits.select_nth_unstable_by(MAX_RESULTS - 1, compare);
            hits.truncate(MAX_RESULTS);
        }
        hits.sort_unstable_by(compare);
        hits
    }

    /// The query's terms that are indexed, each with how often it occurs in the query.
    fn query_terms(&self, query: &str) -> Vec<(usize, u32)> {
        let mut counts: Vec<(String, u32)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        Analyzer::default().terms(query, &mut |term| match places.get(term) {
            Some(&place) => counts[place].1 += 1,
            None => {
                places.insert(term.to_string(), counts.len());
                counts.push((term.to_string(), 1));
            }
        });
        if counts.len() > MAX_TERMS {
            return Vec::new();
        }
        let find = |(term, count): (String, u32)| Some((self.postings.find(&term)?, count));
        counts.into_iter().filter_map(find).collect()
    }

    /// Adds a term's part to the scores.
    fn add(&self, term: usize, count: u32, scores: &mut [f64], touched: &mut Vec<u32>) {
        let postings = &self.postings;
        let n = f64::from(postings.counts[term]);
        let idf = (1.0 + (self.documents as f64 - n + 0.5) / (n + 0.5)).ln() as f32;
        let weight = count as f32 * idf;
        let start = if term == 0 { 0 } else { postings.ends[term - 1] as usize };
        let mut bytes = &postings.bytes[start..postings.ends[term] as usize];
        let mut document = 0u32;
        while !bytes.is_empty() {
            let (gap, frequency) = read_posting(&mut bytes);
            document = document.saturating_add(gap);
            let Some(score) = scores.get_mut(document as usize) else { return };
            let inverse = self.inverse[postings.lengths[document as usize] as usize];
            if *score == 0.0 {
                touched.push(document);
            }
            *score += f64::from(weight - weight / (1.0 + frequency as f32 * inverse));
        }
    }

    /// How many bytes of memory the index takes.
    pub fn memory(&self) -> usize {
        self.postings.memory()
    }
}

/// The scores as the original shows them: rounded to 4 digits, and lowered by a millionth for each one
/// before it that is, as shown, less than a ten-thousandth above.
pub(crate) fn shown_scores(hits: &[Hit]) -> Vec<f32> {
    let mut shown: Vec<f32> = Vec::with_capacity(hits.len());
    let mut run = 0;
    for hit in hits {
        let rounded = ((f64::from(hit.score) * 1e4).round() / 1e4) as f32;
        let is_equal = shown.last().is_some_and(|before| f64::from(before - rounded) < 1e-4);
        run = if is_equal { run + 1 } else { 0 };
        shown.push((f64::from(rounded) - f64::from(run) * 1e-6) as f32);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_kept_to_four_bits() {
        for length in 0..40 {
            assert_eq!(byte_length(length_byte(length)), length);
        }
        assert_eq!(byte_length(length_byte(24 + 17)), 24 + 16);
        assert_eq!(byte_length(length_byte(24 + 250)), 24 + 240);
        assert!((0..=255).all(|byte| length_byte(byte_length(byte)) == byte || byte > 247));
        assert_eq!(length_byte(u32::MAX), length_byte(u32::MAX - 1));
    }

    #[test]
    fn numbers_come_back_as_they_went_in() {
        let mut bytes = Vec::new();
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        numbers.iter().for_each(|&number| write_number(number, &mut bytes));
        let mut rest = &bytes[..];
        assert!(numbers.iter().all(|&number| read_number(&mut rest) == number));
        assert!(rest.is_empty());
        read_number(&mut &[0xff; 40][..]);
    }

    #[test]
    fn many_shards_are_merged_into_one_index() {
        let documents = 3 * SHARD + 5;
        let write = |number: usize, out: &mut String| {
            out.clear();
            out.push_str(if number.is_multiple_of(2) { "even even" } else { "odd" });
            if number == 2 * SHARD + 1 {
                out.push_str(" needle");
            }
        };
        let postings = build(documents, write);
        assert!(postings.is_sound(documents));
        let index = Index::new(postings);
        let needle = index.search("needles", |a, b| a.cmp(&b));
        assert_eq!(needle.len(), 1);
        assert_eq!(needle[0].document as usize, 2 * SHARD + 1);
        let even = index.search("even", |a, b| b.cmp(&a));
        let documents: Vec<u32> = even.iter().map(|hit| hit.document).collect();
        let expected: Vec<u32> = (0..documents.len() as u32)
            .map(|place| 2 * (3 * SHARD as u32 / 2 + 2 - place))
            .collect();
        assert_eq!(documents, expected, "equal scores follow the given order");
        assert!(index.search("the", |a, b| a.cmp(&b)).is_empty());
    }
}
