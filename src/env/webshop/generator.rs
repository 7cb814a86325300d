//! A catalogue that the crate makes up: products, attributes, options, prices and instructions, in the
//! form of WebShop's files.
//!
//! Products of one kind differ in attributes, of which names tell only some, and in the values of their
//! options, so that many products answer a search and few of them are what an instruction asks for.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use super::config::WebShopConfig;
use super::environment::WebShop;
use crate::error::Result;
use crate::stream::{Purpose, Stream};

/// A shelf of the shop: a category, the search that leads to it, and what stands on it.
struct Shelf {
    category: &'static str,
    query: &'static str,
    path: &'static str,
    items: &'static [&'static str],
    attributes: &'static [&'static str],
    /// The options besides the colour.
    option: (&'static str, &'static [&'static str]),
}

const SHELVES: [Shelf; 6] = [
    Shelf {
        category: "fashion",
        query: "jackets & coats",
        path: "Clothing › Women › Coats & Jackets",
        items: &["rain jacket", "down coat", "denim jacket", "wool cardigan", "fleece vest"],
        attributes: &[
            "machine wash",
            "water resistant",
            "long sleeve",
            "relaxed fit",
            "faux fur",
            "zip closure",
            "quick drying",
            "hand wash",
            "button closure",
            "slim fit",
        ],
        option: ("size", &["x-small", "small", "medium", "large", "x-large", "3x-large"]),
    },
    Shelf {
        category: "fashion",
        query: "walking shoes",
        path: "Clothing › Men › Shoes",
        items: &["walking shoe", "ankle boot", "canvas sneaker", "leather loafer", "beach sandal"],
        attributes: &[
            "rubber sole",
            "memory foam",
            "arch support",
            "non slip",
            "lace up",
            "steel toe",
            "ethylene vinyl",
            "open toe",
            "light weight",
            "wide width",
        ],
        option: ("size", &["6", "7.5", "8", "9 wide", "10", "11.5"]),
    },
    Shelf {
        category: "electronics",
        query: "headphones",
        path: "Electronics › Audio › Headphones",
        items: &[
            "wireless headphones",
            "sports earbuds",
            "bone headset",
            "studio monitor headphones",
        ],
        attributes: &[
            "noise cancelling",
            "fast charging",
            "stereo sound",
            "hands free",
            "high definition",
            "easy carry",
            "plug play",
            "long battery",
            "voice control",
            "sweat proof",
        ],
        option: ("style", &["with case", "with microphone", "basic", "pro", "2 pack"]),
    },
    Shelf {
        category: "grocery",
        query: "snack foods",
        path: "Grocery › Snacks › Bars & Nuts",
        items: &[
            "granola bar",
            "trail mix",
            "roasted chickpeas",
            "fruit crisps",
            "dark chocolate bites",
        ],
        attributes: &[
            "gluten free",
            "low sodium",
            "non gmo",
            "dairy free",
            "high protein",
            "no added sugar",
            "plant based",
            "resealable bag",
            "kosher certified",
            "ready to eat",
        ],
        option: (
            "size",
            &["6 ounce (pack of 1)", "6 ounce (pack of 6)", "1 pound", "2 pound", "12 count"],
        ),
    },
    Shelf {
        category: "beauty",
        query: "skin care",
        path: "Beauty › Skin Care › Face",
        items: &["face cream", "clay mask", "cleansing foam", "eye serum", "lip balm"],
        attributes: &[
            "cruelty free",
            "paraben free",
            "hyaluronic acid",
            "sensitive skin",
            "fine lines",
            "fragrance free",
            "long lasting",
            "dark circles",
            "tea tree",
            "anti aging",
        ],
        option: ("scent", &["unscented", "rose water", "green tea", "lavender & mint", "citrus"]),
    },
    Shelf {
        category: "garden",
        query: "home furniture",
        path: "Home › Furniture › Living Room",
        items: &["side table", "floor lamp", "storage ottoman", "book shelf", "lounge chair"],
        attributes: &[
            "easy assemble",
            "solid wood",
            "space saving",
            "metal legs",
            "high density",
            "wall mounted",
            "heavy duty",
            "easy clean",
            "mid century",
            "non toxic",
        ],
        option: ("size", &["16 inch", "24 inch", "32 inch", "40 inch", "set of 2"]),
    },
];

const COLOURS: [&str; 14] = [
    "black",
    "white",
    "navy blue",
    "forest green",
    "burgundy",
    "charcoal grey",
    "light pink",
    "mustard",
    "teal",
    "khaki",
    "coral",
    "ivory",
    "plum",
    "walnut",
];

const ADJECTIVES: [&str; 12] = [
    "Classic",
    "Modern",
    "Everyday",
    "Premium",
    "Lightweight",
    "Compact",
    "Casual",
    "Vintage",
    "Essential",
    "Deluxe",
    "Soft",
    "Portable",
];

const SYLLABLES: [&str; 16] = [
    "bel", "cor", "dun", "fer", "hal", "kes", "lor", "mar", "nor", "pel", "quil", "ros", "sel",
    "tam", "vor", "wyn",
];

const OPENINGS: [&str; 6] = [
    "i am looking for a",
    "i need a",
    "find me a",
    "i would like to buy a",
    "can you get me a",
    "i want a",
];

const FILLERS: [&str; 6] = [
    "Made with care for many years of use.",
    "Please check the details before ordering.",
    "A gift for friends and family.",
    "Our team answers every question within a day.",
    "Goes well with what you already own.",
    "Packed in recycled paper.",
];

/// A generated catalogue.
struct Generated {
    items: Vec<Value>,
    attributes: Map<String, Value>,
    human: Map<String, Value>,
}

/// Makes a shop of so many products. The same seed gives the same shop; goals are shuffled and prices
/// drawn by it too.
///
/// # Errors
/// Returns an error if a setting is out of range, or if there are no goals.
pub fn generate(products: usize, config: WebShopConfig) -> Result<WebShop> {
    let mut rng = Stream::new(config.task_seed, Purpose::Generator).rng();
    let mut generated = Generated {
        items: Vec::with_capacity(products),
        attributes: Map::new(),
        human: Map::new(),
    };
    for number in 0..products {
        generated.add(number, &mut rng);
    }
    let text = |value: Value| value.to_string().into_bytes();
    let items = text(Value::Array(generated.items));
    let attributes = text(Value::Object(generated.attributes));
    let human = text(Value::Object(generated.human));
    WebShop::from_json(&items, &attributes, Some(&human), None, config)
}

/// One of a list that is not empty.
fn pick<'a>(list: &[&'a str], rng: &mut ChaCha8Rng) -> &'a str {
    list.choose(rng).copied().unwrap_or_default()
}

