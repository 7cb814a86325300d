//! Variations of a human goal: the same product, asked for with other attributes, values and another price.
//!
//! A player of the same few hundred instructions again and again can learn by heart what to buy. In a
//! variation it has to read.

use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::catalogue::Catalogue;
use super::goals::{Goal, Wanted};

/// An instruction with its attributes and options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub text: String,
    pub attributes: Vec<String>,
    pub options: Vec<String>,
}

/// A variation of a goal's instruction. Each attribute that the instruction names in so many words is
/// replaced by one of the product's attributes, each value by one of the same option.
pub(super) fn varied(goal: Goal, catalogue: &Catalogue, rng: &mut ChaCha8Rng) -> Wish {
    let mut wish = Wish {
        text: goal.instruction().to_string(),
        attributes: goal.attributes().map(str::to_string).collect(),
        options: goal
            .options()
            .into_iter()
            .filter_map(|wanted| match wanted {
                Wanted::Words(words) => Some(words.to_string()),
                Wanted::Value(..) => None,
            })
            .collect(),
    };
    let known: Vec<&str> = catalogue.attributes(goal.product_index()).collect();
    for number in 0..wish.attributes.len() {
        let attribute = &wish.attributes[number];
        // Of attributes that the product lacks there is no telling what they stand for.
        if known.contains(&attribute.as_str()) {
            let others: Vec<&str> = known
                .iter()
                .copied()
                .filter(|&other| other == attribute || !wish.asks_for(other))
                .collect();
            wish.replace(|wish| &mut wish.attributes[number], &others, rng);
        }
    }
    let options: Vec<_> = goal.product().options().collect();
    for number in 0..wish.options.len() {
        let value = &wish.options[number];
        let values = options
            .iter()
            .map(|option| (0..option.len()).map(|index| option.value(index)).collect::<Vec<_>>())
            .find(|values| values.contains(&value.as_str()));
        if let Some(values) = values {
            wish.replace(|wish| &mut wish.options[number], &values, rng);
        }
    }
    wish
}

impl Wish {
    fn asks_for(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|asked| asked == attribute) || self.text.contains(attribute)
    }

    /// Replaces a text, in the instruction too, by one of some others. If the instruction does not name
    /// it, both stay.
    fn replace(
        &mut self,
        part: impl Fn(&mut Self) -> &mut String,
        others: &[&str],
        rng: &mut ChaCha8Rng,
    ) {
        let before = part(self).clone();
        let Some(other) = others.choose(rng).filter(|other| !other.is_empty()) else { return };
        let Some(place) = find(&self.text, &before) else { return };
        self.text.replace_range(place..place + before.len(), other);
        *part(self) = other.to_string();
    }
}

/// The first place where a phrase stands in a text, not within longer words.
fn find(text: &str, phrase: &str) -> Option<usize> {
    let is_free = |neighbour: Option<char>| !neighbour.is_some_and(char::is_alphanumeric);
    let mut places = text.match_indices(phrase).map(|(place, _)| place);
    places.find(|&place| {
        !phrase.is_empty()
            && is_free(text[..place].chars().next_back())
            && is_free(text[place + phrase.len()..].chars().next())
    })
}
