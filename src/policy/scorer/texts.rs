//! Distinct texts with their words.

use std::collections::HashMap;

use super::vocabulary::Vocabulary;
use super::words::for_each_word;

/// A table of distinct texts. Text 0 is the empty text.
///
/// Sentences repeat: a batch of thousands of steps has a few hundred distinct observations and actions.
/// Everything that depends on a text alone is computed once per distinct text.
#[derive(Debug, Clone)]
pub struct TextTable {
    index: HashMap<Box<str>, u32>,
    /// Distinct words of each text, ascending, concatenated.
    words: Vec<u32>,
    /// Number of occurrences of each of `words` in its text.
    counts: Vec<u16>,
    ends: Vec<usize>,
}

impl Default for TextTable {
    fn default() -> Self {
        let index = HashMap::from([(Box::from(""), 0)]);
        Self { index, words: Vec::new(), counts: Vec::new(), ends: vec![0] }
    }
}

impl TextTable {
    /// Number of distinct texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Always false: text 0 always exists.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The index of a text; a new text is added.
    pub fn intern(&mut self, text: &str, vocabulary: &Vocabulary) -> u32 {
        if let Some(&id) = self.index.get(text) {
            return id;
        }
        let start = self.words.len();
        for_each_word(text, |word| self.words.push(vocabulary.word(word)));
        self.words[start..].sort_unstable();
        self.count_repeats(start);
        let id = self.ends.len() as u32;
        self.ends.push(self.words.len());
        self.index.insert(text.into(), id);
        id
    }

    /// All parts of the table: the texts, their words and counts, and where each text's words end.
    pub(super) fn parts(&self) -> (Vec<&str>, &[u32], &[u16], &[usize]) {
        let mut texts: Vec<(&str, u32)> =
            self.index.iter().map(|(text, &id)| (&**text, id)).collect();
        texts.sort_unstable_by_key(|&(_, id)| id);
        let texts = texts.into_iter().map(|(text, _)| text).collect();
        (texts, &self.words, &self.counts, &self.ends)
    }

    /// The table of [`TextTable::parts`].
    pub(super) fn of_parts(
        (texts, words, counts, ends): (Vec<Box<str>>, Vec<u32>, Vec<u16>, Vec<usize>),
    ) -> Self {
        Self { index: texts.into_iter().zip(0..).collect(), words, counts, ends }
    }

    /// Adds the texts of a table of the same vocabulary, and returns their new indices.
    pub fn absorb(&mut self, other: &Self) -> Vec<u32> {
        let mut numbers = vec![0; other.len()];
        // In the order of their old indices, so that the new ones do not depend on hashing.
        let mut texts: Vec<(&str, u32)> =
            other.index.iter().map(|(text, &id)| (&**text, id)).collect();
        texts.sort_unstable_by_key(|&(_, id)| id);
        for (text, id) in texts {
            let next = self.ends.len() as u32;
            let number = *self.index.entry(text.into()).or_insert(next);
            if number == next {
                self.words.extend_from_slice(other.words(id));
                self.counts.extend_from_slice(other.counts(id));
                self.ends.push(self.words.len());
            }
            numbers[id as usize] = number;
        }
        numbers
    }

    /// Folds the sorted words from `start` on into distinct words with counts.
    fn count_repeats(&mut self, start: usize) {
        let mut kept = start;
        for place in start..self.words.len() {
            let word = self.words[place];
            if kept > start && self.words[kept - 1] == word {
                self.counts[kept - 1] = self.counts[kept - 1].saturating_add(1);
            } else {
                self.words[kept] = word;
                self.counts.push(1);
                kept += 1;
            }
        }
        self.words.truncate(kept);
    }

    fn range(&self, text: u32) -> std::ops::Range<usize> {
        let text = text as usize;
        let start = if text == 0 { 0 } else { self.ends[text - 1] };
        start..self.ends[text]
    }

    /// The distinct words of a text, ascending.
    pub fn words(&self, text: u32) -> &[u32] {
        &self.words[self.range(text)]
    }

    /// Number of occurrences of each of [`TextTable::words`] in the text.
    pub fn counts(&self, text: u32) -> &[u16] {
        &self.counts[self.range(text)]
    }

    /// The summed weight of the words that two texts share.
    pub fn shared_weight(&self, a: u32, b: u32, vocabulary: &Vocabulary) -> f32 {
        let (a, b) = (self.words(a), self.words(b));
        let (mut i, mut j, mut sum) = (0, 0, 0.0);
        while i < a.len() && j < b.len() {
            match a[i].cmp(&b[j]) {
                std::cmp::Ordering::Less => i += 1,
                std::cmp::Ordering::Greater => j += 1,
                std::cmp::Ordering::Equal => {
                    sum += vocabulary.weight(a[i]);
                    (i, j) = (i + 1, j + 1);
                }
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_an_index_and_words_are_counted() {
        let json = r#"{"words":["go","shelf","to"],"weights":[0.5,2.0,0.25]}"#;
        let vocabulary: Vocabulary = serde_json::from_str(json).unwrap();
        let mut table = TextTable::default();
        let a = table.intern("go to shelf, to shelf", &vocabulary);
        let b = table.intern("shelf", &vocabulary);
        assert_eq!(
            (a, b, table.intern("shelf", &vocabulary), table.intern("", &vocabulary)),
            (1, 2, 2, 0)
        );
        assert_eq!(table.words(a).len(), 3);
        assert_eq!(table.counts(a).iter().map(|&c| u32::from(c)).sum::<u32>(), 5);
        assert_eq!(table.shared_weight(a, b, &vocabulary), 2.0);
        assert_eq!(table.shared_weight(a, 0, &vocabulary), 0.0);
        assert_eq!(table.len(), 3);
    }
}
