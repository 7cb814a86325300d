//! Features of how the goal and the observation mention an action.
//!
//! An action such as `click[b07x]` says nothing by itself: the observation describes it where it names
//! it. The argument of an action is the text between its brackets, or the whole action without any. Its
//! context is the part of the observation from the place that names the argument to the place that
//! names the next action's. The part of the observation that repeats the goal is left out.
//!
//! What an action leads to are the pages from the one that follows it to the last one before the action
//! is admissible again: of a product its page and those behind it. Actions are compared by it with those
//! that were admissible at the same time. An action also has the mark of having been taken on these pages
//! before.

use std::collections::{HashMap, HashSet};

use super::vocabulary::Vocabulary;
use super::words::for_each_word;
use crate::env::Texts;

/// Number of features of an action's mentions.
pub const MENTION_FEATURES: usize = 19;

/// Maximum number of bytes of a context.
const MAX_CONTEXT: usize = 400;

/// How well a text fits the goal.
#[derive(Debug, Clone, Copy, Default)]
struct Fit {
    /// Weight of the goal's words that the text has, as a share of the weight of all.
    share: f32,
    /// The same for pairs of words that follow each other.
    pairs: f32,
    /// Number of actions that the goal names.
    named: f32,
    /// 1 if the first amount of money is within the goal's limit, -1 if it is above, 0 without any.
    amount: f32,
}

/// What an episode's actions led to, for the features of mentions.
#[derive(Debug, Clone)]
pub(super) struct MentionMemory {
    goal: String,
    /// The goal's words with a space around each.
    plain: String,
    words: Terms,
    pairs: Terms,
    limit: Option<f64>,
    /// The actions that were admissible in the last step.
    admissible: Texts,
    /// For each action taken: how well the pages fit that it led to.
    outcomes: HashMap<String, Fit>,
    /// For each action taken: what was seen and done on these pages.
    pages_of: HashMap<String, Pages>,
    /// Actions that have not been admissible since they were taken, the latest last.
    open: Vec<Open>,
    /// Actions that were taken and have been admissible ever since.
    held: HashSet<String>,
}

/// Words of the goal, or pairs of words with a space between them.
#[derive(Debug, Clone)]
struct Terms {
    /// Distinct and ascending, with their weights.
    list: Vec<(String, f32)>,
    total: f32,
}

impl Terms {
    fn new(mut list: Vec<(String, f32)>) -> Self {
        list.sort_by(|a, b| a.0.cmp(&b.0));
        list.dedup_by(|a, b| a.0 == b.0);
        Self { total: list.iter().map(|(_, weight)| weight).sum(), list }
    }

    fn place(&self, term: &str) -> Option<usize> {
        self.list.binary_search_by(|(other, _)| other.as_str().cmp(term)).ok()
    }

    /// The weight of some of the terms, as a share of the weight of all.
    fn share(&self, has: &[bool]) -> f32 {
        let shared = self.list.iter().zip(has).filter(|(_, has)| **has);
        let shared: f32 = shared.map(|((_, weight), _)| weight).sum();
        if self.total > 0.0 { shared / self.total } else { 0.0 }
    }
}

/// Which of the goal's words and pairs of words a text has.
#[derive(Debug, Clone)]
struct Seen {
    words: Vec<bool>,
    pairs: Vec<bool>,
}

/// An action whose pages are being looked at.
#[derive(Debug, Clone)]
struct Open {
    action: String,
    is_new: bool,
    /// The best of the other actions that were admissible when it was taken.
    others: Fit,
}

/// The pages that an action led to, every time that it was taken.
#[derive(Debug, Clone)]
struct Pages {
    seen: Seen,
    /// The actions that were taken there.
    taken: HashSet<String>,
}

/// An admissible action as a step mentions it.
struct Mention<'a> {
    action: &'a str,
    plain: String,
    is_named: bool,
    fit: Fit,
    /// Share of the words of its argument that are words of the goal.
    own: f32,
}

impl MentionMemory {
    pub(super) fn new(goal: &str, vocabulary: &Vocabulary) -> Self {
        let (mut words, mut pairs) = (Vec::<(String, f32)>::new(), Vec::new());
        for_each_word(goal, |word| {
            let weight = vocabulary.weight(vocabulary.word(word));
            if let Some((before, other)) = words.last() {
                pairs.push((format!("{before} {word}"), weight.min(*other)));
            }
            words.push((word.to_string(), weight));
        });
        let goal = goal.to_lowercase();
        Self {
            plain: plain(&goal),
            limit: amounts(&goal).last().copied(),
            words: Terms::new(words),
            pairs: Terms::new(pairs),
            goal,
            admissible: Texts::new(),
            outcomes: HashMap::new(),
            pages_of: HashMap::new(),
            open: Vec::new(),
            held: HashSet::new(),
        }
    }

