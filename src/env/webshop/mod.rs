//! WebShop: finding and buying what an instruction asks for, in a shop of many products.
//!
//! The pages, the order of search results, the random draws and the reward are those of the original
//! (princeton-nlp/WebShop, flavour [`Flavour::WebShop`]) and of the copy in verl-agent on which GiGPO
//! and ProxMO train ([`Flavour::Verl`]), byte for byte. Catalogues come in the original's files.
//!
//! Actions are texts: `click[x]` for what stands on a page, and `search[words]` with any words.
//!
//! ```
//! use proxmo::env::webshop::{WebShop, WebShopConfig};
//! use proxmo::env::{Environment, Session};
//!
//! let items = br#"[{"asin": "B000000001", "name": "Red Shoes", "category": "fashion",
//!     "query": "shoes", "product_category": "Clothing › Shoes", "full_description": "",
//!     "small_description": ["light"], "customization_options": null, "images": [""],
//!     "pricing": "$25.00"}]"#;
//! let human = br#"{"B000000001": [{"instruction": "i want light shoes",
//!     "instruction_attributes": ["light"], "instruction_options": []}]}"#;
//! let shop = WebShop::from_json(items, b"{}", Some(human), None, WebShopConfig::default())?;
//!
//! let mut session = shop.start(0, 0)?;
//! session.step("search[shoes]")?;
//! session.step("click[b000000001]")?;
//! assert!(session.step("click[buy now]")?.success);
//! # Ok::<(), proxmo::error::Error>(())
//! ```

mod action;
mod analysis;
mod bm25;
mod catalogue;
mod goals;
mod index_file;
mod inspect;
mod json;
#[cfg(feature = "fs")]
mod load;
mod nouns;
mod page;
mod product;
mod python;
pub mod random;
mod reward;
mod session;
mod shop;
mod similarity;
mod stem;
mod texts;
pub mod verl;

pub use inspect::{GoalOptions, GoalRecord, ProductRecord, analyze, stem};
pub use nouns::find_nouns;
pub use reward::RewardParts;
pub use session::WebShopSession;

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Environment, Session};
use crate::error::{Error, Result};
use bm25::{Index, Postings, build};
use catalogue::Catalogue;
use goals::{Goals, Instructions};
use nouns::Nouns;
use shop::Shop;

/// How many goals are held out: the first ones of the shuffled order.
const HELD_OUT: usize = 500;

/// The splits.
const TRAIN: &str = "train";
const VALID: &str = "valid";

/// Whose WebShop is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// The original: goals shuffled by a fixed seed; the reward of a purchase is its score.
    WebShop,
    /// verl-agent's copy: goals shuffled by the environment's seed; a full score is rewarded by 10,
    /// anything less by 0.
    #[default]
    Verl,
}

/// Where goals come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GoalKind {
    /// Instructions that people wrote.
    #[default]
    Human,
    /// An instruction for every combination of a product's options.
    Synthetic,
}

/// Settings of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebShopConfig {
    /// Whose WebShop is played.
    pub flavour: Flavour,
    /// Where goals come from.
    pub goals: GoalKind,
    /// The seed of prices and, with `verl`, of the order of goals.
    pub seed: u64,
    /// After how many steps an episode is cut off.
    pub max_steps: usize,
    /// How many products of the catalogue are sold, the first ones; 0 for all.
    pub products: usize,
    /// Whether an item's page links to its attributes.
    pub show_attributes: bool,
}

impl Default for WebShopConfig {
    fn default() -> Self {
        Self {
            flavour: Flavour::Verl,
            goals: GoalKind::Human,
            seed: 0,
            max_steps: 15,
            products: 0,
            show_attributes: false,
        }
    }
}

impl WebShopConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// Fails with [`Error::Setting`] if one is out of range.
    pub fn validate(&self) -> Result<()> {
        match self.max_steps {
            0 => Err(Error::setting("max_steps", "must be at least 1, found 0")),
            _ => Ok(()),
        }
    }
}

/// Where the search index came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexOrigin {
    /// It was made, and is in memory alone.
    Built,
    /// It was made and saved beside the catalogue.
    Saved,
    /// It was read from a file beside the catalogue.
    Loaded,
}

/// Bytes of memory that a shop takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The texts of all products, as bytes of UTF-8.
    pub text: usize,
    /// The products, their texts included.
    pub products: usize,
    /// The goals.
    pub goals: usize,
    /// The search index.
    pub index: usize,
    /// The nouns of product names that a file gives.
    pub nouns: usize,
}

/// Where the parts of a shop are read from.
trait Sources {
    fn items(&mut self, limit: Option<usize>) -> Result<Catalogue>;

