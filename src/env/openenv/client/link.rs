//! One socket of a server: a session there.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use super::address::Address;
use super::stream::{Stream, is_early};
use super::trust::Trust;
use crate::env::openenv::handshake::accept_key;
use crate::env::openenv::wire::{MAX_MESSAGE, SOCKET_PATH};
use crate::env::process::one_line;

/// Maximum number of bytes of the server's answer to the request for a socket.
const MAX_HEAD: usize = 1 << 14;

/// How long the end of a session is waited for, so that its place on the server is free for the next.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// The time limit where there is none.
const FOREVER: Duration = Duration::from_secs(1 << 30);

/// A server's message.
#[derive(Debug)]
pub(super) enum Reply {
    /// The state of the episode.
    Observation(Value),
    /// The state of the session.
    State,
    /// An error.
    Refusal {
        code: String,
        message: String,
        /// Number of sessions that the server allows, if it tells.
        max_sessions: Option<u64>,
    },
}

/// A socket.
pub(super) struct Link {
    socket: WebSocket<Stream>,
    shown: String,
    /// Messages that arrived while none was waited for.
    inbox: VecDeque<String>,
    /// Number of answers that the server owes.
    owed: usize,
    /// Why the socket cannot be used any more.
    fault: Option<String>,
}

impl Link {
    /// Connects to a server.
    pub(super) fn connect(
        address: &Address,
        trust: Option<&Trust>,
        limit: Option<Duration>,
    ) -> Result<Self, String> {
        let limit = limit.unwrap_or(FOREVER);
        let shown = address.shown();
        let failed = |what: &str| format!("{shown} cannot be reached: {what}");
        let begun = Instant::now();
        let mut stream = Stream::connect(address, trust, limit).map_err(|what| failed(&what))?;
        let rest = handshake(&mut stream, address, begun + limit).map_err(|what| failed(&what))?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let socket = WebSocket::from_partially_read(stream, rest, Role::Client, Some(config));
        Ok(Self { socket, shown, inbox: VecDeque::new(), owed: 0, fault: None })
    }

    /// Whether the socket can start an episode.
    pub(super) fn is_usable(&self) -> bool {
        self.fault.is_none() && self.owed == 0 && self.inbox.is_empty()
    }

    /// Sends a message that the server answers.
    pub(super) fn send(&mut self, message: &Value) -> Result<(), String> {
        self.check()?;
        let sent = self.socket.get_ref().tcp().set_nonblocking(false).map_err(Error::Io);
        let sent = sent.and_then(|()| self.socket.send(message.to_string().into()));
        if let Err(error) = sent {
            // A server that refuses a session says why before it ends the connection.
            while self.read(Some(Duration::from_millis(100))) {}
            return Err(self.break_off(&error));
        }
        self.owed += 1;
        Ok(())
    }

