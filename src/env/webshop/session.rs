//! A shopper's session: pages, clicks, and the purchase that ends it.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::action::Action;
use super::catalogue::Product;
use super::config::Flavour;
use super::goals::Goal;
use super::page::{
    BACK_TO_SEARCH, BUY_NOW, Detail, NEXT, PAGE, PREVIOUS, Page, SEARCH, Writer, item_clickables,
    results_clickables,
};
use super::random::PythonRandom;
use super::reward::{Purchase, RewardParts, reward};
use super::shop::Shop;
use super::verl;
use super::wish::queries;
use crate::env::environment::{Session, Transition};
use crate::env::texts::Texts;
use crate::error::Result;

/// How many products a search for `<r>` draws.
const RANDOM_RESULTS: usize = 50;

/// The reward of the `verl` flavour for a full score.
const VERL_REWARD: f64 = 10.0;

/// The admissible action that stands for any search.
pub(crate) const ANY_SEARCH: &str = "search[<your query>]";

/// One episode of WebShop under way.
///
/// Only a purchase ends it. As the original does, a session can be stepped further: with the flavour
/// `webshop` from the last page, where a search begins anew, and with `verl` in a session with a goal
/// drawn at random.
#[derive(Debug, Clone)]
pub struct WebShopSession {
    shop: Arc<Shop>,
    browser: Browser,
    /// The instruction of the goal that the episode began with.
    goal: Arc<str>,
    /// The last page of an episode whose browser shows the next one's first.
    last_page: Option<String>,
    random: Random,
    parts: Option<RewardParts>,
    steps: usize,
    max_steps: usize,
}

/// Python's generator, made when it is first used.
#[derive(Debug, Clone)]
enum Random {
    Seed(u64),
    Drawn(PythonRandom),
}

impl Random {
    fn get(&mut self) -> &mut PythonRandom {
        if let Self::Seed(seed) = *self {
            *self = Self::Drawn(PythonRandom::new(seed));
        }
        match self {
            Self::Drawn(random) => random,
            Self::Seed(_) => unreachable!("it has just been made"),
        }
    }
}

/// What the shopper's browser shows.
#[derive(Debug, Clone)]
struct Browser {
    goal: usize,
    instruction: Arc<str>,
    page: Page,
    query: String,
    number: i64,
    results: Vec<u32>,
    product: Option<usize>,
    /// The chosen options in the order of their first choice: an option's and a value's index.
    options: Vec<(usize, usize)>,
}

impl Browser {
    fn new(shop: &Shop, goal: usize) -> Self {
        Self {
            goal,
            instruction: shop.goal(goal).text().into(),
            page: Page::Search,
            query: String::new(),
            number: 1,
            results: Vec::new(),
            product: None,
            options: Vec::new(),
        }
    }
}

impl WebShopSession {
    pub(crate) fn new(shop: Arc<Shop>, goal: usize, seed: u64, max_steps: usize) -> Self {
        let browser = Browser::new(&shop, goal);
        Self {
            goal: browser.instruction.clone(),
            shop,
            browser,
            last_page: None,
            random: Random::Seed(seed),
            parts: None,
            steps: 0,
            max_steps,
        }
    }

    /// Seeds Python's generator, from which searches for `<r>` draw.
    pub fn seed_random(&mut self, seed: u64) {
        self.random = Random::Seed(seed);
    }

    /// How many steps have been taken.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The parts of the reward, if the last step was a purchase.
    pub fn reward_parts(&self) -> Option<RewardParts> {
        self.parts
    }

    /// The score of the purchase, 0 to 1, if the last step was one.
    pub fn score(&self) -> Option<f64> {
        self.parts.map(|parts| parts.reward)
    }

    /// Whether the page has a search bar.
    pub fn has_search_bar(&self) -> bool {
        self.browser.page == Page::Search
    }

    /// Appends what can be clicked, in the original's order. `search` on the search page does nothing.
    pub fn clickables(&self, out: &mut Texts) {
        self.each_clickable(&mut |text| out.push(text));
    }

    fn each_clickable(&self, found: &mut dyn FnMut(&str)) {
        match self.browser.page {
            Page::Search => found(SEARCH),
            Page::Results => results_clickables(self.browser.number, self.shown(), found),
            Page::Item => {
                if let Some(product) = self.product() {
                    item_clickables(product, self.shop.shows_attributes, found);
                }
            }
            Page::Detail(_) => [BACK_TO_SEARCH, PREVIOUS].into_iter().for_each(found),
            Page::Done(_) => {}
        }
    }

    /// The observation as verl-agent's prompts quote it; steps with the same one are compared.
    pub fn anchor(&self) -> String {
        let (mut first, mut text) = (String::new(), String::new());
        Writer::new(&mut first).search_page(&self.goal);
        self.observe(&mut text);
        verl::anchor(&text, verl::task(&first))
    }

