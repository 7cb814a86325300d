//! Similarity of two texts, as Python's `difflib.SequenceMatcher` measures it.
//!
//! The ratio is `2 M / T`, with `T` the characters of both texts and `M` those in matching blocks:
//! the longest common run (of several, the one that begins earliest in the first text, then in the
//! second), then the same to its left and to its right. In a second text of 200 characters or more,
//! a character that makes up more than 1 % of it cannot *start* a match ("autojunk"), though a match
//! may grow over it. The two texts are therefore not interchangeable.

use std::collections::HashMap;

/// A second text from this length on has characters too common to start a match.
const AUTOJUNK_LENGTH: usize = 200;

/// Texts written in small numbers instead of characters.
#[derive(Debug, Default)]
pub struct Alphabet {
    numbers: HashMap<char, u32>,
}

/// A text in an alphabet.
#[derive(Debug, Clone, Default)]
pub struct Written {
    symbols: Vec<u32>,
    /// How often each symbol occurs, up to the greatest that does.
    counts: Vec<u32>,
}

impl Alphabet {
    /// Writes a text in this alphabet, which grows as needed.
    pub fn write(&mut self, text: &str) -> Written {
        let mut written = Written::default();
        for character in text.chars() {
            let next = self.numbers.len() as u32;
            let symbol = *self.numbers.entry(character).or_insert(next);
            if written.counts.len() <= symbol as usize {
                written.counts.resize(symbol as usize + 1, 0);
            }
            written.counts[symbol as usize] += 1;
            written.symbols.push(symbol);
        }
        written
    }
}

impl Written {
    /// How many characters two texts have in common in any order: a bound on what can match.
    fn in_common(&self, other: &Self) -> usize {
        let common = self.counts.iter().zip(&other.counts).map(|(&a, &b)| a.min(b));
        common.sum::<u32>() as usize
    }
}

/// A second text, prepared for comparison with many first ones.
#[derive(Debug)]
pub struct Pattern {
    text: Written,
    /// Positions of symbol after symbol, ascending; none for a symbol that starts no match.
    positions: Vec<u32>,
    offsets: Vec<u32>,
}

impl Pattern {
    /// Prepares a text.
    pub fn new(text: Written) -> Self {
        let Written { symbols, counts } = &text;
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
    pub fn resembles(&self, first: &Written, threshold: f64, memory: &mut Memory) -> bool {
        let lengths = (first.symbols.len(), self.text.symbols.len());
        let enough = |matched: usize| ratio(matched, lengths.0 + lengths.1) >= threshold;
        let shorter = lengths.0.min(lengths.1);
        if !enough(shorter) || !enough(self.text.in_common(first)) {
            return false;
        }
        // What is matched, and the most that the blocks still to be searched can add.
        let (mut matched, mut hoped) = (0, shorter);
        memory.blocks.clear();
        memory.blocks.push(Block { first: (0, lengths.0), second: (0, lengths.1) });
        while let Some(block) = memory.blocks.pop() {
            let run = self.longest_run(&first.symbols, block, memory);
            hoped -= block.shorter();
            if run.length > 0 {
                matched += run.length;
                for side in [block.left_of(run), block.right_of(run)] {
                    if side.shorter() > 0 {
                        hoped += side.shorter();
                        memory.blocks.push(side);
                    }
                }
            }
            if enough(matched) {
                return true;
            }
            if !enough(matched + hoped) {
                return false;
            }
        }
        enough(matched)
    }

    /// The longest run that a block of the two texts has in common.
    fn longest_run(&self, first: &[u32], block: Block, memory: &mut Memory) -> Run {
        let (from, to) = block.second;
        let mut best = Run { first: block.first.0, second: from, length: 0 };
        // Lengths of the runs that end at each position of the second text (moved by one, so that
        // there is one before the first), for the row above and for this one. A number that the
        // row bears tells its entries from older ones.
        memory.above.resize(memory.above.len().max(self.text.symbols.len() + 1), (0, 0));
        memory.here.resize(memory.above.len(), (0, 0));
        memory.row += 1;
        for (at, &symbol) in first.iter().enumerate().take(block.first.1).skip(block.first.0) {
            memory.row += 1;
            let positions = self.starts_of(symbol);
            let begin = positions.partition_point(|&position| (position as usize) < from);
            for &position in &positions[begin..] {
                let position = position as usize;
                if position >= to {
                    break;
                }
                let (row, length) = memory.above[position];
                let length = if row + 1 == memory.row { length + 1 } else { 1 };
                memory.here[position + 1] = (memory.row, length);
                if length as usize > best.length {
                    let length = length as usize;
                    best = Run { first: at + 1 - length, second: position + 1 - length, length };
                }
            }
            std::mem::swap(&mut memory.above, &mut memory.here);
        }
        self.grow(first, block, best)
    }

    /// Stretches a run to both sides, also over characters that start no match.
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

/// Memory to reuse from one comparison to the next.
#[derive(Debug, Default)]
pub struct Memory {
    blocks: Vec<Block>,
    above: Vec<(u64, u32)>,
    here: Vec<(u64, u32)>,
    row: u64,
}

/// A stretch of each text, from and to.
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

    /// The ratio, found by asking for ever more.
    fn matched(first: &str, second: &str) -> usize {
        let mut alphabet = Alphabet::default();
        let (first, second) = (alphabet.write(first), alphabet.write(second));
        let total = first.symbols.len() + second.symbols.len();
        let pattern = Pattern::new(second);
        let mut memory = Memory::default();
        let most = (0..=total / 2)
            .rev()
            .find(|&matched| pattern.resembles(&first, ratio(matched, total), &mut memory));
        most.unwrap()
    }
    /// Letters that any language can make again: a linear congruential generator.
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
    fn empty_texts_are_alike() {
        let mut alphabet = Alphabet::default();
        let (pattern, mut memory) = (Pattern::new(alphabet.write("")), Memory::default());
        assert!(pattern.resembles(&alphabet.write(""), 1.0, &mut memory));
        assert!(!pattern.resembles(&alphabet.write("a"), 0.1, &mut memory));
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
