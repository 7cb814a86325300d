//! Recorded actions in the wording of the environment.
//!
//! Files of others have thoughts among the actions, other spellings of commands, and commands without
//! effect. The actions are replayed, and what does not change the episode is put right by rule.

use std::fmt;

use crate::env::{Environment, Texts};
use crate::episodes::StepRecord;
use crate::error::Result;

/// Length limit, in characters, of a recorded action in the search for the nearest command.
const MAX_COMPARED: usize = 200;

/// The answer of text games to a command without effect.
const NO_EFFECT: &str = "nothing happens";

/// The actions of one episode, as its environment accepts them.
#[derive(Debug, Default)]
pub(super) struct Cleaned {
    /// Admissible actions.
    pub(super) actions: Vec<String>,
    /// Whether the replayed episode reaches its goal.
    pub(super) won: bool,
    /// The number of thoughts, which are left out.
    pub(super) thoughts: usize,
    /// The number of actions in another wording.
    pub(super) reworded: usize,
    /// The number of actions without effect, which are left out.
    pub(super) without_effect: usize,
    /// The number of actions after the episode's end, which are left out.
    pub(super) after_end: usize,
    /// The first action that is not admissible and of which the file does not say so.
    pub(super) impossible: Option<Impossible>,
}

/// An action that is not admissible.
#[derive(Debug)]
pub(super) struct Impossible {
    /// The number of the step.
    pub(super) step: usize,
    /// The action.
    pub(super) action: String,
    /// The admissible action with the most similar text.
    pub(super) nearest: Option<String>,
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "steps[{}].action: '{}' is not admissible there", self.step, self.action)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; the nearest admissible action is '{nearest}'"),
            None => Ok(()),
        }
    }
}

/// Replays the recorded steps of an episode of `task`.
///
/// # Errors
/// Returns an error if the environment fails.
pub(super) fn cleaned(
    environment: &dyn Environment,
    (task, seed): (usize, u64),
    steps: &[StepRecord],
    final_observation: Option<&str>,
) -> Result<Cleaned> {
    let mut session = environment.start(task, seed)?;
    let mut cleaned = Cleaned::default();
    let mut texts = Texts::new();
    let mut ended = false;
    for (number, step) in steps.iter().enumerate() {
        texts.clear();
        session.admissible(&mut texts);
        let found = if ended { None } else { admissible(&texts, &step.action) };
        match found {
            Some(action) => {
                cleaned.reworded += usize::from(action != step.action);
                let transition = session.step(&action)?;
                cleaned.actions.push(action);
                ended = transition.ended();
                cleaned.won |= transition.succeeded();
            }
            None if is_thought(&step.action) => cleaned.thoughts += 1,
            None if ended => cleaned.after_end += 1,
            None => {
                cleaned.without_effect += 1;
                let answer = steps.get(number + 1).map(|next| next.observation.as_str());
                let answer = answer.or(final_observation).unwrap_or_default();
                let is_known = !step.valid || answer.to_lowercase().contains(NO_EFFECT);
                if !is_known && cleaned.impossible.is_none() {
                    let (action, nearest) = (step.action.clone(), nearest(&texts, &step.action));
                    cleaned.impossible = Some(Impossible { step: number, action, nearest });
                }
            }
        }
    }
    Ok(cleaned)
}

/// Whether a recorded action is a thought, as agents in the style of ReAct write them.
fn is_thought(action: &str) -> bool {
    let action = without_prompt(action).to_lowercase();
    ["think:", "think[", "thought:", "thinking:"].iter().any(|mark| action.starts_with(mark))
}

/// The admissible action that a recorded action means. If nothing is listed, every action counts.
fn admissible(texts: &Texts, action: &str) -> Option<String> {
    if texts.iter().next().is_none() || texts.position(action).is_some() {
        return Some(action.to_string());
    }
    let plain = plain(action);
    let spelled =
        |wanted: &str| texts.iter().find(|text| text.to_lowercase() == wanted).map(str::to_string);
    spelled(&plain).or_else(|| spelled(&other_wording(&plain)?))
}

/// A recorded action without the prompt before it.
fn without_prompt(action: &str) -> &str {
    let action = action.trim().trim_start_matches('>').trim_start();
    match action.get(..7) {
        Some(label) if label.eq_ignore_ascii_case("action:") => action[7..].trim_start(),
        _ => action,
    }
}

/// A recorded action in lower case, without a prompt, repeated blanks and a full stop.
fn plain(action: &str) -> String {
    let words: Vec<&str> = without_prompt(action).split_whitespace().collect();
    let text = words.join(" ").to_lowercase();
    text.strip_suffix('.').unwrap_or(&text).to_string()
}

/// The same command in the wording of other versions of ALFWorld: "put X in/on Y" is "move X to Y".
fn other_wording(action: &str) -> Option<String> {
    if let Some(rest) = action.strip_prefix("put ") {
        let marks = [" in/on ", " into ", " onto ", " in ", " on "];
        let (object, place) = marks.iter().find_map(|mark| rest.split_once(mark))?;
        return Some(format!("move {object} to {place}"));
    }
    let (object, place) = action.strip_prefix("move ")?.split_once(" to ")?;
    Some(format!("put {object} in/on {place}"))
}

/// The admissible action with the most similar text.
fn nearest(texts: &Texts, action: &str) -> Option<String> {
    let action: String = plain(action).chars().take(MAX_COMPARED).collect();
    let distance = |text: &&str| strsim::levenshtein(&action, text);
    texts.iter().min_by_key(distance).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Texts {
        let mut texts = Texts::new();
        list.iter().for_each(|text| texts.push(text));
        texts
    }

    #[test]
    fn spellings_of_a_command_lead_to_it() {
        let new = texts(&["look", "move mug 1 to desk 1"]);
        for action in [
            "move mug 1 to desk 1",
            "Move  mug 1 to desk 1.",
            "put mug 1 in/on desk 1",
            "put mug 1 on desk 1",
            "> Put mug 1 in desk 1",
            "Action: move mug 1 to desk 1",
        ] {
            assert_eq!(
                admissible(&new, action).as_deref(),
                Some("move mug 1 to desk 1"),
                "{action}"
            );
        }
        let old = texts(&["put mug 1 in/on desk 1"]);
        let found = admissible(&old, "move mug 1 to desk 1");
        assert_eq!(found.as_deref(), Some("put mug 1 in/on desk 1"));
        assert_eq!(admissible(&new, "move mug 2 to desk 1"), None);
        assert_eq!(admissible(&texts(&[]), "anything").as_deref(), Some("anything"));
    }

    #[test]
    fn thoughts_are_recognised_and_the_nearest_command_is_found() {
        assert!(
            is_thought("think: find it") && is_thought("> Think: x") && is_thought("Thought: y")
        );
        assert!(!is_thought("look") && !is_thought("thinly"));
        let known = texts(&["look", "open cabinet 9", "go to desk 1"]);
        assert_eq!(nearest(&known, "open cabinet 99").as_deref(), Some("open cabinet 9"));
    }
}
