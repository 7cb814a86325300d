//! Goals: what a shopper is sent to buy, and the random draws that decide prices and their order.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeSeed;
use serde_json::value::RawValue;

use super::catalogue::{Catalogue, Product, ProductOption, place_of, read_elements, split_member};
use super::config::{Flavour, GoalKind};
use super::json::{Batch, Elements, Fields, Text};
use super::product::{Problem, member};
use super::random::PythonRandom;
use super::texts::{Lists, Span};
use crate::error::{Error, Result};

/// The seed of the original's shuffle, whatever the environment's seed.
const SHUFFLE_SEED: u64 = 233;

/// The upper price of a goal that names none.
const NO_UPPER_PRICE: f64 = 1_000_000.0;

/// Upper prices are multiples of this, and below so many of it.
const PRICE_STEP: f64 = 10.0;
const PRICE_STEPS: u32 = 100;

/// The most goals.
const MAX_GOALS: usize = 200_000_000;

/// An instruction of a product, from which goals are made.
#[derive(Debug, Clone, Copy)]
struct Source {
    product: u32,
    /// The instruction, its attributes, and with human goals its options.
    texts: Span,
    attributes: u32,
    /// The upper price in steps of 10, or 0 for none.
    upper: u32,
}

/// A goal: an instruction, and which combination of the product's options a synthetic one asks for.
#[derive(Debug, Clone, Copy)]
struct Entry {
    source: u32,
    combination: u32,
}

/// Instructions of products, by product.
#[derive(Debug, Default)]
pub(crate) struct Instructions {
    lists: Lists,
    /// Each with the product and how many of the texts after the first are attributes.
    entries: Vec<(u32, Span, u32)>,
}

impl Instructions {
    /// Appends an instruction.
    pub fn push(&mut self, product: usize, text: &str, attributes: &[String], options: &[String]) {
        let texts = attributes.iter().chain(options).map(String::as_str);
        let span = self.lists.push(std::iter::once(text).chain(texts));
        self.entries.push((product as u32, span, attributes.len() as u32));
    }

    /// Reads the human instructions of products that are sold.
    ///
    /// # Errors
    /// Fails if an entry of such a product is malformed or the file is no JSON object.
    pub fn read_human(catalogue: &Catalogue, input: impl Read, file: &str) -> Result<Self> {
        let mut instructions = Self::default();
        let parse = |batch: &Batch| -> Vec<_> {
            batch.iter().filter_map(|json| human_entries(catalogue, json).transpose()).collect()
        };
        let mut elements = Elements::of_object(input);
        // Of two entries with one asin the last counts, so entries are put in order when all are read.
        let mut found: HashMap<usize, Vec<HumanInstruction>> = HashMap::new();
        read_elements(&mut elements, file, parse, |_, entries| {
            for entry in entries {
                let (product, list) = entry.map_err(|(asin, problem): (String, Problem)| {
                    problem.at(place_of(file, &asin))
                })?;
                found.insert(product, list);
            }
            Ok(true)
        })?;
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_unstable_by_key(|(product, _)| *product);
        for (product, list) in found {
            for HumanInstruction { text, attributes, options } in list {
                // The original passes over an instruction without attributes.
                if !attributes.is_empty() {
                    instructions.push(product, text.trim_matches('.'), &attributes, &options);
                }
            }
        }
        Ok(instructions)
    }

    /// Puts instructions that came in another order into the products' order; the last of a product
    /// stays.
    pub fn sort(&mut self) {
        self.lists.shrink();
        self.entries.sort_by_key(|(product, ..)| *product);
        let mut kept: Vec<(u32, Span, u32)> = Vec::with_capacity(self.entries.len());
        for entry in self.entries.drain(..) {
            match kept.last_mut().filter(|last| last.0 == entry.0) {
                Some(last) => *last = entry,
                None => kept.push(entry),
            }
        }
        self.entries = kept;
    }
}

