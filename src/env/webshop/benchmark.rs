//! WebShop as a kind of environment.

use std::path::{Path, PathBuf};

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::WebShopConfig;
use super::environment::WebShop;
use crate::env::environment::Environment;
use crate::env::kind::EnvKind;
#[cfg(not(feature = "fs"))]
use crate::error::Error;
use crate::error::Result;

/// A shop with the products of a catalogue in WebShop's format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default)]
pub struct ShopConfig {
    /// The split to train on.
    #[garde(skip)]
    pub split: String,
    /// Folder with items_shuffle_1000.json, items_ins_v2_1000.json, items_human_ins.json and, if
    /// there, nouns.json; or an items file in such a folder.
    #[garde(custom(is_set))]
    pub catalogue: PathBuf,
    /// Rules of the shop.
    #[serde(flatten)]
    #[garde(dive)]
    pub rules: WebShopConfig,
}

fn is_set(catalogue: &Path, _: &()) -> garde::Result {
    match catalogue.as_os_str().is_empty() {
        true => {
            let message = "is not set; name the folder of WebShop's items_shuffle_1000.json";
            Err(garde::Error::new(message))
        }
        false => Ok(()),
    }
}

impl Default for ShopConfig {
    fn default() -> Self {
        Self { split: "train".into(), catalogue: PathBuf::new(), rules: WebShopConfig::default() }
    }
}

impl ShopConfig {
    /// Loads the catalogue, with the goals of a split or all of them.
    ///
    /// # Errors
    /// As [`WebShop::load`]; and if the build has no file access.
    #[cfg(feature = "fs")]
    pub fn load(&self, split: Option<&str>) -> Result<WebShop> {
        WebShop::load(&self.catalogue, split, self.rules)
    }

    /// Refuses to load a catalogue.
    ///
    /// # Errors
    /// Always: the build has no file access.
    #[cfg(not(feature = "fs"))]
    pub fn load(&self, _: Option<&str>) -> Result<WebShop> {
        let message = "cannot be read: this build has no file access (feature `fs`)";
        Err(Error::file(&self.catalogue, message))
    }
}

impl EnvKind for ShopConfig {
    fn name(&self) -> &'static str {
        "webshop"
    }

    fn about(&self) -> &'static str {
        "the WebShop benchmark: find and buy what an instruction asks for"
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
