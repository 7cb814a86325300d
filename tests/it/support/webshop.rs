//! What the tests of WebShop share: the recordings of the original, where they are at hand, and shops
//! with its generated catalogue.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use proxmo::env::webshop::{Flavour, GoalKind, WebShop, WebShopConfig};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::shared::shared;

/// The content of a packed file.
pub fn unpacked(file: &str) -> Option<String> {
    let file = std::fs::File::open(shared(&format!("webshop/{file}"))?).unwrap();
    Some(std::io::read_to_string(liblzma::read::XzDecoder::new(file)).unwrap())
}

/// The lines of a packed file.
pub fn lines<T: DeserializeOwned>(file: &str) -> Option<Vec<T>> {
    let text = unpacked(file)?;
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// A packed file that is one JSON value.
pub fn value<T: DeserializeOwned>(file: &str) -> Option<T> {
    Some(serde_json::from_str(&unpacked(file)?).unwrap())
}

/// The shop of the generated catalogue, loaded once for each configuration.
pub fn shop(config: WebShopConfig) -> Option<WebShop> {
    static SHOPS: OnceLock<Mutex<Vec<WebShop>>> = OnceLock::new();
    let folder = shared("webshop/catalogue")?;
    let mut shops = SHOPS.get_or_init(Mutex::default).lock().unwrap();
    if let Some(shop) = shops.iter().find(|shop| *shop.config() == config) {
        return Some(shop.clone());
    }
    let shop = WebShop::load(&folder, None, config).unwrap();
    shops.push(shop.clone());
    Some(shop)
}

/// A configuration whose episodes end only by a purchase.
pub fn config(flavour: Flavour, goals: GoalKind, seed: u64) -> WebShopConfig {
    WebShopConfig { flavour, goals, task_seed: seed, max_steps: 100_000, ..Default::default() }
}

/// What can be clicked on a page.
#[derive(Debug, PartialEq, Deserialize)]
pub struct Available {
    pub has_search_bar: bool,
    pub clickables: Vec<String>,
}

/// A recorded session.
#[derive(Deserialize)]
pub struct Transcript {
    pub id: String,
    #[serde(rename = "impl")]
    pub flavour: Flavour,
    pub human_goals: bool,
    pub seed: u64,
    pub num_products: Option<usize>,
    pub show_attrs: bool,
    pub session: usize,
    pub goal: BTreeMap<String, Value>,
    pub reset: Value,
    pub steps: Vec<Value>,
}

impl Transcript {
    /// The configuration that it was recorded with.
    pub fn config(&self) -> WebShopConfig {
        let goals = if self.human_goals { GoalKind::Human } else { GoalKind::Synthetic };
        WebShopConfig {
            products: self.num_products.unwrap_or(0),
            show_attributes: self.show_attrs,
            ..config(self.flavour, goals, self.seed)
        }
    }
}
