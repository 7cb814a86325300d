//! Term frequency times inverse document frequency, fitted on a batch.
//!
//! For a term `t` of a text that occurs `n_t` times in it, with `N` texts of which `d_t` have it:
//!
//! ```text
//! idf_t = ln((1 + N) / (1 + d_t)) + 1        x_t = n_t · idf_t        e = x / ‖x‖₂
//! ```
//!
//! These are the defaults of scikit-learn's `TfidfVectorizer`: lower case, terms of two or more
//! word characters, smoothed idf, unit length. If there are more than `max_features` terms, those with
//! the highest counts over all texts are kept. Among equal counts, scikit-learn's choice depends on the
//! machine's sorting routine; here the alphabetically first terms are kept.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::sparse::SparseRows;
use super::tokens::{for_each_term, lowercase_into};

/// A fitted model and the embeddings of the texts it was fitted on.
#[derive(Debug, Clone, PartialEq)]
pub struct TfIdf {
    /// The terms that are kept, in alphabetical order: the columns.
    pub terms: Vec<String>,
    /// The inverse document frequency of each term.
    pub idf: Vec<f64>,
    /// One row a text, of unit length; zero if a text has none of the terms.
    pub rows: SparseRows,
}

/// Fits on `texts`, where text `i` counts as `copies[i]` equal documents, and embeds each text.
///
/// A text with 0 copies is embedded but does not influence the fit.
pub fn tfidf<T: AsRef<str>>(texts: &[T], copies: &[usize], max_features: usize) -> TfIdf {
    let mut lower = String::with_capacity(texts.iter().map(|text| text.as_ref().len()).sum());
    let ends: Vec<usize> = texts
        .iter()
        .map(|text| {
            lowercase_into(text.as_ref(), &mut lower);
            lower.len()
        })
        .collect();
    let corpus = Corpus::count(&lower, &ends, copies);
    let kept = corpus.most_frequent(max_features);
    corpus.embed(&kept, copies.iter().sum())
}

/// Term counts of every text. Terms are numbered in the order of their first appearance.
struct Corpus<'a> {
    terms: Vec<&'a str>,
    /// Occurrences of each term in all documents.
    occurrences: Vec<u64>,
    /// Documents that contain each term.
    documents: Vec<u64>,
    /// `(term, occurrences)`, sorted by text.
    counts: Vec<(u32, u32)>,
    offsets: Vec<usize>,
}

impl<'a> Corpus<'a> {
    fn count(lower: &'a str, ends: &[usize], copies: &[usize]) -> Self {
        let mut numbers: HashMap<&str, u32, BuildHasherDefault<WordHasher>> = HashMap::default();
        let mut corpus = Self {
            terms: Vec::new(),
            occurrences: Vec::new(),
            documents: Vec::new(),
            counts: Vec::new(),
            offsets: vec![0],
        };
        // The index of each term's entry in `counts`. It belongs to an earlier text if it is below
        // `first`.
        let mut places: Vec<usize> = Vec::new();
        let mut start = 0;
        for (&end, &copies) in ends.iter().zip(copies) {
            let first = corpus.counts.len();
            for_each_term(&lower[start..end], 2, |term| {
                let number = *numbers.entry(term).or_insert_with(|| {
                    corpus.terms.push(term);
                    places.push(usize::MAX);
                    corpus.terms.len() as u32 - 1
                });
                let place = &mut places[number as usize];
                if *place == usize::MAX || *place < first {
                    *place = corpus.counts.len();
                    corpus.counts.push((number, 0));
                }
                corpus.counts[*place].1 += 1;
            });
            corpus.occurrences.resize(corpus.terms.len(), 0);
            corpus.documents.resize(corpus.terms.len(), 0);
            for &(term, count) in &corpus.counts[first..] {
                corpus.occurrences[term as usize] += u64::from(count) * copies as u64;
                corpus.documents[term as usize] += copies as u64;
            }
            corpus.offsets.push(corpus.counts.len());
            start = end;
        }
        corpus
    }

