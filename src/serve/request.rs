//! The members of a request, in OpenAI's form.
//!
//! A member that would change the answer and is not supported is refused by its name, unless its value
//! changes nothing.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::refusal::Refusal;
use crate::error::Error;
use crate::lm::{Chat, Sampling};

/// Most choices that a request may ask for, all prompts together.
const MAX_ANSWERS: usize = 128;

/// Most stop strings.
const MAX_STOPS: usize = 16;

/// Most characters of a stop string.
const MAX_STOP: usize = 1_000;

/// Tokens of a completion, if the request does not say.
const COMPLETION_TOKENS: usize = 16;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Text,
}

/// What is to be continued.
#[derive(Debug, Clone, PartialEq)]
pub enum Prompt {
    /// A chat, by the model's template.
    Chat(Chat),
    /// A text.
    Text(String),
    /// Tokens.
    Ids(Vec<u32>),
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What is asked for.
    pub endpoint: Endpoint,
    /// The model, if the request names one.
    pub model: Option<String>,
    /// At least one.
    pub prompts: Vec<Prompt>,
    /// Whether the tokenizer adds its special tokens to a text.
    pub add_special_tokens: bool,
    /// Most tokens of an answer.
    pub max_tokens: Option<usize>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// The seed, if the request gives one.
    pub seed: Option<u64>,
    /// Answers to each prompt, at least 1.
    pub answers: usize,
    /// Texts that end an answer.
    pub stops: Vec<String>,
    /// What an answer is constrained to.
    pub choices: Option<Vec<String>>,
    /// Whether answers have their tokens and log-probabilities.
    pub log_probs: bool,
    /// Whether the answer is sent in pieces.
    pub stream: bool,
    /// Whether the pieces end with the numbers of tokens.
    pub include_usage: bool,
}

/// Members without a part in the answer.
const IGNORED: [&str; 7] = [
    "metadata",
    "prompt_cache_key",
    "reasoning_effort",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
];

/// Members that may have no value but one that changes nothing.
const UNSUPPORTED: [&str; 18] = [
    "audio",
    "best_of",
    "echo",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "min_p",
    "modalities",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "repetition_penalty",
    "response_format",
    "suffix",
    "tool_choice",
    "tools",
    "web_search_options",
];

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// Names the member at fault.
    pub fn read(endpoint: Endpoint, body: &[u8]) -> Result<Self, Refusal> {
        let members: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|error| Refusal::invalid(format!("expected a JSON object: {error}")))?;
        let mut request = Self::new(endpoint);
        let mut chat = Chat { add_generation_prompt: true, ..Chat::default() };
        for (name, value) in members {
            request.take(&name, value, &mut chat)?;
        }
        if endpoint == Endpoint::Chat {
            if chat.messages.is_empty() {
                return Err(Refusal::member("messages", "expected at least one message"));
            }
            request.prompts = vec![Prompt::Chat(chat)];
        }
        if request.prompts.is_empty() {
            return Err(Refusal::member("prompt", "expected a text or tokens"));
        }
        if request.prompts.len().saturating_mul(request.answers) > MAX_ANSWERS {
            return Err(Refusal::member("n", format!("expected at most {MAX_ANSWERS} answers")));
        }
        request.sampling.validate().map_err(|error| match error {
            Error::Setting { key, message } => Refusal::member(&key, message),
            other => Refusal::invalid(other.to_string()),
        })?;
        Ok(request)
    }

    fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            model: None,
            prompts: Vec::new(),
            add_special_tokens: false,
            max_tokens: (endpoint == Endpoint::Text).then_some(COMPLETION_TOKENS),
            sampling: Sampling::default(),
            seed: None,
            answers: 1,
            stops: Vec::new(),
            choices: None,
            log_probs: false,
            stream: false,
            include_usage: false,
        }
    }

    /// Takes a member.
    fn take(&mut self, name: &str, value: Value, chat: &mut Chat) -> Result<(), Refusal> {
        let is_chat = self.endpoint == Endpoint::Chat;
        if value.is_null() && !["messages", "prompt"].contains(&name) {
            return Ok(());
        }
        match name {
            "model" => self.model = Some(member(name, value, "a text")?),
            "messages" if is_chat => chat.messages = messages(value)?,
            "chat_template_kwargs" if is_chat => chat.others = member(name, value, "an object")?,
            "prompt" if !is_chat => self.prompts = prompts(value)?,
            "add_special_tokens" if !is_chat => {
                self.add_special_tokens = member(name, value, TRUTH)?;
            }
            "max_tokens" | "max_completion_tokens" => {
                self.max_tokens = Some(at_least_one(name, value)?);
            }
            "temperature" => self.sampling.temperature = member(name, value, "a number")?,
            "top_p" => self.sampling.top_p = member(name, value, "a number")?,
            "top_k" => {
                let most: i64 = member(name, value, "a whole number")?;
                // -1 stands for all in other servers.
                self.sampling.top_k = usize::try_from(most.max(0)).unwrap_or(0);
            }
            "seed" => {
                let seed: i64 = member(name, value, "a whole number")?;
                self.seed = Some(seed.cast_unsigned());
            }
            "n" => self.answers = at_least_one(name, value)?,
            "stop" => self.stops = stops(value)?,
            "guided_choice" => {
                self.choices = Some(member(name, value, "a list of texts")?);
            }
            "logprobs" if is_chat => self.log_probs = member(name, value, TRUTH)?,
            "logprobs" => match value.as_u64() {
                Some(0) => self.log_probs = true,
                _ => return Err(Refusal::member(name, NO_OTHERS)),
            },
            "top_logprobs" if is_chat => {
                if value.as_u64() != Some(0) {
                    return Err(Refusal::member(name, NO_OTHERS));
                }
            }
            "stream" => self.stream = member(name, value, TRUTH)?,
            "stream_options" => self.include_usage = include_usage(value)?,
            name if IGNORED.contains(&name) => {}
            name if UNSUPPORTED.contains(&name) => {
                if !changes_nothing(name, &value) {
                    return Err(Refusal::member(name, "is not supported"));
                }
            }
            name => return Err(Refusal::member(name, "is not known")),
        }
        Ok(())
    }
}

