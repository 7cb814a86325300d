//! A player that knows the rules of the household but sees only what any player sees.

use std::sync::Arc;

use super::AlfWorld;
use super::action::Verb;
use super::generator::{has_door, likely_place};
use super::grammar::Grammar;
use crate::env::Texts;
use crate::error::Result;

/// Plays from the goal, the observations and the admissible actions alone: it explores where the
/// wanted object may be, takes it, treats it and brings it to its place. It never looks at a state.
#[derive(Debug, Clone)]
pub struct Expert {
    grammar: Arc<Grammar>,
    aim: Aim,
    /// The receptacles that have been heard of.
    places: Vec<Place>,
    /// Where the agent stands, as an index into `places`.
    at: Option<usize>,
    /// The kinds of receptacle that have been found closed.
    closed: Vec<String>,
    /// Wanted objects and lamps, and the place where each was seen.
    seen: Vec<(String, usize)>,
    holding: Option<String>,
    treated: bool,
    /// Where the first of two objects went: the second must go there too.
    target: Option<String>,
    /// Objects that lie where they should.
    delivered: Vec<String>,
}

/// What the goal's sentence asks for.
#[derive(Debug, Clone)]
struct Aim {
    words: Vec<String>,
    treatment: Option<Verb>,
    two: bool,
    lamp: Option<String>,
}

/// A receptacle as the expert knows it.
#[derive(Debug, Clone)]
struct Place {
    name: String,
    /// Its contents have been seen.
    known: bool,
    /// The expert has stood there.
    visited: bool,
}

/// An admissible action, taken apart.
struct Offer<'a> {
    index: usize,
    verb: Verb,
    first: &'a str,
    second: &'a str,
}

/// Words that ask for a treatment. Goals use them in different forms.
const TREATMENTS: [(Verb, &[&str]); 3] = [
    (Verb::Heat, &["hot", "heat", "heated", "warm", "warmed"]),
    (Verb::Clean, &["clean", "cleaned", "wash", "washed"]),
    (Verb::Cool, &["cool", "cooled", "cold", "chill", "chilled"]),
];

/// The name without its number.
fn base(name: &str) -> &str {
    name.split(' ').next().unwrap_or(name)
}

impl Aim {
    fn of(goal: &str) -> Self {
        let words: Vec<String> = goal
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect();
        let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
        let treatment = TREATMENTS.iter().find(|(_, known)| has(known)).map(|(verb, _)| *verb);
        let two = has(&["two", "pair"]);
        let lamp = words.iter().find(|word| word.ends_with("lamp")).cloned();
        Self { words, treatment, two, lamp }
    }

    fn names(&self, name: &str) -> bool {
        self.words.iter().any(|word| word == base(name))
    }

    fn is_lamp(&self, name: &str) -> bool {
        self.lamp.as_deref() == Some(base(name))
    }
}

impl Expert {
    /// An expert at the beginning of an episode of a task.
    ///
    /// # Errors
    /// Fails where there is no such task.
    pub fn new(world: &AlfWorld, task: usize) -> Result<Self> {
        let game = world.game(task)?;
        Ok(Self {
            grammar: game.grammar.clone(),
            aim: Aim::of(game.goal_text()),
            places: Vec::new(),
            at: None,
            closed: Vec::new(),
            seen: Vec::new(),
            holding: None,
            treated: false,
            target: None,
            delivered: Vec::new(),
        })
    }

    /// The index of the admissible action that the expert takes now.
    pub fn act(&mut self, observation: &str, admissible: &Texts) -> usize {
        let grammar = self.grammar.clone();
        let offers: Vec<Offer> = admissible
            .iter()
            .enumerate()
            .filter_map(|(index, text)| {
                let (verb, [first, second]) = grammar.read(text)?;
                Some(Offer { index, verb, first, second })
            })
            .collect();
        self.learn(observation, &offers);
        let chosen = self.choose(&offers);
        if let Some(offer) = chosen.and_then(|index| offers.iter().find(|o| o.index == index)) {
            self.note(offer);
        }
        chosen.unwrap_or(0)
    }

