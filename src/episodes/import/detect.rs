//! Detects a layout from the fields of a record.

use serde_json::Value;

use super::TrajectoryLayout;

/// The layout of a record, given as its JSON text.
pub(super) fn layout_of(record: &str) -> Option<TrajectoryLayout> {
    layout(&serde_json::from_str(record).ok()?)
}

fn layout(record: &Value) -> Option<TrajectoryLayout> {
    let has = |field: &str| record.get(field).is_some();
    let has_list = |field: &str| record.get(field).is_some_and(Value::is_array);
    if has_list("conversations") || has_list("messages") {
        return Some(match () {
            () if has("item_id") => TrajectoryLayout::AgentGym,
            () if has("id") || has("game_file") => TrajectoryLayout::Eto,
            () => TrajectoryLayout::ShareGpt,
        });
    }
    if has("uid") && has("traj_uid") {
        return Some(TrajectoryLayout::VerlAgent);
    }
    if has("g") && has_list("steps") {
        return Some(TrajectoryLayout::Seq2Seq);
    }
    (has_list("trajectory") || has_list("rows")).then_some(TrajectoryLayout::AlfworldEval)
}

/// The message of an error in a line that is no episode. If the line has a layout that can be imported,
/// the message says so.
pub(in crate::episodes) fn with_hint(line: &str, message: String) -> String {
    let found = match serde_json::from_str::<Value>(line) {
        Ok(Value::Array(records)) => records.first().and_then(layout),
        Ok(record) => layout(&record),
        Err(_) => None,
    };
    match found {
        Some(found) => {
            format!("{message}; this looks like the layout {found}, convert it with proxmo import")
        }
        None => message,
    }
}
