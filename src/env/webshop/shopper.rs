//! A shopper that follows rules: a yardstick for learned ones, and a source of demonstrations.

use std::collections::BTreeSet;

use super::wish::{ANYTHING, plain, queries, split_price, words};
use crate::env::environment::Player;
use crate::env::texts::Texts;

/// Number of steps of an episode, if no other limit is set.
const STEPS: usize = 15;

/// What separates the elements of an observation.
const SEPARATOR: &str = " [SEP] ";

/// How much a product fits for each thing that is known of it; a word of the instruction in its name is 1.
mod weight {
    /// A price within the limit.
    pub(super) const PRICE: f64 = 2.0;
    /// A place further down the results.
    pub(super) const PLACE: f64 = -0.3;
    /// A value that the instruction names.
    pub(super) const VALUE: f64 = 3.0;
    /// A word of the instruction that is neither in the name nor in a value, but among the features.
    pub(super) const FEATURE: f64 = 0.5;
}

/// A product, as far as it is known.
#[derive(Debug, Clone, Default)]
struct Look {
    link: String,
    fit: f64,
    /// The values to choose, the first one last.
    values: Vec<String>,
    /// The words of the instruction that have not been seen.
    missing: BTreeSet<String>,
    /// Whether its item page, and then its features, were read.
    opened: bool,
    read: bool,
}

/// A shopper that follows rules. It searches for the words of its instruction and looks at the products of
/// the first page, those first whose names share most words with it and whose price fits. It notes the
/// values that the instruction names, and if words are still missing and the steps suffice, it reads the
/// features. It buys the first product that lacks nothing, or else the best one that it had steps for.
///
/// It sees what any player sees: observations and what can be clicked.
#[derive(Debug, Clone)]
pub struct Shopper {
    instruction: String,
    words: BTreeSet<String>,
    upper: f64,
    /// Steps until the end of the episode.
    left: usize,
    /// Searches for when others find nothing, the first one last.
    queries: Vec<String>,
    /// The products to look at, the best last. `None` before they were seen.
    candidates: Option<Vec<Look>>,
    current: Option<Look>,
    best: Option<Look>,
    /// Whether the best product is bought, whatever else there is.
    decided: bool,
}

impl Shopper {
    /// A shopper with an instruction, at the beginning of an episode of 15 steps.
    pub fn new(instruction: &str) -> Self {
        let (wish, upper) = split_price(instruction);
        let mut queries = queries(instruction);
        queries.reverse();
        Self {
            instruction: format!(" {} ", plain(wish)),
            words: words(wish).collect(),
            upper,
            left: STEPS,
            queries,
            candidates: None,
            current: None,
            best: None,
            decided: false,
        }
    }

    /// The shopper with another number of steps.
    pub fn with_steps(mut self, steps: usize) -> Self {
        self.left = steps;
        self
    }

    /// The next action, for the current observation and what can be clicked.
    pub fn act(&mut self, observation: &str, clickables: &Texts) -> String {
        let has = |text: &str| clickables.position(text).is_some();
        let action = if has("buy now") {
            self.on_item(clickables)
        } else if has("next >") {
            self.on_results(observation, clickables)
        } else if has("< prev") {
            self.on_features(observation)
        } else {
            format!("search[{}]", self.queries.pop().unwrap_or_else(|| ANYTHING.into()))
        };
        self.left = self.left.saturating_sub(1);
        action
    }

    /// Opens the next product, or the best one again to buy it.
    fn on_results(&mut self, observation: &str, clickables: &Texts) -> String {
        if self.candidates.is_none() {
            self.candidates =
                Some(self.rank(observation, clickables)).filter(|ranked| !ranked.is_empty());
        }
        let next = match self.decided {
            true => None,
            false => self.candidates.as_mut().and_then(Vec::pop),
        };
        if let Some(look) = next.or_else(|| self.best.take()) {
            let action = format!("click[{}]", look.link);
            self.current = Some(look);
            return action;
        }
        "click[back to search]".into()
    }

