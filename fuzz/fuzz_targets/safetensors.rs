//! The weights of a model with a fixed `config.json`. The first byte selects what the rest is: the only
//! file of weights, the index of a sharded model, or the first of its two shards.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use proxmo_fuzz::{load_model, temporary_folder};

const CONFIG: &str = r#"{"model_type": "llama", "vocab_size": 4, "hidden_size": 2,
    "intermediate_size": 2, "num_hidden_layers": 1, "num_attention_heads": 1,
    "max_position_embeddings": 8, "tie_word_embeddings": true}"#;

const INDEX: &str = r#"{"weight_map": {"model.norm.weight": "a.safetensors",
    "model.embed_tokens.weight": "b.safetensors"}}"#;

fuzz_target!(|bytes: &[u8]| {
    let Some((chosen, rest)) = bytes.split_first() else { return };
    static FOLDERS: OnceLock<()> = OnceLock::new();
    let folders = ["single", "index", "shard"].map(|name| temporary_folder().join(name));
    FOLDERS.get_or_init(|| folders.iter().for_each(|folder| prepare(folder)));
    let chosen = usize::from(*chosen) % folders.len();
    let folder = &folders[chosen];
    let name = ["model.safetensors", "model.safetensors.index.json", "a.safetensors"][chosen];
    fs::write(folder.join(name), rest).expect("a file is written");
    load_model(folder, rest.len());
});

/// Writes what does not change.
fn prepare(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder is made");
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.join(name), bytes).expect("a file is written");
    };
    let shard = |header: &str, data: usize| {
        let size = (header.len() as u64).to_le_bytes();
        [&size[..], header.as_bytes(), &vec![0; data]].concat()
    };
    let weight = |name: &str, shape: &str, bytes: usize| {
        let offsets = format!("[0, {bytes}]");
        format!(r#"{{"{name}": {{"dtype": "F32", "shape": {shape}, "data_offsets": {offsets}}}}}"#)
    };
    write("config.json", CONFIG.as_bytes());
    if !folder.ends_with("single") {
        write("model.safetensors.index.json", INDEX.as_bytes());
        write("a.safetensors", &shard(&weight("model.norm.weight", "[2]", 8), 8));
        write("b.safetensors", &shard(&weight("model.embed_tokens.weight", "[4, 2]", 32), 32));
    }
}
