//! ALFWorld's data for its sequence-to-sequence baseline: a game and the steps of an expert in it.

use serde::Deserialize;
use serde_json::Value;

use super::collector::{Collector, Draft, DraftStep};
use super::records::Record;
use super::value::{name, stated_task};

#[derive(Deserialize)]
struct Episode {
    /// The game.
    g: Value,
    g_id: Option<Value>,
    task: Option<String>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    action: String,
    /// The observation before the action.
    obs: String,
}

/// Reads an episode. The expert's episodes are successful.
pub(super) fn read(record: &Record, collector: &mut Collector) -> Result<(), String> {
    let episode: Episode = serde_json::from_str(record.text).map_err(|error| error.to_string())?;
    let stated = episode.steps.first().and_then(|step| stated_task(&step.obs));
    let steps = episode.steps.into_iter().map(|step| DraftStep {
        observation: step.obs,
        action: step.action,
        reward: None,
        valid: true,
    });
    collector.push(Draft {
        group: name(&episode.g),
        trajectory: episode.g_id.as_ref().and_then(name),
        task: episode.task.or(stated),
        steps: steps.collect(),
        ..Draft::default()
    });
    Ok(())
}
