//! The reward of a purchase.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use regex::Regex;

use super::catalogue::Catalogue;
use super::goals::{Goal, Wanted};
use super::similarity::{Words, token_set_ratio};

/// How alike two texts must be, more than this, to count as the same.
const ALIKE: u32 = 85;

/// The colours that stand for every value which contains them, in the order in which they are tried.
const COLOURS: [&str; 102] = [
    "alabaster",
    "apricot",
    "aqua",
    "ash",
    "asphalt",
    "azure",
    "banana",
    "beige",
    "black",
    "blue",
    "blush",
    "bordeaux",
    "bronze",
    "brown",
    "burgundy",
    "camel",
    "camo",
    "caramel",
    "champagne",
    "charcoal",
    "cheetah",
    "chestnut",
    "chocolate",
    "christmas",
    "coffee",
    "cognac",
    "copper",
    "coral",
    "cranberry",
    "cream",
    "crystal",
    "dark",
    "denim",
    "eggplant",
    "elephant",
    "espresso",
    "fuchsia",
    "gold",
    "granite",
    "grape",
    "graphite",
    "grass",
    "gray",
    "green",
    "grey",
    "heather",
    "indigo",
    "ivory",
    "ivy",
    "khaki",
    "lavender",
    "lemon",
    "leopard",
    "light",
    "lilac",
    "lime",
    "magenta",
    "maroon",
    "mauve",
    "merlot",
    "midnight",
    "mint",
    "mocha",
    "multicolor",
    "mushroom",
    "mustard",
    "natural",
    "navy",
    "nude",
    "olive",
    "orange",
    "peach",
    "pewter",
    "pink",
    "plum",
    "purple",
    "rainbow",
    "red",
    "rose",
    "royal",
    "rust",
    "sand",
    "sapphire",
    "seashell",
    "silver",
    "skull",
    "slate",
    "steel",
    "stone",
    "stonewash",
    "sunflower",
    "tan",
    "taupe",
    "teal",
    "tiger",
    "turquoise",
    "violet",
    "walnut",
    "wheat",
    "white",
    "wine",
    "yellow",
];

/// A purchase.
pub(crate) struct Purchase<'a> {
    pub product: usize,
    /// The drawn price, not the one that is shown.
    pub price: f64,
    /// The values that were chosen.
    pub values: &'a [&'a str],
}

/// The parts of a reward.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RewardParts {
    /// The reward, 0 to 1: the type times the share of what was asked for that was met.
    pub reward: f64,
    /// How well the type of product fits: 1, 0.5, 0.1 or 0.
    pub kind: f64,
    /// How many of the attributes asked for the product has, and of how many.
    pub attributes: (usize, usize),
    /// How many of the options asked for were chosen, and of how many.
    pub options: (usize, usize),
    /// The price is not above the goal's upper price.
    pub price: bool,
    /// The products' search queries are equal.
    pub query_match: bool,
    /// The products share two levels of their category.
    pub category_match: bool,
    /// The share of the nouns in the wanted product's name that stand in the name of the bought one.
    pub title_score: f64,
}

/// Computes the reward; `nouns` gives the nouns of a product's name, in order.
pub(crate) fn reward(
    catalogue: &Catalogue,
    goal: Goal,
    purchase: &Purchase,
    nouns: &dyn Fn(usize) -> Vec<String>,
) -> RewardParts {
    let bought = catalogue.product(purchase.product);
    let wanted = goal.product();
    let title_score = title_score(&nouns(purchase.product), &nouns(goal.product_index()));
    let query_match = bought.query() == wanted.query();
    let category_match = category_match(bought.product_category(), wanted.product_category());
    let kind = match title_score {
        0.0 => 0.0,
        score if score < 0.1 => 0.1,
        score if query_match || category_match || score > 0.2 => 1.0,
        _ => 0.5,
    };
    let attributes = attributes_met(catalogue, goal, purchase.product);
    let asked = goal.options();
    let options = (options_met(purchase.values, &asked), asked.len());
    let price = purchase.price <= goal.upper_price();
    let met = (attributes.0 + options.0 + usize::from(price)) as f64;
    let of = (attributes.1 + options.1 + 1) as f64;
    let reward = met / of * kind;
    RewardParts {
        reward,
        kind,
        attributes,
        options,
        price,
        query_match,
        category_match,
        title_score,
    }
}

fn title_score(bought: &[String], wanted: &[String]) -> f64 {
    if wanted.is_empty() {
        return 0.2;
    }
    let bought: BTreeSet<&str> = bought.iter().map(String::as_str).collect();
    let common: BTreeSet<&str> =
        wanted.iter().map(String::as_str).filter(|noun| bought.contains(noun)).collect();
    common.len() as f64 / wanted.len() as f64
}