/// What a member of true or false is expected to be.
const TRUTH: &str = "true or false";

/// Log-probabilities are those of drawn tokens.
const NO_OTHERS: &str =
    "only the log-probabilities of the answer's own tokens are given, expected 0";

/// The value of a member.
fn member<T: DeserializeOwned>(name: &str, value: Value, expected: &str) -> Result<T, Refusal> {
    let found = short(&value);
    serde_json::from_value(value)
        .map_err(|_| Refusal::member(name, format!("expected {expected}, found {found}")))
}

/// The beginning of a value, to be quoted.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn at_least_one(name: &str, value: Value) -> Result<usize, Refusal> {
    let expected = "a whole number from 1";
    match member(name, value, expected)? {
        0 => Err(Refusal::member(name, format!("expected {expected}, found 0"))),
        number => Ok(number),
    }
}

/// The messages, with contents in one form.
fn messages(value: Value) -> Result<Vec<Value>, Refusal> {
    let mut all: Vec<Value> = member("messages", value, "a list of messages")?;
    for (index, message) in all.iter_mut().enumerate() {
        let refuse = |says: &str| Refusal::member("messages", format!("message {index}: {says}"));
        let message = message.as_object_mut().ok_or_else(|| refuse("expected an object"))?;
        match message.get("role") {
            Some(Value::String(role)) if !role.is_empty() => {}
            _ => return Err(refuse("expected a text as 'role'")),
        }
        if message.get("tool_calls").is_some_and(|calls| !calls.is_null()) {
            return Err(refuse("'tool_calls' are not supported"));
        }
        let content = match message.get("content") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(_)) => continue,
            Some(Value::Array(parts)) => joined(parts).map_err(|says| refuse(&says))?,
            Some(_) => return Err(refuse("expected a text or a list of parts as 'content'")),
        };
        message.insert("content".into(), content.into());
    }
    Ok(all)
}

