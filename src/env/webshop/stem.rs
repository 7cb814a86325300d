//! The Porter stemmer as Lucene has it: the algorithm of 1980 with its author's own two later changes
//! (`bli` → `ble`, `logi` → `log`), on words of any characters.
//!
//! Letters other than `a e i o u y` count as consonants, and so do digits and everything else.

/// Replaces a lower-case word by its stem. Words of one or two characters stay.
pub(crate) fn stem(word: &mut String, letters: &mut Vec<char>) {
    letters.clear();
    letters.extend(word.chars());
    // Lucene counts UTF-16 units.
    if letters.iter().map(|c| c.len_utf16()).sum::<usize>() <= 2 {
        return;
    }
    let mut stemmer = Stemmer { letters };
    stemmer.plurals_and_participles();
    stemmer.final_y();
    stemmer.replace_longest(&STEP_2, 0);
    stemmer.replace_longest(&STEP_3, 0);
    stemmer.remove_longest();
    stemmer.final_e();
    word.clear();
    word.extend(letters.iter());
}

/// Suffixes and their replacements where the stem before them has a vowel followed by a consonant.
/// No suffix of a step ends in another one that stands after it.
const STEP_2: [(&str, &str); 21] = [
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("logi", "log"),
];

const STEP_3: [(&str, &str); 7] = [
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
];

const STEP_4: [&str; 18] = [
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ou", "ism",
    "ate", "iti", "ous", "ive", "ize",
];

struct Stemmer<'a> {
    letters: &'a mut Vec<char>,
}

impl Stemmer<'_> {
    fn is_consonant(&self, i: usize) -> bool {
        match self.letters[i] {
            'a' | 'e' | 'i' | 'o' | 'u' => false,
            'y' => i == 0 || !self.is_consonant(i - 1),
            _ => true,
        }
    }

    /// How many times a vowel is followed by a consonant in the first `end` letters.
    fn measure(&self, end: usize) -> usize {
        let mut count = 0;
        let mut after_vowel = false;
        let mut consonant = false;
        for i in 0..end {
            // As `is_consonant`, which would look back along a run of y's each time.
            consonant = match self.letters[i] {
                'a' | 'e' | 'i' | 'o' | 'u' => false,
                'y' => i == 0 || !consonant,
                _ => true,
            };
            count += usize::from(consonant && after_vowel);
            after_vowel = !consonant;
        }
        count
    }

    fn has_vowel(&self, end: usize) -> bool {
        let mut consonant = false;
        (0..end).any(|i| {
            consonant = match self.letters[i] {
                'a' | 'e' | 'i' | 'o' | 'u' => false,
                'y' => i == 0 || !consonant,
                _ => true,
            };
            !consonant
        })
    }

    fn ends_in_double_consonant(&self) -> bool {
        let end = self.letters.len();
        end >= 2 && self.letters[end - 1] == self.letters[end - 2] && self.is_consonant(end - 1)
    }

    /// Whether the first `end` letters end in consonant, vowel, consonant, the last not w, x or y.
    fn ends_short(&self, end: usize) -> bool {
        end >= 3
            && self.is_consonant(end - 1)
            && !self.is_consonant(end - 2)
            && self.is_consonant(end - 3)
            && !matches!(self.letters[end - 1], 'w' | 'x' | 'y')
    }

    /// How many letters stand before a suffix, if the word ends in it.
    fn before(&self, suffix: &str) -> Option<usize> {
        let start = self.letters.len().checked_sub(suffix.len())?;
        self.letters[start..].iter().copied().eq(suffix.chars()).then_some(start)
    }

    fn replace(&mut self, start: usize, suffix: &str) {
        self.letters.truncate(start);
        self.letters.extend(suffix.chars());
    }

    /// Steps 1a and 1b: plurals, `-ed` and `-ing`.
    fn plurals_and_participles(&mut self) {
        if let Some(start) = self.before("sses") {
            self.replace(start, "ss");
        } else if let Some(start) = self.before("ies") {
            self.replace(start, "i");
        } else if self.before("ss").is_none()
            && let Some(start) = self.before("s")
        {
            self.letters.truncate(start);
        }
        if let Some(start) = self.before("eed") {
            if self.measure(start) > 0 {
                self.letters.pop();
            }
            return;
        }
        let Some(start) = self.before("ed").or_else(|| self.before("ing")) else { return };
        if !self.has_vowel(start) {
            return;
        }
        self.letters.truncate(start);
        if self.before("at").or(self.before("bl")).or(self.before("iz")).is_some() {
            self.letters.push('e');
        } else if self.ends_in_double_consonant() {
            if !matches!(self.letters.last(), Some('l' | 's' | 'z')) {
                self.letters.pop();
            }
        } else if self.measure(start) == 1 && self.ends_short(start) {
            self.letters.push('e');
        }
    }

    /// Step 1c: a final `y` becomes `i` after a vowel.
    fn final_y(&mut self) {
        if let Some(start) = self.before("y")
            && self.has_vowel(start)
        {
            self.replace(start, "i");
        }
    }

    /// Steps 2 and 3: the suffix that fits is replaced if the measure before it exceeds `measure`.
    fn replace_longest(&mut self, suffixes: &[(&str, &str)], measure: usize) {
        for (suffix, other) in suffixes {
            if let Some(start) = self.before(suffix) {
                if self.measure(start) > measure {
                    self.replace(start, other);
                }
                return;
            }
        }
    }

    /// Step 4: suffixes removed after a long stem.
    fn remove_longest(&mut self) {
        let is_after_s_or_t =
            |start: &usize| *start > 0 && matches!(self.letters[*start - 1], 's' | 't');
        let found = match self.before("ion") {
            Some(start) => Some(start).filter(is_after_s_or_t),
            None => STEP_4.iter().find_map(|suffix| self.before(suffix)),
        };
        if let Some(start) = found
            && self.measure(start) > 1
        {
            self.letters.truncate(start);
        }
    }

    /// Step 5: a final `e`, and one of two final `l`.
    fn final_e(&mut self) {
        if let Some(start) = self.before("e") {
            let measure = self.measure(start);
            if measure > 1 || measure == 1 && !self.ends_short(start) {
                self.letters.truncate(start);
            }
        }
        if self.letters.last() == Some(&'l')
            && self.ends_in_double_consonant()
            && self.measure(self.letters.len()) > 1
        {
            self.letters.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    fn stem(word: &str) -> String {
        let mut word = word.to_string();
        super::stem(&mut word, &mut Vec::new());
        word
    }

    #[test]
    fn words_lose_their_endings() {
        for (word, expected) in [
            ("caresses", "caress"),
            ("ponies", "poni"),
            ("cats", "cat"),
            ("agreed", "agre"),
            ("hopping", "hop"),
            ("falling", "fall"),
            ("filing", "file"),
            ("sky", "sky"),
            ("relational", "relat"),
            ("technology", "technolog"),
            ("possibly", "possibl"),
            ("electriciti", "electr"),
            ("adoption", "adopt"),
            ("controlling", "control"),
            ("ornament", "ornament"),
            ("is", "is"),
            ("user.name", "user.nam"),
            ("u.s", "u."),
        ] {
            assert_eq!(stem(word), expected, "{word}");
        }
    }

    #[test]
    fn other_scripts_and_empty_words_pass_through() {
        for word in ["", "日本", "\u{10000}\u{10000}s"] {
            stem(word);
        }
        assert_eq!(stem("créations"), "création", "é is no vowel");
    }
}
