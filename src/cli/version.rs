//! The version that `--version` prints, with the commit and the features of the build.

use std::fmt::Write as _;
use std::sync::LazyLock;

/// Digits of a commit that are shown.
const DIGITS: usize = 12;

/// Such as "0.1.0 (3a5f0c1b9e77, x86_64 linux)" and a line with the features.
pub fn long_version() -> &'static str {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| describe(option_env!("PROXMO_COMMIT"), env!("PROXMO_FEATURES")));
    &TEXT
}

fn describe(commit: Option<&str>, features: &str) -> String {
    let mut text = format!("{} (", env!("CARGO_PKG_VERSION"));
    if let Some(commit) = commit {
        let _ = write!(text, "{}, ", commit.get(..DIGITS).unwrap_or(commit));
    }
    let _ = write!(text, "{} {})", std::env::consts::ARCH, std::env::consts::OS);
    let _ = write!(text, "\nfeatures: {}", features.replace(' ', ", "));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_is_left_out_if_it_is_unknown() {
        let place = format!("{} {}", std::env::consts::ARCH, std::env::consts::OS);
        let version = env!("CARGO_PKG_VERSION");
        let known = describe(Some("0123456789abcdef0123"), "burn cli");
        assert_eq!(known, format!("{version} (0123456789ab, {place})\nfeatures: burn, cli"));
        assert_eq!(describe(None, "cli"), format!("{version} ({place})\nfeatures: cli"));
    }
}
