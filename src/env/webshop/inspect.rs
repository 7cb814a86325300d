//! A shop's products, goals, prices and rewards, for whoever wants to look at them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::analysis::Analyzer;
use super::config::GoalKind;
use super::environment::WebShop;
use super::goals::Wanted;
use super::reward::{Purchase, RewardParts, reward};

/// A product as the shop holds it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProductRecord<'a> {
    /// Its number.
    pub asin: &'a str,
    /// Its name.
    pub title: &'a str,
    /// The price as a page shows it.
    pub price: String,
    /// The search under which it was found, in lower case.
    pub query: &'a str,
    /// The options and their values, in order.
    pub options: Vec<(&'a str, Vec<&'a str>)>,
    /// What its page of features lists.
    pub bullets: Vec<&'a str>,
    /// What its page of attributes lists.
    pub attributes: Vec<&'a str>,
}

/// The options that a goal asks for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum GoalOptions<'a> {
    /// A human's words, each for a value.
    Words(Vec<&'a str>),
    /// Options and their values.
    Values(BTreeMap<&'a str, &'a str>),
}

/// A goal. Serialized as JSON its members are in the order of their names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GoalRecord<'a> {
    /// The product from which the goal was made.
    pub asin: &'a str,
    /// The attributes that are asked for.
    pub attributes: Vec<&'a str>,
    /// The product's category.
    pub category: &'a str,
    /// The options that are asked for.
    pub goal_options: GoalOptions<'a>,
    /// The instruction as the shopper reads it.
    pub instruction_text: String,
    /// The product's name.
    pub name: &'a str,
    /// The price that a purchase must not exceed; 1000000 for any.
    pub price_upper: f64,
    /// The product's place in the tree of categories.
    pub product_category: &'a str,
    /// The product's query.
    pub query: &'a str,
    /// How much more often than others the goal is drawn at random.
    pub weight: f64,
}

/// The terms under which the search engine indexes a text, in order.
pub fn analyze(text: &str) -> Vec<String> {
    let mut terms = Vec::new();
    Analyzer::default().terms(text, &mut |term| terms.push(term.to_string()));
    terms
}

/// The stem of a word in lower case.
pub fn stem(word: &str) -> String {
    let mut word = word.to_string();
    super::stem::stem(&mut word, &mut Vec::new());
    word
}

impl WebShop {
    /// The products that are sold, in order.
    pub fn products(&self) -> impl ExactSizeIterator<Item = ProductRecord<'_>> {
        let catalogue = &self.shop.catalogue;
        (0..catalogue.len()).map(move |index| {
            let product = catalogue.product(index);
            let mut price = String::new();
            product.write_tag(&mut price);
            ProductRecord {
                asin: product.asin(),
                title: product.title(),
                price,
                query: product.query(),
                options: product
                    .options()
                    .map(|option| (option.name(), option.values().collect()))
                    .collect(),
                bullets: product.bullets().collect(),
                attributes: catalogue.attributes(index).collect(),
            }
        })
    }

    /// How many goals there are, whatever the split.
    pub fn goals(&self) -> usize {
        self.shop.goals.len()
    }

    /// The goal at a number of the shuffled order, below [`WebShop::goals`].
    pub fn goal(&self, number: usize) -> Option<GoalRecord<'_>> {
        if number >= self.goals() {
            return None;
        }
        let goal = self.shop.goal(number);
        let product = goal.product();
        let options = goal.options();
        let is_human = self.config.goals == GoalKind::Human;
        Some(GoalRecord {
            asin: product.asin(),
            attributes: goal.attributes().collect(),
            category: product.category(),
            goal_options: match is_human {
                true => GoalOptions::Words(options.iter().map(|wanted| wanted.value()).collect()),
                false => GoalOptions::Values(
                    options.iter().map(|wanted| (wanted.name(), wanted.value())).collect(),
                ),
            },
            instruction_text: goal.text(),
            name: product.title(),
            price_upper: goal.upper_price(),
            product_category: product.product_category(),
            query: product.query(),
            weight: goal.weight(),
        })
    }

    /// The price of a product that the reward compares: drawn between the two of a range.
    pub fn price(&self, asin: &str) -> Option<f64> {
        self.sold(asin).map(|product| self.shop.goals.price(product))
    }

    fn sold(&self, asin: &str) -> Option<usize> {
        let catalogue = &self.shop.catalogue;
        catalogue.find(asin).filter(|&product| product < catalogue.len())
    }

    /// The products that a search finds, in order, with the scores that the original shows.
    pub fn search(&self, query: &str) -> Vec<(&str, f32)> {
        let catalogue = &self.shop.catalogue;
        let hits = self.shop.hits(query);
        let scores = super::bm25::shown_scores(&hits);
        let asins = hits.iter().map(|hit| catalogue.product(hit.document as usize).asin());
        asins.zip(scores).collect()
    }

    /// The reward of buying a product with some chosen values for a goal, at a price; `None` if there is
    /// no such goal or product.
    pub fn reward(
        &self,
        goal: usize,
        asin: &str,
        values: &[&str],
        price: f64,
    ) -> Option<RewardParts> {
        let product = self.sold(asin)?;
        if goal >= self.goals() {
            return None;
        }
        let purchase = Purchase { product, price, values };
        let nouns = |product| self.shop.nouns(product);
        Some(reward(&self.shop.catalogue, self.shop.goal(goal), &purchase, &nouns))
    }
}

impl<'a> Wanted<'a> {
    fn name(self) -> &'a str {
        match self {
            Self::Words(_) => "",
            Self::Value(name, _) => name,
        }
    }

    fn value(self) -> &'a str {
        match self {
            Self::Words(value) | Self::Value(_, value) => value,
        }
    }
}
