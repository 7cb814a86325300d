//! Requests to a server that are no sessions: its schema and its tasks.

use serde_json::{Value, json};
use ureq::Agent;

use super::address::{Address, URL};
use super::trust::{CA_FILE, Trust, explain, is_unknown};
use crate::env::environment::Split;
use crate::env::process::{TimeLimit, one_line};
use crate::error::{Error, Result};

/// Maximum number of bytes of an answer.
const MAX_ANSWER: u64 = 16 << 20;

/// A client of a server's HTTP paths.
pub(super) struct Http<'a> {
    address: &'a Address,
    agent: Agent,
}

impl<'a> Http<'a> {
    pub(super) fn new(address: &'a Address, trust: Option<&Trust>, limit: &TimeLimit) -> Self {
        // A proxy would not know a server on this machine. An encrypted server does not lead to another.
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(address.is_encrypted)
            .timeout_global(limit.get())
            .proxy(None);
        let config = match trust {
            Some(trust) => config.tls_config(trust.config_of_requests()),
            None => config,
        };
        Self { address, agent: config.build().into() }
    }

    fn failed(&self, error: &ureq::Error) -> Error {
        let shown = self.address.shown();
        let reason = match tls_error(error) {
            Some(error) if is_unknown(error) => {
                let message = format!(
                    "does not name the authority that has signed the certificate of {shown}; give a file \
                     with the certificate of that authority"
                );
                return Error::setting(CA_FILE, message);
            }
            Some(error) => explain(error),
            None => one_line(&error.to_string()),
        };
        self.refuse(&format!("{shown} cannot be reached: {reason}"))
    }

    fn refuse(&self, message: &str) -> Error {
        Error::setting(URL, message)
    }

    /// The answer to a request: with a body it is a POST, else a GET. `None` if the server has no such
    /// path or does not support it.
    fn ask(&self, path: &str, body: Option<&Value>) -> Result<Option<Value>> {
        let url = self.address.request_url(path);
        let failed = |error: ureq::Error| self.failed(&error);
        let answered = match body {
            None => self.agent.get(&url).call(),
            Some(body) => {
                let request = self.agent.post(&url).header("Content-Type", "application/json");
                request.send(body.to_string())
            }
        };
        let mut answer = answered.map_err(failed)?;
        let status = answer.status().as_u16();
        if [404, 405, 501].contains(&status) {
            return Ok(None);
        }
        let text = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_string();
        let text = text.map_err(failed)?;
        let says = |what: &str| {
            let shown = self.address.shown();
            self.refuse(&format!("{shown} answers {path} {what}: {}", one_line(&text)))
        };
        if status != 200 {
            return Err(says(&format!("with status {status}")));
        }
        serde_json::from_str(&text).map(Some).map_err(|_| says("with what is not JSON"))
    }

    /// The forms of actions and observations.
    pub(super) fn schema(&self) -> Result<Value> {
        let schema = self.ask("/schema", None)?;
        let fits =
            |schema: &Value| schema["action"].is_object() && schema["observation"].is_object();
        schema.filter(fits).ok_or_else(|| {
            let shown = self.address.shown();
            self.refuse(&format!("{shown} gives no schema at /schema, so it is no OpenEnv server"))
        })
    }

    /// The environment's name, and its splits if the server lists tasks.
    pub(super) fn tasks(&self) -> Result<(Option<String>, Vec<Split>)> {
        let names = self.ask("/list_environments", None)?;
        let name = names.as_ref().and_then(|names| names.get(0)).and_then(Value::as_str);
        let Some(name) = name else { return Ok((None, Vec::new())) };
        let path = |what: &str| format!("/{}/{what}", escaped(name));
        let none = Ok((Some(name.to_string()), Vec::new()));
        let Some(listed) = self.ask(&path("splits"), None)? else { return none };
        let mut splits = Vec::new();
        for split in listed.as_array().into_iter().flatten() {
            let own = split.get("name").unwrap_or(split).as_str();
            let own = own.ok_or_else(|| self.malformed("a split without a name"))?;
            let asked = json!({ "split": own });
            let Some(counted) = self.ask(&path("num_tasks"), Some(&asked))? else { return none };
            let tasks = counted.get("num_tasks").and_then(Value::as_u64);
            let tasks = tasks.ok_or_else(|| self.malformed("no number of tasks"))?;
            splits.push(Split { name: own.to_string(), tasks });
        }
        Ok((Some(name.to_string()), splits))
    }

    fn malformed(&self, what: &str) -> Error {
        self.refuse(&format!("{} lists its tasks with {what}", self.address.shown()))
    }
}

/// The error of the encryption, if a request failed because of it.
fn tls_error(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// A name as a part of a path.
fn escaped(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}