/// Some of a list, in its order.
fn some<'a>(list: &[&'a str], count: usize, rng: &mut ChaCha8Rng) -> Vec<&'a str> {
    let mut chosen = rand::seq::index::sample(rng, list.len(), count.min(list.len())).into_vec();
    chosen.sort_unstable();
    chosen.into_iter().map(|index| list[index]).collect()
}

fn capitalised(text: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_uppercase().to_string());
        first.unwrap_or_default() + letters.as_str()
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

impl Generated {
    fn add(&mut self, number: usize, rng: &mut ChaCha8Rng) {
        let shelf = &SHELVES[rng.random_range(0..SHELVES.len())];
        let item = pick(shelf.items, rng);
        let attributes = some(shelf.attributes, rng.random_range(2..5), rng);
        let colours = some(&COLOURS, rng.random_range(2..6), rng);
        let values = some(shelf.option.1, rng.random_range(2..5), rng);
        let asin = format!("P{number:09}");
        let told = attributes.first().copied().unwrap_or_default();
        let brand = capitalised(&[pick(&SYLLABLES, rng), pick(&SYLLABLES, rng)].concat());
        let name = format!(
            "{brand} {} {} {}",
            pick(&ADJECTIVES, rng),
            capitalised(told),
            capitalised(item)
        );
        let bullets: Vec<String> = attributes
            .iter()
            .map(|attribute| format!("{}: {}", attribute.to_uppercase(), pick(&FILLERS, rng)))
            .collect();
        let price = f64::from(rng.random_range(500..30_000)) / 100.0;
        let pricing = match rng.random_range(0..10) {
            0 => String::new(),
            1..=3 => format!("${price:.2} - ${:.2}", price * rng.random_range(1.1..1.6)),
            _ => format!("${price:.2}"),
        };
        let option = |values: &[&str]| -> Value {
            values.iter().map(|value| json!({ "value": value })).collect()
        };
        self.items.push(json!({
            "asin": asin,
            "name": name,
            "category": shelf.category,
            "query": shelf.query,
            "product_category": format!("{} › {}", shelf.path, capitalised(item)),
            "full_description": format!("{} {}", pick(&FILLERS, rng), pick(&FILLERS, rng)),
            "small_description": bullets,
            "customization_options": { "color": option(&colours), shelf.option.0: option(&values) },
            "images": [""],
            "pricing": pricing,
        }));
        let wanted = some(&attributes, rng.random_range(1..3), rng);
        self.attributes.insert(
            asin.clone(),
            json!({
                "attributes": attributes,
                "instruction": format!("find me {} {item}", wanted.join(", ")),
                "instruction_attributes": wanted,
            }),
        );
        let (colour, value) = (pick(&colours, rng), pick(&values, rng));
        let (options, end) = match rng.random_range(0..4) {
            0 => (vec![], String::new()),
            1 => (vec![colour], format!(" in {colour}")),
            _ => (vec![colour, value], format!(" in {colour}, {} {value}", shelf.option.0)),
        };
        let instruction =
            format!("{} {item}{end}, {}.", pick(&OPENINGS, rng), wanted.join(" and "));
        self.human.insert(
            asin,
            json!([{
                "instruction": instruction,
                "instruction_attributes": wanted,
                "instruction_options": options,
            }]),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::GoalKind;
    use super::*;
    use crate::env::environment::Environment;

    #[test]
    fn a_seed_makes_one_shop_and_another_seed_another() {
        let shop = |task_seed| {
            let config = WebShopConfig { task_seed, ..Default::default() };
            generate(200, config).unwrap()
        };
        let text = |shop: &WebShop| format!("{:?}", shop.products().collect::<Vec<_>>());
        assert_eq!(text(&shop(1)), text(&shop(1)));
        assert_ne!(text(&shop(1)), text(&shop(2)));
        assert_eq!(shop(1).tasks(), 200);
        let config = WebShopConfig { goals: GoalKind::Synthetic, ..Default::default() };
        assert!(generate(200, config).unwrap().tasks() > 1000);
    }
}
