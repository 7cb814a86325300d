//! Similarity of two texts, as measured by Python's `difflib.SequenceMatcher`.
//!
//! The ratio is `2 M / T`, with `T` the number of characters of both texts and `M` the number of
//! matching characters in the first: those in the longest common run (if there are several, the one
//! that begins earliest in the first text, then in the second), and recursively those to its left and
//! to its right. In a second text of 200 characters or more, a character that makes up more than 1 %
//! of it cannot *start* a match ("autojunk"), though a match may extend over it. The measure is
//! therefore not symmetric.

use std::collections::HashMap;

/// A second text of at least this length may have characters that are too common to start a match.
const AUTOJUNK_LENGTH: usize = 200;

/// Numbers characters in the order of their first appearance.
#[derive(Debug, Default)]
pub(crate) struct Alphabet {
    numbers: HashMap<char, u32>,
}

/// A text as numbers of an [`Alphabet`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Encoded {
    symbols: Vec<u32>,
    /// The number of occurrences of each symbol, up to the largest symbol of the text.
    counts: Vec<u32>,
}

impl Alphabet {
    /// Encodes a text and adds its new characters to the alphabet.
    pub fn encode(&mut self, text: &str) -> Encoded {
        let mut encoded = Encoded::default();
        for character in text.chars() {
            let next = self.numbers.len() as u32;
            let symbol = *self.numbers.entry(character).or_insert(next);
            if encoded.counts.len() <= symbol as usize {
                encoded.counts.resize(symbol as usize + 1, 0);
            }
            encoded.counts[symbol as usize] += 1;
            encoded.symbols.push(symbol);
        }
        encoded
    }
}

impl Encoded {
    /// The number of characters that two texts have in common in any order: an upper bound on matches.
    fn in_common(&self, other: &Self) -> usize {
        let common = self.counts.iter().zip(&other.counts).map(|(&a, &b)| a.min(b));
        common.sum::<u32>() as usize
    }
}

/// A second text, prepared for comparison with many first texts.
#[derive(Debug)]
pub(crate) struct Pattern {
    text: Encoded,
    /// Positions sorted by symbol, then ascending; none for a symbol that cannot start a match.
    positions: Vec<u32>,
    offsets: Vec<u32>,
}

impl Pattern {
    /// Prepares a text.
    pub fn new(text: Encoded) -> Self {
        let Encoded { symbols, counts } = &text;
        let common = if symbols.len() >= AUTOJUNK_LENGTH {
            symbols.len() as u32 / 100 + 1
        } else {
            u32::MAX
        };
        let mut offsets = vec![0];
        let starts = |&count: &u32| if count > common { 0 } else { count };
        offsets.extend(counts.iter().map(starts).scan(0, |end, count| {
            *end += count;
            Some(*end)
        }));
        let mut next = offsets.clone();
        let mut positions = vec![0; offsets.last().map_or(0, |&end| end as usize)];
        for (at, &symbol) in symbols.iter().enumerate() {
            if counts[symbol as usize] <= common {
                let place = &mut next[symbol as usize];
                positions[*place as usize] = at as u32;
                *place += 1;
            }
        }
        Self { text, positions, offsets }
    }

    /// Whether the ratio of `first` to this text is at least `threshold`.
    pub fn is_similar(&self, first: &Encoded, threshold: f64, buffers: &mut Buffers) -> bool {
        let lengths = (first.symbols.len(), self.text.symbols.len());
        let enough = |matched: usize| ratio(matched, lengths.0 + lengths.1) >= threshold;
        let shorter = lengths.0.min(lengths.1);
        if !enough(shorter) || !enough(self.text.in_common(first)) {
            return false;
        }
        // The matches so far, and an upper bound on the matches in the remaining blocks.
        let (mut matched, mut possible) = (0, shorter);
        buffers.blocks.clear();
        buffers.blocks.push(Block { first: (0, lengths.0), second: (0, lengths.1) });
        while let Some(block) = buffers.blocks.pop() {
            let run = self.longest_run(&first.symbols, block, buffers);
            possible -= block.shorter();
            if run.length > 0 {
                matched += run.length;
                for side in [block.left_of(run), block.right_of(run)] {
                    if side.shorter() > 0 {
                        possible += side.shorter();
                        buffers.blocks.push(side);
                    }
                }
            }
            if enough(matched) {
                return true;
            }
            if !enough(matched + possible) {
                return false;
            }
        }
        enough(matched)
    }

    /// The longest common run within a block of the two texts.
    fn longest_run(&self, first: &[u32], block: Block, buffers: &mut Buffers) -> Run {
        let (from, to) = block.second;
        let mut best = Run { first: block.first.0, second: from, length: 0 };
        // Lengths of the runs that end at each position of the second text (shifted by one to have an
        // entry before the first), for the previous row and the current one. Row numbers tell current
        // entries from stale ones.
        buffers.above.resize(buffers.above.len().max(self.text.symbols.len() + 1), (0, 0));
        buffers.here.resize(buffers.above.len(), (0, 0));
        buffers.row += 1;
        for (at, &symbol) in first.iter().enumerate().take(block.first.1).skip(block.first.0) {
            buffers.row += 1;
            let positions = self.starts_of(symbol);
            let begin = positions.partition_point(|&position| (position as usize) < from);
            for &position in &positions[begin..] {
                let position = position as usize;
                if position >= to {
                    break;
                }
                let (row, length) = buffers.above[position];
                let length = if row + 1 == buffers.row { length + 1 } else { 1 };
                buffers.here[position + 1] = (buffers.row, length);
                if length as usize > best.length {
                    let length = length as usize;
                    best = Run { first: at + 1 - length, second: position + 1 - length, length };
                }
            }
            std::mem::swap(&mut buffers.above, &mut buffers.here);
        }
        self.grow(first, block, best)
    }

