//! Settings, each declared once.
//!
//! A setting is a field of a configuration struct: its doc comment is the help text, its
//! `#[garde(range(..))]` the range, the struct's `Default` the default. Deriving `Serialize`,
//! `Deserialize`, `JsonSchema` and `Validate` makes the rest: [`schema_of`] is the JSON Schema,
//! [`settings_of`] lists the settings with their keys and command-line flags, [`check`] validates a
//! configuration, [`read_toml`] reads and [`to_commented_toml`] writes its file.
//!
//! What these derives cannot say stands in `#[schemars(extend(..))]` on the field:
//!
//! | attribute | meaning |
//! |---|---|
//! | `"x-flag" = "name"` | the flag, where it is not the key in kebab case |
//! | `"x-value" = "DIR"` | the placeholder of the flag's value in `--help` |
//! | `"x-switches" = {"no-name": "off"}` | further flags, each of which stands for a value |
//! | `"x-aliases" = ["old"]` | former flags that still work |
//! | `"x-former-flags" = ["old"]` | former flags that are refused, naming the new one |
//! | `"x-former-keys" = ["old"]` | former keys that are refused, naming the new one |
//! | `"format" = "path"` | the value is a path |
//! | `"exclusiveMinimum" = 0` | the value is above 0 (with `#[garde(custom(above_zero))]`) |
//!
//! A section that is an internally tagged enum offers the settings of all its variants; those of the
//! variants that are not selected are refused.

mod assign;
mod check;
mod file;
mod literal;
mod schema;
mod setting;
mod tree;

pub use assign::{Kind, set};
pub use check::{above_zero, check};
pub use file::{read_toml, to_commented_toml};
pub use schema::{expected, has_type, schema_of, show};
pub use setting::{Setting, settings_of};
pub use tree::find_problem;

#[cfg(test)]
mod tests;
