//! The products, held in memory as flat arrays.
//!
//! A product's texts lie together in a block of about a mebibyte. Besides the text itself a product
//! takes 4 bytes for each text and each option, and some 60 bytes for the rest.

use std::collections::HashSet;
use std::io::Read;
use std::sync::Mutex;

use serde::de::DeserializeSeed;
use serde_json::value::RawValue;

use super::json::{Batch, Elements, Failure, Fields, Text};
use super::product::{
    ASIN, BULLETS, CATEGORY, DESCRIPTION, Item, PRODUCT_CATEGORY, Parsed, Problem, QUERY, TITLE,
    member, read, write_tag,
};
use super::texts::{Block, Lists, Span};
use crate::error::{Error, Result};
use crate::parallel::par_map;

/// How many bytes of a file are parsed at a time by one thread, and how many such pieces are read
/// before they are parsed.
const BATCH_BYTES: usize = 1 << 20;
const BATCHES: usize = 16;

/// The attribute list of a product for which none is given.
const NO_ATTRIBUTES: &str = "DUMMY_ATTR";

/// All products of a catalogue, in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    blocks: Vec<Block>,
    items: Vec<Item>,
    /// The products that are sold: those among the first ones of the file. The search engine knows more.
    sold: usize,
    skipped: usize,
    attributes: Lists,
    attributes_of: Vec<Span>,
    /// The products sorted by asin.
    by_asin: Vec<u32>,
}