    fn attributes<T>(
        &mut self,
        read: impl FnOnce(Box<dyn Read + Send + '_>, &str) -> Result<T>,
    ) -> Result<T>;

    fn human<T>(
        &mut self,
        read: impl FnOnce(Box<dyn Read + Send + '_>, &str) -> Result<T>,
    ) -> Result<T>;

    fn nouns<T>(
        &mut self,
        read: impl FnOnce(Box<dyn Read + Send + '_>, &str) -> Result<T>,
    ) -> Result<Option<T>>;

    fn index(
        &mut self,
        documents: usize,
        write_document: impl Fn(usize, &mut String) + Sync + Send,
    ) -> Result<(Postings, IndexOrigin)>;
}

/// Files that are in memory.
struct MemorySources<'a> {
    items: &'a [u8],
    attributes: &'a [u8],
    human: Option<&'a [u8]>,
    nouns: Option<&'a [u8]>,
}

impl Sources for MemorySources<'_> {
    fn items(&mut self, limit: Option<usize>) -> Result<Catalogue> {
        Catalogue::read(self.items, "items", limit)
    }

    fn attributes<T>(
        &mut self,
        read: impl FnOnce(Box<dyn Read + Send + '_>, &str) -> Result<T>,
    ) -> Result<T> {
        read(Box::new(self.attributes), "attributes")
    }

    fn human<T>(
        &mut self,
        read: impl FnOnce(Box<dyn Read + Send + '_>, &str) -> Result<T>,
    ) -> Result<T> {
        let human = self.human.ok_or_else(|| {
            Error::input("human instructions", "are not given, and human goals need them")
        })?;
        read(Box::new(human), "human instructions")
    }

    fn nouns<T>(
        &mut self,
        read: impl FnOnce(Box<dyn Read + Send + '_>, &str) -> Result<T>,
    ) -> Result<Option<T>> {
        self.nouns.map(|nouns| read(Box::new(nouns), "nouns")).transpose()
    }

    fn index(
        &mut self,
        documents: usize,
        write_document: impl Fn(usize, &mut String) + Sync + Send,
    ) -> Result<(Postings, IndexOrigin)> {
        Ok((build(documents, write_document), IndexOrigin::Built))
    }
}

/// A shop and its goals, as an environment.
#[derive(Debug, Clone)]
pub struct WebShop {
    shop: Arc<Shop>,
    config: WebShopConfig,
    /// The goals that are tasks.
    goals: Range<usize>,
    names: Arc<Numerals>,
    index_origin: IndexOrigin,
}

impl WebShop {
    /// Loads a catalogue: a folder of the original's files `items_shuffle*.json`, `items_ins_v2*.json`,
    /// `items_human_ins.json` (for human goals) and, if it is there, `nouns.json`, each plain or with
    /// `.xz`; or the path of an items file among such. Of several items files in a folder the one of
    /// 1,000 products is taken.
    ///
    /// With a `split`, only its goals are tasks: `valid` is the first 500 of the shuffled order (of at
    /// most 500 goals the first half), `train` the rest. A task's name is its goal's number in that
    /// order, whatever the split.
    ///
    /// Files are read as a stream, need not be trusted, and may hold 64 GiB each when unpacked. Of
    /// catalogues of 20,000 products and more the search index is saved beside the items file, as
    /// `<items file>.index`, and made anew when the items change; in a folder that cannot be written to
    /// it stays in memory.
    ///
    /// # Errors
    /// Fails if a file is missing or malformed, naming the product and the field, or if there are no
    /// goals.
    #[cfg(feature = "fs")]
    pub fn load(
        path: &std::path::Path,
        split: Option<&str>,
        config: WebShopConfig,
    ) -> Result<Self> {
        Self::load_saving_from(path, split, config, load::MIN_SAVED)
    }

    /// [`WebShop::load`], saving the index of so many documents and more.
    #[cfg(feature = "fs")]
    fn load_saving_from(
        path: &std::path::Path,
        split: Option<&str>,
        config: WebShopConfig,
        min_saved: usize,
    ) -> Result<Self> {
        let files = load::Files::find(path)?;
        Self::open(load::FileSources::new(files, min_saved), config)?.with_split(split)
    }

    /// A shop from files that are in memory: items, attributes, human instructions, nouns.
    ///
    /// # Errors
    /// As [`WebShop::load`].
    pub fn from_json(
        items: &[u8],
        attributes: &[u8],
        human: Option<&[u8]>,
        nouns: Option<&[u8]>,
        config: WebShopConfig,
    ) -> Result<Self> {
        Self::open(MemorySources { items, attributes, human, nouns }, config)
    }

    fn open(mut sources: impl Sources, config: WebShopConfig) -> Result<Self> {
        config.validate()?;
        let mut catalogue = sources.items(Some(config.products).filter(|&count| count > 0))?;
        let mut instructions = Instructions::default();
        let mut has_entry = vec![false; catalogue.len()];
        let is_synthetic = config.goals == GoalKind::Synthetic;
        let attributes_file = sources.attributes(|input, file| {
            catalogue.read_attributes(input, file, |product, instruction| {
                has_entry[product] = true;
                if let (true, Some((text, attributes))) = (is_synthetic, instruction) {
                    instructions.push(product, text, attributes, &[]);
                }
                Ok(())
            })?;
            Ok(file.to_string())
        })?;
        match config.goals {
            GoalKind::Synthetic => {
                if let Some(product) = has_entry.iter().position(|has_entry| !has_entry) {
                    let asin = catalogue.product(product).asin();
                    let message = "has no entry, and synthetic goals need one of every product";
                    return Err(Error::input(
                        format!("{attributes_file}: product {asin}"),
                        message,
                    ));
                }
                instructions.sort();
            }
            GoalKind::Human => {
                instructions = sources
                    .human(|input, file| Instructions::read_human(&catalogue, input, file))?;
            }
        }
        let goals =
            Goals::new(&catalogue, instructions, config.goals, config.flavour, config.seed)?;
        if goals.len() == 0 {
            return Err(Error::input("the catalogue", "has no goals for its products"));
        }
        let nouns = sources.nouns(|input, file| Nouns::read(&catalogue, input, file))?;
        let (postings, index_origin) = sources.index(catalogue.searched(), |document, out| {
            catalogue.product(document).write_document(out);
        })?;
        let count = goals.len();
        let shop = Shop {
            index: Index::new(postings),
            nouns: nouns.unwrap_or_default(),
            flavour: config.flavour,
            shows_attributes: config.show_attributes,
            catalogue,
            goals,
        };
        Ok(Self {
            shop: Arc::new(shop),
            config,
            goals: 0..count,
            names: Arc::new(Numerals::new(count)),
            index_origin,
        })
    }

    /// The same shop with the goals of a split, or all.
    ///
    /// # Errors
    /// Fails if there is no such split or no goal in it.
    pub fn with_split(mut self, split: Option<&str>) -> Result<Self> {
        let total = self.shop.goals.len();
        let held_out = if total > HELD_OUT { HELD_OUT } else { total / 2 };
        self.goals = match split {
            None => 0..total,
            Some(VALID) => 0..held_out,
            Some(TRAIN) => held_out..total,
            Some(other) => {
                let message = format!("'{other}' is unknown, expected '{TRAIN}' or '{VALID}'");
                return Err(Error::setting("split", message));
            }
        };
        if self.goals.is_empty() {
            return Err(Error::setting("split", "has no goals: the catalogue has only one"));
        }
        Ok(self)
    }

    /// The settings.
    pub fn config(&self) -> &WebShopConfig {
        &self.config
    }

    /// Where the search index came from.
    pub fn index_origin(&self) -> IndexOrigin {
        self.index_origin
    }

    /// How many products of the file are passed over, as the original does: the asin was used before,
    /// has more than 10 characters, or is `nan`.
    pub fn skipped_products(&self) -> usize {
        self.shop.catalogue.skipped()
    }

    /// How much memory the shop takes.
    pub fn memory(&self) -> Memory {
        let (products, text) = self.shop.catalogue.memory();
        Memory {
            text,
            products,
            goals: self.shop.goals.memory(),
            index: self.shop.index.memory(),
            nouns: self.shop.nouns.memory(),
        }
    }

    /// Starts an episode, as [`Environment::start`] does, without hiding its type.
    ///
    /// # Errors
    /// Fails if there is no such task.
    pub fn session(&self, task: usize, seed: u64) -> Result<WebShopSession> {
        if task >= self.goals.len() {
            let total = self.goals.len();
            return Err(Error::Environment(format!("there is no task {task}: there are {total}")));
        }
        let goal = self.goals.start + task;
        Ok(WebShopSession::new(self.shop.clone(), goal, seed, self.config.max_steps))
    }
}

/// The categories of the published catalogue, and one for others.
const KINDS: [&str; 6] = ["beauty", "electronics", "fashion", "garden", "grocery", "other"];

impl Environment for WebShop {
    fn name(&self) -> &str {
        "webshop"
    }

    fn tasks(&self) -> usize {
        self.goals.len()
    }

    fn task_name(&self, task: usize) -> &str {
        match task < self.goals.len() {
            true => self.names.get(self.goals.start + task),
            false => "",
        }
    }

    fn task_kind(&self, task: usize) -> usize {
        let other = KINDS.len() - 1;
        if task >= self.goals.len() {
            return other;
        }
        let category = self.shop.goal(self.goals.start + task).product().category();
        KINDS.iter().position(|kind| *kind == category).unwrap_or(other)
    }

    fn kinds(&self) -> &[&'static str] {
        &KINDS
    }

    fn max_steps(&self) -> usize {
        self.config.max_steps
    }

    fn start(&self, task: usize, seed: u64) -> Result<Box<dyn Session>> {
        Ok(Box::new(self.session(task, seed)?))
    }
}

/// The numbers from 0 on as texts, laid end to end.
#[derive(Debug)]
struct Numerals(String);

impl Numerals {
    fn new(count: usize) -> Self {
        use std::fmt::Write;
        let mut text = String::new();
        for number in 0..count {
            // Writing to a String cannot fail.
            let _ = write!(text, "{number}");
        }
        Self(text)
    }

    fn get(&self, number: usize) -> &str {
        // All numbers of one length stand together, after the shorter ones.
        let (mut first, mut digits, mut start) = (0, 1, 0);
        let mut next = 10;
        while number >= next {
            start += (next - first) * digits;
            (first, digits, next) = (next, digits + 1, next * 10);
        }
        let at = start + (number - first) * digits;
        self.0.get(at..at + digits).unwrap_or_default()
    }
}
