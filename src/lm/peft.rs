//! Adapters in the files of PEFT: `adapter_config.json` and `adapter_model.safetensors`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::lora::{ALL_LINEAR, LINEAR_MAPS, Lora, Scale, is_target};
use super::model::Decoder;
use super::save::{Stored, write_safetensors};
use super::weights::Weights;
use crate::error::{Error, Result};
use crate::files::write_new;

/// Name of the file that describes an adapter.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";
const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";

/// What PEFT puts before the full name of a map.
const PREFIX: &str = "base_model.model.";

/// Members of `adapter_config.json` that do not change what an adapter computes.
const WITHOUT_EFFECT: [&str; 9] = [
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "lora_dropout",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "task_type",
];

/// The members of `adapter_config.json` that are understood.
#[derive(Debug)]
struct PeftConfig {
    rank: usize,
    alpha: f64,
    rslora: bool,
    targets: Targets,
    ranks: Vec<(Regex, f64)>,
    alphas: Vec<(Regex, f64)>,
}

/// Which maps have an adapter.
#[derive(Debug)]
enum Targets {
    /// Those that one of the names names.
    Names(Vec<String>),
    /// Those whose whole name matches.
    Pattern(Regex),
}

impl Targets {
    fn include(&self, name: &str) -> bool {
        match self {
            Self::Names(names) => is_target(names, name),
            Self::Pattern(pattern) => pattern.is_match(name),
        }
    }
}

impl PeftConfig {
    /// Parses the text of an `adapter_config.json`.
    ///
    /// # Errors
    /// Returns a message that names the member at fault.
    fn parse(text: &str) -> Result<Self, String> {
        let members: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        refuse_unsupported(&members)?;
        let get = |name: &str| members.get(name).filter(|value| !value.is_null());
        let rank = get("r").and_then(Value::as_u64).filter(|&rank| rank > 0);
        let rank = rank.ok_or("r is missing, expected the rank, a whole number above 0")?;
        let alpha = get("lora_alpha").and_then(Value::as_f64);
        let targets = match get("target_modules") {
            Some(Value::String(all)) if all == ALL_LINEAR => Targets::Names(vec![all.clone()]),
            Some(Value::String(text)) => {
                Targets::Pattern(pattern("target_modules", text, "^(?:", ")$")?)
            }
            Some(Value::Array(names)) => {
                let names = names.iter().map(|name| name.as_str().map(str::to_string));
                let names: Option<Vec<String>> = names.collect();
                Targets::Names(names.ok_or("target_modules holds other values than names")?)
            }
            _ => return Err("target_modules is missing, expected names of linear maps".into()),
        };
        Ok(Self {
            rank: rank as usize,
            alpha: alpha.ok_or("lora_alpha is missing, expected a number")?,
            rslora: get("use_rslora").and_then(Value::as_bool).unwrap_or(false),
            targets,
            ranks: patterns(get("rank_pattern"), "rank_pattern")?,
            alphas: patterns(get("alpha_pattern"), "alpha_pattern")?,
        })
    }

    /// The rank and the scale of a map.
    fn of(&self, name: &str) -> Result<(usize, Scale), String> {
        let rank = matching(&self.ranks, name, "rank_pattern")?;
        let alpha = matching(&self.alphas, name, "alpha_pattern")?.unwrap_or(self.alpha);
        let rank = rank.map_or(self.rank, |rank| rank as usize);
        Ok((rank, Scale { alpha, rslora: self.rslora }))
    }
}