    fn product(&self) -> Option<Product<'_>> {
        self.browser.product.map(|product| self.shop.catalogue.product(product))
    }

    fn goal_of(&self) -> Goal<'_> {
        self.shop.goal(self.browser.goal)
    }

    /// The products on the current page of results.
    fn shown(&self) -> impl Iterator<Item = Product<'_>> {
        let first = usize::try_from(self.browser.number - 1).ok();
        let results = &self.browser.results;
        let first = first.and_then(|page| page.checked_mul(PAGE)).unwrap_or(results.len());
        let on_page = results.iter().skip(first).take(PAGE);
        on_page.map(|&product| self.shop.catalogue.product(product as usize))
    }

    /// Opens a page of results for the query.
    fn open_results(&mut self, number: i64, is_new: bool) {
        let browser = &mut self.browser;
        browser.page = Page::Results;
        browser.number = number;
        browser.product = None;
        browser.options.clear();
        let is_random = browser.query.split(' ').next() == Some("<r>");
        if is_random {
            // The original draws them each time the page is made.
            let products = self.shop.catalogue.len();
            browser.results.clear();
            if products >= RANDOM_RESULTS {
                let drawn = self.random.get().sample(products, RANDOM_RESULTS);
                browser.results.extend(drawn.into_iter().map(|product| product as u32));
            }
        } else if is_new {
            browser.results = self.shop.search(&browser.query);
        }
    }

    fn search(&mut self, query: String) {
        self.browser.query = query;
        self.open_results(1, true);
    }

    /// Whether a text can be clicked and does something.
    fn is_clickable(&self, text: &str) -> bool {
        match self.browser.page {
            Page::Search | Page::Done(_) => false,
            _ if text == SEARCH => false,
            Page::Results => {
                matches!(text, BACK_TO_SEARCH | NEXT)
                    || text == PREVIOUS && self.browser.number > 1
                    || self.link(text).is_some()
            }
            Page::Item => {
                let is_button = matches!(text, BACK_TO_SEARCH | PREVIOUS | BUY_NOW)
                    || Detail::ALL.into_iter().any(|detail| {
                        detail.button() == text
                            && (detail != Detail::Attributes || self.shop.shows_attributes)
                    });
                is_button || self.value(text).is_some()
            }
            Page::Detail(_) => matches!(text, BACK_TO_SEARCH | PREVIOUS),
        }
    }

    /// The product of the page of results whose link has a text.
    fn link(&self, text: &str) -> Option<usize> {
        let place = self.shown().position(|product| product.asin().to_lowercase() == text)?;
        let first = usize::try_from(self.browser.number - 1).ok()?.checked_mul(PAGE)?;
        self.browser.results.get(first + place).map(|&product| product as usize)
    }

    /// The option and the value that a text chooses: of several options, the last with such a value.
    fn value(&self, text: &str) -> Option<(usize, usize)> {
        let options = self.product()?.options().enumerate();
        let value = |(number, option): (usize, super::catalogue::ProductOption)| {
            option.values().position(|value| value == text).map(|value| (number, value))
        };
        options.filter_map(value).last()
    }

    /// Whether the page's address, as the original's, contains a word. It holds the raw query, and an
    /// item's the chosen options, so that a word in them is taken for the name of another page.
    fn address_contains(&self, word: &str) -> bool {
        let own = match self.browser.page {
            Page::Search => return false,
            Page::Results => "search_results",
            Page::Item => "item_page",
            Page::Detail(_) => "item_sub_page",
            Page::Done(_) => "done",
        };
        let option_contains = |product: Product| {
            let chosen = |&(option, value): &(usize, usize)| {
                let option = product.options().nth(option);
                option.is_some_and(|option| {
                    option.name().contains(word) || option.value(value).contains(word)
                })
            };
            self.browser.options.iter().any(chosen)
        };
        own == word
            || self.browser.query.contains(word)
            || self.product().is_some_and(option_contains)
    }

    /// Clicks on a text that can be clicked. Hands back the reward if that buys the product.
    fn click(&mut self, text: &str) -> Option<f64> {
        let is_results = self.address_contains("search_results");
        match text {
            BUY_NOW if self.browser.product.is_some() => return Some(self.buy()),
            BACK_TO_SEARCH => {
                let browser = &mut self.browser;
                browser.page = Page::Search;
                browser.query.clear();
                browser.results.clear();
                browser.number = 1;
                browser.product = None;
                browser.options.clear();
            }
            NEXT if is_results => self.open_results(self.browser.number.saturating_add(1), false),
            PREVIOUS if is_results => {
                self.open_results(self.browser.number.saturating_sub(1), false);
            }
            PREVIOUS if self.address_contains("item_page") => {
                self.open_results(self.browser.number, false);
            }
            PREVIOUS => self.browser.page = Page::Item,
            _ => self.click_content(text),
        }
        None
    }

    fn click_content(&mut self, text: &str) {
        let detail = Detail::ALL.into_iter().find(|detail| detail.button() == text);
        if let Some(detail) = detail.filter(|_| self.browser.product.is_some()) {
            self.browser.page = Page::Detail(detail);
        } else if let Some((option, value)) = self.value(text) {
            let chosen = &mut self.browser.options;
            match chosen.iter_mut().find(|(other, _)| *other == option) {
                Some((_, chosen)) => *chosen = value,
                None => chosen.push((option, value)),
            }
        } else if let Some(product) = self.link(text) {
            self.browser.product = Some(product);
            self.browser.page = Page::Item;
        }
    }

    /// The names and values of the chosen options.
    fn chosen(&self) -> Vec<(&str, &str)> {
        let Some(product) = self.product() else { return Vec::new() };
        let options: Vec<_> = product.options().collect();
        let named = |&(option, value): &(usize, usize)| {
            (options[option].name(), options[option].value(value))
        };
        self.browser.options.iter().map(named).collect()
    }

    /// Buys the product and hands back the reward.
    fn buy(&mut self) -> f64 {
        let Some(product) = self.browser.product else { return 0.0 };
        let values: Vec<&str> = self.chosen().into_iter().map(|(_, value)| value).collect();
        let price = self.shop.goals.price(product);
        let purchase = Purchase { product, price, values: &values };
        let parts = reward(&self.shop.catalogue, self.goal_of(), &purchase, &|product| {
            self.shop.nouns(product)
        });
        self.parts = Some(parts);
        self.browser.page = Page::Done(parts.reward);
        if self.shop.flavour == Flavour::Verl {
            let mut page = String::new();
            self.write_page(&mut page);
            self.last_page = Some(page);
            // The name of the next session, then its goal.
            let random = self.random.get();
            random.choices(26, 10);
            let goal = self.shop.goals.draw(random);
            self.browser = Browser::new(&self.shop, goal);
        }
        parts.reward
    }

    fn write_page(&self, out: &mut String) {
        let browser = &self.browser;
        let (instruction, mut page) = (&*browser.instruction, Writer::new(out));
        match (browser.page, self.product()) {
            (Page::Results, _) => {
                page.results(instruction, browser.number, browser.results.len(), self.shown());
            }
            (Page::Item, Some(product)) => {
                page.item(instruction, product, self.shop.shows_attributes);
            }
            (Page::Detail(detail), Some(product)) => {
                let attributes = self.shop.catalogue.attributes(browser.product.unwrap_or(0));
                page.detail(instruction, product, detail, attributes);
            }
            (Page::Done(reward), Some(product)) => {
                page.done(product.asin(), &mut self.chosen(), reward);
            }
            _ => page.search_page(instruction),
        }
    }
}

