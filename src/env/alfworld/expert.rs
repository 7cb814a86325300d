//! An expert that knows the rules of the household but sees only what an agent sees. Only where the goal
//! is in an annotator's free words does it know the facts of the goal instead of their wording.

use std::sync::Arc;

use super::action::Verb;
use super::game::{Game, Published};
use super::generator::{has_door, likely_place};
use super::grammar::Grammar;
use super::task_kind::TaskKind;
use crate::env::environment::Player;
use crate::env::texts::Texts;

/// A scripted player that uses only the goal, the observations and the admissible actions, never the
/// state. A goal in an annotator's free words is taken from the game's facts. It searches for the wanted object, takes it, treats it and brings it to its target.
#[derive(Debug, Clone)]
pub(super) struct Expert {
    grammar: Arc<Grammar>,
    goal: GoalWords,
    /// The receptacles that have been mentioned.
    places: Vec<Place>,
    /// The current place, as an index into `places`.
    at: Option<usize>,
    /// The kinds of receptacle of which one was found closed.
    closed: Vec<String>,
    /// Wanted objects and lamps, each with the place where it was seen.
    seen: Vec<(String, usize)>,
    holding: Option<String>,
    /// Whether the object in hand has been heated, cleaned or cooled.
    treated: bool,
    /// The receptacle of the first of two objects; the second must go there too.
    target: Option<String>,
    /// Objects that are in their target.
    delivered: Vec<String>,
    /// The action that was taken last: its verb and operands.
    taken: Option<(Verb, String, String)>,
}

/// The requirements of a goal, parsed from its text or taken from its facts.
#[derive(Debug, Clone, PartialEq)]
struct GoalWords {
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
    /// The expert has been there.
    visited: bool,
}

/// An admissible action, parsed into verb and operands.
struct ParsedAction<'a> {
    index: usize,
    verb: Verb,
    first: &'a str,
    second: &'a str,
}

/// The words that request a treatment, in all forms that goals use.
const TREATMENTS: [(Verb, &[&str]); 3] = [
    (Verb::Heat, &["hot", "heat", "heated", "warm", "warmed"]),
    (Verb::Clean, &["clean", "cleaned", "wash", "washed"]),
    (Verb::Cool, &["cool", "cooled", "cold", "chill", "chilled"]),
];

/// The kind in a name: the name without its number.
fn kind_of(name: &str) -> &str {
    name.split(' ').next().unwrap_or(name)
}

/// The name of a kind without the word "type" at its end.
fn without_type(kind: &str) -> &str {
    kind.strip_suffix("type").unwrap_or(kind)
}

impl GoalWords {
    fn parse(goal: &str) -> Self {
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

    /// The requirements of a game's goal. They are parsed from its text if the text names exactly the
    /// kinds of things that the goal is about, and taken from the goal's facts otherwise.
    fn of(game: &Game, published: &Published) -> Self {
        let parsed = Self::parse(game.goal_text());
        let Some(facts) = Self::of_facts(published) else { return parsed };
        let world = &published.world;
        let is_kind = |word: &str| {
            let mut kinds = world.object_kinds.iter().chain(world.receptacle_kinds.iter());
            kinds.any(|kind| without_type(kind) == word)
        };
        let surplus = |word: &String| is_kind(word) && !facts.words.contains(word);
        let agrees = facts.words.iter().all(|word| parsed.words.contains(word))
            && !parsed.words.iter().any(surplus)
            && (parsed.treatment, parsed.two, &parsed.lamp)
                == (facts.treatment, facts.two, &facts.lamp);
        if agrees { parsed } else { facts }
    }

    /// The requirements of a goal from its facts, or `None` if they are not those of a kind of task.
    fn of_facts(game: &Published) -> Option<Self> {
        let [object, receptacle, lamp] = game
            .goal
            .named_kinds(&game.world)
            .map(|kind| kind.map(|kind| without_type(kind).to_string()));
        let kind = game.goal.kind();
        let treatment = match kind {
            TaskKind::Heat => Some(Verb::Heat),
            TaskKind::Clean => Some(Verb::Clean),
            TaskKind::Cool => Some(Verb::Cool),
            TaskKind::Pick | TaskKind::Pick2 | TaskKind::Look => None,
        };
        let words: Vec<String> =
            [object.as_ref()?, receptacle.as_ref().or(lamp.as_ref())?].map(String::clone).into();
        Some(Self { words, treatment, two: kind == TaskKind::Pick2, lamp })
    }

    fn names(&self, name: &str) -> bool {
        self.words.iter().any(|word| word == kind_of(name))
    }

    fn is_lamp(&self, name: &str) -> bool {
        self.lamp.as_deref() == Some(kind_of(name))
    }
}

impl Expert {
    /// An expert at the start of an episode of `game`.
    pub(super) fn new(game: &Game, published: &Published) -> Self {
        Self {
            grammar: published.grammar.clone(),
            goal: GoalWords::of(game, published),
            places: Vec::new(),
            at: None,
            closed: Vec::new(),
            seen: Vec::new(),
            holding: None,
            treated: false,
            target: None,
            delivered: Vec::new(),
            taken: None,
        }
    }