/// Refuses members that change what the adapter computes in a way that is not supported.
fn refuse_unsupported(members: &Map<String, Value>) -> Result<(), String> {
    let kind = members.get("peft_type").and_then(Value::as_str).unwrap_or_default();
    if kind != "LORA" {
        return Err(format!("peft_type is '{kind}', expected LORA"));
    }
    let known =
        ["r", "lora_alpha", "target_modules", "use_rslora", "rank_pattern", "alpha_pattern"];
    for (name, value) in members {
        let is_fine = match (name.as_str(), value) {
            (name, _) if name == "peft_type" || known.contains(&name) => true,
            (name, _) if WITHOUT_EFFECT.contains(&name) => true,
            ("bias", value) => value == "none",
            // Others change the model's weights beside the adapter.
            ("init_lora_weights", Value::String(how)) => how == "gaussian" || how == "orthogonal",
            ("init_lora_weights", _) => true,
            (_, Value::Null | Value::Bool(false)) => true,
            (_, Value::Array(values)) => values.is_empty(),
            (_, Value::Object(values)) => values.is_empty(),
            _ => false,
        };
        if !is_fine {
            return Err(format!(
                "{name} is {value}, which is not supported; expected a plain LoRA adapter"
            ));
        }
    }
    Ok(())
}

/// The regular expression of a member, in PEFT's reading of its text.
fn pattern(member: &str, text: &str, before: &str, after: &str) -> Result<Regex, String> {
    let pattern = Regex::new(&format!("{before}{text}{after}"));
    pattern
        .map_err(|_| format!("{member} holds '{text}', which is no supported regular expression"))
}

/// The numbers by regular expressions of names.
fn patterns(value: Option<&Value>, member: &str) -> Result<Vec<(Regex, f64)>, String> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let all = value.as_object().ok_or_else(|| format!("{member} is not an object"))?;
    let one = |(text, value): (&String, &Value)| {
        let number = value.as_f64().filter(|number| *number > 0.0);
        let number =
            number.ok_or_else(|| format!("{member} holds {value}, expected a number above 0"))?;
        Ok((pattern(member, text, r"^(?:.*\.)?(?:", ")$")?, number))
    };
    all.iter().map(one).collect()
}

/// The number of the patterns that match a name, if any does.
fn matching(patterns: &[(Regex, f64)], name: &str, member: &str) -> Result<Option<f64>, String> {
    let mut values =
        patterns.iter().filter(|(pattern, _)| pattern.is_match(name)).map(|(_, value)| *value);
    let first = values.next();
    match values.find(|value| Some(*value) != first) {
        Some(_) => Err(format!("{member} has different values for '{name}'")),
        None => Ok(first),
    }
}