/// Appends the action of a name with an argument.
fn push_action(out: &mut Texts, name: &str, argument: &str) {
    let buffer = out.buffer();
    [name, "[", argument, "]"].into_iter().for_each(|part| buffer.push_str(part));
    out.finish();
}

impl Session for WebShopSession {
    fn goal(&self) -> &str {
        &self.goal
    }

    fn observe(&self, out: &mut String) {
        match &self.last_page {
            Some(page) => out.push_str(page),
            None => self.write_page(out),
        }
    }

    fn admissible(&self, out: &mut Texts) {
        if self.has_search_bar() {
            out.push(ANY_SEARCH);
        }
        self.each_clickable(&mut |text| push_action(out, "click", text));
    }

    /// On the search page the searches that the instruction suggests, on others what can be clicked.
    fn choices(&self, out: &mut Texts) {
        match self.has_search_bar() {
            true => queries(&self.goal).iter().for_each(|query| push_action(out, "search", query)),
            false => self.admissible(out),
        }
    }

    /// `clickables`, `has_search_bar` and, with `verl`, `anchor`.
    fn add_details(&self, answer: &mut Map<String, Value>) {
        let mut clickables = Vec::new();
        self.each_clickable(&mut |text| clickables.push(text.into()));
        answer.insert("clickables".into(), Value::Array(clickables));
        answer.insert("has_search_bar".into(), self.has_search_bar().into());
        if self.shop.flavour == Flavour::Verl {
            answer.insert("anchor".into(), self.anchor().into());
        }
    }

    fn step(&mut self, action: &str) -> Result<Transition> {
        self.last_page = None;
        self.parts = None;
        let (mut valid, mut bought) = (true, None);
        match Action::parse(action) {
            Action::Search(query) => self.search(query),
            Action::Click(text) if self.is_clickable(&text) => bought = self.click(&text),
            // It is listed, and does nothing.
            Action::Click(text) if text == SEARCH && self.has_search_bar() => {}
            _ => valid = false,
        }
        self.steps += 1;
        let score = bought.unwrap_or(0.0);
        let success = score == 1.0;
        Ok(Transition {
            reward: match self.shop.flavour {
                Flavour::WebShop => score,
                Flavour::Verl if success => VERL_REWARD,
                Flavour::Verl => 0.0,
            },
            terminated: bought.is_some(),
            truncated: bought.is_none() && self.steps >= self.max_steps,
            success: Some(success),
            score: Some(score),
            valid,
        })
    }
}
