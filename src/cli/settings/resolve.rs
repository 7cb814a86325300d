//! From flags to a configuration.

use std::path::Path;
use std::sync::Once;

use clap::{Args, FromArgMatches};

use super::super::terminal::tell;
use super::flags::Flags;
use super::known::FitSettings;
use super::read::read_config;
use super::scope::{CreditOnly, EnvOnly, Evaluation, Fitting, Scope, Whole};
use crate::credit::CreditConfig;
use crate::error::{Error, Result};
use crate::settings::{Kind, set};
use crate::train::{Config, Preset};

impl<S: Scope> Flags<S> {
    /// Whether a flag gives the setting with a key.
    pub fn gives(&self, key: &str) -> bool {
        self.given.iter().any(|(setting, _)| setting.key == key)
    }

    /// The configuration that flags start from: the defaults, or those of `--preset`, with the policy of
    /// the run that `--init` names, or the kind of policy that a flag selects, and what suits it.
    pub fn start(&self) -> Result<Config> {
        let given = |key: &str| self.given.iter().find(|(setting, _)| setting.key == key);
        let mut config = self.preset.map_or_else(Config::default, Preset::config);
        let initial = given("run.init").and_then(|(_, folder)| folder.as_str()).map(Path::new);
        let initial = initial.map(|folder| folder.join("config.toml"));
        if let Some(file) = initial.filter(|file| file.is_file()) {
            config.policy = read_config(&file)?.policy;
            config.suit_policy();
        }
        if let Some((setting, value)) = given("policy.kind") {
            let mut tree = config.to_tree()?;
            set(&mut tree, setting, value.clone());
            config = Config::from_tree(tree)
                .map_err(|message| Error::setting("policy.kind", message))?;
            config.suit_policy();
        }
        Ok(config)
    }

    /// The configuration: `base` (or what [`start`](Self::start) gives), or the file of `--config`, then
    /// flags. It is not checked as a whole.
    pub fn merge(&self, base: Option<Config>) -> Result<Config> {
        let config = match (&self.file, base) {
            (Some(path), _) => read_config(path)?,
            (None, Some(base)) => base,
            (None, None) => self.start()?,
        };
        if self.given.is_empty() {
            return Ok(config);
        }
        let mut tree = config.to_tree()?;
        // A tag selects the variant that the other flags of its section are for.
        let (tags, others): (Vec<_>, Vec<_>) =
            self.given.iter().partition(|(setting, _)| setting.is_tag);
        for (setting, value) in tags.into_iter().chain(others) {
            if let Kind::Other { tag, selected } = set(&mut tree, setting, value.clone()) {
                let owners: Vec<String> =
                    setting.kinds.iter().map(|kind| format!("\"{kind}\"")).collect();
                let owners = owners.join(" and ");
                let message =
                    format!("is a setting of {tag} = {owners} only, but {tag} is \"{selected}\"");
                return Err(Error::setting(&setting.key, message));
            }
        }
        Config::from_tree(tree).map_err(|message| Error::setting("config", message))
    }
}

/// Fills in the held-out split of the environment, and what this machine decides.
fn with_split(mut config: Config) -> Config {
    // A command may resolve many configurations.
    static TOLD: Once = Once::new();
    if let Some(note) = config.env.fill_in() {
        TOLD.call_once(|| tell!("proxmo: {note}"));
    }
    if config.eval.split.is_empty() {
        config.eval.split = config.env.held_out_split().into();
    }
    config
}

impl Flags<Whole> {
    /// Reads the flags of settings off words, as a command line has them, except `--config`.
    ///
    /// # Errors
    /// Says in a line which word is not understood.
    pub fn of_words(words: &[&str]) -> Result<Self, String> {
        let command = Self::augment_args(clap::Command::new("settings"))
            .no_binary_name(true)
            .disable_help_flag(true)
            .args_override_self(true);
        let flags = command
            .try_get_matches_from(words)
            .and_then(|matches| Self::from_arg_matches(&matches))
            .map_err(|error| {
                let text = error.to_string();
                let line = text.lines().next().unwrap_or_default();
                line.trim_start_matches("error: ").to_string()
            })?;
        match flags.file {
            Some(_) => Err("--config applies to all variants and is given outside of them".into()),
            None => Ok(flags),
        }
    }

