//! Settings as flags. Every key of `config.toml` has one; the declarations of the settings make it.

mod flags;
mod known;
mod parser;
mod read;
mod resolve;
mod scope;

pub use self::flags::Flags;
pub use self::known::{FitSettings, all_settings, describe, env_settings, setting_summary};
pub use self::read::{make_paths_absolute, read_config};
pub use self::scope::{CreditOnly, EnvOnly, Evaluation, Fitting, Whole};

/// The flags of all settings, `--config` and `--preset`.
pub type SettingFlags = Flags<Whole>;

/// The flags of the settings of credit assignment, and `--config`.
pub type CreditFlags = Flags<CreditOnly>;

/// The flags of the environment's settings, and `--config`.
pub type EnvFlags = Flags<EnvOnly>;

/// The flags of `proxmo eval`: those of the environment, the device and the evaluation, and
/// `--config`.
pub type EvalFlags = Flags<Evaluation>;

/// The flags of `proxmo lm fit`.
pub type FitFlags = Flags<Fitting>;
