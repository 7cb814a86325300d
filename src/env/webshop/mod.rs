//! WebShop: finding and buying what an instruction asks for, in a shop of many products.
//!
//! The pages, the order of search results, the random draws and the reward are those of the original
//! (princeton-nlp/WebShop, flavour [`Flavour::WebShop`]) and of the copy in verl-agent on which GiGPO
//! and ProxMO train ([`Flavour::Verl`]), byte for byte. Catalogues come in the original's files, or are
//! made up ([`generate`]).
//!
//! Actions are texts: `click[x]` for what stands on a page, and `search[words]` with any words.
//!
//! ```
//! use proxmo::env::webshop::{WebShop, WebShopConfig};
//! use proxmo::env::{Environment, Session};
//!
//! let items = br#"[{"asin": "B000000001", "name": "Red Shoes", "category": "fashion",
//!     "query": "shoes", "product_category": "Clothing \u203a Shoes", "full_description": "",
//!     "small_description": ["light"], "customization_options": null, "images": [""],
//!     "pricing": "$25.00"}]"#;
//! let human = br#"{"B000000001": [{"instruction": "i want light shoes",
//!     "instruction_attributes": ["light"], "instruction_options": []}]}"#;
//! let shop = WebShop::from_json(items, b"{}", Some(human), None, WebShopConfig::default())?;
//!
//! let mut session = shop.start(0, 0)?;
//! session.step("search[shoes]")?;
//! session.step("click[b000000001]")?;
//! assert!(session.step("click[buy now]")?.succeeded());
//! # Ok::<(), proxmo::error::Error>(())
//! ```

mod action;
mod analysis;
mod benchmark;
mod bm25;
mod catalogue;
mod config;
mod environment;
mod generator;
mod goals;
#[cfg(feature = "fs")]
mod index_file;
mod inspect;
mod json;
#[cfg(feature = "fs")]
mod load;
mod nouns;
mod page;
mod product;
mod python;
pub mod random;
mod reward;
mod session;
mod shop;
mod shopper;
mod similarity;
mod sources;
mod stem;
mod texts;
mod variation;
pub mod verl;
mod wish;

pub use benchmark::ShopConfig;
pub use config::{Flavour, GoalKind, WebShopConfig};
pub use environment::{Memory, WebShop};
pub use generator::generate;
pub use inspect::{GoalOptions, GoalRecord, ProductRecord, analyze, stem};
pub use nouns::find_nouns;
pub use reward::RewardParts;
pub use session::WebShopSession;
pub use shopper::Shopper;
pub use sources::IndexOrigin;
