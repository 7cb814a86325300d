//! The nouns in product names, which the reward compares.

use std::io::Read;

use super::catalogue::{Catalogue, read_elements, split_member};
use super::json::{Batch, Elements, Text};
use super::product::{Problem, member};
use super::texts::{Lists, Span};
use crate::error::Result;

/// The nouns of each product's name, as far as a file gives them.
#[derive(Debug, Default)]
pub(crate) struct Nouns {
    lists: Lists,
    /// For each product its list, if it is given.
    given: Vec<Option<Span>>,
}

impl Nouns {
    /// Reads a file: an object of lists of nouns, by product name.
    ///
    /// # Errors
    /// Fails if an entry of a known name is malformed or the file is no JSON object.
    pub fn read(catalogue: &Catalogue, input: impl Read, file: &str) -> Result<Self> {
        let title = |product: u32| catalogue.product(product as usize).title();
        let mut by_title: Vec<u32> = (0..catalogue.len() as u32).collect();
        by_title.sort_unstable_by_key(|&product| title(product));
        let mut nouns = Self { lists: Lists::default(), given: vec![None; catalogue.len()] };
        let parse = |batch: &Batch| -> Vec<_> {
            let entry = |json: &[u8]| -> Result<_, (String, Problem)> {
                let (name, value) =
                    split_member(json).map_err(|problem| (String::new(), problem))?;
                let first = by_title.partition_point(|&product| title(product) < &*name);
                let after = by_title.partition_point(|&product| title(product) <= &*name);
                if first == after {
                    return Ok(None);
                }
                let list: Result<Vec<Text>, Problem> = member("", Some(value), "a list of texts");
                let own = |list: Vec<Text>| -> Vec<String> {
                    list.into_iter().map(|text| text.0.into_owned()).collect()
                };
                list.map(|list| Some((first..after, own(list)))).map_err(|problem| (name, problem))
            };
            batch.iter().filter_map(|json| entry(json).transpose()).collect()
        };
        read_elements(&mut Elements::of_object(input), file, parse, |_, entries| {
            for entry in entries {
                let (places, list) = entry
                    .map_err(|(name, problem)| problem.at(format!("{file}: name '{name}'")))?;
                let span = nouns.lists.push(list.iter().map(String::as_str));
                for &product in &by_title[places] {
                    nouns.given[product as usize] = Some(span);
                }
            }
            Ok(true)
        })?;
        nouns.lists.shrink();
        Ok(nouns)
    }

    /// The nouns in a product's name, in order; found by rules if the file does not give them.
    pub fn of(&self, catalogue: &Catalogue, product: usize) -> Vec<String> {
        match self.given.get(product).copied().flatten() {
            Some(span) => self.lists.iter(span).map(str::to_string).collect(),
            None => find_nouns(catalogue.product(product).title()),
        }
    }

    /// How many bytes of memory they take.
    pub fn memory(&self) -> usize {
        self.lists.memory().0 + self.given.capacity() * size_of::<Option<Span>>()
    }
}

/// Words of product names that are no nouns, sorted: prepositions, articles, conjunctions, pronouns, and
/// the few adjectives and participles that a tagger does not take for a part of a proper name.
const OTHER_WORDS: [&str; 65] = [
    "a",
    "about",
    "all",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "be",
    "beautifully",
    "black",
    "but",
    "by",
    "can",
    "clear",
    "do",
    "each",
    "for",
    "from",
    "i",
    "if",
    "in",
    "inch",
    "included",
    "into",
    "is",
    "it",
    "its",
    "lasting",
    "led",
    "more",
    "my",
    "no",
    "not",
    "of",
    "off",
    "on",
    "only",
    "or",
    "our",
    "out",
    "over",
    "per",
    "quickly",
    "required",
    "running",
    "so",
    "than",
    "that",
    "the",
    "their",
    "them",
    "then",
    "these",
    "this",
    "those",
    "to",
    "up",
    "very",
    "via",
    "with",
    "without",
    "you",
    "your",
];

/// The nouns of a product's name, by rules.
///
/// Names are lists of capitalised words, most of which a tagger takes for proper nouns. So every word with
/// a letter is one, unless it is in the list of other words or begins with a digit.
pub fn find_nouns(name: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric();
    let mut nouns = Vec::new();
    for piece in name.split_whitespace() {
        let lower = piece.to_lowercase();
        if lower == "w/" {
            // A tagger takes this for a noun, and it is among the most frequent words.
            nouns.push(lower);
            continue;
        }
        for word in lower.split(['-', '/', '(', ')']) {
            let word = word.trim_matches(|c: char| !is_word(c));
            let is_noun = word.chars().any(char::is_alphabetic)
                && !word.starts_with(|c: char| c.is_numeric())
                && OTHER_WORDS.binary_search(&word).is_err();
            if is_noun {
                nouns.push(word.to_string());
            }
        }
    }
    nouns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_are_the_words_of_a_name_but_for_small_ones_and_numbers() {
        assert!(OTHER_WORDS.is_sorted());
        let name =
            "(UPGRADED) D'Arcy Table-Lamp 17.4\" with Gift Box for Men and Women w/ Pockets, Red";
        assert_eq!(
            find_nouns(name),
            [
                "upgraded", "d'arcy", "table", "lamp", "gift", "box", "men", "women", "w/",
                "pockets", "red"
            ]
        );
        assert_eq!(find_nouns(" 6 x 2"), ["x"]);
    }
}
