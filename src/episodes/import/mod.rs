//! Trajectories in public layouts, read as episodes.
//!
//! A file is a JSON array of records, one record a line, or one record. [`import_episodes`] detects the
//! layout from the fields of the first record, unless it is given.

mod alfworld_eval;
mod collector;
mod conversation;
mod detect;
mod records;
mod seq2seq;
mod value;
mod verl_agent;

use std::collections::BTreeMap;
use std::fmt;

use self::collector::Collector;
use self::records::records;
use super::record::EpisodeRecord;
use crate::error::{Error, Result};

pub(super) use self::detect::with_hint;

/// A public layout of trajectories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrajectoryLayout {
    /// Logs of ALFWorld evaluations: a record an episode with a list `trajectory` of actions and
    /// observations, or a list `rows` of observations and expert actions.
    AlfworldEval,
    /// AgentGym's conversations, with `item_id`.
    AgentGym,
    /// ETO's conversations, with `id` and perhaps `game_file`.
    Eto,
    /// Rollout rows of verl-agent: a record a step, with `uid` and `traj_uid`.
    VerlAgent,
    /// Conversations of `from` and `value`, or of `role` and `content`.
    ShareGpt,
    /// ALFWorld's data for its sequence-to-sequence baseline: a game `g` and its steps.
    Seq2Seq,
}

impl TrajectoryLayout {
    /// All layouts.
    pub const ALL: [Self; 6] = [
        Self::AlfworldEval,
        Self::AgentGym,
        Self::Eto,
        Self::VerlAgent,
        Self::ShareGpt,
        Self::Seq2Seq,
    ];

    /// The name of the layout, such as `verl-agent`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AlfworldEval => "alfworld-eval",
            Self::AgentGym => "agentgym",
            Self::Eto => "eto",
            Self::VerlAgent => "verl-agent",
            Self::ShareGpt => "sharegpt",
            Self::Seq2Seq => "seq2seq",
        }
    }

    /// The layout with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.name() == name)
    }
}

impl fmt::Display for TrajectoryLayout {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The episodes of an imported file, and the numbers of what the import left out or assumed.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The layout of the file.
    pub layout: TrajectoryLayout,
    /// The episodes in the order of the file.
    pub episodes: Vec<EpisodeRecord>,
    /// The parts of the file that are not in the episodes: the number of each reason.
    pub dropped: BTreeMap<String, usize>,
    /// Facts that the layout does not state and the import assumed: the number of each.
    pub assumed: BTreeMap<String, usize>,
}

/// Reads the trajectories in `bytes`, the contents of the file `name`. The layout is detected if it is
/// `None`.
///
/// Records that do not fit the layout are left out and counted. Rewards that a layout does not state
/// are 1 for the last step of a successful episode and 0 otherwise.
///
/// # Errors
/// Returns an error that names the line or the record if the file is not JSON, and an error if the
/// layout is unknown or no record fits it.
pub fn import_episodes(
    bytes: &[u8],
    name: &str,
    layout: Option<TrajectoryLayout>,
) -> Result<Imported> {
    let records = records(bytes, name)?;
    let Some(first) = records.first() else {
        return Err(Error::input(name, "the file has no records"));
    };
    let layout = match layout.or_else(|| detect::layout_of(first.text)) {
        Some(layout) => layout,
        None => return Err(Error::input(&first.place, unknown(first.text))),
    };
    let mut collector = Collector::default();
    if layout == TrajectoryLayout::VerlAgent {
        verl_agent::read(&records, &mut collector);
    } else {
        for record in &records {
            let read = match layout {
                TrajectoryLayout::AlfworldEval => alfworld_eval::read(record, &mut collector),
                TrajectoryLayout::Seq2Seq => seq2seq::read(record, &mut collector),
                _ => conversation::read(record, &mut collector),
            };
            if let Err(message) = read {
                collector.misfit(record, &message);
            }
        }
    }
    collector.finish(name, layout)
}

/// The message for a record of no known layout.
fn unknown(record: &str) -> String {
    let names: Vec<&str> = TrajectoryLayout::ALL.into_iter().map(TrajectoryLayout::name).collect();
    let known = format!("the layout is none of {}", names.join(", "));
    match super::record::is_episode(record) {
        true => format!("this is an episode already, which needs no import; {known}"),
        false => known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(text: &str) -> Imported {
        import_episodes(text.as_bytes(), "f", None).unwrap()
    }

    fn refusal(text: &str) -> String {
        import_episodes(text.as_bytes(), "f", None).unwrap_err().to_string()
    }

    #[test]
    fn every_layout_has_a_name_that_leads_back_to_it() {
        for layout in TrajectoryLayout::ALL {
            assert_eq!(TrajectoryLayout::from_name(layout.name()), Some(layout));
        }
        assert_eq!(TrajectoryLayout::from_name("auto"), None);
    }

    #[test]
    fn arrays_lines_and_single_records_give_the_same_episodes() {
        let record = r#"{"g": "task/trial", "steps": [{"action": "look", "obs": "Here."}]}"#;
        let lines = import(&format!("\u{feff}{record}\r\n\n{record}\n"));
        assert_eq!(lines.layout, TrajectoryLayout::Seq2Seq);
        assert_eq!(lines, import(&format!("[{record},\n {record}]")));
        assert_eq!(import(record).episodes, lines.episodes[..1]);
        let pretty = record.replace(", ", ",\n  ");
        assert_eq!(import(&pretty).episodes, lines.episodes[..1]);
    }

    #[test]
    fn a_record_that_does_not_fit_is_counted_and_a_file_without_any_is_refused() {
        let good = r#"{"g": "task/trial", "steps": [{"action": "look", "obs": "Here."}]}"#;
        let found = import(&format!("{good}\n{{\"g\": 7}}\n"));
        assert_eq!(found.episodes.len(), 1);
        let (reason, count) = found.dropped.iter().next().unwrap();
        assert!(reason.contains("do not fit the layout seq2seq (first: f:2: "), "{reason}");
        assert_eq!(*count, 1);
        assert!(refusal(r#"{"g": "x", "steps": 3}"#).starts_with("f:1: "));
    }

    #[test]
    fn what_is_no_trajectory_file_is_refused_with_its_place() {
        assert_eq!(refusal(""), "f: the file has no records");
        assert!(refusal("{\"g\":\n").starts_with("f:1: expected JSON"));
        assert!(refusal("{\"a\": 1}").starts_with("f:1: the layout is none of alfworld-eval,"));
        let episode = r#"{"group":"g","trajectory":"t","success":true,"steps":[]}"#;
        assert!(refusal(episode).starts_with("f:1: this is an episode already"));
        let utf16 = import_episodes(b"\xff\xfe{\x00", "f", None).unwrap_err().to_string();
        assert!(utf16.contains("UTF-16"), "{utf16}");
    }
}
