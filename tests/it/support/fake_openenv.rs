//! An OpenEnv server in a few lines, with a fault to choose. Its tasks are one word: the goal is hidden in
//! the seed, and an episode is one step.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use sha1::Digest as _;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

/// What a server does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// It begins every episode otherwise.
    IgnoresSeeds,
    /// It does not answer the step of one episode.
    Hangs,
    /// It ends the connection in the step of one episode.
    EndsConnection,
    /// It answers one step with what is not JSON.
    SaysNonsense,
    /// It answers one step with an error of the environment.
    FailsOnce,
    /// It refuses the action `red` as not fitting its schema.
    RefusesRed,
    /// Its actions have two fields.
    UnclearSchema,
    /// It does not list the admissible actions.
    ListsNothing,
}

/// A server that is running. It ends with the test.
pub struct Fake {
    pub address: SocketAddr,
    is_encrypted: bool,
    state: Arc<State>,
}

struct State {
    fault: Fault,
    /// Number of sessions that it allows.
    most: usize,
    open: AtomicUsize,
    /// Most sessions that were open at a time.
    together: AtomicUsize,
    resets: AtomicUsize,
    /// Steps until the fault strikes; it strikes once.
    until_fault: Mutex<Option<usize>>,
}

const COLOURS: [&str; 3] = ["red", "green", "blue"];

impl Fake {
    pub fn new(fault: Fault, most: usize) -> Self {
        Self::start(fault, most, None)
    }

    /// A server that speaks TLS.
    pub fn encrypted(most: usize, tls: Arc<ServerConfig>) -> Self {
        Self::start(Fault::None, most, Some(tls))
    }

    fn start(fault: Fault, most: usize, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            fault,
            most,
            open: AtomicUsize::new(0),
            together: AtomicUsize::new(0),
            resets: AtomicUsize::new(0),
            until_fault: Mutex::new(None),
        });
        let shared = state.clone();
        let is_encrypted = tls.is_some();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (state, stream, tls) = (shared.clone(), stream.unwrap(), tls.clone());
                std::thread::spawn(move || match tls {
                    None => state.serve(stream),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).unwrap();
                        state.serve(StreamOwned::new(connection, stream));
                    }
                });
            }
        });
        Self { address, is_encrypted, state }
    }

    pub fn url(&self) -> String {
        let scheme = if self.is_encrypted { "wss" } else { "ws" };
        format!("{scheme}://{}", self.address)
    }

    /// Most sessions that were open at a time.
    pub fn together(&self) -> usize {
        self.state.together.load(Ordering::Relaxed)
    }

    /// Lets the fault strike in the step after `steps` more.
    pub fn strike_after(&self, steps: usize) {
        *self.state.until_fault.lock().unwrap() = Some(steps);
    }
}

impl State {
    fn serve(&self, mut stream: impl Read + Write) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read_exact(&mut byte).is_err() {
                return;
            }
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        if !head.starts_with("GET /ws ") {
            let (status, body) = match head.starts_with("GET /schema ") {
                true => ("200 OK", self.schema().to_string()),
                false => ("404 Not Found", "{}".to_string()),
            };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
            return;
        }
        let (_, key) = head.split_once("Sec-WebSocket-Key: ").unwrap();
        let key = key.lines().next().unwrap();
        let hash = sha1::Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
        let accept = base64::engine::general_purpose::STANDARD.encode(hash);
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).unwrap();
        let mut socket = WebSocket::from_raw_socket(stream, Role::Server, None);
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        if open > self.most {
            let data = json!({
                "message": "full", "code": "CAPACITY_REACHED", "max_sessions": self.most,
            });
            let _ = socket.send(json!({ "type": "error", "data": data }).to_string().into());
        } else {
            self.together.fetch_max(open, Ordering::SeqCst);
            self.play(&mut socket);
        }
        self.open.fetch_sub(1, Ordering::SeqCst);
        let _ = socket.close(None);
        while socket.read().is_ok() {}
    }

    fn schema(&self) -> Value {
        let text = json!({ "type": "string" });
        let mut action = json!({ "properties": { "word": text }, "required": ["word"] });
        if self.fault == Fault::UnclearSchema {
            action["properties"]["other"] = text.clone();
            action["required"] = json!(["word", "other"]);
        }
        let mut fields = json!({ "text": text, "metadata": {} });
        if self.fault != Fault::ListsNothing {
            fields["legal_actions"] = json!({ "type": "array", "items": text });
        }
        json!({ "action": action, "observation": { "properties": fields, "required": ["text"] } })
    }

    fn play(&self, socket: &mut WebSocket<impl Read + Write>) {
        let mut wanted = "";
        loop {
            let message: Value = match socket.read() {
                Ok(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
                Ok(_) => continue,
                Err(_) => return,
            };
            let answer = match message["type"].as_str().unwrap() {
                "reset" => {
                    let count = self.resets.fetch_add(1, Ordering::SeqCst);
                    let seed = match self.fault {
                        Fault::IgnoresSeeds => count,
                        _ => message["data"]["seed"].as_u64().unwrap() as usize,
                    };
                    wanted = COLOURS[seed % COLOURS.len()];
                    let text = format!("press {wanted}");
                    self.observation(&text, &Value::Null, false)
                }
                "step" => match self.step(wanted, message["data"]["word"].as_str().unwrap()) {
                    Some(answer) => answer,
                    None => return,
                },
                "state" => json!({ "type": "state", "data": {} }).to_string(),
                _ => return,
            };
            if socket.send(answer.into()).is_err() {
                return;
            }
        }
    }

    /// The answer to a step. `None` ends the connection.
    fn step(&self, wanted: &str, word: &str) -> Option<String> {
        let error = |code: &str, message: &str| {
            let data = json!({ "message": message, "code": code });
            Some(json!({ "type": "error", "data": data }).to_string())
        };
        if self.fault == Fault::RefusesRed && word == "red" {
            return error("VALIDATION_ERROR", "Invalid message");
        }
        let strikes = {
            let mut left = self.until_fault.lock().unwrap();
            let strikes = *left == Some(0);
            *left = left.and_then(|left| left.checked_sub(1));
            strikes
        };
        match self.fault {
            Fault::Hangs if strikes => std::thread::sleep(Duration::from_millis(1500)),
            Fault::EndsConnection if strikes => return None,
            Fault::SaysNonsense if strikes => return Some("<html>".into()),
            Fault::FailsOnce if strikes => return error("EXECUTION_ERROR", "the shelf fell down"),
            _ => {}
        }
        let reward = f64::from(u8::from(word == wanted));
        Some(self.observation("the end", &reward.into(), true))
    }

    fn observation(&self, text: &str, reward: &Value, done: bool) -> String {
        let mut seen = json!({ "text": text, "metadata": {} });
        if self.fault != Fault::ListsNothing {
            seen["legal_actions"] = if done { json!([]) } else { json!(COLOURS) };
        }
        let data = json!({ "observation": seen, "reward": reward, "done": done });
        json!({ "type": "observation", "data": data }).to_string()
    }
}
