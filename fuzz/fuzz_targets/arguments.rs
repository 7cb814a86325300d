//! A command line with one word per line: parsed and resolved, but not executed. The first byte
//! selects the command.
#![no_main]

use std::ffi::OsString;

use libfuzzer_sys::fuzz_target;
use proxmo::fuzzing::expect_readable;
use proxmo_fuzz::with_memory_limit;

/// Memory limit for one input.
const MEMORY_LIMIT: usize = 256 << 20;

const COMMANDS: [&[&str]; 13] = [
    &["train"],
    &["clone"],
    &["eval"],
    &["compare"],
    &["report"],
    &["play"],
    &["credit"],
    &["env", "serve"],
    &["env", "list"],
    &["env", "generate"],
    &["devices"],
    &["verify"],
    &[],
];

fuzz_target!(|bytes: &[u8]| {
    let Some((chosen, rest)) = bytes.split_first() else { return };
    let command = COMMANDS[usize::from(*chosen) % COMMANDS.len()].iter().map(OsString::from);
    let words: Vec<OsString> = [OsString::from("proxmo")]
        .into_iter()
        .chain(command)
        .chain(rest.split(|&byte| byte == b'\n').map(word))
        .collect();
    // The path can name a file without an end.
    if words.iter().any(|word| word.as_encoded_bytes().starts_with(b"--config")) {
        return;
    }
    if let Err(error) = with_memory_limit(MEMORY_LIMIT, || proxmo::fuzzing::arguments(&words)) {
        expect_readable(&error, &["setting "]);
    }
});

#[cfg(unix)]
fn word(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).to_os_string()
}

#[cfg(not(unix))]
fn word(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}