    /// Takes down that an action is taken.
    pub(super) fn acted(&mut self, action: &str) {
        let others = self.best(self.admissible.iter().filter(|&other| other != action));
        let pages = self.open.last().and_then(|open| self.pages_of.get_mut(&open.action));
        if let Some(pages) = pages {
            pages.taken.insert(action.to_string());
        }
        let unseen = || Pages { seen: self.nothing(), taken: HashSet::new() };
        if !self.pages_of.contains_key(action) {
            self.pages_of.insert(action.to_string(), unseen());
        }
        self.open.push(Open { action: action.to_string(), is_new: true, others });
        self.held.insert(action.to_string());
    }

    /// The largest values of what some actions led to.
    fn best<'a>(&self, actions: impl Iterator<Item = &'a str>) -> Fit {
        let fits = actions.filter_map(|action| self.outcomes.get(action));
        fits.fold(Fit::default(), |best, fit| Fit {
            share: best.share.max(fit.share),
            pairs: best.pairs.max(fit.pairs),
            named: best.named.max(fit.named),
            amount: best.amount.max(fit.amount),
        })
    }

    /// Adds a page to what the open actions led to. An action that is admissible again is closed, and so
    /// are those that were taken since: they led back.
    fn see(&mut self, observation: &str, page: Fit, admissible: &Texts) {
        let seen = self.seen(observation);
        let mut leads_back = false;
        for mut open in std::mem::take(&mut self.open) {
            let is_closed = admissible.position(&open.action).is_some();
            if let Some(pages) = self.pages_of.get_mut(&open.action)
                && (open.is_new || !is_closed)
            {
                let add = |to: &mut [bool], from: &[bool]| {
                    to.iter_mut().zip(from).for_each(|(has, &seen)| *has |= seen);
                };
                add(&mut pages.seen.words, &seen.words);
                add(&mut pages.seen.pairs, &seen.pairs);
                let mut fit = Fit {
                    share: self.words.share(&pages.seen.words),
                    pairs: self.pairs.share(&pages.seen.pairs),
                    ..page
                };
                if let (false, Some(before)) = (open.is_new, self.outcomes.get(&open.action)) {
                    fit.named = fit.named.max(before.named);
                    fit.amount = before.amount;
                }
                self.outcomes.insert(open.action.clone(), fit);
            }
            open.is_new = false;
            leads_back |= is_closed;
            if !leads_back {
                self.open.push(open);
            }
        }
        self.admissible.clone_from(admissible);
    }

    /// Appends [`MENTION_FEATURES`] numbers for each admissible action.
    pub(super) fn encode(&mut self, observation: &str, admissible: &Texts, out: &mut Vec<f32>) {
        let mut observation = observation.to_lowercase();
        if !self.goal.is_empty() {
            observation = observation.replacen(&self.goal, "", 1);
        }
        let mentions = self.mentions(&observation, admissible);
        self.held.retain(|action| mentions.iter().any(|mention| mention.action == action));
        let named = mentions.iter().filter(|mention| mention.is_named);
        let open = named.clone().filter(|mention| !self.held.contains(mention.action)).count();
        let page = Fit { named: named.count() as f32, ..self.fit(&observation) };
        self.see(&observation, page, admissible);
        let best_context = mentions.iter().map(|mention| mention.fit.share).fold(0.0, f32::max);
        let best = self.best(admissible.iter());
        // What is looked at now, beside the other ones.
        let (now, others) = match self.open.last() {
            Some(open) => (self.outcomes.get(&open.action).copied(), open.others),
            None => (None, Fit::default()),
        };
        let now = now.unwrap_or(page);
        let taken = self.open.last().and_then(|open| self.pages_of.get(&open.action));
        let taken = taken.map(|pages| &pages.taken);
        for (place, mention) in mentions.iter().enumerate() {
            let outcome = self.outcomes.get(mention.action);
            let relative =
                |of: fn(&Fit) -> f32, best: f32| outcome.map_or(0.0, |fit| of(fit) - best);
            let features: [f32; MENTION_FEATURES] = [
                f32::from(u8::from(mention.is_named)),
                mention.own,
                mention.fit.share,
                mention.fit.share - best_context,
                mention.fit.pairs,
                mention.fit.amount,
                1.0 / (1.0 + place as f32),
                f32::from(u8::from(self.held.contains(mention.action))),
                f32::from(u8::from(taken.is_some_and(|taken| taken.contains(mention.action)))),
                outcome.map_or(0.0, |fit| fit.amount),
                relative(|fit| fit.share, best.share),
                relative(|fit| fit.pairs, best.pairs),
                relative(|fit| fit.named, best.named),
                (open as f32).ln_1p(),
                now.share,
                now.amount,
                now.share - others.share,
                now.pairs - others.pairs,
                now.named - others.named,
            ];
            out.extend_from_slice(&features);
        }
    }

    fn mentions<'a>(&self, observation: &str, admissible: &'a Texts) -> Vec<Mention<'a>> {
        let arguments: Vec<String> =
            admissible.iter().map(|action| argument(action).to_lowercase()).collect();
        let places: Vec<Option<usize>> =
            arguments.iter().map(|argument| find(observation, argument)).collect();
        let mention = |(number, action): (usize, &'a str)| {
            let (argument, plain) = (&arguments[number], plain(&arguments[number]));
            let context = places[number].map_or("", |place| {
                let start = place + argument.len();
                let next = places.iter().flatten().filter(|&&other| other > place).min();
                let mut end = next.map_or(observation.len(), |&next| next.max(start));
                end = end.min(start + MAX_CONTEXT);
                while !observation.is_char_boundary(end) {
                    end -= 1;
                }
                &observation[start..end]
            });
            let (mut known, mut count) = (0, 0);
            for_each_word(argument, |word| {
                known += usize::from(self.words.place(word).is_some());
                count += 1;
            });
            Mention {
                action,
                is_named: count > 0 && self.plain.contains(&plain),
                fit: self.fit(&format!("{argument} {context}")),
                own: known as f32 / count.max(1) as f32,
                plain,
            }
        };
        let mut mentions: Vec<Mention> = admissible.iter().enumerate().map(mention).collect();
        // Of `red` and `red wine` the goal names the longer one.
        let named: Vec<String> = mentions
            .iter()
            .filter(|mention| mention.is_named)
            .map(|mention| mention.plain.clone())
            .collect();
        for mention in mentions.iter_mut().filter(|mention| mention.is_named) {
            let own = &mention.plain;
            mention.is_named =
                !named.iter().any(|other| other.len() > own.len() && other.contains(own));
        }
        mentions
    }

    /// How well a text in lower case fits the goal, without the number of actions named.
    fn fit(&self, text: &str) -> Fit {
        let amount = match (amounts(text).first(), self.limit) {
            (Some(&amount), Some(limit)) if amount <= limit => 1.0,
            (Some(_), Some(_)) => -1.0,
            _ => 0.0,
        };
        let seen = self.seen(text);
        let (share, pairs) = (self.words.share(&seen.words), self.pairs.share(&seen.pairs));
        Fit { share, pairs, named: 0.0, amount }
    }

    /// Which of the goal's words a text in lower case has.
    fn seen(&self, text: &str) -> Seen {
        let mut seen = self.nothing();
        let mut pair = String::new();
        for_each_word(text, |word| {
            // The word before this one, then both.
            if !pair.is_empty() {
                pair.push(' ');
                pair.push_str(word);
                if let Some(place) = self.pairs.place(&pair) {
                    seen.pairs[place] = true;
                }
                pair.clear();
            }
            if let Some(place) = self.words.place(word) {
                seen.words[place] = true;
                pair.push_str(word);
            }
        });
        seen
    }

    fn nothing(&self) -> Seen {
        Seen {
            words: vec![false; self.words.list.len()],
            pairs: vec![false; self.pairs.list.len()],
        }
    }
}