struct HumanInstruction {
    text: String,
    attributes: Vec<String>,
    options: Vec<String>,
}

/// A member of the file of human instructions, if its product is sold.
#[allow(clippy::type_complexity, reason = "a pair of what was found and an error's place")]
fn human_entries(
    catalogue: &Catalogue,
    json: &[u8],
) -> Result<Option<(usize, Vec<HumanInstruction>)>, (String, Problem)> {
    let (asin, value) = split_member(json).map_err(|problem| (String::new(), problem))?;
    let sold = catalogue.find(&asin).filter(|&product| product < catalogue.len());
    let Some(product) = sold else { return Ok(None) };
    let read = || -> Result<Vec<HumanInstruction>, Problem> {
        let list: Vec<&RawValue> = member("", Some(value), "a list of instructions")?;
        list.into_iter().map(human_instruction).collect()
    };
    match read() {
        Ok(list) => Ok(Some((product, list))),
        Err(problem) => Err((asin, problem)),
    }
}

fn human_instruction(json: &RawValue) -> Result<HumanInstruction, Problem> {
    let mut reader = serde_json::Deserializer::from_str(json.get());
    let [text, attributes, options] =
        Fields(&["instruction", "instruction_attributes", "instruction_options"])
            .deserialize(&mut reader)
            .map_err(|_| Problem::new("", "expected an object for each instruction"))?;
    let texts = |field, value| -> Result<Vec<String>, Problem> {
        let list: Vec<Text> = member(field, value, "a list of texts")?;
        Ok(list.into_iter().map(|text| text.0.into_owned()).collect())
    };
    let text: Text = member("instruction", text, "a text")?;
    let attributes = texts("instruction_attributes", attributes)?;
    // The original looks at the options only if there are attributes.
    let options = match attributes.is_empty() {
        true => Vec::new(),
        false => texts("instruction_options", options)?,
    };
    Ok(HumanInstruction { text: text.0.into_owned(), attributes, options })
}

/// The goals in their shuffled order, and the price of every product.
#[derive(Debug)]
pub(crate) struct Goals {
    kind: GoalKind,
    instructions: Lists,
    sources: Vec<Source>,
    entries: Vec<Entry>,
    /// The price of each product, which variations share.
    prices: Arc<[f64]>,
    /// The weight of each source's goals; empty for human goals, which all weigh 1.
    weights: Vec<f64>,
    /// The sums of weights up to each goal, made when a random goal is first drawn.
    sums: OnceLock<Vec<f64>>,
}

impl Goals {
    /// Draws prices and makes the goals, as the original does when an environment is made.
    ///
    /// # Errors
    /// Fails if there are no goals or too many.
    pub fn new(
        catalogue: &Catalogue,
        instructions: Instructions,
        kind: GoalKind,
        flavour: Flavour,
        seed: u64,
    ) -> Result<Self> {
        let mut random = PythonRandom::new(seed);
        let prices: Arc<[f64]> = (0..catalogue.len())
            .map(|index| match catalogue.product(index).prices() {
                (price, None) => price,
                (price, Some(other)) => random.uniform(price, other),
            })
            .collect();
        let Instructions { lists, entries: found } = instructions;
        let mut sources = Vec::with_capacity(found.len());
        let mut entries = Vec::new();
        for (product, texts, attributes) in found {
            let upper = upper_price(prices[product as usize], &mut random);
            let combinations = match kind {
                GoalKind::Human => Some(1),
                GoalKind::Synthetic => combinations(catalogue.product(product as usize)),
            };
            let combinations = combinations.filter(|&count| entries.len() + count <= MAX_GOALS);
            let combinations = combinations.ok_or_else(|| {
                let asin = catalogue.product(product as usize).asin();
                let message = format!(
                    "the options of product {asin} bring the goals to more than {MAX_GOALS}"
                );
                Error::input("the catalogue", message)
            })?;
            let source = sources.len() as u32;
            entries
                .extend((0..combinations as u32).map(|combination| Entry { source, combination }));
            sources.push(Source { product, texts, attributes, upper });
        }
        entries.shrink_to_fit();
        let mut goals = Self {
            kind,
            instructions: lists,
            sources,
            entries,
            prices,
            weights: Vec::new(),
            sums: OnceLock::new(),
        };
        if kind == GoalKind::Synthetic {
            goals.weights = goals.weigh();
        }
        let mut random = PythonRandom::new(match flavour {
            Flavour::WebShop => SHUFFLE_SEED,
            Flavour::Verl => seed,
        });
        random.shuffle(&mut goals.entries);
        Ok(goals)
    }