/// A stored matrix.
struct Matrix {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// The weights of an adapter's file by name.
fn weights(path: &Path) -> Result<BTreeMap<String, Matrix>> {
    let all = Weights::of_file(path)?.read_all()?.into_iter();
    Ok(all.map(|(name, (shape, values))| (name, Matrix { shape, values })).collect())
}

fn weights_path(folder: &Path) -> Result<PathBuf> {
    let path = folder.join(ADAPTER_WEIGHTS);
    match !path.exists() && folder.join("adapter_model.bin").exists() {
        true => {
            let message = format!(
                "holds adapter_model.bin, which is not supported; expected {ADAPTER_WEIGHTS}"
            );
            Err(Error::file(folder, message))
        }
        false => Ok(path),
    }
}

impl Decoder {
    /// Adds the adapter of a folder that PEFT or [`save_adapter`] wrote, and freezes all other weights.
    ///
    /// # Errors
    /// Fails if the files cannot be read, the adapter is not a plain LoRA adapter, a weight is missing,
    /// unknown to this model, of another shape or not finite, or the model has an adapter.
    pub fn with_adapter(self, folder: &Path) -> Result<Self> {
        let path = folder.join(ADAPTER_CONFIG);
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let refuse = |message: String| Error::file(&path, message);
        let config = PeftConfig::parse(&text).map_err(refuse)?;
        let stored = weights_path(folder)?;
        let mut weights = weights(&stored)?;
        let mut model = self.frozen()?;
        let device = model.device();
        let mut result = Ok(());
        let mut count = 0;
        model.for_linears(&mut |name, linear| {
            if result.is_err() || !config.targets.include(name) {
                return;
            }
            count += 1;
            let made = config.of(name).map_err(refuse).and_then(|(rank, scale)| {
                let [inputs, outputs] = linear.shape();
                let mut take = |part: &str, shape| {
                    let name = format!("{PREFIX}{name}.lora_{part}.weight");
                    let matrix = taken(&mut weights, &name, shape);
                    let matrix = matrix.map_err(|message| Error::file(&stored, message))?;
                    Ok(Tensor::<2>::from_data(TensorData::new(matrix, shape), &device))
                };
                let (a, b) = (take("A", [rank, inputs])?, take("B", [outputs, rank])?);
                Ok(Lora::new(a, b, scale))
            });
            match made {
                Ok(lora) => linear.lora = Some(lora),
                Err(error) => result = Err(error),
            }
        });
        result?;
        if let Some((name, _)) = weights.first_key_value() {
            let message =
                format!("weight '{name}' is unknown to this model and adapter_config.json");
            return Err(Error::file(&stored, message));
        }
        match count {
            0 => Err(refuse("target_modules names no linear map of this model".into())),
            _ => Ok(model),
        }
    }
}

/// Takes a matrix out of a file's weights, or says why it does not fit.
fn taken(
    weights: &mut BTreeMap<String, Matrix>,
    name: &str,
    shape: [usize; 2],
) -> Result<Vec<f32>, String> {
    let matrix = weights.remove(name).ok_or_else(|| format!("weight '{name}' is missing"))?;
    match matrix.shape == shape {
        true => Ok(matrix.values),
        false => {
            let found = matrix.shape;
            Err(format!("weight '{name}' has shape {found:?}, expected {shape:?}"))
        }
    }
}

/// Writes the adapter of a model into an existing folder, as PEFT does, in 32-bit floats. `base` names
/// the model that it belongs to.
///
/// # Errors
/// Fails if the model has no adapter, or the device or the file system fails.
pub fn save_adapter(model: &Decoder, folder: &Path, base: Option<&str>) -> Result<()> {
    let mut adapters = Vec::new();
    let mut others = BTreeSet::new();
    model.visit_linears(&mut |name, linear| match &linear.lora {
        Some(lora) => adapters.push((name.to_string(), lora.clone())),
        None => {
            others.insert(name.rsplit('.').next().unwrap_or(name).to_string());
        }
    });
    if adapters.is_empty() {
        return Err(Error::input("adapter", "the model has none, expected one to write"));
    }
    let config = description(&adapters, &others, base);
    let stored = adapters.iter().flat_map(|(name, lora)| {
        [("A", &lora.a), ("B", &lora.b)].map(|(part, matrix)| {
            Stored::new(format!("{PREFIX}{name}.lora_{part}.weight"), matrix.val())
        })
    });
    write_safetensors(&folder.join(ADAPTER_WEIGHTS), stored.collect())?;
    write_new(&folder.join(ADAPTER_CONFIG), format!("{config:#}\n").as_bytes())
}

/// The `adapter_config.json` of adapters by the full names of their maps. `others` are the short names
/// of maps without an adapter.
fn description(
    adapters: &[(String, Lora)],
    others: &BTreeSet<String>,
    base: Option<&str>,
) -> Value {
    let short =
        |name: &str| LINEAR_MAPS.into_iter().find(|short| name.ends_with(&format!(".{short}")));
    // A short name names the maps of all layers.
    let target = |name: &str| match short(name).filter(|short| !others.contains(*short)) {
        Some(short) => short.to_string(),
        None => name.to_string(),
    };
    let targets: BTreeSet<String> = adapters.iter().map(|(name, _)| target(name)).collect();
    let (_, first) = &adapters[0];
    let (rank, alpha) = (first.rank(), first.scale.alpha);
    let by_name = |differs: &dyn Fn(&Lora) -> Option<Value>| -> Map<String, Value> {
        adapters.iter().filter_map(|(name, lora)| Some((name.clone(), differs(lora)?))).collect()
    };
    json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": number(alpha),
        "use_rslora": first.scale.rslora,
        "target_modules": targets,
        "rank_pattern": by_name(&|lora| (lora.rank() != rank).then(|| json!(lora.rank()))),
        "alpha_pattern": by_name(&|lora| {
            (lora.scale.alpha != alpha).then(|| number(lora.scale.alpha))
        }),
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": false,
        "init_lora_weights": true,
        "modules_to_save": null,
        "use_dora": false,
        "inference_mode": true,
    })
}