    /// Waits for an answer.
    pub(super) fn receive(&mut self, limit: Option<Duration>) -> Result<Reply, String> {
        let begun = Instant::now();
        loop {
            if let Some(text) = self.inbox.pop_front() {
                self.owed = self.owed.saturating_sub(1);
                return read_reply(&text).map_err(|what| self.broken(&what));
            }
            self.check()?;
            let left = limit.map(|limit| limit.saturating_sub(begun.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                let seconds = limit.unwrap_or_default().as_secs_f64();
                return Err(self.broken(&format!("gave no answer within {seconds} seconds")));
            }
            let waits = left.unwrap_or(Duration::from_secs(1)).min(Duration::from_secs(1));
            self.read(Some(waits));
        }
    }

    /// Reads what has arrived, and answers the server's questions whether this side is alive.
    pub(super) fn pump(&mut self) {
        while self.fault.is_none() && self.read(None) {}
        let _ = self.socket.flush();
    }

    /// Reads once: for as long as `waits`, or what has arrived. Returns whether anything was read.
    fn read(&mut self, waits: Option<Duration>) -> bool {
        let stream = self.socket.get_ref().tcp();
        let set = stream.set_nonblocking(waits.is_none());
        let set = set.and_then(|()| match waits {
            // A time-out of zero is not allowed.
            Some(waits) => stream.set_read_timeout(Some(waits.max(Duration::from_millis(1)))),
            None => Ok(()),
        });
        match set.map_err(Error::Io).and_then(|()| self.socket.read()) {
            Ok(Message::Text(text)) => {
                self.inbox.push_back(text.to_string());
                true
            }
            Ok(Message::Binary(_)) => {
                self.broken("sent a binary message");
                false
            }
            Ok(_) => true,
            Err(Error::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
            {
                false
            }
            Err(error) => {
                self.break_off(&error);
                false
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// Records that the socket cannot be used any more. The first reason counts.
    fn broken(&mut self, what: &str) -> String {
        let message = format!("{} {}", self.shown, one_line(what));
        self.fault.get_or_insert(message).clone()
    }

    fn break_off(&mut self, error: &Error) -> String {
        let what = match error {
            Error::ConnectionClosed | Error::AlreadyClosed => "ended the session".to_string(),
            Error::Io(error) if error.kind() == ErrorKind::ConnectionReset => {
                "ended the connection".into()
            }
            Error::Protocol(_) => format!("broke the connection: {error}"),
            other => format!("broke the connection: {other}"),
        };
        self.broken(&what)
    }
}

impl Drop for Link {
    /// Ends the session, and waits for the server to confirm it.
    fn drop(&mut self) {
        if self.fault.is_some() {
            return;
        }
        let message = json!({ "type": "close" }).to_string();
        let stream = self.socket.get_ref().tcp();
        let set = stream.set_nonblocking(false);
        let _ = set.and_then(|()| stream.set_write_timeout(Some(CLOSE_TIME)));
        if self.socket.send(message.into()).is_err() {
            return;
        }
        let begun = Instant::now();
        while begun.elapsed() < CLOSE_TIME && self.fault.is_none() {
            self.read(Some(CLOSE_TIME / 4));
        }
    }
}

/// Turns a connection into a socket. Returns the bytes of the socket that were read.
fn handshake(stream: &mut Stream, address: &Address, deadline: Instant) -> Result<Vec<u8>, String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| format!("there is no random key: {error}"))?;
    let key = STANDARD.encode(bytes);
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n",
        address.path(SOCKET_PATH),
        address.authority()
    );
    stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    loop {
        stream.read_until(deadline)?;
        match stream.read(&mut buffer) {
            Ok(0) => return Err("it ended the connection".into()),
            Ok(count) => head.extend_from_slice(&buffer[..count]),
            Err(error) if is_early(&error) => continue,
            Err(error) => return Err(error.to_string()),
        }
        if let Some(length) = read_head(&head, &key)? {
            return Ok(head.split_off(length));
        }
        if head.len() > MAX_HEAD {
            return Err("its answer is no HTTP".into());
        }
    }
}

/// The length of the server's answer, once it is whole.
fn read_head(head: &[u8], key: &str) -> Result<Option<usize>, String> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(head).map_err(|error| format!("its answer is no HTTP: {error}"))?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    if status != 101 {
        return Err(format!("it has no sessions at {SOCKET_PATH} (status {status})"));
    }
    let accepts = |header: &httparse::Header| {
        header.name.eq_ignore_ascii_case("Sec-WebSocket-Accept")
            && header.value == accept_key(key).as_bytes()
    };
    match response.headers.iter().any(accepts) {
        true => Ok(Some(length)),
        false => Err("it does not speak WebSocket".into()),
    }
}

/// Reads a server's message.
fn read_reply(text: &str) -> Result<Reply, String> {
    let says = |what: &str| format!("gave a malformed answer: {what}: {}", one_line(text));
    let mut message: Value = serde_json::from_str(text).map_err(|_| says("it is not JSON"))?;
    let mut data = message.get_mut("data").map(Value::take).unwrap_or_default();
    match message.get("type").and_then(Value::as_str) {
        Some("observation") if data.get("observation").is_some_and(Value::is_object) => {
            Ok(Reply::Observation(data))
        }
        Some("observation") => Err(says("it has no observation")),
        Some("state") => Ok(Reply::State),
        Some("error") => {
            let code = data["code"].as_str().unwrap_or("no code").to_string();
            let detail = data.get("errors").map(|errors| format!(" {errors}")).unwrap_or_default();
            let message = data["message"].take();
            let message = message.as_str().unwrap_or("no message");
            let message = one_line(&format!("{message}{detail}"));
            Ok(Reply::Refusal { code, message, max_sessions: data["max_sessions"].as_u64() })
        }
        _ => Err(says("its type is unknown")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_and_others_are_refused() {
        let read = |text: &str| read_reply(text);
        let observed = r#"{"type":"observation","data":{"observation":{"a":1},"done":true}}"#;
        assert!(matches!(read(observed), Ok(Reply::Observation(data)) if data["done"] == true));
        assert!(matches!(read(r#"{"type":"state","data":{}}"#), Ok(Reply::State)));
        let full = r#"{"type":"error","data":{"message":"full","code":"CAPACITY_REACHED","max_sessions":1}}"#;
        let Ok(Reply::Refusal { code, message, max_sessions }) = read(full) else {
            panic!("{full}")
        };
        assert_eq!((code.as_str(), message.as_str()), ("CAPACITY_REACHED", "full"));
        assert_eq!(max_sessions, Some(1));
        for (text, says) in [
            ("hello", "it is not JSON"),
            ("{}", "its type is unknown"),
            (r#"{"type":"observation","data":{"observation":"a"}}"#, "it has no observation"),
            (r#"{"type":"observation"}"#, "it has no observation"),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(says), "{text}: {message}");
        }
    }
}
