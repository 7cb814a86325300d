//! What verl-agent puts around WebShop: reading a model's response, anchors, prompts.

use crate::env::texts::Texts;

/// What separates the elements of an observation.
const SEPARATOR: &str = " [SEP] ";

/// How many characters of a response without an action are taken for one.
const TAIL: usize = 20;

/// How many steps a prompt tells of.
const HISTORY: usize = 2;

/// The most characters of a prompt with a history; a longer one is made without.
const MAX_PROMPT: usize = 13_000;

/// An action taken from a model's response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projected {
    /// The action, which is carried out even if the response is not valid.
    pub action: String,
    /// Whether the response has the expected form.
    pub valid: bool,
}

/// Takes the action from a response: what stands between `<action>` and `</action>`, in lower case.
pub fn project(response: &str) -> Projected {
    const OPEN: &str = "<action>";
    let lower = response.to_lowercase();
    let (Some(open), Some(close)) = (lower.find(OPEN), lower.find("</action>")) else {
        let skipped = lower.chars().count().saturating_sub(TAIL);
        return Projected { action: lower.chars().skip(skipped).collect(), valid: false };
    };
    let between = lower.get(open + OPEN.len()..close).unwrap_or_default();
    let is_han = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    let valid =
        response.contains("<think>") && response.contains("</think>") && !response.contains(is_han);
    Projected { action: super::python::strip(between).to_string(), valid }
}

/// The observation as prompts quote it: what comes after the task, each element in quotes; the last page
/// of an episode, which does not name the task, as it is.
pub fn anchor(observation: &str, task: &str) -> String {
    let mut elements = observation.split(SEPARATOR);
    if !elements.any(|element| element == task) {
        return observation.to_string();
    }
    let quoted: Vec<String> = elements.map(|element| format!("'{element}'")).collect();
    quoted.join(SEPARATOR)
}

/// The task that the first observation of an episode names.
pub fn task(observation: &str) -> &str {
    observation.split(SEPARATOR).nth(2).unwrap_or_default()
}

/// The admissible actions as prompts list them.
pub fn list_actions(actions: &Texts) -> String {
    let quoted: Vec<String> = actions.iter().map(|action| format!("'{action}',")).collect();
    quoted.join("\n")
}

/// The prompts of an episode, each with the last steps before it.
#[derive(Debug, Clone)]
pub struct Prompts {
    task: String,
    /// The observation and the action of each step, the observation as an anchor.
    steps: Vec<(String, String)>,
    current: String,
}

impl Prompts {
    /// The prompts of an episode that begins with an observation.
    pub fn new(observation: &str) -> Self {
        let task = task(observation).to_string();
        let current = anchor(observation, &task);
        Self { task, steps: Vec::new(), current }
    }

    /// Takes down a step.
    pub fn push(&mut self, action: &str, observation: &str) {
        let after = anchor(observation, &self.task);
        let before = std::mem::replace(&mut self.current, after);
        self.steps.push((before, action.to_string()));
    }

    /// The current observation as an anchor.
    pub fn anchor(&self) -> &str {
        &self.current
    }

    /// The prompt for the next action.
    pub fn prompt(&self, actions: &Texts) -> String {
        if !self.steps.is_empty() {
            let prompt = self.later(actions);
            if prompt.chars().count() <= MAX_PROMPT {
                return prompt;
            }
        }
        let Self { task, current, .. } = self;
        let actions = list_actions(actions);
        format!(
            "\n{ROLE} \nYour task is to: {task}.\nYour current observation is: {current}.\n\
             Your admissible actions of the current situation are: \n[\n{actions}\n].\n{TURN}"
        )
    }

    fn later(&self, actions: &Texts) -> String {
        let Self { task, current, steps } = self;
        let actions = list_actions(actions);
        let shown = steps.len().min(HISTORY);
        let first = steps.len() - shown;
        let entries: Vec<String> = steps[first..]
            .iter()
            .zip(first + 1..)
            .map(|((before, action), number)| {
                format!("[Observation {number}: '{before}', Action {number}: '{action}']")
            })
            .collect();
        let (history, count, next) = (entries.join("\n"), steps.len(), steps.len() + 1);
        format!(
            "\n{ROLE}\nYour task is to: {task}.\nPrior to this step, you have already taken {count} \
             step(s). Below are the most recent {shown} observations and the corresponding actions \
             you took: {history}\nYou are now at step {next} and your current observation is: \
             {current}.\nYour admissible actions of the current situation are: \n[\n{actions}\n].\n\
             {TURN}"
        )
    }
}

const ROLE: &str =
    "You are an expert autonomous agent operating in the WebShop e\u{2011}commerce environment.";

const TURN: &str = "
Now it's your turn to take one action for the current step.
You should first reason step-by-step about the current situation, then think carefully which admissible \
action best advances the shopping goal. This reasoning process MUST be enclosed within <think> </think> \
tags. 
Once you've finished your reasoning, you should choose an admissible action for current step and present \
it within <action> </action> tags.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_taken_from_between_their_tags() {
        let of = |response: &str| {
            let Projected { action, valid } = project(response);
            (action, valid)
        };
        assert_eq!(of("<think>x</think><action> Click[A] </action>"), ("click[a]".into(), true));
        assert_eq!(of("<action>click[a]</action>"), ("click[a]".into(), false));
        assert_eq!(of("<think>日</think><action>a</action>"), ("a".into(), false));
        assert_eq!(of("</action><action>"), (String::new(), false));
        assert_eq!(of("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), ("ghijklmnopqrstuvwxyz".into(), false));
    }

    #[test]
    fn anchors_quote_what_comes_after_the_task() {
        assert_eq!(anchor("WebShop [SEP] Instruction: [SEP] x [SEP] Search", "x"), "'Search'");
        assert_eq!(anchor("Thank you [SEP] y", "x"), "Thank you [SEP] y");
    }
}