    /// The configuration, as [`Flags::merge`] makes it, checked.
    pub fn resolve(&self, base: Option<Config>) -> Result<Config> {
        let config = with_split(self.merge(base)?);
        config.validate()?;
        Ok(config)
    }
}

impl Flags<CreditOnly> {
    /// The settings of credit assignment: defaults, then the `[credit]` table of the file of
    /// `--config`, then flags.
    pub fn resolve(&self) -> Result<CreditConfig> {
        let config = self.merge(None)?.credit;
        config.validate()?;
        Ok(config)
    }
}

impl Flags<EnvOnly> {
    /// The configuration, of which the environment's settings are checked.
    pub fn resolve(&self, base: Option<Config>) -> Result<Config> {
        let config = with_split(self.merge(base)?);
        config.env.validate()?;
        Ok(config)
    }
}

impl Flags<Evaluation> {
    /// The configuration, of which the environment's settings are checked.
    pub fn resolve(&self, base: Option<Config>) -> Result<Config> {
        let config = with_split(self.merge(base)?);
        config.env.validate()?;
        Ok(config)
    }
}

impl Flags<Fitting> {
    /// The settings of fitting: `base`, then flags. They are not checked as a whole.
    pub fn resolve(&self, base: &FitSettings) -> Result<FitSettings> {
        let refuse = |error: serde_json::Error| Error::setting("fit", error.to_string());
        let mut tree = serde_json::to_value(base).map_err(refuse)?;
        for (setting, value) in &self.given {
            set(&mut tree, setting, value.clone());
        }
        serde_json::from_value(tree).map_err(refuse)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CreditFlags, SettingFlags};
    use super::*;
    use crate::credit::{Curve, Modulation, Temperature};
    use crate::train::Preset;

    fn flags(line: &str) -> SettingFlags {
        let words = crate::command_line::Rules::Posix.split(line).unwrap();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        SettingFlags::of_words(&words).unwrap()
    }

    fn refused(line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let flags = SettingFlags::of_words(&words);
        let resolved = flags.map(|flags| flags.resolve(None));
        match resolved {
            Ok(config) => super::super::describe(&config.unwrap_err()),
            Err(message) => message,
        }
    }

    #[test]
    fn flags_override_defaults_of_every_type() {
        let config = flags(
            "--seed 7 --learning-rate 1 --estimator grpo --proximity-temperature auto \
             --modulation '{ steepness = 2.0, range = 0.1 }' --eval-split 7 --normalize mean_std",
        )
        .resolve(None)
        .unwrap();
        assert_eq!((config.run.seed, config.update.learning_rate), (7, 1.0));
        assert_eq!(config.credit.temperature, Temperature::Auto);
        assert_eq!(config.eval.split, "7");
        assert_eq!(config.credit.normalize, crate::credit::Normalize::MeanStd);
        assert_eq!(flags("").resolve(None).unwrap().eval.split, "valid");
    }

