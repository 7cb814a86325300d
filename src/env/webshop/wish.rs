//! What an instruction wishes for: its words, its price, and the searches that it suggests.

use super::python::strip;

/// Maximum number of searches that an instruction suggests.
const MAX_QUERIES: usize = 12;

/// The search for an instruction without a word that says something.
pub(super) const ANYTHING: &str = "product";

/// Words of instructions that say nothing about a product, sorted.
const SMALL_WORDS: [&str; 38] = [
    "a",
    "am",
    "an",
    "and",
    "are",
    "be",
    "buy",
    "by",
    "can",
    "dollars",
    "find",
    "for",
    "get",
    "have",
    "i",
    "in",
    "interested",
    "is",
    "it",
    "looking",
    "lower",
    "me",
    "need",
    "of",
    "or",
    "please",
    "price",
    "shopping",
    "should",
    "than",
    "that",
    "the",
    "to",
    "trying",
    "want",
    "which",
    "with",
    "would",
];

/// The instruction without its price, and the price.
pub(super) fn split_price(instruction: &str) -> (&str, f64) {
    let Some((wish, price)) = instruction.rsplit_once(", and price lower than ") else {
        return (instruction, f64::INFINITY);
    };
    let price = price.split(' ').next().and_then(|text| text.parse().ok());
    (wish, price.unwrap_or(f64::INFINITY))
}

/// A text in lower case with single spaces for all that is no letter or digit, but `.` and `%`.
pub(super) fn plain(text: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || matches!(c, '.' | '%' | '/');
    let text: String = text.to_lowercase().chars().map(|c| if kept(c) { c } else { ' ' }).collect();
    let trimmed = text.split_whitespace().map(|word| word.trim_matches('.'));
    let words: Vec<&str> = trimmed.filter(|word| !word.is_empty()).collect();
    strip(&words.join(" ")).to_string()
}

/// The words of a text that say something.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    let words: Vec<String> = plain(text).split_whitespace().map(str::to_string).collect();
    words.into_iter().filter(|word| SMALL_WORDS.binary_search(&word.as_str()).is_err())
}

/// The search for all words of an instruction, without its price, that say something.
pub(super) fn first_query(wish: &str) -> String {
    let query: Vec<String> = words(wish).collect();
    if query.is_empty() { ANYTHING.into() } else { query.join(" ") }
}

/// The searches that an instruction suggests, without repeats: for all words that say something, for
/// each of its phrases, and for each beginning of the list of phrases. A phrase ends at a word that says
/// nothing, a comma or a semicolon.
pub(super) fn queries(instruction: &str) -> Vec<String> {
    let (wish, _) = split_price(instruction);
    let mut phrases: Vec<Vec<String>> = Vec::new();
    for part in wish.split([',', ';']) {
        let part = plain(part);
        let words: Vec<&str> = part.split(' ').collect();
        let runs = words.split(|word| SMALL_WORDS.binary_search(word).is_ok());
        let runs = runs.map(|run| run.iter().map(|word| word.to_string()).collect::<Vec<_>>());
        phrases.extend(runs.filter(|run| run.iter().any(|word| !word.is_empty())));
    }
    let mut queries = vec![first_query(wish)];
    let mut add = |words: &[String]| {
        let query = words.join(" ");
        if queries.len() < MAX_QUERIES && !queries.contains(&query) {
            queries.push(query);
        }
    };
    for count in 1..=phrases.len() {
        add(&phrases[..count].concat());
        add(&phrases[count - 1]);
    }
    queries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_and_small_words_are_no_part_of_the_wish() {
        assert!(SMALL_WORDS.is_sorted());
        let (wish, upper) = split_price("i want red shoes, and price lower than 30.00 dollars");
        assert_eq!((wish, upper), ("i want red shoes", 30.0));
        assert_eq!(words("I want the Red shoes.").collect::<Vec<_>>(), ["red", "shoes"]);
        assert_eq!(split_price("red shoes").1, f64::INFINITY);
    }

    #[test]
    fn an_instruction_suggests_its_phrases_as_searches() {
        let wish =
            "i want a red wool jacket for women, size large, and price lower than 30.00 dollars";
        assert_eq!(
            queries(wish),
            [
                "red wool jacket women size large",
                "red wool jacket",
                "red wool jacket women",
                "women",
                "size large",
            ]
        );
        assert_eq!(queries("i want it"), ["product"]);
        let long: Vec<String> = (0..40).map(|number| format!("thing{number} and")).collect();
        assert_eq!(queries(&long.join(" ")).len(), MAX_QUERIES);
    }
}
