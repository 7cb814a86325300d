//! An adapter for a small model. The first byte selects what the rest is: the adapter's description, or
//! its weights.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use proxmo::fuzzing::{expect_readable, load_adapter};
use proxmo_fuzz::{BASE_BYTES, BYTES_PER_BYTE, temporary_folder, with_memory_limit};

const CONFIG: &str =
    r#"{"peft_type": "LORA", "r": 1, "lora_alpha": 2, "target_modules": ["q_proj"]}"#;

const HEADER: &str = r#"{"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight":
    {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]},
    "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight":
    {"dtype": "F32", "shape": [2, 1], "data_offsets": [8, 16]}}"#;

fuzz_target!(|bytes: &[u8]| {
    let Some((chosen, rest)) = bytes.split_first() else { return };
    static FOLDERS: OnceLock<()> = OnceLock::new();
    let folders = ["config", "weights"].map(|name| temporary_folder().join(name));
    FOLDERS.get_or_init(|| folders.iter().for_each(|folder| prepare(folder)));
    let chosen = usize::from(*chosen) % folders.len();
    let name = ["adapter_config.json", "adapter_model.safetensors"][chosen];
    let folder = &folders[chosen];
    fs::write(folder.join(name), rest).expect("a file is written");
    let limit = BYTES_PER_BYTE * rest.len() + BASE_BYTES;
    if let Err(error) = with_memory_limit(limit, || load_adapter(folder)) {
        expect_readable(&error, &[&folder.display().to_string(), "cannot read"]);
    }
});

/// Writes what does not change.
fn prepare(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder is made");
    let size = (HEADER.len() as u64).to_le_bytes();
    let weights = [&size[..], HEADER.as_bytes(), &[0; 16]].concat();
    fs::write(folder.join("adapter_config.json"), CONFIG).expect("a file is written");
    fs::write(folder.join("adapter_model.safetensors"), weights).expect("a file is written");
}
