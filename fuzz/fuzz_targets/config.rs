//! A `config.toml` is read, checked and written, and reads back as the same configuration.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxmo::fuzzing::expect_readable;
use proxmo::train::Config;
use proxmo_fuzz::within;

/// Memory limit of an input in bytes.
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
    let written = config.to_toml().expect("a valid configuration can be written");
    let again = Config::from_toml(&written, "again.toml").expect("a written configuration can be read");
    assert_eq!(again, config);
}