    /// The weights of synthetic goals: rare attributes weigh more.
    fn weigh(&self) -> Vec<f64> {
        let mut goals_of = vec![0u64; self.sources.len()];
        for entry in &self.entries {
            goals_of[entry.source as usize] += 1;
        }
        let mut counts: HashMap<&str, u64> = HashMap::new();
        for (source, &goals) in self.sources.iter().zip(&goals_of) {
            for attribute in self.attributes(source) {
                *counts.entry(attribute).or_default() += goals;
            }
        }
        let weight = |source: &Source| {
            let sum: f64 =
                self.attributes(source).map(|attribute| 1.0 / counts[attribute] as f64).sum();
            sum / f64::from(source.attributes)
        };
        self.sources.iter().map(weight).collect()
    }

    /// The attributes that an instruction asks for.
    fn attributes<'a>(&'a self, source: &Source) -> impl Iterator<Item = &'a str> + use<'a> {
        let (texts, count) = (source.texts, source.attributes as usize);
        (0..count).map(move |index| self.instructions.get(texts, 1 + index))
    }

    /// A human goal alone, with the product of another goal and the prices of all. The seed decides its
    /// upper price.
    pub fn other(
        &self,
        index: usize,
        (text, attributes, options): (&str, &[String], &[String]),
        seed: u64,
    ) -> Self {
        let product = self.sources[self.entries[index].source as usize].product;
        let mut instructions = Instructions::default();
        instructions.push(product as usize, text, attributes, options);
        let (_, texts, attributes) = instructions.entries[0];
        let upper = upper_price(self.prices[product as usize], &mut PythonRandom::new(seed));
        Self {
            kind: GoalKind::Human,
            instructions: instructions.lists,
            sources: vec![Source { product, texts, attributes, upper }],
            entries: vec![Entry { source: 0, combination: 0 }],
            prices: self.prices.clone(),
            weights: Vec::new(),
            sums: OnceLock::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The goal at an index of the shuffled order.
    pub fn get<'a>(&'a self, catalogue: &'a Catalogue, index: usize) -> Goal<'a> {
        let entry = self.entries[index];
        Goal { goals: self, source: &self.sources[entry.source as usize], entry, catalogue }
    }

    /// The price that the reward compares.
    pub fn price(&self, product: usize) -> f64 {
        self.prices[product]
    }

    /// The goal that the original draws for a session without a number.
    pub fn draw(&self, random: &mut PythonRandom) -> usize {
        let sums = self.sums.get_or_init(|| {
            let mut sum = 0.0;
            let weights = self.entries.iter().map(|entry| self.weight(entry.source));
            weights
                .map(|weight| {
                    sum += weight;
                    sum
                })
                .collect()
        });
        let at = random.uniform(0.0, sums.last().copied().unwrap_or(0.0));
        // The original's sums begin with an additional 0, so that each goal comes with the weight of
        // the one before it.
        let after = sums.partition_point(|&sum| sum <= at) + 1;
        after.min(self.entries.len().saturating_sub(1))
    }

    fn weight(&self, source: u32) -> f64 {
        self.weights.get(source as usize).copied().unwrap_or(1.0)
    }

    /// How many bytes of memory they take.
    pub fn memory(&self) -> usize {
        self.instructions.memory().0
            + self.sources.capacity() * size_of::<Source>()
            + self.entries.capacity() * size_of::<Entry>()
            + 8 * (self.prices.len() + self.weights.capacity())
    }
}

/// The upper price for a price, in steps of 10; 0 for none.
fn upper_price(price: f64, random: &mut PythonRandom) -> u32 {
    let is_above = |step: &u32| f64::from(*step) * PRICE_STEP > price;
    let first = (1..PRICE_STEPS).find(is_above).unwrap_or(PRICE_STEPS);
    let candidates = (PRICE_STEPS - first).min(4) as usize;
    if candidates < 2 {
        return 0;
    }
    let drawn = random.sample(candidates, 2);
    first + drawn[0].max(drawn[1]) as u32
}

/// How many combinations of values a product's options have; `None` if they cannot be counted.
fn combinations(product: Product) -> Option<usize> {
    let lengths: Vec<usize> = product.options().map(ProductOption::len).collect();
    if lengths.contains(&0) {
        return Some(0);
    }
    lengths.into_iter().try_fold(1usize, |count, len| count.checked_mul(len))
}

/// A goal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal<'a> {
    goals: &'a Goals,
    source: &'a Source,
    entry: Entry,
    catalogue: &'a Catalogue,
}

