//! The object of an input line.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::lines::Line;
use crate::episodes::{RawObject, decoded};
use crate::error::{Error, Result};
use crate::lm::{Chat, Tokenizer};

/// The members of a line that give a sequence of tokens. Other members are kept in the output.
///
/// `ids` count before `text`, and `text` before `messages`: a line that has several was written by
/// `proxmo lm tokens`, and they agree.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Tokens as they are.
    ids: Option<Vec<u32>>,
    /// A text.
    text: Option<String>,
    /// A chat, which the model's template turns into a text. Members that no other part of a request
    /// uses are its variables.
    chat: Option<Chat>,
    /// Whether a chat ends with the head of an answer, if the line says so.
    add_generation_prompt: Option<bool>,
    /// Whether the tokenizer adds its special tokens to a text.
    add_special_tokens: bool,
    /// What a continuation is constrained to.
    choices: Option<Vec<Choice>>,
}

/// One of the things that a continuation is constrained to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Choice {
    /// A text.
    Text(String),
    /// Tokens.
    Ids(Vec<u32>),
}

impl Request {
    /// Reads a line.
    ///
    /// # Errors
    /// Returns an error that names the line and the member at fault.
    pub fn read(line: &Line) -> Result<Self> {
        let refuse = |message: String| Error::input(&line.place, message);
        let RawObject(members) =
            serde_json::from_str(&line.text).map_err(|error| refuse(error.to_string()))?;
        let mut request = Self {
            ids: None,
            text: None,
            chat: None,
            add_generation_prompt: None,
            add_special_tokens: false,
            choices: None,
        };
        let mut messages = None;
        let mut others = Vec::new();
        for (name, value) in members {
            let name = decoded(name).map_err(|error| refuse(error.to_string()))?;
            match name.as_str() {
                "ids" => request.ids = Some(member(line, "ids", value, "a list of token ids")?),
                "text" => request.text = Some(member(line, "text", value, "a text")?),
                "messages" => messages = Some(value),
                name @ "add_generation_prompt" => {
                    request.add_generation_prompt = Some(member(line, name, value, TRUTH)?);
                }
                name @ "add_special_tokens" => {
                    request.add_special_tokens = member(line, name, value, TRUTH)?;
                }
                name @ "choices" => {
                    let expected = "a list of texts or of lists of token ids";
                    request.choices = Some(member(line, name, value, expected)?);
                }
                _ => others.push((name, value)),
            }
        }
        if let Some(messages) = messages {
            request.chat = Some(Chat {
                messages: read_messages(line, messages)?,
                add_generation_prompt: request.add_generation_prompt.unwrap_or(false),
                others: variables(line, others)?,
            });
        }
        Ok(request)
    }

    /// The same request, but a chat ends with the head of an answer unless the line says otherwise.
    pub fn prompting(mut self) -> Self {
        if let Some(chat) = &mut self.chat {
            chat.add_generation_prompt = self.add_generation_prompt.unwrap_or(true);
        }
        self
    }

    /// The chat as the line gives it.
    pub fn chat(&self) -> Option<&Chat> {
        self.chat.as_ref()
    }

    /// What the line constrains its continuation to.
    pub fn choices(&self) -> Option<&[Choice]> {
        self.choices.as_deref()
    }

    /// The text: the chat as the model's template renders it, or the text as it is. `None` if the line
    /// gives neither.
    ///
    /// # Errors
    /// Returns an error that names the line if a chat cannot be rendered.
    pub fn text(&self, line: &Line, tokenizer: Option<&Tokenizer>) -> Result<Option<String>> {
        let Some(chat) = &self.chat else { return Ok(self.text.clone()) };
        let rendered = needed(line, tokenizer)?.render(chat);
        rendered.map(Some).map_err(|error| Error::input(&line.place, error.to_string()))
    }

    /// The tokens of a text, with special tokens added if the line asks for them.
    ///
    /// # Errors
    /// Returns an error that names the line if there is no tokenizer, or it has no token for a part of
    /// the text.
    pub fn encoded(
        &self,
        line: &Line,
        text: &str,
        tokenizer: Option<&Tokenizer>,
    ) -> Result<Vec<u32>> {
        let tokenizer = needed(line, tokenizer)?;
        let ids = match self.add_special_tokens {
            true => tokenizer.encode_with_special_tokens(text),
            false => tokenizer.encode(text),
        };
        ids.map_err(|error| Error::input(&line.place, error.to_string()))
    }

    /// The text of tokens.
    ///
    /// # Errors
    /// Returns an error that names the line if there is no tokenizer, or an id is none of its tokens'.
    pub fn decoded(
        &self,
        line: &Line,
        ids: &[u32],
        tokenizer: Option<&Tokenizer>,
    ) -> Result<String> {
        let decoded = needed(line, tokenizer)?.decode(ids);
        decoded.map_err(|error| Error::input(&line.place, error.to_string()))
    }

