//! The domain of the published games.

use sha2::{Digest, Sha256};

/// The digest of the domain of the published games.
const PUBLISHED_DIGEST: &str = "19173ff725cec7a19423ce0f88d59f3a521f7823fd7a404b813a2ad3392b0efb";

/// Whether a domain has the rules of the published games. Comments and white space do not matter.
pub(crate) fn is_published(domain: &str) -> bool {
    digest(domain) == PUBLISHED_DIGEST
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
        assert!(!is_published(domain));
    }
}
