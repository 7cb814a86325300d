//! The connection of one session, on a thread of its own.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use super::catalogue::Catalogue;
use super::seats::Seats;
use super::session::{Player, error};
use crate::env::openenv::wire::{MAX_MESSAGE, code};

/// How long a read waits before it looks whether the server is to stop.
const LOOK: Duration = Duration::from_millis(250);

/// How long a client may leave an answer unread.
const WRITE_TIME: Duration = Duration::from_secs(30);

/// How long the end of a connection is waited for.
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// What the sessions of a server share.
pub struct Hall {
    pub catalogue: Arc<Catalogue>,
    pub seats: Arc<Seats>,
    /// How long a client may say nothing.
    pub idle: Duration,
    pub stops: Arc<AtomicBool>,
}

impl Hall {
    /// Plays a session to its end. `read` are bytes of the connection that were read already. Errors of
    /// the connection are the client's loss alone.
    pub fn play(&self, stream: TcpStream, read: Vec<u8>) {
        let set = |stream: &TcpStream| {
            stream.set_nonblocking(false)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(LOOK))?;
            stream.set_write_timeout(Some(WRITE_TIME))
        };
        if set(&stream).is_err() {
            return;
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let mut socket = WebSocket::from_partially_read(stream, read, Role::Server, Some(config));
        match self.seats.take() {
            None => {
                let _ = socket.send(self.full().into());
            }
            Some(seat) => {
                let mut player = Player::new(self.catalogue.clone());
                let _ = self.converse(&mut socket, &mut player);
                // The place is free before the client learns that the session has ended.
                drop(player);
                drop(seat);
            }
        }
        close(&mut socket);
    }

    fn full(&self) -> String {
        let total = self.seats.total;
        let message = format!("all {total} sessions of the server are taken");
        let data = json!({
            "message": message, "code": code::CAPACITY_REACHED,
            "active_sessions": self.seats.taken(), "max_sessions": total,
        });
        json!({ "type": "error", "data": data }).to_string()
    }

    /// Answers messages until the client or the server ends.
    fn converse(
        &self,
        socket: &mut WebSocket<TcpStream>,
        player: &mut Player,
    ) -> Result<(), Error> {
        let mut last = Instant::now();
        loop {
            let answer = match socket.read() {
                Ok(Message::Text(text)) => match player.answer(&text) {
                    Some(answer) => answer,
                    None => return Ok(()),
                },
                Ok(Message::Binary(_)) => {
                    error(code::INVALID_JSON, "the message is binary, expected text".into())
                }
                Ok(_) => continue,
                Err(Error::Io(failure)) if is_time_out(failure.kind()) => {
                    if self.stops.load(Ordering::Relaxed) || last.elapsed() >= self.idle {
                        return Ok(());
                    }
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            socket.send(answer.into())?;
            last = Instant::now();
        }
    }
}

fn is_time_out(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Ends a connection, and waits for the other side to agree.
fn close(socket: &mut WebSocket<TcpStream>) {
    let begun = Instant::now();
    let _ = socket.close(None);
    while begun.elapsed() < CLOSE_TIME {
        match socket.read() {
            Err(Error::Io(failure)) if is_time_out(failure.kind()) => {}
            Err(_) => return,
            Ok(_) => {}
        }
    }
}
