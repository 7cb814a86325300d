//! Rollout rows of verl-agent: a record a step.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::collector::{Collector, Draft, DraftStep};
use super::records::Record;
use super::value::{first_truth, marked_action, name, truth};

#[derive(Deserialize)]
struct Row {
    uid: Value,
    traj_uid: Value,
    turn_step: Option<i64>,
    task_text: Option<String>,
    #[serde(default)]
    anchor_obs: String,
    response: String,
    rewards: Option<f64>,
    episode_rewards: Option<f64>,
    episode_lengths: Option<f64>,
    is_action_valid: Option<Value>,
    success_rate: Option<Value>,
    /// False for rows that pad a batch.
    active_masks: Option<Value>,
}

/// Reads the rows of all episodes. Rows of an episode need not be adjacent.
pub(super) fn read(records: &[Record], collector: &mut Collector) {
    let mut numbers: HashMap<(String, String), usize> = HashMap::new();
    let mut episodes: Vec<(String, String, Vec<Row>)> = Vec::new();
    for record in records {
        let row = match serde_json::from_str::<Row>(record.text) {
            Ok(row) => row,
            Err(error) => {
                collector.misfit(record, &error.to_string());
                continue;
            }
        };
        if row.active_masks.as_ref().and_then(truth) == Some(false) {
            collector.drop("rows that pad a batch", 1);
            continue;
        }
        let names = (name(&row.uid), name(&row.traj_uid));
        let (Some(group), Some(trajectory)) = names else {
            collector.misfit(record, "uid and traj_uid: expected texts or numbers");
            continue;
        };
        let key = (group.clone(), trajectory.clone());
        let number = *numbers.entry(key).or_insert_with(|| {
            episodes.push((group, trajectory, Vec::new()));
            episodes.len() - 1
        });
        episodes[number].2.push(row);
    }
    for (group, trajectory, rows) in episodes {
        push(group, trajectory, rows, collector);
    }
}

fn push(group: String, trajectory: String, mut rows: Vec<Row>, collector: &mut Collector) {
    rows.sort_by_key(|row| row.turn_step);
    let length = rows.iter().find_map(|row| row.episode_lengths);
    if length.is_some_and(|length| length > rows.len() as f64) {
        return collector.drop("episodes of which rows are absent", 1);
    }
    let success = rows
        .iter()
        .find_map(|row| first_truth(&[&row.success_rate]))
        .or_else(|| rows.iter().find_map(|row| row.episode_rewards).map(|reward| reward > 0.0));
    let task = rows.iter().find_map(|row| row.task_text.clone());
    // A reply without a marked action is the action as it stands, and invalid.
    let steps = rows.into_iter().map(|row| {
        let action = marked_action(&row.response);
        DraftStep {
            observation: row.anchor_obs,
            valid: action.is_some() && first_truth(&[&row.is_action_valid]).unwrap_or(true),
            action: action.unwrap_or_else(|| row.response.trim().to_string()),
            reward: row.rewards,
        }
    });
    let steps = steps.collect();
    collector.push(Draft {
        group: Some(group),
        trajectory: Some(trajectory),
        task,
        success,
        steps,
        final_observation: None,
    });
}