    #[test]
    fn a_flag_leaves_the_other_settings_as_they_are_to_the_bit() {
        let mut base = Config::default();
        base.update.clip_low = 0.1 + f32::EPSILON;
        base.credit.gamma = 0.1 + 0.2;
        base.run.seed = i64::MAX as u64;
        let config = flags("--epochs 3").merge(Some(base.clone())).unwrap();
        base.update.epochs = 3;
        assert_eq!(config, base);
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_with_key_flag_and_what_is_expected() {
        for (line, expected) in [
            (
                "--epochs many",
                "setting 'update.epochs' (--epochs): is 'many', expected a whole number from 1 to 100",
            ),
            ("--epochs 0", "is 0, expected a whole number from 1 to 100"),
            ("--seed -1", "setting 'run.seed' (--seed): is -1, expected a whole number from 0 to"),
            ("--gamma nan", "is nan, expected a number from 0 to 1"),
            ("--estimator magic", "(--estimator): is 'magic', expected one of proxmo, gigpo,"),
            (
                "--proximity-temperature hot",
                "'credit.temperature' (--proximity-temperature): is 'hot', expected auto or a number",
            ),
            ("--modulation of", "is 'of', expected auto, off, on, true or false or a table of"),
            ("--modulation {rnge=1}", "`credit.modulation.rnge` is an unknown key"),
            (
                "--estimator rloo --normalize mean-std",
                "(--normalize): is 'mean-std', but estimator",
            ),
            (
                "--games x",
                "setting 'env.games' (--games): is a setting of env.name = \"alfworld\" only, but \
                 env.name is \"household\"",
            ),
            ("--env process --max-steps 3", "\"alfworld\" and \"webshop\" and \"openenv\" only"),
            ("--env alfworld", "setting 'env.games' (--games): is not set; expected the folder"),
            ("--iterations 0", "(--iterations): and run.minutes are both 0"),
        ] {
            let message = refused(line);
            assert!(message.contains(expected), "{message} should contain {expected}");
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn a_former_flag_is_refused_with_the_new_one_unless_it_is_unambiguous() {
        for (line, expected) in [
            ("--temperature 0.5", "'--temperature': is now --proximity-temperature"),
            ("--episodes 4", "'--episodes': is now --group-size"),
            ("--tasks 4", "'--tasks': is now --train-tasks"),
            ("--split train", "'--split': is now --train-split"),
        ] {
            assert!(refused(line).contains(expected), "{}", refused(line));
        }
        let config = flags("--skip-even --keep 5 --resample 2").merge(None).unwrap();
        assert!(config.rollout.drop_zero_variance);
        assert_eq!((config.run.keep_checkpoints, config.rollout.max_resampling_rounds), (5, 2));
    }

    #[test]
    fn a_preset_replaces_the_defaults() {
        let flags = flags("--preset alfworld --seed 5 --games json_2.1.1");
        assert_eq!(flags.preset, Some(Preset::Alfworld));
        let config = flags.resolve(None).unwrap();
        assert_eq!((config.run.seed, config.run.iterations), (5, 1500));
        assert_eq!(config.eval.split, "valid_seen");
    }

    #[test]
    fn an_environment_starts_from_its_own_defaults_and_takes_its_flags_in_any_order() {
        let config = flags("--games x --max-steps 7 --env alfworld").resolve(None).unwrap();
        let tree = config.to_tree().unwrap();
        assert_eq!((&tree["env"]["games"], &tree["env"]["max_steps"]), (&"x".into(), &7.into()));
        let back = flags("--env household").merge(Some(config)).unwrap();
        assert_eq!(back.env, Config::default().env);
    }

    #[test]
    fn the_base_is_kept_except_for_the_flags_given() {
        let mut base = Config::default();
        base.run.iterations = 3;
        let config = flags("--seed 5").resolve(Some(base)).unwrap();
        assert_eq!((config.run.iterations, config.run.seed), (3, 5));
    }

    #[derive(Debug, clap::Parser)]
    struct Typed {
        #[command(flatten)]
        credit: CreditFlags,
    }

    fn typed(arguments: &str) -> CreditConfig {
        let words = std::iter::once("proxmo").chain(arguments.split_whitespace());
        <Typed as clap::Parser>::try_parse_from(words).unwrap().credit.resolve().unwrap()
    }

    #[test]
    fn nested_flags_set_the_shape_of_the_modulation() {
        let both = typed("--modulation-range 0.2 --modulation-steepness 2").modulation;
        assert_eq!(both, Modulation::On(Curve { steepness: 2.0, range: 0.2 }));
        let one = typed("--estimator gigpo --modulation-range 0.2").modulation;
        assert_eq!(one, Modulation::On(Curve { range: 0.2, ..Curve::default() }));
        assert_eq!(typed("--no-modulation").modulation, Modulation::Off);
        assert_eq!(typed("--modulation off").modulation, Modulation::Off);
        assert_eq!(typed("").modulation, Modulation::Auto);
        let both = ["proxmo", "--no-modulation", "--modulation-range", "0.2"];
        <Typed as clap::Parser>::try_parse_from(both).unwrap_err();
    }

    #[test]
    fn a_switch_without_a_value_does_not_take_the_next_flag() {
        let config = typed("--base-group --history 3 --credit-invalid-action-penalty 0.5");
        assert_eq!((config.base_group, config.history), (true, 3));
        assert_eq!(config.invalid_action_penalty, 0.5);
        assert!(!typed("--base-group false").base_group);
    }
}
