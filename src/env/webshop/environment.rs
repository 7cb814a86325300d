//! The shop as an environment.

use std::ops::Range;
use std::sync::Arc;

use rand::RngCore;

use super::bm25::Index;
use super::config::{GoalKind, WebShopConfig};
use super::goals::{Goals, Instructions};
#[cfg(feature = "fs")]
use super::load;
use super::nouns::Nouns;
use super::session::WebShopSession;
use super::shop::Shop;
use super::shopper::{Expert, Shopper};
use super::sources::{IndexOrigin, MemorySources, Sources};
use super::variation::varied;
use crate::env::environment::{Environment, Player, Session, Split};
use crate::error::{Error, Result};
use crate::stream::{Purpose, Stream};

/// Number of held-out goals: the first ones of the shuffled order.
const HELD_OUT: usize = 500;

/// The splits.
const TRAIN: &str = "train";
const VALID: &str = "valid";

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

/// A shop and its goals, as an environment.
#[derive(Debug, Clone)]
pub struct WebShop {
    pub(super) shop: Arc<Shop>,
    pub(super) config: WebShopConfig,
    /// The goals that are tasks.
    goals: Range<usize>,
    names: Arc<Numerals>,
    index_origin: IndexOrigin,
    /// The seed of variations, if the goals are varied.
    variation: Option<u64>,
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

    /// [`WebShop::load`], saving the index of so many products and more.
    ///
    /// # Errors
    /// As [`WebShop::load`].
    #[cfg(feature = "fs")]
    pub fn load_saving_from(
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
            Goals::new(&catalogue, instructions, config.goals, config.flavour, config.task_seed)?;
        if goals.len() == 0 {
            return Err(Error::input("the catalogue", "has no goals for its products"));
        }
        let nouns = sources.nouns(|input, file| Nouns::read(&catalogue, input, file))?;
        let (postings, index_origin) = sources.index(catalogue.searched(), |document, out| {
            catalogue.product(document).write_document(out);
        })?;
        let count = goals.len();
        let shop = Shop {
            index: Arc::new(Index::new(postings)),
            nouns: Arc::new(nouns.unwrap_or_default()),
            flavour: config.flavour,
            shows_attributes: config.show_attributes,
            catalogue: Arc::new(catalogue),
            goals,
        };
        Ok(Self {
            shop: Arc::new(shop),
            config,
            goals: 0..count,
            names: Arc::new(Numerals::new(count)),
            index_origin,
            variation: None,
        })
    }

    /// The same shop with the goals of a split, or all.
    ///
    /// # Errors
    /// Fails if there is no such split or no goal in it.
    pub fn with_split(mut self, split: Option<&str>) -> Result<Self> {
        let (total, held_out) = (self.shop.goals.len(), self.held_out());
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

    /// Number of goals that are held out.
    fn held_out(&self) -> usize {
        let total = self.shop.goals.len();
        if total > HELD_OUT { HELD_OUT } else { total / 2 }
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
        let (shop, goal) = self.played_goal(task);
        Ok(WebShopSession::new(shop, goal, seed, self.config.max_steps))
    }

    /// A shop and the number of a goal in it, which is played for a task: its own or a variation.
    fn played_goal(&self, task: usize) -> (Arc<Shop>, usize) {
        let goal = self.goals.start + task;
        let Some(seed) = self.variation else { return (self.shop.clone(), goal) };
        let mut rng = Stream::new(seed, Purpose::Variation).of(task, 0).rng();
        let wish = varied(self.shop.goal(goal), &self.shop.catalogue, &mut rng);
        let wish = (wish.text.as_str(), wish.attributes.as_slice(), wish.options.as_slice());
        let goals = self.shop.goals.other(goal, wish, rng.next_u64());
        (Arc::new(self.shop.with_goals(goals)), 0)
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

    fn kinds(&self) -> Vec<String> {
        KINDS.map(str::to_string).to_vec()
    }

    fn max_steps(&self) -> usize {
        self.config.max_steps
    }

    fn splits(&self) -> Vec<Split> {
        let split = |name: &str, goals: Range<usize>| Split {
            name: name.to_string(),
            tasks: goals.len() as u64,
        };
        let (total, held_out) = (self.shop.goals.len(), self.held_out());
        match self.goals.clone() {
            goals if goals == (0..total) && held_out > 0 => {
                vec![split(VALID, 0..held_out), split(TRAIN, held_out..total)]
            }
            goals if goals.start == 0 && goals.end == held_out => vec![split(VALID, goals)],
            goals => vec![split(TRAIN, goals)],
        }
    }

    fn start(&self, task: usize, seed: u64) -> Result<Box<dyn Session>> {
        Ok(Box::new(self.session(task, seed)?))
    }

    /// A [`Shopper`].
    fn expert(&self, task: usize) -> Option<Box<dyn Player>> {
        let (shop, goal) = Some(task)
            .filter(|&task| task < self.goals.len())
            .map(|task| self.played_goal(task))?;
        let shopper = Shopper::new(&shop.goal(goal).text()).with_steps(self.config.max_steps);
        Some(Box::new(Expert(shopper)))
    }

    /// The same products, asked for with other attributes, values and prices. Synthetic goals, which
    /// combine all values already, are not varied.
    fn varied(&self, seed: u64) -> Option<Box<dyn Environment>> {
        let is_human = self.config.goals == GoalKind::Human;
        is_human.then(|| Box::new(Self { variation: Some(seed), ..self.clone() }) as _)
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
