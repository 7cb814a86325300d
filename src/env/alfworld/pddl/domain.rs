//! Which domain this engine plays.

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// The digest of the domain that this engine's actions were written for.
const KNOWN: &str = "19173ff725cec7a19423ce0f88d59f3a521f7823fd7a404b813a2ad3392b0efb";

/// Refuses a domain whose rules differ from those that this engine knows.
///
/// # Errors
/// Fails where the domain is another one.
pub(crate) fn check(domain: &str) -> Result<()> {
    let digest = digest(domain);
    if digest == KNOWN {
        return Ok(());
    }
    Err(Error::input(
        "pddl_domain",
        format!(
            "this is not the domain that the engine knows: its rules (without comments and white \
             space) have SHA-256 {digest}, expected {KNOWN}"
        ),
    ))
}

/// The SHA-256 of a domain without its comments and white space.
fn digest(domain: &str) -> String {
    let mut hasher = Sha256::new();
    for line in domain.lines() {
        let code = line.split(';').next().unwrap_or("");
        for word in code.split_whitespace() {
            hasher.update(word);
        }
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_does_not_count_and_rules_do() {
        let domain = "(define (domain d)\n  (:types a b) ; two\n)";
        assert_eq!(digest(domain), digest("(define(domain d)(:types\n a b))"));
        assert_ne!(digest(domain), digest("(define (domain d) (:types a c))"));
        let message = check(domain).unwrap_err().to_string();
        assert!(message.starts_with("pddl_domain: this is not the domain"), "{message}");
    }
}