fn category_match(bought: &str, wanted: &str) -> bool {
    let levels = |category: &str| -> BTreeSet<String> {
        category.split('›').map(|level| super::python::strip(level).to_string()).collect()
    };
    levels(bought).intersection(&levels(wanted)).count() >= 2
}

fn attributes_met(catalogue: &Catalogue, goal: Goal, bought: usize) -> (usize, usize) {
    let product = catalogue.product(bought);
    let has: Vec<Words> = catalogue.attributes(bought).map(Words::new).collect();
    let texts = OnceLock::new();
    let (mut met, mut of) = (0, 0);
    for wanted in goal.attributes() {
        of += 1;
        let words = Words::new(wanted);
        let is_alike = has.iter().any(|has| token_set_ratio(has, &words) > ALIKE);
        let is_met = is_alike || {
            let texts: &[String; 3] = texts.get_or_init(|| {
                let bullets: Vec<&str> = product.bullets().collect();
                [product.title(), &bullets.join(" "), product.description()].map(str::to_lowercase)
            });
            texts.iter().any(|text| text.contains(wanted))
        };
        met += usize::from(is_met);
    }
    (met, of)
}

fn options_met(values: &[&str], asked: &[Wanted]) -> usize {
    let chosen: Vec<Words> = values
        .iter()
        .map(|value| {
            let colour = COLOURS.iter().find(|colour| value.contains(**colour));
            Words::new(colour.unwrap_or(value))
        })
        .collect();
    let is_met = |wanted: &&Wanted| {
        let words = Words::new(&wanted_text(wanted));
        chosen.iter().any(|chosen| token_set_ratio(chosen, &words) > ALIKE)
    };
    asked.iter().filter(is_met).count()
}

/// What a chosen value is compared with: a colour, or the words. The original compares the option's name
/// too for synthetic goals, as Python prints the pair.
fn wanted_text(wanted: &Wanted) -> String {
    match *wanted {
        Wanted::Words(words) => {
            let colour = COLOURS.iter().find(|colour| words.contains(**colour));
            colour.copied().unwrap_or(words).to_string()
        }
        Wanted::Value(name, value) => {
            let colour = COLOURS.iter().find(|colour| **colour == name || **colour == value);
            match colour {
                Some(colour) => (*colour).to_string(),
                None => format!("{} {}", printed(name), printed(value)),
            }
        }
    }
}

/// A text as Python's `repr` prints it, without the quotes, which are no words.
fn printed(text: &str) -> String {
    static HIDDEN: OnceLock<Regex> = OnceLock::new();
    let hidden = HIDDEN
        .get_or_init(|| Regex::new(r"[\p{C}\p{Z}&&[^ ]]").expect("the pattern is a constant"));
    let escape = |found: &regex::Captures| match found[0].chars().next() {
        Some('\n') => "\\n".to_string(),
        Some('\r') => "\\r".to_string(),
        Some('\t') => "\\t".to_string(),
        Some(c) if (c as u32) < 0x100 => format!("\\x{:02x}", c as u32),
        Some(c) if (c as u32) < 0x1_0000 => format!("\\u{:04x}", c as u32),
        Some(c) => format!("\\U{:08x}", c as u32),
        None => String::new(),
    };
    hidden.replace_all(text, escape).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_first_colour_that_it_contains() {
        assert_eq!(options_met(&["light blue"], &[Wanted::Words("navy blue")]), 1);
        assert_eq!(options_met(&["shredded"], &[Wanted::Words("red")]), 1);
        assert_eq!(options_met(&["x-large"], &[Wanted::Value("size", "x-large")]), 1);
        assert_eq!(options_met(&["light blue"], &[Wanted::Value("color", "light blue")]), 1);
        assert_eq!(options_met(&["navy"], &[Wanted::Value("color", "dark")]), 0);
        assert_eq!(options_met(&["x", "blue"], &[Wanted::Value("color", "blue")]), 1);
    }

    #[test]
    fn what_cannot_be_printed_is_compared_by_its_escape() {
        assert_eq!(printed("a b\u{a0}\n\u{200b}é"), "a b\\xa0\\n\\u200bé");
    }

    #[test]
    fn nouns_that_repeat_count_in_the_list() {
        let list = |nouns: &[&str]| nouns.iter().map(|noun| noun.to_string()).collect::<Vec<_>>();
        assert_eq!(title_score(&list(&["a", "b"]), &list(&["a", "a", "c", "d"])), 0.25);
        assert_eq!(title_score(&list(&["a"]), &[]), 0.2);
    }
}
