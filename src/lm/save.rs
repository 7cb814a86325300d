//! A model in the layout of Hugging Face, written to a folder.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use serde_json::{Value, json};

use super::model::Decoder;
use crate::device::read;
use crate::error::{Error, Result};
use crate::files::write_atomic;

/// Files that describe a model beside its weights. They are copied with it, if they exist.
const COMPANIONS: [&str; 7] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
    "vocab.json",
    "merges.txt",
];

/// Writes a model's `config.json` and `model.safetensors` with 32-bit floats into an existing folder.
/// `config.json` and the tokenizer's files come from the folder `source`, if one is given.
///
/// # Errors
/// Returns an error if the device or the file system fails.
pub fn save(model: &Decoder, folder: &Path, source: Option<&Path>) -> Result<()> {
    let config = match source {
        Some(source) => of_source(source)?,
        None => model.config().to_json("float32"),
    };
    let weights = weights(model)?;
    let views = weights.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        view.map(|view| (name.as_str(), view))
    });
    let failed = |error: safetensors::SafeTensorError| Error::Run(error.to_string());
    let views = views.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    // transformers refuses files without it.
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    let bytes = serialize(views, Some(metadata)).map_err(failed)?;
    for name in source.iter().flat_map(|_| COMPANIONS) {
        let from = source.map(|source| source.join(name)).filter(|from| from.exists());
        if let Some(from) = from {
            let bytes = fs::read(&from).map_err(Error::io("read", &from))?;
            write_atomic(&folder.join(name), &bytes)?;
        }
    }
    write_atomic(&folder.join("model.safetensors"), &bytes)?;
    write_atomic(&folder.join("config.json"), format!("{config:#}\n").as_bytes())
}

/// The `config.json` of a folder, for weights of 32-bit floats.
fn of_source(source: &Path) -> Result<Value> {
    let path = source.join("config.json");
    let text = fs::read(&path).map_err(Error::io("read", &path))?;
    let config = serde_json::from_slice(&text);
    let mut config: Value = config.map_err(|error| Error::file(&path, error.to_string()))?;
    for member in ["dtype", "torch_dtype"] {
        if let Some(dtype) = config.get_mut(member) {
            *dtype = json!("float32");
        }
    }
    Ok(config)
}

/// Names as Hugging Face has them, shapes, and little-endian bytes.
type Named = (String, Vec<usize>, Vec<u8>);

/// All weights of a model. The fields of its modules carry the names of Hugging Face.
fn weights(model: &Decoder) -> Result<Vec<Named>> {
    let mut visitor = Visitor { path: Vec::new(), weights: Vec::new(), failed: None };
    model.visit(&mut visitor);
    visitor.failed.map_or(Ok(visitor.weights), Err)
}

struct Visitor {
    path: Vec<String>,
    weights: Vec<Named>,
    failed: Option<Error>,
}

impl ModuleVisitor for Visitor {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        let path = self.path.join(".");
        let name = match path.split_once(".parts.") {
            Some(("lm_head", _)) => "lm_head.weight".to_string(),
            Some((table, _)) => format!("model.{table}.weight"),
            None => format!("model.{path}"),
        };
        match read(tensor) {
            Ok(values) => {
                let bytes = values.iter().flat_map(|value| value.to_le_bytes());
                match self.weights.last_mut() {
                    // The parts of a table follow one another.
                    Some((last, whole, rows)) if *last == name => {
                        whole[0] += shape[0];
                        rows.extend(bytes);
                    }
                    _ => self.weights.push((name, shape, bytes.collect())),
                }
            }
            Err(error) => self.failed = Some(error),
        }
    }
}