    /// The tokens: as they are, or of the text or the chat.
    ///
    /// # Errors
    /// Returns an error that names the line if it gives none, or they need a tokenizer or a template
    /// that the model lacks.
    pub fn ids(&self, line: &Line, tokenizer: Option<&Tokenizer>) -> Result<Vec<u32>> {
        if let Some(ids) = &self.ids {
            return Ok(ids.clone());
        }
        let text = match &self.text {
            Some(text) => Some(text.clone()),
            None => self.text(line, tokenizer)?,
        };
        let missing =
            || Error::input(&line.place, "expected the member \"ids\", \"text\" or \"messages\"");
        self.encoded(line, &text.ok_or_else(missing)?, tokenizer)
    }
}

/// What a member of true or false is expected to be.
const TRUTH: &str = "true or false";

/// The value of a member.
fn member<T: DeserializeOwned>(
    line: &Line,
    name: &str,
    value: &RawValue,
    expected: &str,
) -> Result<T> {
    serde_json::from_str(value.get()).map_err(|_| {
        Error::input(
            &line.place,
            format!("\"{name}\": expected {expected}, found {}", short(value)),
        )
    })
}

/// The beginning of a value, to be quoted in an error.
fn short(value: &RawValue) -> String {
    const MOST: usize = 60;
    let text = value.get();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// The messages of a chat: objects, each with a role.
fn read_messages(line: &Line, value: &RawValue) -> Result<Vec<Value>> {
    let refuse = |message: String| Error::input(&line.place, message);
    let messages: Vec<Value> = member(line, "messages", value, "a list of messages")?;
    if messages.is_empty() {
        return Err(refuse("\"messages\" is empty, expected at least one message".into()));
    }
    for (index, message) in messages.iter().enumerate() {
        let problem = match (message.as_object(), message.get("role")) {
            (None, _) => "expected an object with \"role\" and \"content\"",
            (_, None) => "\"role\" is missing",
            (_, Some(Value::String(role))) if !role.is_empty() => continue,
            _ => "\"role\" is not a text",
        };
        return Err(refuse(format!("\"messages\"[{index}]: {problem}")));
    }
    Ok(messages)
}

/// Further members of a line, as variables of a chat template.
fn variables(line: &Line, members: Vec<(String, &RawValue)>) -> Result<Map<String, Value>> {
    let read = |(name, value): (String, &RawValue)| {
        let value = member(line, &name, value, "a value that a template can use")?;
        Ok((name, value))
    };
    members.into_iter().map(read).collect()
}

/// The model's tokenizer.
pub fn needed<'a>(line: &Line, tokenizer: Option<&'a Tokenizer>) -> Result<&'a Tokenizer> {
    tokenizer.ok_or_else(|| {
        let message = "the model has no tokenizer (tokenizer.json): give \"ids\" instead";
        Error::input(&line.place, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Request> {
        Request::read(&Line { place: "in:3".into(), text: text.into() })
    }

    #[test]
    fn a_line_without_a_sequence_or_with_members_of_wrong_types_is_refused() {
        for (text, says) in [
            ("[]", "a JSON object"),
            (r#"{"ids":3}"#, r#"in:3: "ids": expected a list of token ids, found 3"#),
            (r#"{"ids":[1,-1]}"#, r#"expected a list of token ids, found [1,-1]"#),
            (r#"{"text":["a"]}"#, r#"in:3: "text": expected a text, found ["a"]"#),
            (r#"{"messages":"hi"}"#, r#""messages": expected a list of messages, found "hi""#),
            (r#"{"messages":[]}"#, r#""messages" is empty"#),
            (r#"{"messages":["hi"]}"#, r#""messages"[0]: expected an object"#),
            (
                r#"{"messages":[{"role":"user","content":""},{"content":"x"}]}"#,
                r#""messages"[1]: "role" is missing"#,
            ),
            (r#"{"messages":[{"role":1}]}"#, r#""messages"[0]: "role" is not a text"#),
            (
                r#"{"text":"","add_special_tokens":1}"#,
                r#""add_special_tokens": expected true or false, found 1"#,
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        let line = Line { place: "in:3".into(), text: "{}".into() };
        let error = Request::read(&line).unwrap().ids(&line, None).unwrap_err().to_string();
        assert_eq!(error, r#"in:3: expected the member "ids", "text" or "messages""#);
    }

    #[test]
    fn a_text_without_a_tokenizer_is_refused_and_ids_are_not() {
        let line = Line { place: "in:3".into(), text: r#"{"ids":[7],"text":"a"}"#.into() };
        assert_eq!(Request::read(&line).unwrap().ids(&line, None).unwrap(), [7]);
        let line = Line { place: "in:3".into(), text: r#"{"text":"a"}"#.into() };
        let error = Request::read(&line).unwrap().ids(&line, None).unwrap_err().to_string();
        assert!(error.contains("in:3: the model has no tokenizer"), "{error}");
    }

    #[test]
    fn other_members_are_variables_of_a_chat_only() {
        let chat = r#"{"messages":[{"role":"user"}],"enable_thinking":false}"#;
        let chat = read(chat).unwrap().prompting();
        let chat = chat.chat().unwrap();
        assert_eq!(chat.others["enable_thinking"], Value::Bool(false));
        assert!(chat.add_generation_prompt);
        // No number of Rust holds it, and nothing needs it.
        assert!(read(r#"{"text":"a","seed":1e999}"#).is_ok());
    }
}
