//! The README and the files in `docs/`: links, length, commands and flags.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Folders that a package of the crate leaves out.
const CHECKOUT_ONLY: [&str; 5] = [".ci", "checks", "fuzz", "packaging", "python"];

/// Whether this is a package of the crate and no checkout.
fn is_packaged() -> bool {
    root().join("Cargo.toml.orig").exists()
}

/// The README and all Markdown files below `docs/` and `fuzz/`.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md")];
    if is_packaged() {
        println!("SKIPPED: a package has no fuzz/README.md");
    } else {
        pages.push(root().join("fuzz/README.md"));
    }
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

/// The targets of Markdown links and pictures.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0))
}

/// The lines of fenced shell blocks.
fn shell_lines(text: &str) -> Vec<&str> {
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0));
    blocks.flat_map(str::lines).collect()
}

#[test]
fn relative_links_in_the_documentation_resolve() {
    let mut checked = 0;
    for page in pages() {
        let text = read(&page);
        for link in links(&text).filter(|link| !link.contains("://")) {
            let path = link.split('#').next().unwrap_or_default();
            let inside = path.trim_start_matches("../");
            if is_packaged() && CHECKOUT_ONLY.iter().any(|folder| inside.starts_with(folder)) {
                continue;
            }
            let target = page.parent().unwrap().join(path);
            assert!(target.exists(), "{} links to {link}", page.display());
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} links were found");
}

#[test]
fn the_readme_is_short_and_gives_the_two_commands() {
    let readme = read(&root().join("README.md"));
    let lines = readme.lines().count();
    assert!(lines <= 150, "README.md has {lines} lines");
    for command in ["cargo run --release -- train", "cargo test --release"] {
        let shown = shell_lines(&readme).iter().any(|line| line.starts_with(command));
        assert!(shown, "{command}");
    }
    let checks = root().join(".ci/run");
    if checks.exists() {
        assert!(read(&checks).lines().any(|line| line == "cargo test --release"));
    }
}

#[test]
fn shown_commands_use_flags_that_exist() {
    let mut checked = BTreeSet::new();
    for page in pages() {
        let text = read(&page);
        for line in shell_lines(&text).into_iter().filter(|line| line.starts_with("proxmo ")) {
            let line = line.split(" #").next().unwrap_or_default();
            let words = shlex::split(line).unwrap_or_else(|| panic!("{line}"));
            let mut help = Command::cargo_bin("proxmo").unwrap();
            // These have subcommands with flags of their own.
            let depth = if ["env", "lm"].contains(&words[1].as_str()) { 2 } else { 1 };
            let output = help.args(&words[1..=depth]).arg("--help").output().unwrap();
            let help = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{}: {line}", page.display());
            for flag in words.iter().filter(|word| word.starts_with("--")) {
                let exists = help
                    .split_whitespace()
                    .any(|word| word.trim_end_matches([',', ']']).trim_start_matches('[') == flag);
                assert!(exists, "{}: {line}: {flag} is not in the help", page.display());
                checked.insert(flag.clone());
            }
        }
    }
    assert!(checked.len() > 8, "only {checked:?} were found");
}
