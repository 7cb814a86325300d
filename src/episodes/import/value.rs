//! Values that public layouts write in several ways.

use serde_json::Value;

/// A name, which is a text or a number.
pub(super) fn name(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The first name among optional values.
pub(super) fn first_name(values: &[&Option<Value>]) -> Option<String> {
    values.iter().find_map(|value| name(value.as_ref()?))
}

/// A success, which is true or false, or a positive number or not.
pub(super) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::Number(number) => Some(number.as_f64()? > 0.0),
        _ => None,
    }
}

/// The first success among optional values.
pub(super) fn first_truth(values: &[&Option<Value>]) -> Option<bool> {
    values.iter().find_map(|value| truth(value.as_ref()?))
}

/// The action in a model's reply: the text in `<action>` tags or after the last "Action:".
pub(super) fn marked_action(reply: &str) -> Option<String> {
    let tagged = reply
        .rsplit_once("<action>")
        .map(|(_, rest)| rest.split("</action>").next().unwrap_or_default());
    let after = || reply.rsplit_once("Action:").map(|(_, rest)| rest);
    let action = tagged.or_else(after)?.trim();
    let line = action.lines().next().unwrap_or_default().trim();
    (!line.is_empty()).then(|| line.to_string())
}

/// The task in an observation of ALFWorld.
pub(super) fn stated_task(observation: &str) -> Option<String> {
    let (_, task) = observation.rsplit_once("Your task is to: ")?;
    let line = task.lines().next().unwrap_or_default().trim();
    (!line.is_empty()).then(|| line.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_found_in_replies() {
        let action = |reply| marked_action(reply);
        assert_eq!(action("Thought: go\nAction: go to desk 1"), Some("go to desk 1".into()));
        assert_eq!(action("<think>x</think><action> look </action>"), Some("look".into()));
        assert_eq!(action("OK."), None);
        assert_eq!(action("Action:"), None);
    }

    #[test]
    fn tasks_are_found_in_observations() {
        let task = stated_task("A room.\n\nYour task is to: put a mug in desk.\n> ");
        assert_eq!(task.as_deref(), Some("put a mug in desk."));
        assert_eq!(stated_task("A room."), None);
    }
}
