//! GGUF files: a model in one file, mostly with quantised weights.
//!
//! | file | contents |
//! |---|---|
//! | `file` | the header: metadata, and where each weight is |
//! | `model` | configuration and weights by the names of Hugging Face |
//! | `tokens` | the tokenizer and the chat template |
//!
//! Supported are models of the architectures llama (which includes Mistral), qwen2 and qwen3, with
//! weights of the types of [`Encoding`](super::encoding::Encoding). They are decoded to 32-bit floats.
//!
//! The format's description is `docs/gguf.md` of the ggml repository.

mod file;
mod model;
mod tokens;

use std::path::Path;

use super::source::ModelFiles;
use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};

/// Opens a file's configuration and weights. No weight is read.
///
/// # Errors
/// Returns an error if the file cannot be read or is no GGUF file, or its model is not supported.
pub(super) fn open(path: &Path) -> Result<ModelFiles> {
    model::open(file::GgufFile::open(path)?)
}

/// Reads a file's tokenizer; `None` if there is none.
///
/// # Errors
/// Returns an error if the file cannot be read or is no GGUF file, or its tokenizer is not supported.
pub(super) fn tokenizer(path: &Path) -> Result<Option<Tokenizer>> {
    let file = file::GgufFile::open(path)?;
    let tokens = tokens::Tokens::read(&file)?;
    let refuse = |message| Error::file(path, message);
    tokens.map(|tokens| tokens.tokenizer().map_err(refuse)).transpose()
}

/// The files that describe a file's tokenizer in the layout of Hugging Face, with their names. Empty if
/// there is no tokenizer.
///
/// # Errors
/// As [`tokenizer`].
pub(super) fn companions(path: &Path) -> Result<Vec<(&'static str, String)>> {
    let tokens = tokens::Tokens::read(&file::GgufFile::open(path)?)?;
    Ok(tokens.map(|tokens| tokens.files()).unwrap_or_default())
}
