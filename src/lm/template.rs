//! Chat templates: messages to text.
//!
//! A template is written in Jinja and comes with the model, so it is untrusted: rendering has a limit of
//! work and memory, and a template reaches no files. Templates find what transformers offers them, and
//! are rendered to the same bytes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, Value};
use regex::Regex;
use serde_json::Map;

use super::python_json::to_json;

/// Length limit of a template, in bytes.
pub const MAX_TEMPLATE: usize = 1 << 20;

/// Work that a rendering may take whatever the chat, in the units of minijinja: about one an instruction
/// and one each 64 bytes of data.
const FUEL: u64 = 1_000_000;

/// Additional work for each byte of the chat.
const FUEL_PER_BYTE: u64 = 16;

/// The name of the template that is used unless another one fits better.
const DEFAULT: &str = "default";

/// The name of the template for chats that offer tools.
const TOOLS: &str = "tool_use";

/// The tags around text of the assistant, which some templates have for training. They change no text.
static GENERATION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}").expect("the pattern is valid")
});

/// The messages of a chat, and what else a template finds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chat {
    /// The messages in order: objects with a `role` and, mostly, a `content`.
    pub messages: Vec<serde_json::Value>,
    /// Whether the text ends with the head of an answer, so that a model goes on with the answer itself.
    pub add_generation_prompt: bool,
    /// Further variables, such as `tools` or `enable_thinking`.
    pub others: Map<String, serde_json::Value>,
}

impl Chat {
    /// A chat of messages, each with a role and a content.
    pub fn new<'a>(messages: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let message = |(role, content)| serde_json::json!({ "role": role, "content": content });
        Self { messages: messages.into_iter().map(message).collect(), ..Self::default() }
    }
}

/// The chat templates of a model, compiled.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    environment: Environment<'static>,
}

impl ChatTemplate {
    /// Compiles a template.
    ///
    /// # Errors
    /// Returns a message if the template is too long or has a syntax error.
    pub fn parse(source: &str) -> Result<Self, String> {
        Self::named([(DEFAULT.to_string(), source.to_string())])
    }

    /// Compiles templates with names. `default` is used, or `tool_use` for chats with the variable
    /// `tools`.
    ///
    /// # Errors
    /// Returns a message if a template is too long or has a syntax error, or none is named `default`.
    pub fn named(sources: impl IntoIterator<Item = (String, String)>) -> Result<Self, String> {
        let mut environment = environment()?;
        for (name, source) in sources {
            if source.len() > MAX_TEMPLATE {
                let length = source.len();
                return Err(format!(
                    "the chat template has {length} bytes, expected at most {MAX_TEMPLATE}"
                ));
            }
            let source = GENERATION.replace_all(&source, |tag: &regex::Captures| {
                let word = if tag.get(2).is_some() { "endif" } else { "if true" };
                format!("{{%{} {word} {}%}}", &tag[1], &tag[3])
            });
            let added = environment.add_template_owned(name, source.into_owned());
            added.map_err(|error| format!("the chat template is invalid: {error}"))?;
        }
        match environment.get_template(DEFAULT) {
            Ok(_) => Ok(Self { environment }),
            Err(_) => Err(format!("no chat template is named '{DEFAULT}'")),
        }
    }

    /// Renders a chat. `special` are the texts of special tokens by the names that templates know
    /// (`bos_token`, `eos_token`).
    ///
    /// # Errors
    /// Returns a message if the chat is empty, or the template raises an exception, misuses a value or
    /// takes too much work.
    pub fn render(
        &self,
        chat: &Chat,
        special: &BTreeMap<String, String>,
    ) -> Result<String, String> {
        if chat.messages.is_empty() {
            return Err("there are no messages".into());
        }
        let mut variables: BTreeMap<&str, Value> = [
            ("messages", messages(chat)),
            ("add_generation_prompt", Value::from(chat.add_generation_prompt)),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
        ]
        .into();
        variables.extend(special.iter().map(|(name, text)| (name.as_str(), Value::from(text))));
        let others = chat.others.iter();
        variables.extend(others.map(|(name, value)| (name.as_str(), Value::from(Serde(value)))));

        let has_tools = chat.others.get("tools").is_some_and(|tools| !tools.is_null());
        let name = match has_tools && self.environment.get_template(TOOLS).is_ok() {
            true => TOOLS,
            false => DEFAULT,
        };
        let bytes = serde_json::to_string(&chat.messages).map_or(0, |text| text.len())
            + serde_json::to_string(&chat.others).map_or(0, |text| text.len());
        // The fuel is a property of the environment; a clone shares the compiled templates.
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(FUEL + FUEL_PER_BYTE * bytes as u64));
        let rendered =
            environment.get_template(name).and_then(|template| template.render(variables));
        rendered.map_err(|error| match error.kind() {
            ErrorKind::OutOfFuel => "the chat template takes too much work for this chat".into(),
            _ => format!("the chat template fails: {error}"),
        })
    }
}

/// The messages without members that are null, which transformers leaves out too.
fn messages(chat: &Chat) -> Value {
    let without_null = |message: &serde_json::Value| match message {
        serde_json::Value::Object(members) => {
            let kept = members.iter().filter(|(_, value)| !value.is_null());
            Value::from_pairs(kept.map(|(name, value)| (name.as_str(), Value::from(Serde(value)))))
        }
        other => Value::from(Serde(other)),
    };
    chat.messages.iter().map(without_null).collect()
}

/// What transformers offers templates.
pub(crate) fn environment() -> Result<Environment<'static>, String> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(|error| error.to_string())?);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", to_json);
    environment.add_function("raise_exception", |message: String| -> Result<Value, _> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: &str| {
        jiff::fmt::strtime::format(format, &jiff::Zoned::now())
            .map_err(|error| minijinja::Error::new(ErrorKind::InvalidOperation, error.to_string()))
    });
    Ok(environment)
}