    /// The terms that are kept, in alphabetical order.
    fn most_frequent(&self, max_features: usize) -> Vec<u32> {
        let fitted = |&term: &u32| self.documents[term as usize] > 0;
        let mut kept: Vec<u32> = (0..self.terms.len() as u32).filter(fitted).collect();
        let name = |&term: &u32| self.terms[term as usize];
        if kept.len() > max_features {
            kept.sort_unstable_by(|a, b| {
                let count = |&term: &u32| self.occurrences[term as usize];
                count(b).cmp(&count(a)).then_with(|| name(a).cmp(name(b)))
            });
            kept.truncate(max_features);
        }
        kept.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        kept
    }

    fn embed(&self, kept: &[u32], documents: usize) -> TfIdf {
        let mut columns = vec![u32::MAX; self.terms.len()];
        let mut idf = Vec::with_capacity(kept.len());
        for (column, &term) in kept.iter().enumerate() {
            columns[term as usize] = column as u32;
            let having = self.documents[term as usize] as f64;
            idf.push(((1.0 + documents as f64) / (1.0 + having)).ln() + 1.0);
        }
        let mut rows = SparseRows::new(kept.len());
        let mut entries = Vec::new();
        for text in self.offsets.windows(2) {
            entries.clear();
            for &(term, count) in &self.counts[text[0]..text[1]] {
                let column = columns[term as usize];
                if column != u32::MAX {
                    entries.push((column, f64::from(count) * idf[column as usize]));
                }
            }
            rows.push_unit(&mut entries);
        }
        let terms = kept.iter().map(|&term| self.terms[term as usize].to_string()).collect();
        TfIdf { terms, idf, rows }
    }
}

/// A fast hash for short words (multiply and rotate, eight bytes at a time). Results do not depend on
/// the order of the table, so a weak hash suffices.
#[derive(Default)]
struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_follow_the_formula() {
        let model = tfidf(&["red box, red lid", "a blue box"], &[1, 1], 10);
        assert_eq!(model.terms, ["blue", "box", "lid", "red"]);
        let rare = (3.0f64 / 2.0).ln() + 1.0;
        assert_eq!(model.idf, [rare, 1.0, rare, rare]);
        let length = (1.0 + rare * rare + 4.0 * rare * rare).sqrt();
        let (columns, values) = model.rows.row(0);
        assert_eq!(columns, [1, 2, 3]);
        for (value, expected) in values.iter().zip([1.0, rare, 2.0 * rare]) {
            assert!((value - expected / length).abs() < 1e-15);
        }
    }

    #[test]
    fn copies_count_as_documents() {
        let copied = tfidf(&["red box", "blue lid"], &[3, 1], 10);
        let written = tfidf(&["red box", "red box", "blue lid", "red box"], &[1; 4], 10);
        assert_eq!(copied.idf, written.idf);
        assert_eq!(copied.rows.row(1), written.rows.row(2));
        let unseen = tfidf(&["red box", "green lid box"], &[2, 0], 10);
        assert_eq!(unseen.terms, ["box", "red"]);
        assert_eq!(unseen.rows.row(1), (&[0][..], &[1.0][..]));
    }

    #[test]
    fn the_most_frequent_terms_are_kept_and_ties_resolved_alphabetically() {
        let model = tfidf(&["dd dd dd cc cc bb bb aa"], &[1], 2);
        assert_eq!(model.terms, ["bb", "dd"]);
        assert_eq!(tfidf(&["dd cc bb aa"], &[1], 3).terms, ["aa", "bb", "cc"]);
    }

    #[test]
    fn texts_without_terms_have_zero_rows() {
        let model = tfidf(&["", "a b c", "!?"], &[1, 1, 1], 10);
        assert!(model.terms.is_empty());
        assert_eq!((model.rows.len(), model.rows.stored()), (3, 0));
        assert_eq!(tfidf::<&str>(&[], &[], 10).rows.len(), 0);
    }
}