    /// Updates the knowledge from an observation and the admissible actions.
    fn update(&mut self, observation: &str, actions: &[ParsedAction]) {
        for action in actions.iter().filter(|action| action.verb == Verb::GoTo) {
            if !self.places.iter().any(|place| place.name == action.first) {
                let name = action.first.to_string();
                self.places.push(Place { name, known: false, visited: false });
            }
        }
        let Some(at) = self.at else { return };
        let is_closed = |name: &str| {
            actions.iter().any(|action| action.verb == Verb::Open && action.first == name)
        };
        for action in actions.iter().filter(|action| action.verb == Verb::ExamineReceptacle) {
            if let Some(place) = self.places.iter_mut().find(|place| place.name == action.first) {
                place.visited = true;
                place.known = !is_closed(&place.name);
                if !place.known && !self.closed.iter().any(|kind| kind == kind_of(&place.name)) {
                    self.closed.push(kind_of(&place.name).to_string());
                }
            }
        }
        // With empty hands, the objects here are those that can be taken. Lamps cannot be taken.
        if self.holding.is_none() {
            let is_here = |name: &str| {
                actions.iter().any(|action| action.verb == Verb::Take && action.first == name)
            };
            let Self { seen, goal, .. } = self;
            seen.retain(|(name, place)| *place != at || goal.is_lamp(name) || is_here(name));
        }
        for (name, number) in named_things(observation) {
            let name = format!("{name} {number}");
            let wanted = self.wants(&name) || self.goal.is_lamp(&name);
            let entry = (name, at);
            if wanted && self.holding.as_ref() != Some(&entry.0) && !self.seen.contains(&entry) {
                self.seen.push(entry);
            }
        }
    }

    /// Whether the goal requires an object that is not yet in its target.
    fn wants(&self, name: &str) -> bool {
        let is_place = self.places.iter().any(|place| kind_of(&place.name) == kind_of(name));
        self.goal.names(name)
            && !self.goal.is_lamp(name)
            && !is_place
            && !self.delivered.iter().any(|delivered| delivered == name)
    }

    /// Whether a receptacle is a target of the object.
    fn is_target(&self, name: &str) -> bool {
        match &self.target {
            Some(target) => target == name,
            None => self.goal.lamp.is_none() && self.goal.names(name),
        }
    }

    fn choose(&mut self, actions: &[ParsedAction]) -> Option<usize> {
        match self.holding.clone() {
            Some(held) if self.wants(&held) => self.deliver(&held, actions),
            Some(held) => self.put_away(&held, actions),
            None => self.fetch(actions),
        }
    }

    /// The next action with an unwanted object in hand.
    fn put_away(&self, held: &str, actions: &[ParsedAction]) -> Option<usize> {
        first(actions, |action| action.verb == Verb::Move && action.first == held)
            .or_else(|| first(actions, |action| action.verb == Verb::Open))
            .or_else(|| {
                first(actions, |action| {
                    let kind = kind_of(action.first);
                    action.verb == Verb::GoTo && !self.closed.iter().any(|closed| closed == kind)
                })
            })
    }

