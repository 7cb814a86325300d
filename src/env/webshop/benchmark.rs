//! WebShop as a kind of environment.

use std::path::{Path, PathBuf};

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::WebShopConfig;
use super::environment::WebShop;
use super::generator::generate;
use crate::env::environment::Environment;
use crate::env::kind::EnvKind;
#[cfg(not(feature = "fs"))]
use crate::error::Error;
use crate::error::Result;

/// A shop with the products of a catalogue in WebShop's format, or with generated ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default)]
pub struct ShopConfig {
    /// The split to train on.
    #[garde(skip)]
    pub split: String,
    /// Folder with items_shuffle_1000.json, items_ins_v2_1000.json, items_human_ins.json and, if
    /// there, nouns.json; or an items file in such a folder. Empty for generated products.
    #[garde(skip)]
    pub catalogue: PathBuf,
    /// Number of generated products, if there is no catalogue.
    #[garde(range(min = 10, max = 1_000_000))]
    pub generated: usize,
    /// Rules of the shop.
    #[serde(flatten)]
    #[garde(dive)]
    pub rules: WebShopConfig,
}

impl Default for ShopConfig {
    fn default() -> Self {
        Self {
            split: "train".into(),
            catalogue: PathBuf::new(),
            generated: 2000,
            rules: WebShopConfig::default(),
        }
    }
}

impl ShopConfig {
    /// Loads the catalogue, or generates one, with the goals of a split or all of them.
    ///
    /// # Errors
    /// As [`WebShop::load`]; and if the build has no file access and a catalogue is named.
    pub fn load(&self, split: Option<&str>) -> Result<WebShop> {
        match self.catalogue.as_os_str().is_empty() {
            true => generate(self.generated, self.rules)?.with_split(split),
            false => load_catalogue(&self.catalogue, split, self.rules),
        }
    }
}

/// Loads a catalogue.
#[cfg(feature = "fs")]
fn load_catalogue(path: &Path, split: Option<&str>, rules: WebShopConfig) -> Result<WebShop> {
    WebShop::load(path, split, rules)
}

/// Refuses to load a catalogue.
#[cfg(not(feature = "fs"))]
fn load_catalogue(path: &Path, _: Option<&str>, _: WebShopConfig) -> Result<WebShop> {
    Err(Error::file(path, "cannot be read: this build has no file access (feature `fs`)"))
}

impl EnvKind for ShopConfig {
    fn name(&self) -> &'static str {
        "webshop"
    }

    fn about(&self) -> &'static str {
        "the WebShop benchmark, or a generated shop: buy what an instruction asks for"
    }

    fn splits(&self) -> &'static str {
        "valid (the first 500 goals), train (the rest)"
    }

    fn split(&self) -> &str {
        &self.split
    }

    fn held_out_split(&self) -> &'static str {
        "valid"
    }

    fn open(&self, split: Option<&str>) -> Result<Box<dyn Environment>> {
        Ok(Box::new(self.load(split)?))
    }

    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        vec![&mut self.catalogue]
    }

    fn task_seed_mut(&mut self) -> Option<&mut u64> {
        Some(&mut self.rules.task_seed)
    }

    fn workload(&self) -> String {
        format!("{}, {} steps", self.name(), self.rules.max_steps)
    }
}