/// What a goal asks of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted<'a> {
    /// A human's words for a value.
    Words(&'a str),
    /// The option and its value.
    Value(&'a str, &'a str),
}

impl<'a> Goal<'a> {
    /// The product that the goal was made from.
    pub fn product_index(self) -> usize {
        self.source.product as usize
    }

    pub fn product(self) -> Product<'a> {
        self.catalogue.product(self.product_index())
    }

    /// The attributes that are asked for.
    pub fn attributes(self) -> impl Iterator<Item = &'a str> {
        self.goals.attributes(self.source)
    }

    /// The options that are asked for, synthetic ones sorted by name.
    pub fn options(self) -> Vec<Wanted<'a>> {
        match self.goals.kind {
            GoalKind::Human => {
                let first = 1 + self.source.attributes as usize;
                let lists = &self.goals.instructions;
                let texts = (first..self.source.texts.len as usize)
                    .map(|index| lists.get(self.source.texts, index));
                texts.map(Wanted::Words).collect()
            }
            GoalKind::Synthetic => {
                let mut options: Vec<_> = self.product().options().collect();
                options.sort_by_key(|option| option.name());
                // The last option's values vary fastest.
                let mut left = self.entry.combination as usize;
                let mut wanted: Vec<_> = options
                    .iter()
                    .rev()
                    .map(|option| {
                        let value = option.value(left % option.len());
                        left /= option.len();
                        Wanted::Value(option.name(), value)
                    })
                    .collect();
                wanted.reverse();
                wanted
            }
        }
    }

    /// The price that a purchase must not exceed.
    pub fn upper_price(self) -> f64 {
        match self.source.upper {
            0 => NO_UPPER_PRICE,
            upper => f64::from(upper) * PRICE_STEP,
        }
    }

    /// How much more often than others the goal is drawn.
    pub fn weight(self) -> f64 {
        self.goals.weight(self.entry.source)
    }

    /// The instruction, without the options of a synthetic goal and without the price.
    pub fn instruction(self) -> &'a str {
        self.goals.instructions.get(self.source.texts, 0)
    }

    /// The instruction as the shopper reads it.
    pub fn text(self) -> String {
        let mut text = self.instruction().to_string();
        let mut separator = " with ";
        for wanted in self.options() {
            if let Wanted::Value(name, value) = wanted {
                text.push_str(separator);
                text.push_str(name);
                text.push_str(": ");
                text.push_str(value);
                separator = ", and ";
            }
        }
        if self.source.upper > 0 {
            text.push_str(&format!(", and price lower than {}0.00 dollars", self.source.upper));
        }
        text
    }
}
