//! Passes the commit of the checkout to the crate, which records it in the `config.toml` of runs.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A packaged crate may lie within another repository.
    let Some(top) = git(&["rev-parse", "--show-toplevel"]) else { return };
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    if here.canonicalize().ok() != Path::new(&top).canonicalize().ok() {
        return;
    }
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in std::iter::once("HEAD").chain(branch.as_deref()) {
        let path = git(&["rev-parse", "--git-path", name]);
        // Cargo takes a missing file as changed.
        if let Some(path) = path.filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    if let Some(commit) = git(&["rev-parse", "HEAD"]) {
        println!("cargo::rustc-env=PROXMO_COMMIT={commit}");
    }
}

/// The output of git; `None` without git or outside of a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = output.status.success().then(|| String::from_utf8(output.stdout).ok())??;
    Some(text.trim().to_string())
}