    /// Takes in what can be seen.
    fn learn(&mut self, observation: &str, offers: &[Offer]) {
        for offer in offers.iter().filter(|offer| offer.verb == Verb::GoTo) {
            if !self.places.iter().any(|place| place.name == offer.first) {
                let name = offer.first.to_string();
                self.places.push(Place { name, known: false, visited: false });
            }
        }
        let Some(at) = self.at else { return };
        let is_closed =
            |name: &str| offers.iter().any(|offer| offer.verb == Verb::Open && offer.first == name);
        for offer in offers.iter().filter(|offer| offer.verb == Verb::ExamineReceptacle) {
            if let Some(place) = self.places.iter_mut().find(|place| place.name == offer.first) {
                place.visited = true;
                place.known = !is_closed(&place.name);
                if !place.known && !self.closed.iter().any(|kind| kind == base(&place.name)) {
                    self.closed.push(base(&place.name).to_string());
                }
            }
        }
        // With free hands, what can be taken is what is here; lamps cannot be taken.
        if self.holding.is_none() {
            let is_here = |name: &str| {
                offers.iter().any(|offer| offer.verb == Verb::Take && offer.first == name)
            };
            let Self { seen, aim, .. } = self;
            seen.retain(|(name, place)| *place != at || aim.is_lamp(name) || is_here(name));
        }
        for (name, number) in named(observation) {
            let name = format!("{name} {number}");
            let wanted = self.wants(&name) || self.aim.is_lamp(&name);
            let entry = (name, at);
            if wanted && self.holding.as_ref() != Some(&entry.0) && !self.seen.contains(&entry) {
                self.seen.push(entry);
            }
        }
    }

    /// Whether an object is one that the goal asks for and that is not yet where it should be.
    fn wants(&self, name: &str) -> bool {
        let is_place = self.places.iter().any(|place| base(&place.name) == base(name));
        self.aim.names(name)
            && !self.aim.is_lamp(name)
            && !is_place
            && !self.delivered.iter().any(|delivered| delivered == name)
    }

    /// Whether a receptacle is where the object goes.
    fn is_target(&self, name: &str) -> bool {
        match &self.target {
            Some(target) => target == name,
            None => self.aim.lamp.is_none() && self.aim.names(name),
        }
    }

    fn choose(&mut self, offers: &[Offer]) -> Option<usize> {
        match self.holding.clone() {
            Some(held) => self.bring(&held, offers),
            None => self.fetch(offers),
        }
    }

    /// What to do with the wanted object in hand.
    fn bring(&mut self, held: &str, offers: &[Offer]) -> Option<usize> {
        if self.aim.lamp.is_some() {
            let lamp = |offer: &&Offer| offer.verb == Verb::Use && self.aim.is_lamp(offer.first);
            return first(offers, lamp)
                .or_else(|| self.find(offers, &|expert, name| expert.aim.is_lamp(name)));
        }
        if let Some(verb) = self.aim.treatment.filter(|_| !self.treated) {
            let treat = |offer: &&Offer| offer.verb == verb && offer.first == held;
            let device = match verb {
                Verb::Heat => "microwave",
                Verb::Cool => "fridge",
                _ => "sink",
            };
            return first(offers, treat).or_else(|| {
                first(offers, |offer| offer.verb == Verb::GoTo && offer.first.starts_with(device))
            });
        }
        first(offers, |offer| offer.verb == Verb::Move && self.is_target(offer.second))
            .or_else(|| first(offers, |o| o.verb == Verb::Open && self.is_target(o.first)))
            .or_else(|| first(offers, |o| o.verb == Verb::GoTo && self.is_target(o.first)))
    }

    /// How to get a wanted object.
    fn fetch(&mut self, offers: &[Offer]) -> Option<usize> {
        let takes = || offers.iter().filter(|offer| offer.verb == Verb::Take);
        if self.aim.treatment.is_none() && self.target.is_none() {
            // Of two objects, one may lie in the right place from the beginning.
            let there = takes().find(|o| self.wants(o.first) && self.is_target(o.second));
            if let Some((object, place)) = there.map(|o| (o.first.into(), o.second.into())) {
                self.delivered.push(object);
                self.target = Some(place);
            }
        }
        takes()
            .find(|offer| self.wants(offer.first))
            .map(|offer| offer.index)
            .or_else(|| self.find(offers, &|expert, name| expert.wants(name)))
    }

