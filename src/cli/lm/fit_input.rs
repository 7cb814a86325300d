//! Lines to fit to.

use std::path::Path;

use serde::Deserialize;

use super::lines::{Line, for_batches};
use super::request::{Request, needed};
use crate::error::{Error, Result};
use crate::lm::{Chat, Decoder, Sequence, Tokenizer};

/// The members of a line that only fitting knows.
#[derive(Debug, Deserialize)]
struct Members {
    mask: Option<Vec<Counts>>,
    prompt: Option<String>,
    completion: Option<String>,
}

/// Whether a token counts: true, false, 1 or 0.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Counts {
    Truth(bool),
    Number(u8),
}

/// The sequences of a file, all of them checked against the model.
///
/// # Errors
/// Returns the first error with its line.
pub fn sequences(
    path: &Path,
    model: &Decoder,
    tokenizer: Option<&Tokenizer>,
) -> Result<Vec<Sequence>> {
    let mut all = Vec::new();
    for_batches(path, usize::MAX, &mut |lines| {
        for line in lines {
            let sequence = sequence(line, tokenizer)?;
            let checked = model.check_ids(sequence.ids());
            checked.map_err(|error| Error::input(&line.place, error.to_string()))?;
            all.push(sequence);
        }
        Ok(())
    })?;
    match all.is_empty() {
        true => Err(Error::file(path, "holds no line, expected at least one")),
        false => Ok(all),
    }
}

/// The sequence of a line. A mask belongs to ids; without one, messages count before the ids that were
/// made of them.
fn sequence(line: &Line, tokenizer: Option<&Tokenizer>) -> Result<Sequence> {
    let refuse = |message: String| Error::input(&line.place, message);
    let members: Members =
        serde_json::from_str(&line.text).map_err(|error| refuse(error.to_string()))?;
    let request = Request::read(line)?;
    let sequence = match (members, request.chat()) {
        (Members { mask: Some(mask), .. }, _) => {
            let mask = mask.into_iter().map(truth).collect::<Option<_>>();
            let mask =
                mask.ok_or_else(|| refuse("\"mask\": expected 0, 1, true or false".into()))?;
            Sequence::new(request.ids(line, tokenizer)?, mask)
        }
        (_, Some(chat)) => answers(line, &request, chat, tokenizer),
        (Members { prompt: Some(prompt), completion: Some(completion), .. }, _) => {
            let mut ids = request.encoded(line, &prompt, tokenizer)?;
            let given = ids.len();
            ids.extend(request.encoded(line, &completion, tokenizer)?);
            counted_from(ids, given)
        }
        (Members { prompt: Some(_), .. }, _) => Err(Error::input("completion", "is missing")),
        (Members { completion: Some(_), .. }, _) => Err(Error::input("prompt", "is missing")),
        _ => Sequence::whole(request.ids(line, tokenizer)?),
    };
    sequence.map_err(|error| match error {
        Error::Input { ref place, .. } if *place == line.place => error,
        error => refuse(error.to_string()),
    })
}

fn truth(counts: Counts) -> Option<bool> {
    match counts {
        Counts::Truth(truth) => Some(truth),
        Counts::Number(0) => Some(false),
        Counts::Number(1) => Some(true),
        Counts::Number(_) => None,
    }
}

/// Tokens of which those from the place `first` count. The very first token of all never does.
fn counted_from(ids: Vec<u32>, first: usize) -> Result<Sequence> {
    let mask = (1..ids.len().max(1)).map(|place| place >= first).collect();
    Sequence::new(ids, mask)
}

/// The tokens of a chat, of which those of the assistant's messages count. They are found by rendering
/// the chat up to each such message, without it and with it.
fn answers(
    line: &Line,
    request: &Request,
    chat: &Chat,
    tokenizer: Option<&Tokenizer>,
) -> Result<Sequence> {
    let refuse = |message: String| Error::input(&line.place, message);
    let up_to = |messages: usize, add_generation_prompt: bool| {
        let messages = chat.messages[..messages].to_vec();
        let part = Chat { messages, add_generation_prompt, others: chat.others.clone() };
        let text = needed(line, tokenizer)?.render(&part);
        let text = text.map_err(|error| refuse(error.to_string()))?;
        request.encoded(line, &text, tokenizer)
    };
    let ids = up_to(chat.messages.len(), false)?;
    let mut mask = vec![false; ids.len().saturating_sub(1)];
    for (place, message) in chat.messages.iter().enumerate() {
        if message["role"] != "assistant" {
            continue;
        }
        let (before, after) = (up_to(place, true)?, up_to(place + 1, false)?);
        if !(ids.starts_with(&before) && ids.starts_with(&after) && before.len() < after.len()) {
            return Err(refuse(format!(
                "\"messages\"[{place}]: the chat template renders what precedes this message in \
                 another way when the message follows, so its tokens cannot be told apart; give \
                 \"ids\" and \"mask\" instead"
            )));
        }
        mask[before.len().max(1) - 1..after.len() - 1].fill(true);
    }
    match mask.contains(&true) {
        true => Sequence::new(ids, mask),
        false => Err(refuse("\"messages\": expected a message of the role \"assistant\"".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Sequence> {
        sequence(&Line { place: "in:3".into(), text: text.into() }, None)
    }

    #[test]
    fn ids_count_as_the_mask_says_and_without_one_all_but_the_first() {
        let masked = of(r#"{"ids":[5,6,7],"mask":[0,1],"note":1}"#).unwrap();
        assert_eq!((masked.ids(), masked.mask()), (&[5, 6, 7][..], &[false, true][..]));
        assert_eq!(of(r#"{"ids":[5,6,7],"mask":[false,true]}"#).unwrap(), masked);
        assert_eq!(of(r#"{"ids":[5,6]}"#).unwrap().mask(), [true]);
        assert_eq!(counted_from(vec![1, 2, 3, 4], 2).unwrap().mask(), [false, true, true]);
        assert_eq!(counted_from(vec![1, 2], 0).unwrap().mask(), [true]);
    }

    #[test]
    fn a_line_that_cannot_be_fitted_to_is_refused_with_its_place() {
        for (text, says) in [
            ("{", "in:3: EOF"),
            (r#"{"ids":[1,2,3],"mask":[1]}"#, "in:3: mask: 1 entries, expected 2"),
            (r#"{"ids":[1,2],"mask":[0]}"#, "in:3: mask: no token counts"),
            (r#"{"ids":[1,2],"mask":[2]}"#, "in:3: \"mask\": expected 0, 1, true or false"),
            (r#"{"ids":[1]}"#, "in:3: ids: 1 tokens, expected at least 2"),
            (r#"{"ids":[-1,2]}"#, "in:3: \"ids\": expected a list of token ids"),
            (r#"{"prompt":"a"}"#, "in:3: completion: is missing"),
            (r#"{"mask":[1]}"#, "in:3: expected the member \"ids\""),
            ("{}", "in:3: expected the member \"ids\""),
        ] {
            let message = of(text).unwrap_err().to_string();
            assert!(message.starts_with(says), "{message}, expected {says}");
        }
    }
}
