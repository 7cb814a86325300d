//! `config.toml`: read, checked, and written back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxmo::fuzzing::expect_readable;
use proxmo::train::Config;
use proxmo_fuzz::within;

/// What every input may take in memory.
const MEMORY: usize = 64 << 20;

fuzz_target!(|bytes: &[u8]| {
    if let Some(text) = proxmo_fuzz::text(bytes) {
        within(MEMORY, || read(text));
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
    let written = config.to_toml().expect("what is valid can be written");
    let again = Config::from_toml(&written, "again.toml").expect("what was written can be read");
    assert_eq!(again, config);
}