    /// Goes where something was seen, or looks for it where nobody has looked.
    fn find(&self, offers: &[Offer], is_it: &dyn Fn(&Self, &str) -> bool) -> Option<usize> {
        let goes =
            |name: &str| first(offers, |offer| offer.verb == Verb::GoTo && offer.first == name);
        let seen =
            self.seen.iter().filter(|(name, place)| is_it(self, name) && Some(*place) != self.at);
        if let Some(index) = seen.filter_map(|(_, place)| goes(&self.places[*place].name)).next() {
            return Some(index);
        }
        let unknown = |name: &str| self.places.iter().any(|p| p.name == name && !p.known);
        if let Some(index) = first(offers, |o| o.verb == Verb::Open && unknown(o.first)) {
            return Some(index);
        }
        // Where all is known and nothing was found, something must have been overlooked.
        let all_known = self.places.iter().all(|place| place.known);
        let mut unexplored: Vec<&Place> =
            self.places.iter().filter(|place| all_known || !place.known).collect();
        unexplored.sort_by_key(|place| {
            // The fewer of a kind there are, the more lies in each.
            let alike = self.places.iter().filter(|other| base(&other.name) == base(&place.name));
            (place.visited, self.unlikelihood(&place.name), alike.count())
        });
        unexplored.into_iter().find_map(|place| goes(&place.name))
    }

    /// How late to look at a place: where the wanted object is likely comes first, and what must be
    /// opened, which costs a step, after what need not.
    fn unlikelihood(&self, place: &str) -> u8 {
        let kind = base(place);
        let kind = kind.strip_suffix("basin").unwrap_or(kind);
        let likely = self.aim.words.iter().find_map(|word| likely_place(word, kind));
        let closed = has_door(kind) || self.closed.iter().any(|closed| closed == base(place));
        match (likely, closed) {
            (Some(true), false) => 0,
            (None, false) => 1,
            (Some(true), true) => 2,
            (Some(false), false) => 3,
            (None, true) => 4,
            (Some(false), true) => 5,
        }
    }

    /// Remembers what an action does. Admissible actions always succeed.
    fn note(&mut self, offer: &Offer) {
        match offer.verb {
            Verb::GoTo => self.at = self.places.iter().position(|p| p.name == offer.first),
            Verb::Take => {
                self.holding = Some(offer.first.to_string());
                self.treated = false;
                self.seen.retain(|(name, _)| name != offer.first);
            }
            Verb::Heat | Verb::Clean | Verb::Cool => self.treated = true,
            Verb::Move => {
                self.delivered.push(offer.first.to_string());
                self.holding = None;
                self.target = Some(offer.second.to_string()).filter(|_| self.aim.two);
            }
            _ => {}
        }
    }
}

fn first(offers: &[Offer], wanted: impl Fn(&&Offer) -> bool) -> Option<usize> {
    offers.iter().find(wanted).map(|offer| offer.index)
}

/// The names in a text: words that a number follows.
fn named(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let words = || text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    words().zip(words().skip(1)).filter(move |(name, number)| !is_number(name) && is_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_understood_word_by_word() {
        let aim = Aim::of("bring a pair of heated eggs' egg to one shelf.");
        assert!(aim.two && aim.treatment == Some(Verb::Heat) && aim.lamp.is_none());
        assert!(aim.names("egg 12") && aim.names("shelf 1") && !aim.names("she 1"));
        let aim = Aim::of("hold the pen beside a desklamp that is lit.");
        assert!(aim.is_lamp("desklamp 2") && !aim.is_lamp("pen 1") && !aim.two);
        assert_eq!(aim.treatment, None);
    }

    #[test]
    fn names_in_a_text_are_words_that_a_number_follows() {
        let found: Vec<_> = named("On the bed 1: a cd 2, a pen 10, and 3 more.").collect();
        assert_eq!(found, [("bed", "1"), ("cd", "2"), ("pen", "10"), ("and", "3")]);
    }
}
