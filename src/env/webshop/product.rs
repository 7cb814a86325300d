//! One product of a catalogue, from its JSON.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeSeed;
use serde_json::value::RawValue;

use super::json::{Fields, Members, Text, is_falsy};
use super::python::{strip, write_float};
use super::texts::Block;

/// The members of a product that are read.
const FIELDS: [&str; 10] = [
    "asin",
    "name",
    "category",
    "query",
    "product_category",
    "full_description",
    "small_description",
    "customization_options",
    "images",
    "pricing",
];

/// The most characters of an asin; products with longer ones are skipped, as in the original.
const MAX_ASIN: usize = 10;

/// The most options of a product, and values of an option. The published ones have some hundred values.
const MAX_OPTIONS: usize = 1_000;
const MAX_VALUES: usize = 100_000;

/// The price of a product without one.
const DEFAULT_PRICE: f64 = 100.0;

/// The texts of a product that stand before its bullets in a block.
pub(crate) const ASIN: usize = 0;
pub(crate) const TITLE: usize = 1;
pub(crate) const DESCRIPTION: usize = 2;
pub(crate) const QUERY: usize = 3;
pub(crate) const CATEGORY: usize = 4;
pub(crate) const PRODUCT_CATEGORY: usize = 5;
pub(crate) const BULLETS: usize = 6;

/// Where a product lies in its block, and its prices.
///
/// Its texts are those of the constants above, then its bullets, then each option's name and values. Its
/// counts are the numbers of bullets and options, then the number of values of each option.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    pub block: u32,
    pub first: u32,
    pub counts: u32,
    pub price: f64,
    /// The second price of a range, NaN for a product with one price.
    pub other_price: f64,
}

/// What a product's JSON amounts to.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// A product, appended to the block.
    Product(Item),
    /// The original passes over a product with such an asin.
    Skipped,
    /// A product that cannot be read. It matters only if no earlier one has its asin.
    Malformed { asin: String, problem: Problem },
}

/// What is wrong with an entry of a file.
#[derive(Debug)]
pub(crate) struct Problem {
    /// The member of the entry, or nothing if the entry as a whole is malformed.
    pub field: &'static str,
    /// What was found and what was expected.
    pub message: String,
}

impl Problem {
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }

    /// The place and the message of an error.
    pub fn at(self, entry: String) -> crate::error::Error {
        let place = match self.field {
            "" => entry,
            field => format!("{entry}, field '{field}'"),
        };
        crate::error::Error::input(place, self.message)
    }
}

/// Reads a member of an entry.
pub(crate) fn member<'a, T: Deserialize<'a>>(
    field: &'static str,
    value: Option<&'a RawValue>,
    expected: &str,
) -> Result<T, Problem> {
    let value =
        value.ok_or_else(|| Problem::new(field, format!("is missing, expected {expected}")))?;
    serde_json::from_str(value.get()).map_err(|_| unexpected(field, value, expected))
}

fn unexpected(field: &'static str, value: &RawValue, expected: &str) -> Problem {
    const MAX_SHOWN: usize = 60;
    let mut shown: String = value.get().chars().take(MAX_SHOWN).collect();
    if shown.len() < value.get().len() {
        shown.push('…');
    }
    Problem::new(field, format!("found {shown}, expected {expected}"))
}

/// Reads a product and appends its texts to a block.
pub(crate) fn read(json: &[u8], block: &mut Block) -> Parsed {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let fields = Fields(&FIELDS).deserialize(&mut reader);
    let fields = match fields.and_then(|fields| reader.end().map(|()| fields)) {
        Ok(fields) => fields,
        Err(error) => {
            let problem = Problem::new("", format!("expected an object in JSON: {error}"));
            return Parsed::Malformed { asin: String::new(), problem };
        }
    };
    let asin: Text = match member("asin", fields[0], "a text") {
        Ok(asin) => asin,
        Err(problem) => return Parsed::Malformed { asin: String::new(), problem },
    };
    if asin.0 == "nan" || asin.0.chars().count() > MAX_ASIN {
        return Parsed::Skipped;
    }
    let (texts, counts) = (block.len(), block.counts.len());
    match append(&asin.0, &fields, block) {
        Ok((price, other_price)) => Parsed::Product(Item {
            block: 0,
            first: texts as u32,
            counts: counts as u32,
            price,
            other_price,
        }),
        Err(problem) => {
            block.truncate(texts, counts);
            Parsed::Malformed { asin: asin.0.into_owned(), problem }
        }
    }
}

fn append(
    asin: &str,
    fields: &[Option<&RawValue>; 10],
    block: &mut Block,
) -> Result<(f64, f64), Problem> {
    let [
        _,
        name,
        category,
        query,
        product_category,
        description,
        bullets,
        options,
        images,
        pricing,
    ] = *fields;
    fn text<'a>(field: &'static str, value: Option<&'a RawValue>) -> Result<Cow<'a, str>, Problem> {
        member::<Text>(field, value, "a text").map(|text| text.0)
    }
    block.push(asin);
    block.push(&text("name", name)?);
    block.push(&text("full_description", description)?);
    block.push(strip(&text("query", query)?.to_lowercase()));
    block.push(&text("category", category)?);
    block.push(&text("product_category", product_category)?);
    let images: Vec<serde::de::IgnoredAny> = member("images", images, "a list")?;
    if images.is_empty() {
        return Err(Problem::new("images", "the list is empty"));
    }
    append_bullets(bullets, block)?;
    append_options(options, block)?;
    prices(pricing)
}