    /// Extends a run to both sides, also over characters that cannot start a match.
    fn grow(&self, first: &[u32], block: Block, mut run: Run) -> Run {
        while run.first > block.first.0
            && run.second > block.second.0
            && first[run.first - 1] == self.text.symbols[run.second - 1]
        {
            run = Run { first: run.first - 1, second: run.second - 1, length: run.length + 1 };
        }
        while run.first + run.length < block.first.1
            && run.second + run.length < block.second.1
            && first[run.first + run.length] == self.text.symbols[run.second + run.length]
        {
            run.length += 1;
        }
        run
    }

    fn starts_of(&self, symbol: u32) -> &[u32] {
        let symbol = symbol as usize;
        if symbol + 1 >= self.offsets.len() {
            return &[];
        }
        &self.positions[self.offsets[symbol] as usize..self.offsets[symbol + 1] as usize]
    }
}

fn ratio(matched: usize, total: usize) -> f64 {
    if total == 0 { 1.0 } else { 2.0 * matched as f64 / total as f64 }
}

/// Buffers to reuse from one comparison to the next.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    blocks: Vec<Block>,
    above: Vec<(u64, u32)>,
    here: Vec<(u64, u32)>,
    row: u64,
}

/// A range of each text: start and end.
#[derive(Debug, Clone, Copy)]
struct Block {
    first: (usize, usize),
    second: (usize, usize),
}

/// A run of equal characters: where it begins in each text.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: usize,
    second: usize,
    length: usize,
}

impl Block {
    fn shorter(&self) -> usize {
        (self.first.1 - self.first.0).min(self.second.1 - self.second.0)
    }

    fn left_of(&self, run: Run) -> Self {
        Self { first: (self.first.0, run.first), second: (self.second.0, run.second) }
    }

    fn right_of(&self, run: Run) -> Self {
        Self {
            first: (run.first + run.length, self.first.1),
            second: (run.second + run.length, self.second.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of matching characters, found by decreasing thresholds.
    fn matched(first: &str, second: &str) -> usize {
        let mut alphabet = Alphabet::default();
        let (first, second) = (alphabet.encode(first), alphabet.encode(second));
        let total = first.symbols.len() + second.symbols.len();
        let pattern = Pattern::new(second);
        let mut buffers = Buffers::default();
        let most = (0..=total / 2)
            .rev()
            .find(|&matched| pattern.is_similar(&first, ratio(matched, total), &mut buffers));
        most.unwrap()
    }
    /// Letters from a linear congruential generator, to be reproduced in Python.
    fn letters(length: usize, seed: u64, alphabet: u64) -> String {
        let mut state = seed;
        let next = |_| {
            state = (state * 1_103_515_245 + 12_345) % (1 << 31);
            char::from(b'a' + ((state >> 16) % alphabet) as u8)
        };
        (0..length).map(next).collect()
    }

    #[test]
    fn short_texts_match_as_in_python() {
        assert_eq!(matched("abcd", "bcde"), 3);
        assert_eq!(matched("private thread", "private volatile"), 10);
        assert_eq!(matched("private volatile", "private thread"), 9);
        assert_eq!(
            matched("n\u{e9} \u{e0} \u{141}\u{f3}d\u{17a}", "\u{e0} n\u{e9} \u{141}\u{f3}dz"),
            6
        );
        assert_eq!((matched("", "ab"), matched("ab", "")), (0, 0));
    }

    #[test]
    fn empty_texts_are_similar() {
        let mut alphabet = Alphabet::default();
        let (pattern, mut buffers) = (Pattern::new(alphabet.encode("")), Buffers::default());
        assert!(pattern.is_similar(&alphabet.encode(""), 1.0, &mut buffers));
        assert!(!pattern.is_similar(&alphabet.encode("a"), 0.1, &mut buffers));
    }

    #[test]
    fn long_texts_match_as_in_python() {
        // Lengths, seeds and alphabet, then the matches that difflib counts in either order.
        for (n, seed, m, other, alphabet, forth, back) in [
            (30, 1, 40, 2, 4, 18, 12),
            (199, 3, 199, 4, 6, 47, 56),
            (150, 5, 200, 6, 26, 0, 39),
            (260, 7, 230, 7, 26, 230, 230),
            (320, 9, 300, 10, 26, 0, 0),
            (320, 11, 150, 12, 3, 83, 1),
        ] {
            let (a, b) = (letters(n, seed, alphabet), letters(m, other, alphabet));
            assert_eq!((matched(&a, &b), matched(&b, &a)), (forth, back), "{a} {b}");
        }
        let shelf = "the shelf holds a lamp and the drawer holds a key; ".repeat(5);
        let other = shelf.replacen("lamp", "vase", 2);
        assert_eq!((matched(&shelf, &other), matched(&other, &shelf)), (153, 18));
    }
}
