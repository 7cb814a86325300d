//! Passes the commit and the features of the build to the crate, which records the commit in the
//! `config.toml` of runs and prints both with `--version`; asks the linker for what Windows needs.

use std::path::Path;
use std::process::Command;

/// The file in which `cargo package` states the commit.
const PACKAGED: &str = ".cargo_vcs_info.json";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=PROXMO_FEATURES={}", features().join(" "));
    if let Some(commit) = commit_of_checkout().or_else(commit_of_package) {
        println!("cargo::rustc-env=PROXMO_COMMIT={commit}");
    }
    // cubecl registers types through the section of an object file that nothing refers to. The linker of the
    // GNU toolchain drops such sections on Windows, and every kernel then panics.
    let target = |part: &str| std::env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    if target("OS") == "windows" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg=-Wl,--no-gc-sections");
    }
}

/// The features of this build, in alphabetic order.
fn features() -> Vec<String> {
    let names = std::env::vars().filter_map(|(name, _)| {
        Some(name.strip_prefix("CARGO_FEATURE_")?.to_lowercase().replace('_', "-"))
    });
    let mut names: Vec<String> = names.filter(|name| name != "default").collect();
    names.sort();
    names
}

/// The commit of the repository that this folder is the top of.
fn commit_of_checkout() -> Option<String> {
    // A packaged crate may lie within another repository.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    if here.canonicalize().ok() != Path::new(&top).canonicalize().ok() {
        return None;
    }
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in std::iter::once("HEAD").chain(branch.as_deref()) {
        let path = git(&["rev-parse", "--git-path", name]);
        // Cargo takes a missing file as changed.
        if let Some(path) = path.filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "HEAD"])
}

/// The commit that a package was made from.
fn commit_of_package() -> Option<String> {
    let stated = std::fs::read_to_string(PACKAGED).ok()?;
    let (_, rest) = stated.split_once("\"sha1\": \"")?;
    let commit: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
    (commit.len() == 40).then_some(commit)
}

/// The output of git; `None` without git or outside of a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = output.status.success().then(|| String::from_utf8(output.stdout).ok())??;
    Some(text.trim().to_string())
}