/// The text between the brackets of an action, or all of it.
fn argument(action: &str) -> &str {
    let inner = action.strip_suffix(']').and_then(|rest| rest.split_once('['));
    inner.map_or(action, |(_, argument)| argument)
}

/// The words of a text with a space around each.
fn plain(text: &str) -> String {
    let mut plain = String::from(" ");
    for_each_word(text, |word| {
        plain.push_str(word);
        plain.push(' ');
    });
    plain
}

/// The first place where a text stands in another one, not within a longer word.
fn find(text: &str, part: &str) -> Option<usize> {
    if part.is_empty() {
        return None;
    }
    let ends_word = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
    text.match_indices(part).map(|(at, _)| at).find(|&at| {
        ends_word(text[..at].chars().next_back())
            && ends_word(text[at + part.len()..].chars().next())
    })
}

/// The amounts of money that a text in lower case names: `$5.50`, `30 dollars`.
fn amounts(text: &str) -> Vec<f64> {
    let number = |text: &str| text.trim_matches('.').replace(',', "").parse::<f64>().ok();
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',');
    let after_sign = text.match_indices('$').filter_map(|(at, _)| {
        let rest = &text[at + 1..];
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        Some((at, number(&rest[..end])?))
    });
    let before_unit = text.match_indices(" dollars").filter_map(|(at, _)| {
        let start = text[..at].rfind(|c| !is_part(c));
        let start = start.map_or(0, |place| place + 1);
        // A number after `$` is among those already.
        let has_sign = text[..at].get(..start).is_some_and(|before| before.ends_with('$'));
        if has_sign { None } else { Some((start, number(text.get(start..at)?)?)) }
    });
    let mut found: Vec<(usize, f64)> = after_sign.chain(before_unit).collect();
    found.sort_by_key(|&(at, _)| at);
    found.into_iter().map(|(_, amount)| amount).collect()
}

#[cfg(test)]
mod tests;