/// The text of the parts of a content.
fn joined(parts: &[Value]) -> Result<String, String> {
    let text = |part: &Value| match (part.get("type")?.as_str()?, part.get("text")) {
        ("text", Some(Value::String(text))) => Some(text.clone()),
        _ => None,
    };
    let texts: Option<Vec<String>> = parts.iter().map(text).collect();
    texts
        .map(|texts| texts.concat())
        .ok_or_else(|| r#"expected parts {"type": "text", "text": "…"} only"#.into())
}

/// A text, a list of texts, a list of tokens or a list of lists of tokens.
fn prompts(value: Value) -> Result<Vec<Prompt>, Refusal> {
    let expected = "a text, tokens, or a list of texts or of lists of tokens";
    let refuse = || Refusal::member("prompt", format!("expected {expected}"));
    let ids = |value: Value| serde_json::from_value::<Vec<u32>>(value).map_err(|_| refuse());
    match value {
        Value::String(text) => Ok(vec![Prompt::Text(text)]),
        Value::Array(all) if all.first().is_some_and(Value::is_number) => {
            Ok(vec![Prompt::Ids(ids(Value::Array(all))?)])
        }
        Value::Array(all) => {
            let one = |value: Value| match value {
                Value::String(text) => Ok(Prompt::Text(text)),
                value => ids(value).map(Prompt::Ids),
            };
            all.into_iter().map(one).collect()
        }
        _ => Err(refuse()),
    }
}

/// A text or a list of texts. Empty ones end nothing.
fn stops(value: Value) -> Result<Vec<String>, Refusal> {
    let all: Vec<String> = match value {
        Value::String(text) => vec![text],
        value => member("stop", value, "a text or a list of texts")?,
    };
    let is_short = |stop: &String| stop.chars().nth(MAX_STOP).is_none();
    if all.len() > MAX_STOPS || !all.iter().all(is_short) {
        let says = format!("expected at most {MAX_STOPS} texts of at most {MAX_STOP} characters");
        return Err(Refusal::member("stop", says));
    }
    Ok(all.into_iter().filter(|stop| !stop.is_empty()).collect())
}

fn include_usage(value: Value) -> Result<bool, Refusal> {
    let members: Map<String, Value> = member("stream_options", value, "an object")?;
    let mut include = false;
    for (name, value) in members {
        match name.as_str() {
            "include_usage" => include = member("stream_options.include_usage", value, TRUTH)?,
            "include_obfuscation" => {}
            name => {
                return Err(Refusal::member("stream_options", format!("'{name}' is not known")));
            }
        }
    }
    Ok(include)
}

/// Whether an unsupported member has the value that it has by default.
fn changes_nothing(name: &str, value: &Value) -> bool {
    match (name, value) {
        ("response_format", value) => value.get("type").is_some_and(|kind| kind == "text"),
        ("modalities", value) => *value == serde_json::json!(["text"]),
        ("tool_choice" | "function_call", Value::String(choice)) => {
            ["none", "auto"].contains(&choice.as_str())
        }
        ("parallel_tool_calls", Value::Bool(_)) => true,
        ("best_of" | "repetition_penalty", value) => value.as_f64() == Some(1.0),
        (_, Value::Bool(is)) => !is,
        (_, Value::Number(number)) => number.as_f64() == Some(0.0),
        (_, Value::String(text)) => text.is_empty(),
        (_, Value::Array(all)) => all.is_empty(),
        (_, Value::Object(all)) => all.is_empty(),
        (_, Value::Null) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(members: &str) -> Result<Request, Refusal> {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"go"}}]{members}}}"#);
        Request::read(Endpoint::Chat, body.as_bytes())
    }

    #[test]
    fn contents_are_texts_or_lists_of_text_parts() {
        let parts = r#"[{"type":"text","text":"a"},{"type":"text","text":"b"}]"#;
        let body = format!(r#"{{"messages":[{{"role":"user","content":{parts}}}]}}"#);
        let request = Request::read(Endpoint::Chat, body.as_bytes()).unwrap();
        let Prompt::Chat(chat) = &request.prompts[0] else { panic!("no chat") };
        assert_eq!(chat.messages[0]["content"], "ab");
        assert!(chat.add_generation_prompt);
    }

    #[test]
    fn prompts_are_texts_or_tokens_one_or_several() {
        let read = |prompt: &str| {
            let body = format!(r#"{{"prompt":{prompt}}}"#);
            Request::read(Endpoint::Text, body.as_bytes()).map(|request| request.prompts)
        };
        let text = |text: &str| Prompt::Text(text.into());
        assert_eq!(read(r#""a""#).unwrap(), [text("a")]);
        assert_eq!(read(r#"["a","b"]"#).unwrap(), [text("a"), text("b")]);
        assert_eq!(read("[1,2]").unwrap(), [Prompt::Ids(vec![1, 2])]);
        assert_eq!(read("[[1],[2]]").unwrap(), [1, 2].map(|id| Prompt::Ids(vec![id])));
        for bad in ["[]", "7", "[-1]", "null", "[[1.5]]"] {
            assert_eq!(read(bad).unwrap_err().param.as_deref(), Some("prompt"), "{bad}");
        }
    }

    #[test]
    fn members_that_are_wrong_unknown_or_not_supported_are_refused_by_name() {
        for (members, param, says) in [
            (r#","temperature":"hot""#, "temperature", "expected a number, found \"hot\""),
            (r#","temperature":-1"#, "temperature", ""),
            (r#","top_p":0"#, "top_p", ""),
            (r#","n":0"#, "n", "from 1"),
            (r#","n":1000"#, "n", "at most 128"),
            (r#","max_tokens":0"#, "max_tokens", "from 1"),
            (r#","stop":[1]"#, "stop", "a list of texts"),
            (r#","top_logprobs":3"#, "top_logprobs", "expected 0"),
            (r#","tools":[{}]"#, "tools", "is not supported"),
            (r#","frequency_penalty":0.5"#, "frequency_penalty", "is not supported"),
            (r#","response_format":{"type":"json_object"}"#, "response_format", "not supported"),
            (r#","temprature":1"#, "temprature", "is not known"),
            (r#","prompt":"a""#, "prompt", "is not known"),
            (r#","stream_options":{"x":1}"#, "stream_options", "'x' is not known"),
        ] {
            let refusal = chat(members).unwrap_err();
            assert_eq!((refusal.status, refusal.param.as_deref()), (400, Some(param)));
            assert!(refusal.message.contains(says), "{}", refusal.message);
        }
        for body in ["", "[]", "{\"messages\"", "{}"] {
            assert_eq!(Request::read(Endpoint::Chat, body.as_bytes()).unwrap_err().status, 400);
        }
    }

    #[test]
    fn members_that_change_nothing_are_taken() {
        let request = chat(
            r#","tools":[],"logit_bias":{},"presence_penalty":0,"best_of":1,"seed":null,"user":"x",
               "response_format":{"type":"text"},"tool_choice":"none","top_k":-1,"stop":null"#,
        );
        assert_eq!(request.unwrap(), chat("").unwrap());
    }
}
