//! The authorities by which a server's certificate is checked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, Error as TlsError, RootCertStore};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::address::{Address, URL};
use crate::error::{Error, Result};

/// The setting that names a file with authorities.
pub(super) const CA_FILE: &str = "env.ca_file";

/// Maximum number of bytes of a file with authorities.
const MAX_FILE: u64 = 16 << 20;

/// Authorities that are trusted.
pub(super) struct Trust {
    /// The file with their certificates. Empty for those of Mozilla's list.
    file: PathBuf,
    /// The certificates of the file.
    certificates: Vec<CertificateDer<'static>>,
    config: Arc<ClientConfig>,
}

impl Trust {
    /// The authorities for a server: those of a file, or of Mozilla's list if it is empty. `None` for a
    /// server whose address asks for no encryption.
    ///
    /// # Errors
    /// Names the setting if the file has no certificates, or if the server's address asks for no
    /// encryption and a file is given.
    pub(super) fn of(address: &Address, file: &Path) -> Result<Option<Self>> {
        let is_given = !file.as_os_str().is_empty();
        if !address.is_encrypted {
            return match is_given {
                true => {
                    let shown = address.shown();
                    Err(Error::setting(CA_FILE, format!("is set, and {shown} is not encrypted")))
                }
                false => Ok(None),
            };
        }
        let mut roots = RootCertStore::empty();
        let mut certificates = Vec::new();
        if is_given {
            certificates = read(file)?;
            for (index, certificate) in certificates.iter().enumerate() {
                let added = roots.add(certificate.clone());
                let malformed = || refuse(file, &format!("certificate {} is malformed", index + 1));
                added.map_err(|_| malformed())?;
            }
        } else {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::setting(URL, error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Some(Self { file: file.to_path_buf(), certificates, config: Arc::new(config) }))
    }

    /// For sockets.
    pub(super) fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    /// For other requests.
    pub(super) fn config_of_requests(&self) -> TlsConfig {
        let roots = match self.certificates.is_empty() {
            true => RootCerts::WebPki,
            false => {
                self.certificates.iter().map(|own| Certificate::from_der(own).to_owned()).into()
            }
        };
        TlsConfig::builder().root_certs(roots).build()
    }

    /// Whether the same authorities are trusted.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.file == other.file && self.certificates == other.certificates
    }
}

fn refuse(file: &Path, what: &str) -> Error {
    Error::setting(CA_FILE, format!("{}: {what}", file.display()))
}

/// The certificates of a file.
fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let length = std::fs::metadata(file).map_err(|error| refuse(file, &error.to_string()))?.len();
    if length > MAX_FILE {
        return Err(refuse(file, &format!("has {length} bytes, expected at most {MAX_FILE}")));
    }
    let bytes = std::fs::read(file).map_err(|error| refuse(file, &error.to_string()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let certificates = certificates.map_err(|error| refuse(file, &error.to_string()))?;
    match certificates.is_empty() {
        true => Err(refuse(file, "has no certificate (expected PEM: -----BEGIN CERTIFICATE-----)")),
        false => Ok(certificates),
    }
}

/// Whether the server's certificate comes from an authority that is not trusted. An authority of the same
/// name as a trusted one gives a bad signature.
pub(super) fn is_unknown(error: &TlsError) -> bool {
    let TlsError::InvalidCertificate(reason) = error else { return false };
    matches!(reason, CertificateError::UnknownIssuer | CertificateError::BadSignature)
}

/// Why an encrypted connection could not be made.
pub(super) fn explain(error: &TlsError) -> String {
    match error {
        error if is_unknown(error) => {
            "its certificate is not signed by an authority that is trusted".into()
        }
        TlsError::InvalidMessage(_) => "it does not speak TLS".into(),
        TlsError::InvalidCertificate(CertificateError::Other(other))
            if other.to_string().contains("CaUsedAsEndEntity") =>
        {
            "its certificate is an authority's own, expected one of a server (basicConstraints=CA:FALSE)"
                .into()
        }
        TlsError::InvalidCertificate(reason) => format!("its certificate is refused: {reason}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_certificates_and_files_for_plain_servers_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("authority.pem");
        let address = |url: &str| Address::parse(url).unwrap();
        let refused = |url: &str, text: &str| {
            std::fs::write(&file, text).unwrap();
            Trust::of(&address(url), &file).err().unwrap().to_string()
        };
        let pem = |inside: &str| {
            format!("-----BEGIN CERTIFICATE-----\n{inside}\n-----END CERTIFICATE-----\n")
        };
        for (url, text, says) in [
            ("wss://localhost", "hello", "has no certificate"),
            ("wss://localhost", &pem("!!"), "authority.pem: "),
            ("wss://localhost", &pem("aGVsbG8="), "certificate 1 is malformed"),
            ("ws://localhost", &pem("aGVsbG8="), "is not encrypted"),
        ] {
            let message = refused(url, text);
            assert!(message.contains(says) && message.contains(CA_FILE), "{message}");
        }
        let gone = Trust::of(&address("wss://localhost"), &folder.path().join("gone")).err();
        assert!(gone.unwrap().to_string().contains("gone: "));
        assert!(Trust::of(&address("ws://localhost"), Path::new("")).unwrap().is_none());
        assert!(Trust::of(&address("wss://localhost"), Path::new("")).unwrap().is_some());
    }
}