fn append_bullets(value: Option<&RawValue>, block: &mut Block) -> Result<(), Problem> {
    const FIELD: &str = "small_description";
    let is_list = value.is_some_and(|value| value.get().starts_with('['));
    let bullets: Vec<Text> = match is_list {
        true => member(FIELD, value, "a list of texts")?,
        false => vec![member(FIELD, value, "a text or a list of texts")?],
    };
    if bullets.is_empty() {
        return Err(Problem::new(FIELD, "the list is empty"));
    }
    bullets.iter().for_each(|bullet| block.push(&bullet.0));
    block.counts.push(bullets.len() as u32);
    Ok(())
}

fn append_options(value: Option<&RawValue>, block: &mut Block) -> Result<(), Problem> {
    const FIELD: &str = "customization_options";
    let expected = "an object of lists, or null";
    let Some(value) = value else {
        return Err(Problem::new(FIELD, format!("is missing, expected {expected}")));
    };
    let place = block.counts.len();
    block.counts.push(0);
    if is_falsy(value) {
        return Ok(());
    }
    let Members(entries) = member(FIELD, Some(value), expected)?;
    if entries.len() > MAX_OPTIONS {
        return Err(Problem::new(FIELD, format!("has more than {MAX_OPTIONS} options")));
    }
    let mut options: Vec<(String, Vec<String>)> = Vec::with_capacity(entries.len());
    for (name, values) in entries {
        if values.get() == "null" {
            continue;
        }
        let name = name.to_lowercase();
        let values = option_values(values)?;
        // Of two options with one name, the first gives the place and the last the values.
        match options.iter_mut().find(|(other, _)| *other == name) {
            Some((_, earlier)) => *earlier = values,
            None => options.push((name, values)),
        }
    }
    block.counts[place] = options.len() as u32;
    for (name, values) in options {
        block.push(&name);
        values.iter().for_each(|value| block.push(value));
        block.counts.push(values.len() as u32);
    }
    Ok(())
}

fn option_values(list: &RawValue) -> Result<Vec<String>, Problem> {
    const FIELD: &str = "customization_options";
    let entries: Vec<&RawValue> = member(FIELD, Some(list), "a list of objects for each option")?;
    if entries.len() > MAX_VALUES {
        return Err(Problem::new(FIELD, format!("an option has more than {MAX_VALUES} values")));
    }
    let value = |entry: &RawValue| {
        let mut reader = serde_json::Deserializer::from_str(entry.get());
        let [value] = Fields(&["value"])
            .deserialize(&mut reader)
            .map_err(|_| unexpected(FIELD, entry, "an object with a 'value'"))?;
        let value: Text = member(FIELD, value, "a text as each 'value'")?;
        Ok(strip(&value.0).replace('/', " | ").to_lowercase())
    };
    entries.into_iter().map(value).collect()
}

/// The price, and the second one of a range or NaN.
fn prices(value: Option<&RawValue>) -> Result<(f64, f64), Problem> {
    const FIELD: &str = "pricing";
    let text: Option<Text> = match value {
        None => None,
        Some(_) => member(FIELD, value, "a text or null")?,
    };
    let Some(text) = text.filter(|text| !text.0.is_empty()) else {
        return Ok((DEFAULT_PRICE, f64::NAN));
    };
    let mut prices = [f64::NAN; 2];
    for (index, part) in text.0.split('$').skip(1).enumerate() {
        let digits: String = part.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
        let price: Option<f64> = digits.parse().ok().filter(|price: &f64| price.is_finite());
        let price = price.ok_or_else(|| malformed_price(&text.0))?;
        if let Some(kept) = prices.get_mut(index) {
            *kept = price;
        }
    }
    match prices[0].is_nan() {
        true => Err(malformed_price(&text.0)),
        false => Ok((prices[0], prices[1])),
    }
}

fn malformed_price(text: &str) -> Problem {
    let shown: String = text.chars().take(60).collect();
    Problem::new("pricing", format!("found '{shown}', expected prices such as '$9.50'"))
}

/// Appends the price as a page shows it.
pub(crate) fn write_tag(item: &Item, out: &mut String) {
    out.push('$');
    write_float(item.price, out);
    if !item.other_price.is_nan() {
        out.push_str(" to $");
        write_float(item.other_price, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_prices(json: &str) -> Result<(f64, f64), Problem> {
        prices(Some(serde_json::from_str(json).unwrap()))
    }

    #[test]
    fn prices_are_all_numbers_after_dollar_signs() {
        let tag = |json: &str| {
            let (price, other_price) = parse_prices(json).unwrap();
            let mut out = String::new();
            write_tag(&Item { block: 0, first: 0, counts: 0, price, other_price }, &mut out);
            out
        };
        for (json, expected) in [
            ("\"$1,980.00\"", "$1980.0"),
            ("\"$9.5 - $12\"", "$9.5 to $12.0"),
            ("\"$12.99 ($0.81 / Ounce)\"", "$12.99 to $0.81"),
            ("\"$1$2$3\"", "$1.0 to $2.0"),
            ("\"\"", "$100.0"),
            ("null", "$100.0"),
        ] {
            assert_eq!(tag(json), expected);
        }
        for json in ["\"free\"", "\"$\"", "\"$1.2.3\"", "7", "\"9.50\"", "\"$1 $x\""] {
            let problem = parse_prices(json).unwrap_err();
            assert_eq!(problem.field, "pricing", "{json}");
        }
    }

    #[test]
    fn options_are_lower_case_and_later_ones_replace_earlier_ones() {
        let json = r#"{"Size": [{"value": " A/b "}], "color": null, "x": [],
            "SIZE": [{"value": "/C", "image": 1}]}"#;
        let mut block = Block::default();
        append_options(Some(serde_json::from_str(json).unwrap()), &mut block).unwrap();
        let texts: Vec<&str> = (0..block.len()).map(|index| block.get(index)).collect();
        assert_eq!(texts, ["size", " | c", "x"]);
        assert_eq!(block.counts, [2, 1, 0]);
    }
}
