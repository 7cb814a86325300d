//! A GGUF file: its model and its tokenizer are loaded or refused.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use proxmo_fuzz::{load_model, temporary_folder};

fuzz_target!(|bytes: &[u8]| {
    let path = temporary_folder().join("model.gguf");
    fs::write(&path, bytes).expect("a file is written");
    load_model(&path, bytes.len());
});
