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
    pub(super) is_encrypted: bool,
    /// The path before those of OpenEnv, without a slash at its end.
    prefix: String,
}

impl Address {
    /// Reads `ws://HOST:PORT` or `http://HOST:PORT`, with or without a path; `wss` and `https` ask for
    /// encryption.
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
        let expected = "expected ws://HOST:PORT or wss://HOST:PORT";
        let uri: Uri = match whole.parse() {
            Ok(uri) => uri,
            Err(error) => {
                return refuse(format!("'{url}' is not an address ({error}), {expected}"));
            }
        };
        let is_encrypted = match uri.scheme_str() {
            Some("ws" | "http") => false,
            Some("wss" | "https") => true,
            _ => return refuse(format!("'{url}' is not a web address, {expected}")),
        };
        let Some(host) = uri.host().filter(|host| !host.is_empty()) else {
            return refuse(format!("'{url}' names no host, {expected}"));
        };
        if uri.query().is_some() {
            return refuse(format!("'{url}' has a part after '?', {expected}"));
        }
        let path = uri.path().trim_end_matches('/');
        let prefix = path.strip_suffix("/ws").unwrap_or(path).to_string();
        let host = host.trim_matches(['[', ']']).to_string();
        let port = uri.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        Ok(Self { host, port, is_encrypted, prefix })
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

    /// The address of a path for requests that are no sessions.
    pub(super) fn request_url(&self, path: &str) -> String {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.path(path))
    }

    /// The address as messages show it.
    pub(super) fn shown(&self) -> String {
        let scheme = if self.is_encrypted { "wss" } else { "ws" };
        format!("the server {scheme}://{}{}", self.authority(), self.prefix)
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
            ("wss://example.org", "example.org:443", "/ws"),
            ("https://example.org:8443/a", "example.org:8443", "/a/ws"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(
                (address.authority(), address.path("/ws")),
                (authority.into(), socket.into())
            );
            assert_eq!(address.is_encrypted, url.starts_with("wss") || url.starts_with("https"));
        }
        let address = Address::parse("wss://example.org/a").unwrap();
        assert_eq!(address.request_url("/schema"), "https://example.org:443/a/schema");
        assert_eq!(address.shown(), "the server wss://example.org:443/a");
        for (url, says) in [
            ("", "is not set"),
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
