//! Goals in the words of annotators.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "fs")]
use super::game::{Game, Rules};
#[cfg(feature = "fs")]
use crate::error::Result;

/// The wording of goals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Annotations {
    /// The task line of the game file.
    #[default]
    Templated,
    /// For each game one sentence of an annotator, from the `traj_data.json` beside the game.
    Human,
    /// For each sentence of an annotator one task.
    All,
}

/// The part of `traj_data.json` that is read.
#[cfg(feature = "fs")]
#[derive(Deserialize)]
struct TrajectoryData {
    turk_annotations: TurkAnnotations,
}

#[cfg(feature = "fs")]
#[derive(Deserialize)]
struct TurkAnnotations {
    anns: Vec<Annotation>,
}

#[cfg(feature = "fs")]
#[derive(Deserialize)]
struct Annotation {
    task_desc: String,
}

/// The annotators' sentences in the bytes of a `traj_data.json`.
///
/// # Errors
/// Returns a message if the file is not of this form or has no sentence.
#[cfg(feature = "fs")]
pub(super) fn sentences(bytes: &[u8]) -> Result<Vec<String>, String> {
    let data: TrajectoryData = serde_json::from_slice(bytes)
        .map_err(|error| format!("not the data of a trajectory: {error}"))?;
    let sentences: Vec<String> = data
        .turk_annotations
        .anns
        .iter()
        .map(|annotation| annotation.task_desc.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|sentence| !sentence.is_empty())
        .collect();
    match sentences.is_empty() {
        true => Err("turk_annotations.anns: expected a sentence, found none".into()),
        false => Ok(sentences),
    }
}

/// The tasks of a game with the goals of annotators. The name of the game decides which sentence
/// [`Annotations::Human`] takes; with [`Annotations::All`], the number of the sentence is appended to the
/// name of the task.
///
/// # Errors
/// Returns an error if a text of a game would become too long.
#[cfg(feature = "fs")]
pub(super) fn annotated(
    game: Game,
    sentences: &[String],
    annotations: Annotations,
) -> Result<Vec<Game>> {
    let with = |sentence: &str, name: String| -> Result<Game> {
        let task = match game.task.split_once(": ") {
            Some((introduction, _)) => format!("{introduction}: {sentence}"),
            None => sentence.to_string(),
        };
        if let Rules::Published(published) = &game.rules {
            published.grammar.check_costs(&published.world, &task)?;
        }
        Ok(Game { name, task: task.into(), ..game.clone() })
    };
    match annotations {
        Annotations::Templated => Ok(vec![game]),
        Annotations::Human => {
            let place = hash(&game.name) % sentences.len().max(1) as u64;
            let sentence = &sentences[place as usize..];
            sentence.iter().take(1).map(|sentence| with(sentence, game.name.clone())).collect()
        }
        Annotations::All => sentences
            .iter()
            .enumerate()
            .map(|(number, sentence)| with(sentence, format!("{}#{number}", game.name)))
            .collect(),
    }
}

/// The FNV-1a hash of a text, which is the same on every machine.
#[cfg(feature = "fs")]
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(all(test, feature = "fs"))]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_read_as_one_line_each() {
        let text = r#"{"turk_annotations":{"anns":[{"task_desc":" Put a \"mug\"\n on it. ","x":1},
                       {"task_desc":" "}]},"scene":{}}"#;
        assert_eq!(sentences(text.as_bytes()).unwrap(), ["Put a \"mug\" on it."]);
        assert!(sentences(b"{}").unwrap_err().contains("turk_annotations"));
        let none = br#"{"turk_annotations":{"anns":[]}}"#;
        assert!(sentences(none).unwrap_err().contains("found none"));
    }
}
