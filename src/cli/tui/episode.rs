//! The text of an episode.

use crate::cli::terminal::printable;
use crate::episodes::EpisodeRecord;

/// Its result in a few words.
pub fn result(episode: &EpisodeRecord) -> String {
    let total: f64 = episode.steps.iter().map(|step| step.reward).sum();
    let end = match episode.success {
        Some(true) => "success",
        Some(false) => "failure",
        None => "ended",
    };
    format!("{end} after {} steps, return {total:.3}", episode.steps.len())
}

/// A line of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EpisodeLine {
    /// The task.
    Task(String),
    /// A part of an observation.
    Observation(String),
    /// A part of an action.
    Action(String),
}

/// Task, observations and actions in order, in lines of at most `width` columns.
pub fn lines(episode: &EpisodeRecord, width: usize) -> Vec<EpisodeLine> {
    let mut lines = Vec::new();
    let mut add = |text: &str, kind: fn(String) -> EpisodeLine| {
        let text = printable(text);
        let wrapped = text.lines().filter(|line| !line.trim().is_empty());
        let wrapped = wrapped.flat_map(|line| textwrap::wrap(line, width.max(1)));
        lines.extend(wrapped.map(|line| kind(line.into_owned())));
    };
    if let Some(task) = &episode.task {
        add(&format!("Task: {task}"), EpisodeLine::Task);
    }
    for step in &episode.steps {
        add(&step.observation, EpisodeLine::Observation);
        let mut action = format!("> {}", step.action);
        if !step.valid {
            action += "  (not admissible)";
        }
        if step.reward != 0.0 {
            action += &format!("  (reward {})", step.reward);
        }
        add(&action, EpisodeLine::Action);
    }
    if let Some(last) = &episode.final_observation {
        add(last, EpisodeLine::Observation);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::StepRecord;

    #[test]
    fn an_episode_is_told_in_order_and_wrapped() {
        let step = |observation: &str, action: &str, valid, reward| StepRecord {
            observation: observation.into(),
            action: action.into(),
            reward,
            valid,
            ..StepRecord::default()
        };
        let episode = EpisodeRecord {
            task: Some("put a book on the desk".into()),
            success: Some(true),
            final_observation: Some("You win.".into()),
            steps: vec![
                step("You see a\u{1b}[2J book.\n\nAnd more.", "fly", false, 0.0),
                step("Nothing happens.", "put book", true, 1.0),
            ],
            ..EpisodeRecord::default()
        };
        let texts: Vec<String> = lines(&episode, 20)
            .into_iter()
            .map(|line| match line {
                EpisodeLine::Task(text) => format!("T {text}"),
                EpisodeLine::Observation(text) => format!("O {text}"),
                EpisodeLine::Action(text) => format!("A {text}"),
            })
            .collect();
        let expected = [
            "T Task: put a book on",
            "T the desk",
            "O You see a\\u{1b}[2J",
            "O book.",
            "O And more.",
            "A > fly  (not",
            "A admissible)",
            "O Nothing happens.",
            "A > put book  (reward",
            "A 1)",
            "O You win.",
        ];
        assert_eq!(texts, expected);
        assert_eq!(result(&episode), "success after 2 steps, return 1.000");
    }
}
