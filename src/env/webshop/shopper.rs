//! A shopper that follows rules: a yardstick for learned ones, and a source of demonstrations.

use std::collections::BTreeSet;

use super::wish::{first_query, plain, split_price, words};
use crate::env::environment::Player;
use crate::env::texts::Texts;

/// How many products are looked at before one is bought.
const LOOKS: usize = 3;

/// What separates the elements of an observation.
const SEPARATOR: &str = " [SEP] ";

/// What the shopper does next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Plan {
    Search,
    /// Look at the products of the page of results, one after the other.
    Look,
    /// Choose these values, the last one first, then buy.
    Choose(Vec<String>),
}

/// A product that was looked at.
#[derive(Debug, Clone)]
struct Look {
    link: String,
    /// How well it fits, and the values that the instruction names.
    fit: f64,
    values: Vec<String>,
}

/// A shopper that searches for the words of its instruction, looks at the products of the first page
/// whose names share most words with it and whose price fits, and buys the one that has most of the
/// values that the instruction names, having chosen them.
///
/// It sees what any player sees: observations and what can be clicked.
#[derive(Debug, Clone)]
pub struct Shopper {
    instruction: String,
    words: BTreeSet<String>,
    upper: f64,
    plan: Plan,
    /// The products to look at, the best last.
    candidates: Vec<(String, f64)>,
    opened: Option<(String, f64)>,
    looks: Vec<Look>,
}

impl Shopper {
    /// A shopper with an instruction, at the beginning of an episode.
    pub fn new(instruction: &str) -> Self {
        let (wish, upper) = split_price(instruction);
        Self {
            instruction: format!(" {} ", plain(wish)),
            words: words(wish).collect(),
            upper,
            plan: Plan::Search,
            candidates: Vec::new(),
            opened: None,
            looks: Vec::new(),
        }
    }

    /// The next action, for the current observation and what can be clicked.
    pub fn act(&mut self, observation: &str, clickables: &Texts) -> String {
        let has = |text: &str| clickables.iter().any(|clickable| clickable == text);
        match &mut self.plan {
            Plan::Search => {
                self.plan = Plan::Look;
                format!("search[{}]", first_query(&self.instruction))
            }
            Plan::Choose(values) => match values.pop() {
                Some(value) => format!("click[{value}]"),
                None => "click[buy now]".into(),
            },
            Plan::Look if has("buy now") => self.look(clickables),
            Plan::Look => self.open(observation, clickables),
        }
    }

    /// On a page of results: opens the next product, or the best one again to buy it.
    fn open(&mut self, observation: &str, clickables: &Texts) -> String {
        if self.looks.is_empty() && self.candidates.is_empty() {
            self.candidates = self.rank(observation, clickables);
        }
        let next = (self.looks.len() < LOOKS).then(|| self.candidates.pop()).flatten();
        if let Some((link, fit)) = next {
            let action = format!("click[{link}]");
            self.opened = Some((link, fit));
            return action;
        }
        let best =
            self.looks.drain(..).reduce(|best, look| if look.fit > best.fit { look } else { best });
        match best {
            Some(Look { link, values, .. }) => {
                self.plan = Plan::Choose(values);
                format!("click[{link}]")
            }
            None => "click[back to search]".into(),
        }
    }

    /// The products of a page of results, the best last.
    fn rank(&self, observation: &str, clickables: &Texts) -> Vec<(String, f64)> {
        let elements: Vec<&str> = observation.split(SEPARATOR).collect();
        let mut ranked = Vec::new();
        for (place, link) in clickables.iter().enumerate() {
            let Some(at) = elements.iter().position(|element| element.to_lowercase() == link)
            else {
                continue;
            };
            let (Some(title), Some(tag)) = (elements.get(at + 1), elements.get(at + 2)) else {
                continue;
            };
            if !tag.starts_with('$') {
                continue;
            }
            let shared = words(title).filter(|word| self.words.contains(word)).count();
            let price = tag[1..].split(' ').next().and_then(|text| text.parse::<f64>().ok());
            let fits = price.is_none_or(|price| price <= self.upper);
            // Of equal products the one that the search engine names first.
            let fit = shared as f64 + if fits { 2.0 } else { 0.0 } - 0.3 * place as f64;
            ranked.push((link.to_string(), fit));
        }
        ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
        ranked
    }

    /// On an item's page: takes down which of its values the instruction names, and goes back.
    fn look(&mut self, clickables: &Texts) -> String {
        const BUTTONS: [&str; 7] = [
            "back to search",
            "< prev",
            "description",
            "features",
            "reviews",
            "attributes",
            "buy now",
        ];
        let mut values: Vec<String> = clickables
            .iter()
            .filter(|text| !BUTTONS.contains(text))
            .filter(|text| self.instruction.contains(&format!(" {} ", plain(text))))
            .map(str::to_string)
            .collect();
        // A value within another one that is named too, as `red` in `red wine`, is not meant.
        let named = values.clone();
        values.retain(|value| {
            let value = format!(" {} ", plain(value));
            let is_within = |other: &String| {
                let other = format!(" {} ", plain(other));
                other.len() > value.len() && other.contains(&value)
            };
            !named.iter().any(is_within)
        });
        let (link, fit) = self.opened.take().unwrap_or_default();
        self.looks.push(Look { link, fit: fit + 3.0 * values.len() as f64, values });
        "click[< prev]".into()
    }
}

/// A [`Shopper`] as an environment's expert.
pub(super) struct Expert(pub Shopper);

impl Player for Expert {
    fn act(&mut self, observation: &str, choices: &Texts) -> usize {
        let click = |choice: &'_ str| choice.starts_with("click[") && choice.ends_with(']');
        let clickables: Texts = choices
            .iter()
            .filter(|choice| click(choice))
            .map(|choice| &choice["click[".len()..choice.len() - 1])
            .collect();
        let action = self.0.act(observation, &clickables);
        // A search that found nothing is followed by the first of the other ones.
        choices.position(&action).unwrap_or(0)
    }
}