    /// The products of a page of results, the best last.
    fn rank(&self, observation: &str, clickables: &Texts) -> Vec<Look> {
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
            let mut missing = self.words.clone();
            words(title).for_each(|word| {
                missing.remove(&word);
            });
            let price = tag[1..].split(' ').next().and_then(|text| text.parse::<f64>().ok());
            let fits = price.is_none_or(|price| price <= self.upper);
            // Of equal products the one that the search engine names first.
            let fit = (self.words.len() - missing.len()) as f64
                + if fits { weight::PRICE } else { 0.0 }
                + weight::PLACE * place as f64;
            ranked.push(Look { link: link.to_string(), fit, missing, ..Look::default() });
        }
        ranked.sort_by(|a, b| a.fit.total_cmp(&b.fit));
        ranked
    }

    /// Notes which values of the product the instruction names, then reads its features, goes back, or
    /// buys it.
    fn on_item(&mut self, clickables: &Texts) -> String {
        let mut look = self.current.take().unwrap_or_default();
        if !look.opened {
            look.opened = true;
            look.values = self.named(clickables);
            look.fit += weight::VALUE * look.values.len() as f64;
            for value in &look.values {
                words(value).for_each(|word| {
                    look.missing.remove(&word);
                });
            }
        }
        if !self.decided {
            // What follows at most: back to the results, a product once more, its values, the purchase.
            let values = self.best.as_ref().map_or(0, |best| best.values.len());
            let purchase = 2 + values.max(look.values.len()) + 1;
            let reading = !look.read && !look.missing.is_empty();
            if reading && clickables.position("features").is_some() && self.left >= 2 + purchase {
                look.read = true;
                self.current = Some(look);
                return "click[features]".into();
            }
            let is_best = self.best.as_ref().is_none_or(|best| look.fit > best.fit);
            let is_last =
                self.candidates.as_ref().is_none_or(Vec::is_empty) || self.left < 2 + purchase;
            self.decided = is_last || (is_best && look.missing.is_empty());
            if !(self.decided && is_best) {
                if is_best {
                    self.best = Some(look);
                }
                return "click[< prev]".into();
            }
        }
        let action = match look.values.pop() {
            Some(value) => format!("click[{value}]"),
            None => "click[buy now]".into(),
        };
        self.current = Some(look);
        action
    }

    /// Notes the words of the instruction that a page of features has, and goes back to the product.
    fn on_features(&mut self, observation: &str) -> String {
        if let Some(look) = &mut self.current {
            let page = observation.rsplit_once("< Prev").map_or(observation, |(_, page)| page);
            let before = look.missing.len();
            words(page).for_each(|word| {
                look.missing.remove(&word);
            });
            look.fit += weight::FEATURE * (before - look.missing.len()) as f64;
        }
        "click[< prev]".into()
    }

    /// The values on an item's page that the instruction names.
    fn named(&self, clickables: &Texts) -> Vec<String> {
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
        values
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

#[cfg(test)]
mod tests {
    use super::*;

    const WISH: &str = "i want a red jacket for rain, and price lower than 30.00 dollars";
    const HEAD: &str = "Back to Search [SEP] < Prev";
    const ITEM: [&str; 6] =
        ["back to search", "< prev", "description", "features", "buy now", "red"];

    /// What the shopper does on pages of two equal jackets, of which the second one is for rain.
    fn play(steps: usize) -> Vec<String> {
        let mut shopper = Shopper::new(WISH).with_steps(steps);
        let mut actions: Vec<String> = Vec::new();
        let mut opened = "";
        while actions.len() < steps && actions.last().is_none_or(|last| last != "click[buy now]") {
            let last = actions.last().map_or("", String::as_str);
            let is_item = last.starts_with("click[b0") || last == "click[red]";
            if last.starts_with("click[b0") {
                opened = if last == "click[b01]" { "warm" } else { "for rain" };
            }
            let was_on_features =
                actions.iter().rev().nth(1).is_some_and(|a| a == "click[features]");
            let (page, links): (String, &[&str]) = match last {
                "" => ("WebShop [SEP] Search".into(), &["search"]),
                "click[features]" => (format!("{HEAD} [SEP] {opened}"), &ITEM[..2]),
                "click[< prev]" if was_on_features => (format!("{HEAD} [SEP] Red"), &ITEM),
                _ if is_item => (format!("{HEAD} [SEP] Red"), &ITEM),
                _ => (
                    "Page 1 [SEP] B01 [SEP] Jacket [SEP] $9.0 [SEP] B02 [SEP] Jacket [SEP] $9.0"
                        .into(),
                    &["back to search", "next >", "b01", "b02"],
                ),
            };
            actions.push(shopper.act(&page, &links.iter().copied().collect()));
        }
        actions
    }

    #[test]
    fn features_are_read_while_words_are_missing() {
        let read = ["click[features]", "click[< prev]"];
        let mut expected = vec!["search[red jacket rain]", "click[b01]"];
        expected.extend(read);
        expected.extend(["click[< prev]", "click[b02]"]);
        expected.extend(read);
        expected.extend(["click[red]", "click[buy now]"]);
        assert_eq!(play(15), expected);
    }

    #[test]
    fn few_steps_suffice_for_a_purchase() {
        for steps in 4..15 {
            let actions = play(steps);
            assert_eq!(actions.last().map(String::as_str), Some("click[buy now]"), "{actions:?}");
            assert!(actions.contains(&"click[red]".to_string()), "{actions:?}");
        }
    }
}
