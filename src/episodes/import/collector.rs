//! Collects the episodes of a file and counts what is left out.

use std::collections::BTreeMap;

use super::records::Record;
use super::{Imported, TrajectoryLayout};
use crate::episodes::record::{EpisodeRecord, StepRecord};
use crate::error::{Error, Result};

/// The parts of an episode that a layout states.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) group: Option<String>,
    pub(super) trajectory: Option<String>,
    pub(super) task: Option<String>,
    pub(super) success: Option<bool>,
    pub(super) steps: Vec<DraftStep>,
    pub(super) final_observation: Option<String>,
}

/// The parts of a step that a layout states.
#[derive(Debug)]
pub(super) struct DraftStep {
    pub(super) observation: String,
    pub(super) action: String,
    pub(super) reward: Option<f64>,
    pub(super) valid: bool,
}

/// The records that do not fit the layout.
#[derive(Debug)]
struct Misfits {
    /// The place of the first, and what does not fit.
    first: String,
    message: String,
    count: usize,
}

#[derive(Debug, Default)]
pub(super) struct Collector {
    episodes: Vec<EpisodeRecord>,
    dropped: BTreeMap<String, usize>,
    assumed: BTreeMap<String, usize>,
    misfits: Option<Misfits>,
}

impl Collector {
    /// Counts parts that are left out.
    pub(super) fn drop(&mut self, reason: &str, count: usize) {
        if count > 0 {
            *self.dropped.entry(reason.to_string()).or_default() += count;
        }
    }

    /// Counts a record that does not fit its layout.
    pub(super) fn misfit(&mut self, record: &Record, message: &str) {
        let first = || Misfits { first: record.place.clone(), message: message.into(), count: 0 };
        self.misfits.get_or_insert_with(first).count += 1;
    }

    /// Adds an episode. Rewards are 1 for the last step of a successful episode and 0 otherwise, if the
    /// layout states none.
    pub(super) fn push(&mut self, draft: Draft) {
        if draft.steps.is_empty() {
            return self.drop("episodes without an action", 1);
        }
        let number = self.episodes.len();
        let success = draft.success.unwrap_or_else(|| {
            let assumption = "episodes state no success and count as successful demonstrations";
            *self.assumed.entry(assumption.to_string()).or_default() += 1;
            true
        });
        let stated = draft.steps.iter().any(|step| step.reward.is_some_and(|one| one != 0.0));
        let last = draft.steps.len() - 1;
        let steps = draft.steps.into_iter().enumerate().map(|(at, step)| StepRecord {
            observation: step.observation,
            action: step.action,
            reward: match step.reward {
                Some(reward) if stated => reward,
                _ if stated => 0.0,
                _ => f64::from(u8::from(success && at == last)),
            },
            valid: step.valid,
            ..StepRecord::default()
        });
        self.episodes.push(EpisodeRecord {
            group: draft.group.unwrap_or_else(|| format!("g{number}")),
            trajectory: draft.trajectory.unwrap_or_else(|| format!("t{number}")),
            task: draft.task,
            success: Some(success),
            final_observation: draft.final_observation,
            steps: steps.collect(),
            ..EpisodeRecord::default()
        });
    }

    /// The result.
    ///
    /// # Errors
    /// Returns an error if there are no episodes.
    pub(super) fn finish(mut self, name: &str, layout: TrajectoryLayout) -> Result<Imported> {
        if self.episodes.is_empty() {
            if let Some(Misfits { first, message, .. }) = self.misfits {
                let message = format!("the record does not fit the layout {layout}: {message}");
                return Err(Error::input(first, message));
            }
            let reasons: Vec<String> =
                self.dropped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            let message =
                format!("found no episode in the layout {layout}: {}", reasons.join(", "));
            return Err(Error::input(name, message));
        }
        if let Some(Misfits { first, message, count }) = self.misfits.take() {
            let reason =
                format!("records that do not fit the layout {layout} (first: {first}: {message})");
            self.dropped.insert(reason, count);
        }
        let Self { episodes, dropped, assumed, .. } = self;
        Ok(Imported { layout, episodes, dropped, assumed })
    }
}