/// Reads a file's elements in pieces, parses each piece on its own thread, and hands the results on in
/// order until `take` breaks off or the file ends.
pub(crate) fn read_elements<R: Read, T: Send>(
    elements: &mut Elements<R>,
    file: &str,
    parse: impl Fn(&Batch) -> T + Sync + Send,
    mut take: impl FnMut(usize, T) -> Result<bool>,
) -> Result<()> {
    loop {
        let (mut batches, mut failure) = (Vec::new(), None);
        while batches.len() < BATCHES {
            match elements.batch(BATCH_BYTES) {
                Ok(batch) if batch.iter().next().is_none() => break,
                Ok(batch) => batches.push(batch),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let is_last = batches.len() < BATCHES;
        let firsts: Vec<usize> = batches.iter().map(|batch| batch.first).collect();
        // A batch's bytes are given back as soon as it has been parsed.
        let batches: Vec<_> = batches.into_iter().map(|batch| Mutex::new(Some(batch))).collect();
        let parsed = par_map(batches.len(), |index| {
            let batch =
                batches[index].lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
            parse(&batch.unwrap_or_default())
        });
        for (first, parsed) in firsts.into_iter().zip(parsed) {
            if !take(first, parsed)? {
                return Ok(());
            }
        }
        match failure {
            Some(Failure::Io(error)) => {
                return Err(Error::io("read", std::path::Path::new(file))(error));
            }
            Some(Failure::Format(message)) => return Err(Error::input(file, message)),
            None if is_last => return Ok(()),
            None => {}
        }
    }
}

impl Catalogue {
    /// Reads the products of a file. With a limit, those among the file's first `limit` are sold, and
    /// the first `limit` products that are not skipped are searched, as with the original's indexes.
    ///
    /// # Errors
    /// Fails if a product is malformed or the file is no JSON array.
    pub fn read(input: impl Read, file: &str, limit: Option<usize>) -> Result<Self> {
        let limit = limit.unwrap_or(usize::MAX);
        let mut catalogue = Self::default();
        let mut seen = HashSet::new();
        let parse = |batch: &Batch| {
            let mut block = Block::default();
            let parsed: Vec<Parsed> = batch.iter().map(|json| read(json, &mut block)).collect();
            block.shrink();
            (block, parsed)
        };
        let mut elements = Elements::of_array(input);
        read_elements(&mut elements, file, parse, |first, (block, parsed)| {
            let number = catalogue.blocks.len() as u32;
            for (index, parsed) in (first..).zip(parsed) {
                if catalogue.items.len() >= limit {
                    break;
                }
                let is_new = match &parsed {
                    Parsed::Skipped => false,
                    Parsed::Malformed { asin, .. } => asin.is_empty() || !seen.contains(&**asin),
                    Parsed::Product(item) => seen.insert(block.get(item.first as usize).into()),
                };
                match parsed {
                    _ if !is_new => catalogue.skipped += 1,
                    Parsed::Product(item) => {
                        catalogue.items.push(Item { block: number, ..item });
                        if index < limit {
                            catalogue.sold += 1;
                        }
                    }
                    Parsed::Malformed { asin, problem } => {
                        return Err(problem.at(place(file, index, &asin)));
                    }
                    Parsed::Skipped => {}
                }
            }
            catalogue.blocks.push(block);
            Ok(catalogue.items.len() < limit)
        })?;
        drop::<HashSet<Box<str>>>(seen);
        catalogue.finish(file)
    }

    fn finish(mut self, file: &str) -> Result<Self> {
        if self.sold == 0 {
            return Err(Error::input(file, "holds no products"));
        }
        self.blocks.shrink_to_fit();
        self.items.shrink_to_fit();
        let mut by_asin: Vec<u32> = (0..self.items.len() as u32).collect();
        by_asin.sort_unstable_by_key(|&product| self.product(product as usize).asin());
        self.by_asin = by_asin;
        Ok(self)
    }

    /// Reads the products' attributes from a file, and hands each entry of a product that is sold to
    /// `found`.
    ///
    /// # Errors
    /// Fails if an entry of a known product is malformed or the file is no JSON object.
    pub fn read_attributes(
        &mut self,
        input: impl Read,
        file: &str,
        mut found: impl FnMut(usize, &Instruction) -> Result<()>,
    ) -> Result<()> {
        let mut attributes = Lists::default();
        let default = attributes.push([NO_ATTRIBUTES]);
        let mut spans = vec![default; self.items.len()];
        let mut elements = Elements::of_object(input);
        let products = &*self;
        let parse = |batch: &Batch| -> Vec<Entry> {
            batch.iter().filter_map(|json| products.attribute_entry(json).transpose()).collect()
        };
        read_elements(&mut elements, file, parse, |_, entries| {
            for entry in entries {
                let (product, list, instruction) =
                    entry.map_err(|(asin, problem)| problem.at(place_of(file, &asin)))?;
                spans[product] = match list {
                    Some(list) => attributes.push(list.iter().map(String::as_str)),
                    None => default,
                };
                if product < products.sold {
                    found(product, &instruction)?;
                }
            }
            Ok(true)
        })?;
        attributes.shrink();
        self.attributes = attributes;
        self.attributes_of = spans;
        Ok(())
    }

    /// A member of the attribute file, if a product has its asin.
    fn attribute_entry(&self, json: &[u8]) -> Result<Option<AttributeEntry>, (String, Problem)> {
        let (asin, value) = split_member(json).map_err(|problem| (String::new(), problem))?;
        let Some(product) = self.find(&asin) else { return Ok(None) };
        let entry = || -> Result<AttributeEntry, Problem> {
            let mut reader = serde_json::Deserializer::from_str(value.get());
            let [attributes, instruction, instruction_attributes] =
                Fields(&["attributes", "instruction", "instruction_attributes"])
                    .deserialize(&mut reader)
                    .map_err(|_| Problem::new("", "expected an object"))?;
            let texts = |field, value| -> Result<Vec<String>, Problem> {
                let list: Vec<Text> = member(field, value, "a list of texts")?;
                Ok(list.into_iter().map(|text| text.0.into_owned()).collect())
            };
            let list = attributes.map(|value| texts("attributes", Some(value))).transpose()?;
            let text: Option<Text> = match instruction {
                None => None,
                Some(_) => member("instruction", instruction, "a text or null")?,
            };
            let instruction = match text {
                None => None,
                Some(text) => {
                    let list = texts("instruction_attributes", instruction_attributes)?;
                    if list.is_empty() {
                        return Err(Problem::new("instruction_attributes", "the list is empty"));
                    }
                    Some((text.0.into_owned(), list))
                }
            };
            Ok((product, list, instruction))
        };
        entry().map(Some).map_err(|problem| (asin, problem))
    }

    /// How many products are sold.
    pub fn len(&self) -> usize {
        self.sold
    }

    /// How many products the search engine knows; those from [`Catalogue::len`] on are not sold.
    pub fn searched(&self) -> usize {
        self.items.len()
    }

    /// How many products of the file were passed over: their asin was used before, is too long or is
    /// `nan`.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// A product, below [`Catalogue::searched`].
    pub fn product(&self, index: usize) -> Product<'_> {
        let item = &self.items[index];
        Product { block: &self.blocks[item.block as usize], item }
    }

    /// The product with an asin.
    pub fn find(&self, asin: &str) -> Option<usize> {
        let found = self
            .by_asin
            .binary_search_by_key(&asin, |&product| self.product(product as usize).asin());
        found.ok().map(|place| self.by_asin[place] as usize)
    }

    /// The attributes of a product.
    pub fn attributes(&self, index: usize) -> impl Iterator<Item = &str> + Clone {
        let span = self.attributes_of.get(index).copied().unwrap_or_default();
        self.attributes.iter(span)
    }

    /// How many bytes of memory the products take, and how many of them are text.
    pub fn memory(&self) -> (usize, usize) {
        let (memory, text) = self.attributes.memory();
        let blocks = |of: fn(&Block) -> usize| self.blocks.iter().map(of).sum::<usize>();
        let flat = self.items.capacity() * size_of::<Item>()
            + self.by_asin.capacity() * size_of::<u32>()
            + self.attributes_of.capacity() * size_of::<Span>();
        (memory + blocks(Block::memory) + flat, text + blocks(Block::bytes))
    }
}

/// A product's instruction and the attributes it asks for, if it has one.
pub(crate) type Instruction = Option<(String, Vec<String>)>;

/// A product, its attributes if they are given, and its instruction.
type AttributeEntry = (usize, Option<Vec<String>>, Instruction);

type Entry = Result<AttributeEntry, (String, Problem)>;

/// Where a product stands in its file.
fn place(file: &str, index: usize, asin: &str) -> String {
    match asin {
        "" => format!("{file}: product {}", index + 1),
        asin => format!("{file}: product {} ({asin})", index + 1),
    }
}

/// Where the entry of a product stands in a file of such entries.
pub(crate) fn place_of(file: &str, asin: &str) -> String {
    match asin {
        "" => file.to_string(),
        asin => format!("{file}: product {asin}"),
    }
}

/// The key and the value of an object's member.
pub(crate) fn split_member(json: &[u8]) -> Result<(String, &RawValue), Problem> {
    let malformed =
        |error: &dyn std::fmt::Display| Problem::new("", format!("expected JSON: {error}"));
    let mut reader = serde_json::Deserializer::from_slice(json).into_iter::<String>();
    let key = match reader.next() {
        Some(Ok(key)) => key,
        Some(Err(error)) => return Err(malformed(&error)),
        None => return Err(malformed(&"an entry is empty")),
    };
    let rest = json[reader.byte_offset()..].trim_ascii_start();
    let value = rest.strip_prefix(b":").ok_or_else(|| malformed(&"expected ':' after a key"))?;
    let value = serde_json::from_slice(value).map_err(|error| malformed(&error))?;
    Ok((key, value))
}

/// A product's texts and prices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product<'a> {
    block: &'a Block,
    item: &'a Item,
}

