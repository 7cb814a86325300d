//! The address of a server.

use hyper::Uri;

use crate::error::{Error, Result};

/// The setting that holds the address.
pub(super) const URL: &str = "env.url";

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    /// The path before those of OpenEnv, without a slash at its end.
    prefix: String,
}

impl Address {
    /// Reads `ws://HOST:PORT` or `http://HOST:PORT`, with or without a path.
    ///
    /// # Errors
    /// Names the setting and the mistake.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let refuse = |message: String| Err(Error::setting(URL, message));
        if url.trim().is_empty() {
            return refuse(
                "is not set; name an OpenEnv server, such as ws://127.0.0.1:8000".into(),
            );
        }
        let whole = match url.contains("://") {
            true => url.to_string(),
            false => format!("ws://{url}"),
        };
        let expected = "expected ws://HOST:PORT";
        let uri: Uri = match whole.parse() {
            Ok(uri) => uri,
            Err(error) => {
                return refuse(format!("'{url}' is not an address ({error}), {expected}"));
            }
        };
        match uri.scheme_str() {
            Some("ws" | "http") => {}
            Some("wss" | "https") => {
                return refuse(format!(
                    "'{url}' needs encryption (TLS), which is not supported; forward the port, as with \
                     ssh -L 8000:localhost:8000 HOST, and give ws://127.0.0.1:8000"
                ));
            }
            _ => return refuse(format!("'{url}' is not a web address, {expected}")),
        }
        let Some(host) = uri.host().filter(|host| !host.is_empty()) else {
            return refuse(format!("'{url}' names no host, {expected}"));
        };
        if uri.query().is_some() {
            return refuse(format!("'{url}' has a part after '?', {expected}"));
        }
        let path = uri.path().trim_end_matches('/');
        let prefix = path.strip_suffix("/ws").unwrap_or(path).to_string();
        let host = host.trim_matches(['[', ']']).to_string();
        Ok(Self { host, port: uri.port_u16().unwrap_or(80), prefix })
    }

    /// Host and port, as in a header.
    pub(super) fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// A path on the server.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// The address as messages show it.
    pub(super) fn shown(&self) -> String {
        format!("the server ws://{}{}", self.authority(), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_scheme_port_and_path() {
        for (url, authority, socket) in [
            ("ws://127.0.0.1:8000", "127.0.0.1:8000", "/ws"),
            ("http://example.org/", "example.org:80", "/ws"),
            ("localhost:9", "localhost:9", "/ws"),
            ("ws://[::1]:8000/a/b/ws", "[::1]:8000", "/a/b/ws"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(
                (address.authority(), address.path("/ws")),
                (authority.into(), socket.into())
            );
        }
        for (url, says) in [
            ("", "is not set"),
            ("wss://example.org", "TLS"),
            ("ftp://example.org", "not a web address"),
            ("ws://", "'ws://'"),
            ("ws://a b", "'ws://a b' is not an address"),
            ("ws://host/?x=1", "after '?'"),
        ] {
            let message = Address::parse(url).unwrap_err().to_string();
            assert!(message.contains(says), "{url}: {message}");
        }
    }
}