    /// The next action with the wanted object in hand.
    fn deliver(&mut self, held: &str, actions: &[ParsedAction]) -> Option<usize> {
        if self.goal.lamp.is_some() {
            let lamp = |action: &&ParsedAction| {
                action.verb == Verb::Use && self.goal.is_lamp(action.first)
            };
            return first(actions, lamp)
                .or_else(|| self.search(actions, &|expert, name| expert.goal.is_lamp(name)));
        }
        if let Some(verb) = self.goal.treatment.filter(|_| !self.treated) {
            let treat = |action: &&ParsedAction| action.verb == verb && action.first == held;
            let device = match verb {
                Verb::Heat => "microwave",
                Verb::Cool => "fridge",
                _ => "sink",
            };
            return first(actions, treat).or_else(|| {
                first(actions, |action| {
                    action.verb == Verb::GoTo && action.first.starts_with(device)
                })
            });
        }
        first(actions, |action| action.verb == Verb::Move && self.is_target(action.second))
            .or_else(|| {
                first(actions, |action| action.verb == Verb::Open && self.is_target(action.first))
            })
            .or_else(|| {
                first(actions, |action| action.verb == Verb::GoTo && self.is_target(action.first))
            })
    }

    /// The next action with empty hands.
    fn fetch(&mut self, actions: &[ParsedAction]) -> Option<usize> {
        let takes = || actions.iter().filter(|action| action.verb == Verb::Take);
        if self.goal.treatment.is_none() && self.target.is_none() {
            // One of two objects can be in the target from the start.
            let there =
                takes().find(|action| self.wants(action.first) && self.is_target(action.second));
            if let Some((object, place)) =
                there.map(|action| (action.first.into(), action.second.into()))
            {
                self.delivered.push(object);
                self.target = Some(place);
            }
        }
        takes()
            .find(|action| self.wants(action.first))
            .map(|action| action.index)
            .or_else(|| self.search(actions, &|expert, name| expert.wants(name)))
    }

    /// Goes to a place where a thing was seen, or explores.
    fn search(
        &self,
        actions: &[ParsedAction],
        is_it: &dyn Fn(&Self, &str) -> bool,
    ) -> Option<usize> {
        let goes =
            |name: &str| first(actions, |action| action.verb == Verb::GoTo && action.first == name);
        let seen =
            self.seen.iter().filter(|(name, place)| is_it(self, name) && Some(*place) != self.at);
        if let Some(index) = seen.filter_map(|(_, place)| goes(&self.places[*place].name)).next() {
            return Some(index);
        }
        let unknown = |name: &str| self.places.iter().any(|p| p.name == name && !p.known);
        if let Some(index) =
            first(actions, |action| action.verb == Verb::Open && unknown(action.first))
        {
            return Some(index);
        }
        // If all places are known and the thing was not found, explore all of them again.
        let all_known = self.places.iter().all(|place| place.known);
        let mut unexplored: Vec<&Place> =
            self.places.iter().filter(|place| all_known || !place.known).collect();
        unexplored.sort_by_key(|place| {
            // The fewer receptacles of a kind there are, the more objects each contains.
            let alike =
                self.places.iter().filter(|other| kind_of(&other.name) == kind_of(&place.name));
            (place.visited, self.exploration_rank(&place.name), alike.count())
        });
        unexplored.into_iter().find_map(|place| goes(&place.name))
    }

    /// The rank of a place in the order of exploration. Likely places come first. Places that must be
    /// opened come later because opening costs a step.
    fn exploration_rank(&self, place: &str) -> u8 {
        let kind = kind_of(place);
        let kind = kind.strip_suffix("basin").unwrap_or(kind);
        let likely = self.goal.words.iter().find_map(|word| likely_place(word, kind));
        let closed = has_door(kind) || self.closed.iter().any(|closed| closed == kind_of(place));
        match (likely, closed) {
            (Some(true), false) => 0,
            (None, false) => 1,
            (Some(true), true) => 2,
            (Some(false), false) => 3,
            (None, true) => 4,
            (Some(false), true) => 5,
        }
    }