/// A number as JSON, a whole one without a fraction, as PEFT declares alpha.
fn number(value: f64) -> Value {
    match value.fract() == 0.0 && value.abs() < 1e15 {
        true => json!(value as i64),
        false => json!(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(member: &str, value: Value) -> Result<PeftConfig, String> {
        let mut config = json!({
            "peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"],
            "bias": "none", "corda_config": null, "loftq_config": {}, "lora_dropout": 0.1,
        });
        config[member] = value;
        PeftConfig::parse(&config.to_string())
    }

    #[test]
    fn what_changes_the_result_of_an_adapter_is_refused_by_name() {
        for (member, value, says) in [
            ("peft_type", json!("IA3"), "peft_type is 'IA3', expected LORA"),
            ("use_dora", json!(true), "use_dora is true, which is not supported"),
            ("bias", json!("all"), "bias is \"all\""),
            ("modules_to_save", json!(["lm_head"]), "modules_to_save is [\"lm_head\"]"),
            ("init_lora_weights", json!("pissa"), "init_lora_weights is \"pissa\""),
            ("layers_to_transform", json!([0]), "layers_to_transform is [0]"),
            ("something_new", json!(1), "something_new is 1"),
            ("r", json!(0), "r is missing"),
            ("lora_alpha", json!("8"), "lora_alpha is missing"),
            ("target_modules", json!("("), "target_modules holds '('"),
            ("rank_pattern", json!({"q_proj": -1}), "rank_pattern holds -1"),
        ] {
            let message = parsed(member, value).unwrap_err();
            assert!(message.contains(says), "{message}, expected {says}");
        }
        parsed("modules_to_save", json!([])).unwrap();
    }

    #[test]
    fn patterns_give_a_map_its_rank_and_scale() {
        let of = |member: &str, value: Value, name: &str| parsed(member, value)?.of(name);
        let name = "model.layers.1.self_attn.q_proj";
        let scale = Scale { alpha: 8.0, rslora: false };
        assert_eq!(of("rank_pattern", json!({"q_proj": 2}), name), Ok((2, scale)));
        assert_eq!(
            of("rank_pattern", json!({"layers.0.self_attn.q_proj": 2}), name),
            Ok((4, scale))
        );
        assert_eq!(of("rank_pattern", json!({r"layers\.[01]\..*": 2}), name), Ok((2, scale)));
        let four = of("alpha_pattern", json!({"q_proj": 4}), name).unwrap();
        assert_eq!(four, (4, Scale { alpha: 4.0, rslora: false }));
        let both = json!({"q_proj": 2, r".*q_proj": 3});
        assert!(of("rank_pattern", both, name).unwrap_err().contains("different values"));
    }

    #[test]
    fn targets_are_names_or_a_pattern_of_the_whole_name() {
        let name = "model.layers.1.self_attn.q_proj";
        for (targets, expected) in [
            (json!(["q_proj", "x"]), true),
            (json!("all-linear"), true),
            (json!(r".*\.q_proj"), true),
            (json!("q_proj"), false),
            (json!(["k_proj"]), false),
        ] {
            let config = parsed("target_modules", targets.clone()).unwrap();
            assert_eq!(config.targets.include(name), expected, "{targets}");
        }
    }
}
