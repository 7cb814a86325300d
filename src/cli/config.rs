//! `proxmo config`.

use clap::Args;

use super::settings::SettingFlags;
use super::terminal::hand_over;
use crate::error::{Error, Result};
use crate::settings::to_commented_toml;
use crate::train::Config;

/// Print the settings of a training as a config.toml, with the description, range and default of each.
///
/// The output holds the defaults, or those of --preset or --config, changed by the flags given. It is a
/// file for --config.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Print the JSON Schema of config.toml instead.
    #[arg(long)]
    schema: bool,
    #[command(flatten)]
    pub(super) settings: SettingFlags,
}

const EXAMPLES: &str = "\
Examples:
  proxmo config
  proxmo config --preset alfworld --games json_2.1.1 > alfworld.toml
  proxmo config --config runs/household-1/config.toml --estimator grpo > grpo.toml
  proxmo config --schema > config.schema.json";

pub fn run(arguments: &Arguments) -> Result<()> {
    hand_over!("{}", text(arguments)?.trim_end());
    Ok(())
}

fn text(arguments: &Arguments) -> Result<String> {
    let schema = Config::schema();
    if arguments.schema {
        return serde_json::to_string_pretty(schema)
            .map_err(|error| Error::Run(format!("cannot write the schema: {error}")));
    }
    Ok(to_commented_toml(&arguments.settings.merge(None)?.to_tree()?, schema))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::{Curve, Modulation};
    use crate::train::Preset;

    #[test]
    fn the_commented_file_reads_back_as_the_same_configuration() {
        let mut changed = Preset::Alfworld.config();
        changed.update.clip_low = 0.3;
        changed.credit.similarity = Some(0.9);
        changed.credit.modulation = Modulation::On(Curve { steepness: 2.0, range: 0.1 });
        changed.run.init = "a \"b\"\\c".into();
        for config in [Config::default(), changed] {
            let text = to_commented_toml(&config.to_tree().unwrap(), Config::schema());
            assert_eq!(Config::from_toml(&text, "config.toml").unwrap(), config, "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= 101), "{text}");
        }
    }
}
