//! Chat templates: messages to text.
//!
//! A template is written in Jinja and comes with the model, so it is untrusted. It reaches no files, and
//! its work is limited in units of minijinja. These units do not count everything: two operands that
//! share their parts can take time without end to compare. So rendering also has a limit of time, on a
//! thread with room for the deepest values that the units pay for. Templates find what transformers
//! offers them, and are rendered to the same bytes.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, Value, escape_formatter,
};
use regex::Regex;
use serde_json::Map;

use super::python_json::to_json;

/// Length limit of a template, in bytes.
pub const MAX_TEMPLATE: usize = 1 << 20;

/// Work that a rendering may take whatever the chat, in the units of minijinja: about one an instruction
/// and one each 64 bytes of data.
const FUEL: u64 = 1_000_000;

/// Additional work for each byte of the chat.
const FUEL_PER_BYTE: u64 = 4;

/// Limit of the work that a rendering may take.
const MAX_FUEL: u64 = 8_000_000;

/// Limit of the time that a rendering may take. An honest template takes a thousandth.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Stack of the thread that renders. Each level of a nested value takes some of it.
const STACK: usize = 1 << 30;

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
    /// Set once a rendering ran out of time; its thread may still be at work.
    is_endless: Arc<AtomicBool>,
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
            Ok(_) => Ok(Self { environment, is_endless: Arc::default() }),
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
        environment.set_fuel(Some((FUEL + FUEL_PER_BYTE * bytes as u64).min(MAX_FUEL)));
        let variables = Value::from_pairs(variables);
        self.within_limits(move || environment.get_template(name)?.render(variables))
    }

    /// Calls `render` on a thread of its own, for a limited time.
    fn within_limits(
        &self,
        render: impl FnOnce() -> Result<String, Error> + Send + 'static,
    ) -> Result<String, String> {
        let too_much = || "the chat template takes too much work for this chat".to_string();
        if self.is_endless.load(Ordering::Relaxed) {
            return Err(too_much());
        }
        let (sender, receiver) = channel();
        let work = move || {
            // Fails if the time was up.
            let _ = sender.send(render());
        };
        let thread = std::thread::Builder::new().name("chat template".into()).stack_size(STACK);
        thread.spawn(work).map_err(|error| format!("cannot start a thread: {error}"))?;
        match receiver.recv_timeout(TIME_LIMIT) {
            Ok(Ok(text)) => Ok(text),
            Ok(Err(error)) if error.kind() == ErrorKind::OutOfFuel => Err(too_much()),
            Ok(Err(error)) => Err(format!("the chat template fails: {error}")),
            Err(RecvTimeoutError::Timeout) => {
                self.is_endless.store(true, Ordering::Relaxed);
                Err(too_much())
            }
            Err(RecvTimeoutError::Disconnected) => Err("the chat template fails".into()),
        }
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
    environment.set_formatter(format);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", to_json);
    environment.add_function("raise_exception", |message: String| -> Result<Value, _> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: &str| {
        jiff::fmt::strtime::format(format, &jiff::Zoned::now())
            .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
    });
    Ok(environment)
}

/// Writes a value of the output. For lists and maps, fuel is consumed as they are written: minijinja
/// counts them only afterwards, and one that shares its parts can be endless.
fn format(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => {
            let mut charged = Charged { out, state, failed: None };
            let written = write!(charged, "{value}");
            charged.failed.map_or_else(|| written.map_err(Error::from), Err)
        }
        _ => escape_formatter(out, state, value),
    }
}

struct Charged<'a, 'o, 's, 'e> {
    out: &'a mut Output<'o>,
    state: &'a State<'s, 'e>,
    failed: Option<Error>,
}

impl Write for Charged<'_, '_, '_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if let Err(error) = self.state.consume_fuel(1 + text.len() as u64 / 64) {
            self.failed = Some(error);
            return Err(fmt::Error);
        }
        self.out.write_str(text)
    }
}
