//! `config.toml`: parsed, validated and written back without changes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxmo::fuzzing::expect_readable;
use proxmo::train::Config;
use proxmo_fuzz::with_memory_limit;

/// Memory limit for one input.
const MEMORY_LIMIT: usize = 64 << 20;

fuzz_target!(|bytes: &[u8]| {
    if let Some(text) = proxmo_fuzz::text(bytes) {
        with_memory_limit(MEMORY_LIMIT, || read(text));
    }
});

fn read(text: &str) {
    let config = match Config::from_toml(text, "config.toml") {
        Ok(config) => config,
        Err(error) => return expect_readable(&error, &["config.toml"]),
    };
    if let Err(error) = config.validate() {
        return expect_readable(&error, &["setting "]);
    }
    let written = config.to_toml().expect("a valid configuration can be written");
    let again =
        Config::from_toml(&written, "again.toml").expect("a written configuration can be parsed");
    assert_eq!(again, config);
}
