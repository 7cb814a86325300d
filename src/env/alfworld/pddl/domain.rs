//! The domain of this engine.

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// The digest of the domain that this engine implements.
const KNOWN_DIGEST: &str = "19173ff725cec7a19423ce0f88d59f3a521f7823fd7a404b813a2ad3392b0efb";

/// Checks that a domain has the rules that this engine implements.
///
/// # Errors
/// Returns an error if the domain differs in more than comments and white space.
pub(crate) fn check(domain: &str) -> Result<()> {
    let digest = digest(domain);
    if digest == KNOWN_DIGEST {
        return Ok(());
    }
    Err(Error::input(
        "pddl_domain",
        format!(
            "this is not the domain that the engine implements: expected SHA-256 {KNOWN_DIGEST} \
             without comments and white space, found {digest}"
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
    fn the_digest_depends_on_rules_and_not_on_layout() {
        let domain = "(define (domain d)\n  (:types a b) ; two\n)";
        assert_eq!(digest(domain), digest("(define(domain d)(:types\n a b))"));
        assert_ne!(digest(domain), digest("(define (domain d) (:types a c))"));
        let message = check(domain).unwrap_err().to_string();
        assert!(message.starts_with("pddl_domain: this is not the domain"), "{message}");
    }
}
