//! Conversations between an environment and a model: AgentGym, ETO and ShareGPT.

use serde::Deserialize;
use serde_json::Value;

use super::collector::{Collector, Draft, DraftStep};
use super::records::Record;
use super::value::{first_name, first_truth, marked_action, stated_task};

#[derive(Deserialize)]
struct Episode {
    item_id: Option<Value>,
    id: Option<Value>,
    game_file: Option<Value>,
    success: Option<Value>,
    won: Option<Value>,
    reward: Option<Value>,
    conversations: Option<Vec<Message>>,
    messages: Option<Vec<Message>>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(alias = "role")]
    from: String,
    #[serde(alias = "content")]
    value: String,
}

impl Message {
    fn is_reply(&self) -> bool {
        matches!(self.from.as_str(), "gpt" | "assistant" | "model" | "chatgpt")
    }

    /// A message of the environment or the user. System messages are neither.
    fn is_observation(&self) -> bool {
        matches!(
            self.from.as_str(),
            "human" | "user" | "observation" | "tool" | "function_response"
        )
    }
}

/// Reads an episode.
pub(super) fn read(record: &Record, collector: &mut Collector) -> Result<(), String> {
    let episode: Episode = serde_json::from_str(record.text).map_err(|error| error.to_string())?;
    let messages = episode.conversations.or(episode.messages);
    let messages = messages.ok_or("expected a list 'conversations' or 'messages'")?;
    // Where replies mark their actions, a reply without a mark is talk, such as "OK.".
    let is_marked =
        |message: &&Message| message.is_reply() && marked_action(&message.value).is_some();
    let marked = messages.iter().any(|message| is_marked(&message));
    let mut draft = Draft {
        group: first_name(&[&episode.game_file, &episode.item_id, &episode.id]),
        trajectory: first_name(&[&episode.id, &episode.item_id]),
        success: first_truth(&[&episode.success, &episode.won, &episode.reward]),
        ..Draft::default()
    };
    let mut observation: Option<String> = None;
    let (mut talk, mut others, mut thoughts) = (0, 0, 0);
    for message in &messages {
        if message.is_observation() {
            let text = message.value.trim();
            let text = text.strip_prefix("Observation:").map_or(text, str::trim_start);
            draft.task = draft.task.or_else(|| stated_task(text));
            observation = Some(text.to_string());
        } else if message.is_reply() {
            let action = match marked {
                true => marked_action(&message.value),
                false => Some(message.value.trim().to_string()).filter(|text| !text.is_empty()),
            };
            let Some(action) = action else {
                talk += 1;
                continue;
            };
            thoughts +=
                usize::from(action.len() < message.value.trim().len() && has_thought(message));
            draft.steps.push(DraftStep {
                observation: observation.take().unwrap_or_default(),
                action,
                reward: None,
                valid: true,
            });
        } else {
            others += 1;
        }
    }
    collector.drop("replies without an action", talk);
    collector.drop("thoughts", thoughts);
    collector.drop("messages of neither the environment nor the model", others);
    draft.final_observation = observation;
    collector.push(draft);
    Ok(())
}

/// Whether a reply has words before its marked action.
fn has_thought(message: &Message) -> bool {
    let mark = message.value.rfind("<action>").or_else(|| message.value.rfind("Action:"));
    mark.is_some_and(|mark| !message.value[..mark].trim().is_empty())
}