    /// Records the effect of the action that was taken last. Admissible actions always succeed.
    fn record(&mut self) {
        let Some((verb, first, second)) = self.taken.take() else { return };
        match verb {
            Verb::GoTo => self.at = self.places.iter().position(|p| p.name == first),
            Verb::Take => {
                self.seen.retain(|(name, _)| *name != first);
                self.delivered.retain(|name| *name != first);
                if self.delivered.is_empty() {
                    self.target = None;
                }
                self.holding = Some(first);
                self.treated = false;
            }
            Verb::Heat | Verb::Clean | Verb::Cool => {
                self.treated = self.goal.treatment == Some(verb);
            }
            Verb::Move => {
                let is_treated = self.goal.treatment.is_none() || self.treated;
                if self.is_target(&second) && is_treated && self.wants(&first) {
                    self.delivered.push(first);
                    self.target = Some(second).filter(|_| self.goal.two);
                }
                self.holding = None;
            }
            // The contents cannot be reached, as before the first visit.
            Verb::Close => {
                if let Some(place) = self.places.iter_mut().find(|place| place.name == first) {
                    place.known = false;
                }
            }
            _ => {}
        }
    }

    /// The admissible actions that can be parsed.
    fn parsed<'a>(grammar: &'a Grammar, admissible: &'a Texts) -> Vec<ParsedAction<'a>> {
        let parse = |(index, text)| {
            let (verb, [first, second]) = grammar.parse_command(text)?;
            Some(ParsedAction { index, verb, first, second })
        };
        admissible.iter().enumerate().filter_map(parse).collect()
    }

    /// Notes the action that is taken, among the admissible ones that can be parsed.
    fn take(&mut self, actions: &[ParsedAction], taken: usize) {
        let action = actions.iter().find(|action| action.index == taken);
        self.taken = action.map(|action| (action.verb, action.first.into(), action.second.into()));
    }
}

impl Player for Expert {
    fn act(&mut self, observation: &str, admissible: &Texts) -> usize {
        let grammar = self.grammar.clone();
        let actions = Self::parsed(&grammar, admissible);
        self.record();
        self.update(observation, &actions);
        let chosen = self.choose(&actions).unwrap_or(0);
        self.take(&actions, chosen);
        chosen
    }

    fn overrule(&mut self, choices: &Texts, taken: usize) {
        let grammar = self.grammar.clone();
        self.take(&Self::parsed(&grammar, choices), taken);
    }
}

/// A player that repeats a walkthrough, for games with other rules than the published ones.
#[derive(Debug, Clone)]
pub(super) struct Replay {
    commands: Vec<String>,
    next: usize,
}

impl Replay {
    /// A player at the start of an episode, or `None` without commands.
    pub(super) fn new(commands: &[String]) -> Option<Self> {
        (!commands.is_empty()).then(|| Self { commands: commands.to_vec(), next: 0 })
    }
}

impl Player for Replay {
    fn act(&mut self, _observation: &str, admissible: &Texts) -> usize {
        let command = self.commands.get(self.next);
        let found = command.and_then(|command| admissible.position(command));
        self.next += usize::from(found.is_some());
        found.unwrap_or(0)
    }
}

/// The index of the first wanted action.
fn first(actions: &[ParsedAction], wanted: impl Fn(&&ParsedAction) -> bool) -> Option<usize> {
    actions.iter().find(wanted).map(|action| action.index)
}

/// The names in a text, as pairs of a word and the number after it.
fn named_things(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let words = || text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    words().zip(words().skip(1)).filter(move |(name, number)| !is_number(name) && is_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_parsed_by_their_words() {
        let goal = GoalWords::parse("bring a pair of heated eggs' egg to one shelf.");
        assert!(goal.two && goal.treatment == Some(Verb::Heat) && goal.lamp.is_none());
        assert!(goal.names("egg 12") && goal.names("shelf 1") && !goal.names("she 1"));
        let goal = GoalWords::parse("hold the pen beside a desklamp that is lit.");
        assert!(goal.is_lamp("desklamp 2") && !goal.is_lamp("pen 1") && !goal.two);
        assert_eq!(goal.treatment, None);
    }

    #[test]
    fn names_in_a_text_are_words_before_a_number() {
        let found: Vec<_> = named_things("On the bed 1: a cd 2, a pen 10, and 3 more.").collect();
        assert_eq!(found, [("bed", "1"), ("cd", "2"), ("pen", "10"), ("and", "3")]);
    }
}
