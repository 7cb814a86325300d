//! Hashed word n-grams: an embedding that needs no fitting.
//!
//! Every word and every pair of adjacent words of a text is hashed to a column and a sign. The value of
//! a column is the signed sum of `1 + ln n` over the words and pairs hashed to it, with `n` their number
//! of occurrences. The same text has the same embedding in every iteration, group and machine, so groups
//! do not influence each other as they do through tf-idf's document frequencies. Words may be single
//! characters here, and pairs distinguish "shelf 1" from "shelf 2", which tf-idf does not.

use super::sparse::SparseRows;
use super::tokens::{for_each_term, lowercase_into};

/// Embeds each text in `width` columns.
pub fn hashed<T: AsRef<str>>(texts: &[T], width: usize) -> SparseRows {
    let mut rows = SparseRows::new(width);
    let (mut lower, mut grams, mut entries) = (String::new(), Vec::new(), Vec::new());
    for text in texts {
        lower.clear();
        lowercase_into(text.as_ref(), &mut lower);
        hash_grams(&lower, &mut grams);
        entries.clear();
        for equal in grams.chunk_by(|a, b| a == b) {
            let gram = equal[0];
            // The low bits choose the column, the highest the sign.
            let sign = if gram >> 63 == 0 { 1.0 } else { -1.0 };
            let column = (gram % width.max(1) as u64) as u32;
            entries.push((column, sign * (1.0 + (equal.len() as f64).ln())));
        }
        merge(&mut entries);
        rows.push_unit(&mut entries);
    }
    rows
}

/// The hashes of all words and pairs of a text, sorted.
fn hash_grams(lower: &str, grams: &mut Vec<u64>) {
    grams.clear();
    let mut before = None;
    for_each_term(lower, 1, |word| {
        let word = fnv1a(word.as_bytes());
        grams.push(mix(word));
        if let Some(before) = before {
            grams.push(mix(word ^ mix(before)));
        }
        before = Some(word);
    });
    grams.sort_unstable();
}

/// Sums the entries of each column.
fn merge(entries: &mut Vec<(u32, f64)>) {
    entries.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    entries.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        kept.1 += if same { next.1 } else { 0.0 };
        same
    });
}

/// The FNV-1a hash.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Mixes all bits (the finalizer of MurmurHash3).
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(rows: &SparseRows, a: usize, b: usize) -> f64 {
        let dense = |row| {
            let mut dense = vec![0.0; rows.width()];
            let (columns, values) = rows.row(row);
            columns.iter().zip(values).for_each(|(&c, &value)| dense[c as usize] = value);
            dense
        };
        dense(a).iter().zip(dense(b)).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn adjacent_words_distinguish_numbered_things() {
        let rows = hashed(
            &["the shelf 1 is empty", "The Shelf 1 is empty.", "the shelf 2 is empty", "a lamp"],
            1 << 16,
        );
        assert!((cosine(&rows, 0, 1) - 1.0).abs() < 1e-12);
        assert!((0.5..0.9).contains(&cosine(&rows, 0, 2)));
        assert!(cosine(&rows, 0, 3).abs() < 0.1);
    }

    #[test]
    fn an_embedding_does_not_depend_on_the_other_texts() {
        let together = hashed(&["one two", "two three", ""], 64);
        assert_eq!(hashed(&["two three"], 64).row(0), together.row(1));
        assert_eq!(together.row(2), (&[][..], &[][..]));
    }

    #[test]
    fn colliding_columns_are_summed() {
        // All words share one column; the value is ±1, or 0 if the signs cancel.
        let rows = hashed(&["a b c d e", "look"], 1);
        let (columns, values) = rows.row(0);
        assert_eq!(columns, [0]);
        assert!(values[0] == 0.0 || (values[0].abs() - 1.0).abs() < 1e-12);
        assert_eq!(rows.row(1).1[0].abs(), 1.0);
    }

    #[test]
    fn hashes_are_the_published_functions() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
