//! A connection to a server, encrypted or not.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::address::Address;
use super::trust::{Trust, explain};

/// A connection to a server.
pub(super) enum Stream {
    Plain(TcpStream),
    Encrypted(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Connects to a server. With authorities to trust, the connection is encrypted.
    pub(super) fn connect(
        address: &Address,
        trust: Option<&Trust>,
        limit: Duration,
    ) -> Result<Self, String> {
        let deadline = Instant::now() + limit;
        let stream = open(address, limit).map_err(|error| error.to_string())?;
        match trust {
            None => Ok(Self::Plain(stream)),
            Some(trust) => encrypt(stream, address, trust, deadline),
        }
    }

    /// The connection below the encryption, whose time limits hold for this one.
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Encrypted(stream) => &stream.sock,
        }
    }

    /// Limits the time that one read takes to what is left until a deadline.
    pub(super) fn read_until(&self, deadline: Instant) -> Result<(), String> {
        read_until(self.tcp(), deadline)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Encrypted(stream) => match stream.read(buffer) {
                // Many servers end an encrypted connection without saying so first.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
                read => read,
            },
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Encrypted(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Encrypted(stream) => stream.flush(),
        }
    }
}

fn open(address: &Address, limit: Duration) -> io::Result<TcpStream> {
    let mut last = None;
    for target in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&target, limit) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(limit))?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("the host has no address")))
}

/// Agrees with the server on keys, and checks its certificate.
fn encrypt(
    mut stream: TcpStream,
    address: &Address,
    trust: &Trust,
    deadline: Instant,
) -> Result<Stream, String> {
    let name = ServerName::try_from(address.host.clone())
        .map_err(|_| format!("'{}' is no name that a certificate can have", address.host))?;
    let mut connection =
        ClientConnection::new(trust.config(), name).map_err(|error| explain(&error))?;
    while connection.is_handshaking() {
        if connection.wants_write() {
            connection.write_tls(&mut stream).map_err(|error| error.to_string())?;
            continue;
        }
        read_until(&stream, deadline)?;
        match connection.read_tls(&mut stream) {
            Ok(0) => return Err("it ended the connection".into()),
            Ok(_) => {}
            Err(error) if is_early(&error) => continue,
            Err(error) => return Err(error.to_string()),
        }
        if let Err(error) = connection.process_new_packets() {
            // Tells the server why, as far as that is possible.
            let _ = connection.write_tls(&mut stream);
            return Err(explain(&error));
        }
    }
    Ok(Stream::Encrypted(Box::new(StreamOwned::new(connection, stream))))
}

fn read_until(stream: &TcpStream, deadline: Instant) -> Result<(), String> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err("it gave no answer in time".into());
    }
    stream.set_read_timeout(Some(left)).map_err(|error| error.to_string())
}

/// Whether a read ended before anything came.
pub(super) fn is_early(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
