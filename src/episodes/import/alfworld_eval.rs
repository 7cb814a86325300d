//! Logs of ALFWorld evaluations: a record an episode.
//!
//! In a list `trajectory`, an entry has an action and the observation after it. In a list `rows`, an
//! entry has an observation and the expert's action in it.

use serde::Deserialize;
use serde_json::Value;

use super::collector::{Collector, Draft, DraftStep};
use super::records::Record;
use super::value::{first_name, first_truth, stated_task};

#[derive(Deserialize)]
struct Episode {
    gamefile: Option<Value>,
    game_file: Option<Value>,
    task_id: Option<Value>,
    game_id: Option<Value>,
    memory_id: Option<Value>,
    episode_id: Option<Value>,
    episode_index: Option<Value>,
    query: Option<String>,
    task: Option<String>,
    initial_observation: Option<String>,
    is_success: Option<Value>,
    success: Option<Value>,
    won: Option<Value>,
    #[serde(default)]
    trajectory: Vec<Turn>,
    #[serde(default)]
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Turn {
    /// `thought` or `action`.
    kind: Option<String>,
    action: Option<String>,
    /// The action in the engine's wording.
    normalized: Option<String>,
    #[serde(default)]
    observation: String,
    reward: Option<f64>,
}

#[derive(Deserialize)]
struct Row {
    game_path: Option<Value>,
    current_observation: String,
    target_action: String,
    source_episode_won: Option<Value>,
}

/// Reads an episode.
pub(super) fn read(record: &Record, collector: &mut Collector) -> Result<(), String> {
    let episode: Episode = serde_json::from_str(record.text).map_err(|error| error.to_string())?;
    let draft = match episode.rows.is_empty() {
        true => from_turns(episode, collector),
        false => from_rows(episode),
    };
    collector.push(draft);
    Ok(())
}

fn from_turns(episode: Episode, collector: &mut Collector) -> Draft {
    let Episode { gamefile, game_file, task_id, game_id, .. } = &episode;
    let group = first_name(&[gamefile, game_file, task_id, game_id]);
    let trajectory = first_name(&[&episode.memory_id, &episode.episode_id, &episode.episode_index]);
    let success = first_truth(&[&episode.is_success, &episode.success, &episode.won]);
    let mut task = episode.query.or(episode.task);
    let mut observation = episode.initial_observation.or_else(|| task.clone()).unwrap_or_default();
    task = task.map(|task| stated_task(&task).unwrap_or(task));
    let mut steps = Vec::new();
    let (mut thoughts, mut empty) = (0, 0);
    for turn in episode.trajectory {
        if turn.kind.is_some_and(|kind| kind == "thought") {
            thoughts += 1;
            continue;
        }
        let Some(action) = turn.normalized.or(turn.action).filter(|text| !text.trim().is_empty())
        else {
            empty += 1;
            continue;
        };
        let before = std::mem::replace(&mut observation, turn.observation);
        steps.push(DraftStep { observation: before, action, reward: turn.reward, valid: true });
    }
    collector.drop("thoughts", thoughts);
    collector.drop("turns without an action", empty);
    Draft { group, trajectory, task, success, steps, final_observation: Some(observation) }
}

fn from_rows(episode: Episode) -> Draft {
    let first = episode.rows.first();
    let group = first.and_then(|row| first_name(&[&row.game_path])).or_else(|| {
        first_name(&[&episode.gamefile, &episode.game_file, &episode.task_id, &episode.game_id])
    });
    let won = episode.rows.last().and_then(|row| first_truth(&[&row.source_episode_won]));
    let task = first.and_then(|row| stated_task(&row.current_observation)).or(episode.task);
    let steps = episode.rows.into_iter().map(|row| DraftStep {
        observation: row.current_observation,
        action: row.target_action,
        reward: None,
        valid: true,
    });
    Draft {
        group,
        trajectory: first_name(&[&episode.episode_id, &episode.episode_index]),
        task,
        success: won.or_else(|| first_truth(&[&episode.success, &episode.won])),
        steps: steps.collect(),
        final_observation: None,
    }
}
