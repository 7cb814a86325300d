//! The search index as a file beside the catalogue.
//!
//! A name, the checksum of what was indexed, the parts of the index each after its length, and a
//! checksum of all that. Numbers are little-endian.

use sha2::{Digest, Sha256};

use super::bm25::Postings;

/// The file's first bytes. The number changes with the format, the analysis chain and the documents.
const NAME: &[u8; 16] = b"proxmo-index-1\r\n";

/// A checksum of what is indexed.
pub(crate) type Key = [u8; 32];

/// Writes an index.
pub(crate) fn encode(postings: &Postings, key: &Key) -> Vec<u8> {
    let mut out = Vec::with_capacity(postings.memory() + 256);
    out.extend_from_slice(NAME);
    out.extend_from_slice(key);
    out.extend_from_slice(&postings.tokens.to_le_bytes());
    let mut part = |size: usize, bytes: &mut dyn Iterator<Item = u8>| {
        out.extend_from_slice(&(size as u64).to_le_bytes());
        out.extend(bytes);
    };
    let words =
        |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    let term_ends = words(&postings.term_ends);
    part(term_ends.len(), &mut term_ends.into_iter());
    let counts = words(&postings.counts);
    part(counts.len(), &mut counts.into_iter());
    part(8 * postings.ends.len(), &mut postings.ends.iter().flat_map(|end| end.to_le_bytes()));
    for bytes in [postings.terms.as_bytes(), &postings.lengths, &postings.bytes] {
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(bytes);
    }
    let checksum = Sha256::digest(&out);
    out.extend_from_slice(&checksum);
    out
}

/// Reads an index of what has the checksum `key` and so many documents; `None` if the file is another
/// one's, of another version, or corrupt.
pub(crate) fn decode(bytes: &[u8], key: &Key, documents: usize) -> Option<Postings> {
    let (rest, checksum) = bytes.split_last_chunk::<32>()?;
    let after_name = rest.strip_prefix(NAME)?;
    let mut rest_of_parts = after_name.strip_prefix(key)?;
    if Sha256::digest(rest).as_slice() != checksum {
        return None;
    }
    let rest = &mut rest_of_parts;
    let tokens = number(rest)?;
    let mut part = || -> Option<&[u8]> {
        let length = usize::try_from(number(rest)?).ok()?;
        let (part, after) = rest.split_at_checked(length)?;
        *rest = after;
        Some(part)
    };
    let words = |part: &[u8]| -> Vec<u32> {
        part.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
    };
    let postings = Postings {
        tokens,
        term_ends: words(part()?),
        counts: words(part()?),
        ends: part()?.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect(),
        terms: std::str::from_utf8(part()?).ok()?.to_string(),
        lengths: part()?.to_vec(),
        bytes: part()?.to_vec(),
    };
    postings.is_sound(documents).then_some(postings)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::super::bm25::build;
    use super::*;

    #[test]
    fn an_index_comes_back_and_a_changed_byte_or_another_key_is_noticed() {
        let postings = build(3, |document, out| {
            out.clear();
            out.push_str(["red shoes red", "", "blue shoe"][document]);
        });
        let key = [7; 32];
        let bytes = encode(&postings, &key);
        assert_eq!(decode(&bytes, &key, 3).as_ref(), Some(&postings));
        assert!(decode(&bytes, &[8; 32], 3).is_none());
        assert!(decode(&bytes, &key, 4).is_none());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(decode(&changed, &key, 3).is_none(), "byte {at}");
            assert!(decode(&bytes[..at], &key, 3).is_none(), "cut at {at}");
        }
    }
}
