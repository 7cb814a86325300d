//! Errors in OpenAI's form.

use serde_json::{Value, json};

/// Why a request gets no answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, for a person.
    pub message: String,
    /// The member of the request at fault.
    pub param: Option<String>,
    /// The kind of error, for a program.
    pub code: Option<&'static str>,
}

/// Length limit of a message, in characters. It may quote the request.
const MAX_MESSAGE: usize = 1_000;

impl Refusal {
    fn new(status: u16, message: impl Into<String>, code: Option<&'static str>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
            message.truncate(end);
            message.push('…');
        }
        Self { status, message, param: None, code }
    }

    /// A request that cannot be read as a whole.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, message, None)
    }

    /// A member with a value that is not allowed.
    pub fn member(name: &str, message: impl AsRef<str>) -> Self {
        let refusal = Self::new(400, format!("'{name}': {}", message.as_ref()), None);
        Self { param: Some(name.into()), ..refusal }
    }

    /// A sequence that the model or its memory cannot hold.
    pub fn context(message: impl Into<String>) -> Self {
        Self::new(400, message, Some("context_length_exceeded"))
    }

    /// A missing or wrong key.
    pub fn unauthorized() -> Self {
        let message = "a key is needed: send it as 'Authorization: Bearer KEY'";
        Self::new(401, message, Some("invalid_api_key"))
    }

    /// A path that is not served.
    pub fn no_path(path: &str) -> Self {
        Self::new(404, format!("there is no '{path}'"), Some("not_found"))
    }

    /// A model that is not served.
    pub fn no_model(name: &str, served: &str) -> Self {
        let message = format!("there is no model '{name}', only '{served}'");
        let refusal = Self::new(404, message, Some("model_not_found"));
        Self { param: Some("model".into()), ..refusal }
    }

    /// A method that a path does not have.
    pub fn no_method(method: &str, path: &str) -> Self {
        Self::new(405, format!("{method} is no method of '{path}'"), Some("method_not_allowed"))
    }

    /// A request that did not arrive in time.
    pub fn too_slow() -> Self {
        Self::new(408, "the request did not arrive in time", Some("request_timeout"))
    }

    /// A request of too many bytes.
    pub fn too_large(limit: usize) -> Self {
        let message = format!("the request is larger than {limit} bytes");
        Self::new(413, message, Some("request_too_large"))
    }

    /// A request that says it is not JSON.
    pub fn no_json(found: &str) -> Self {
        let message = format!("'Content-Type' is '{found}', expected 'application/json'");
        Self::new(415, message, Some("unsupported_media_type"))
    }

    /// A run that failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(500, message, Some("failed"))
    }

    /// A queue that is full.
    pub fn overloaded() -> Self {
        Self::new(503, "too many requests are waiting: try again later", Some("overloaded"))
    }

    /// A server that ends.
    pub fn stopping() -> Self {
        Self::new(503, "the server is stopping", Some("stopping"))
    }

    /// The object that is sent.
    pub fn to_json(&self) -> Value {
        let kind = match self.status {
            401 => "authentication_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        let Self { message, param, code, .. } = self;
        json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
    }
}