impl<'a> Product<'a> {
    fn text(self, index: usize) -> &'a str {
        self.block.get(self.item.first as usize + index)
    }

    fn count(self, index: usize) -> usize {
        self.block.counts[self.item.counts as usize + index] as usize
    }

    pub fn asin(self) -> &'a str {
        self.text(ASIN)
    }

    pub fn title(self) -> &'a str {
        self.text(TITLE)
    }

    pub fn description(self) -> &'a str {
        self.text(DESCRIPTION)
    }

    pub fn query(self) -> &'a str {
        self.text(QUERY)
    }

    pub fn category(self) -> &'a str {
        self.text(CATEGORY)
    }

    pub fn product_category(self) -> &'a str {
        self.text(PRODUCT_CATEGORY)
    }

    pub fn bullets(self) -> impl Iterator<Item = &'a str> {
        (0..self.count(0)).map(move |index| self.text(BULLETS + index))
    }

    /// How many options there are.
    pub fn options_len(self) -> usize {
        self.count(1)
    }

    /// The options in order.
    pub fn options(self) -> impl Iterator<Item = ProductOption<'a>> {
        let mut next = BULLETS + self.count(0);
        (0..self.options_len()).map(move |index| {
            let option = ProductOption { product: self, first: next, len: self.count(2 + index) };
            next += 1 + option.len;
            option
        })
    }

    /// The first price, and the second one of a range.
    pub fn prices(self) -> (f64, Option<f64>) {
        let other = self.item.other_price;
        (self.item.price, (!other.is_nan()).then_some(other))
    }

    /// Appends the price as a page shows it.
    pub fn write_tag(self, out: &mut String) {
        write_tag(self.item, out);
    }

    /// Replaces `out` by the text that the search engine indexes.
    pub fn write_document(self, out: &mut String) {
        out.clear();
        let first_bullet = self.bullets().next().unwrap_or_default();
        for text in [self.title(), " ", self.description(), " ", first_bullet, " "] {
            out.push_str(text);
        }
        for (number, option) in self.options().enumerate() {
            out.push_str(if number == 0 { "" } else { ", and " });
            out.push_str(option.name());
            out.push_str(": ");
            for (number, value) in option.values().enumerate() {
                out.push_str(if number == 0 { "" } else { ", " });
                out.push_str(value);
            }
        }
        if out.is_ascii() {
            out.make_ascii_lowercase();
        } else {
            *out = out.to_lowercase();
        }
    }
}

/// An option of a product and its values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProductOption<'a> {
    product: Product<'a>,
    first: usize,
    len: usize,
}

impl<'a> ProductOption<'a> {
    pub fn name(self) -> &'a str {
        self.product.text(self.first)
    }

    pub fn len(self) -> usize {
        self.len
    }

    pub fn value(self, index: usize) -> &'a str {
        self.product.text(self.first + 1 + index)
    }

    pub fn values(self) -> impl Iterator<Item = &'a str> {
        (0..self.len).map(move |index| self.value(index))
    }
}
