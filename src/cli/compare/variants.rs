//! The variants of a comparison: estimators, known ablations, and variants given as flags.

use crate::cli::settings::{SettingFlags, describe};
use crate::command_line::Rules;
use crate::credit::Estimator;
use crate::error::{Error, Result};
use crate::train::{Config, differences};

/// A named configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Its name, which begins the names of its run folders.
    pub name: String,
    /// Its settings. Each run sets its seed.
    pub config: Config,
}

/// The known ablations: name, flags and description.
const ABLATIONS: &[(&str, &str, &str)] = &[
    (
        "proxmo-no-modulation",
        "--estimator proxmo --no-modulation",
        "no modulation: all episodes have the same weight",
    ),
    (
        "proxmo-no-aggregation",
        "--estimator proxmo --step-weight 0",
        "no step part: the modulated episode part alone",
    ),
    (
        "proxmo-exact-states",
        "--estimator gigpo --normalize mean --modulation on",
        "step baselines over identical observations in place of soft aggregation",
    ),
    (
        "proxmo-improved",
        "--estimator proxmo --self-weight exclude --proximity-temperature auto --success-prior fitted",
        "leave-one-out baselines, temperature by leave-one-out error, fitted prior on success rates",
    ),
    (
        "proxmo-value",
        "--estimator proxmo --value-weight 0.5",
        "step baselines mixed in equal parts with learned values of the states",
    ),
];

/// The ablations, for `--help`.
pub fn describe_ablations() -> String {
    let lines = ABLATIONS
        .iter()
        .map(|(name, flags, what)| format!("  {name:<22} {what}\n  {:<22} ({flags})", ""));
    format!("Ablations:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// The variants of `names` (estimators and ablations) and `made` (`NAME: FLAGS`). Each changes
/// `base`.
pub fn variants(names: &[String], made: &[String], base: &Config) -> Result<Vec<Variant>> {
    let mut all: Vec<Variant> = Vec::new();
    for name in names {
        let flags = flags_of(name)?;
        all.push(variant("--estimators", name, &flags, base)?);
    }
    for text in made {
        let (name, flags) = text.split_once(':').ok_or_else(|| {
            let message = format!("'{text}' has no colon, expected NAME: FLAGS");
            Error::setting("--variant", message)
        })?;
        all.push(variant("--variant", name.trim(), flags, base)?);
    }
    for (at, later) in all.iter().enumerate() {
        for earlier in &all[..at] {
            refuse_duplicates(earlier, later)?;
        }
    }
    Ok(all)
}

/// The flags of an estimator or a known ablation.
fn flags_of(name: &str) -> Result<String> {
    if let Some((_, flags, _)) = ABLATIONS.iter().find(|known| known.0 == name) {
        return Ok(flags.to_string());
    }
    if name.parse::<Estimator>().is_ok() {
        return Ok(format!("--estimator {name}"));
    }
    let estimators = Estimator::ALL.iter().map(|estimator| estimator.name());
    let known: Vec<&str> = estimators.chain(ABLATIONS.iter().map(|known| known.0)).collect();
    let message = format!("'{name}' is unknown, expected any of {}", known.join(", "));
    Err(Error::setting("--estimators", message))
}

fn variant(flag: &str, name: &str, flags: &str, base: &Config) -> Result<Variant> {
    let words = Rules::HERE.split(flags).ok_or_else(|| {
        let message = "has a quotation mark without an end";
        Error::setting(format!("{flag} {name}"), message)
    })?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    variant_of_words(flag, name, &words, base)
}

/// The variant that the flags in `words` make of `base`. In errors, `flag` is the flag that asks for it.
pub(super) fn variant_of_words(
    flag: &str,
    name: &str,
    words: &[&str],
    base: &Config,
) -> Result<Variant> {
    let refuse = |message: String| Error::setting(format!("{flag} {name}"), message);
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.+=".contains(letter);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
        let message = "names a folder, expected letters, digits and -_.+= (no dot at the start)";
        return Err(refuse(message.into()));
    }
    let flags = SettingFlags::of_words(words).map_err(refuse)?;
    let config = flags.resolve(Some(base.clone())).map_err(|error| refuse(describe(&error)))?;
    if config.run.seed != base.run.seed {
        return Err(refuse(
            "--seed is not allowed in a variant; --seeds sets the seeds of all".into(),
        ));
    }
    Ok(Variant { name: name.to_string(), config })
}

/// Refuses two variants with the same name or the same settings. Names differ by more than case,
/// because some file systems ignore it.
fn refuse_duplicates(earlier: &Variant, later: &Variant) -> Result<()> {
    if earlier.name.eq_ignore_ascii_case(&later.name) {
        let message = format!("'{}' is given twice, expected different names", later.name);
        return Err(Error::setting("--variant", message));
    }
    if differences(&earlier.config, &later.config).is_empty() {
        let message = format!(
            "'{}' and '{}' have the same settings, expected variants that differ",
            earlier.name, later.name
        );
        return Err(Error::setting("--variant", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::{Curve, Inclusion, Modulation, SuccessPrior, Temperature};

    fn of(names: &[&str], made: &[&str]) -> Result<Vec<Variant>> {
        let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut base = Config::default();
        base.update.epochs = 7;
        variants(&owned(names), &owned(made), &base)
    }

    #[test]
    fn an_ablation_has_the_settings_of_its_flags() {
        let names: Vec<&str> = ABLATIONS.iter().map(|known| known.0).collect();
        let all = of(&names, &[]).unwrap();
        assert!(all.iter().all(|one| one.config.update.epochs == 7));
        assert!(all.iter().all(|one| one.config.eval.split == "valid"));
        let credit = |name: &str| &all.iter().find(|one| one.name == name).unwrap().config.credit;
        assert_eq!(credit("proxmo-no-modulation").modulation, Modulation::Off);
        let aggregation = credit("proxmo-no-aggregation");
        assert_eq!(aggregation.step_weight, 0.0);
        assert_eq!(aggregation.resolved().modulation, Modulation::On(Curve::default()));
        let exact = credit("proxmo-exact-states");
        assert_eq!(exact.estimator, Estimator::Gigpo);
        assert_eq!(exact.modulation, Modulation::On(Curve::default()));
        let improved = credit("proxmo-improved");
        assert_eq!(improved.estimator, Estimator::Proxmo);
        assert_eq!(improved.self_weight, Inclusion::Exclude);
        assert_eq!(improved.temperature, Temperature::Auto);
        assert_eq!(improved.success_prior, SuccessPrior::Fitted);
        let value = credit("proxmo-value");
        assert_eq!((value.estimator, value.value_weight), (Estimator::Proxmo, 0.5));
    }

    #[test]
    fn every_estimator_is_a_variant() {
        let names: Vec<&str> = Estimator::ALL.iter().map(|estimator| estimator.name()).collect();
        for (variant, &estimator) in of(&names, &[]).unwrap().iter().zip(Estimator::ALL) {
            assert_eq!(variant.config.credit.estimator, estimator);
        }
    }

    #[test]
    fn a_variant_has_the_settings_of_its_flags() {
        let made = [
            "hot: --proximity-temperature 0.5",
            "m:--modulation '{ steepness = 2.0, range = 0.1 }'",
        ];
        let all = of(&["proxmo"], &made).unwrap();
        let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["proxmo", "hot", "m"]);
        assert_eq!(all[1].config.credit.temperature, Temperature::Fixed(0.5));
        let curve = Curve { steepness: 2.0, range: 0.1 };
        assert_eq!(all[2].config.credit.modulation, Modulation::On(curve));
    }

    #[test]
    fn an_invalid_variant_is_refused_with_the_reason() {
        for (names, made, expected) in [
            (vec!["proximo"], vec![], "expected any of proxmo, gigpo"),
            (vec!["grpo", "grpo"], vec![], "'grpo' is given twice"),
            (vec!["grpo"], vec!["GRPO: --epochs 3"], "'GRPO' is given twice"),
            (vec!["grpo"], vec!["same: --estimator grpo"], "the same settings"),
            (vec![], vec!["--epochs 3"], "expected NAME: FLAGS"),
            (vec![], vec!["../up: --epochs 3"], "names a folder"),
            (vec![], vec![": --epochs 3"], "names a folder"),
            (vec![], vec!["a: --frobnicate 3"], "unexpected argument '--frobnicate'"),
            (vec![], vec!["a: --epochs 0"], "update.epochs"),
            (vec![], vec!["a: --epochs many"], "--epochs"),
            (vec![], vec!["a: --seed 3"], "--seeds sets the seeds"),
            (vec![], vec!["a: --config b.toml"], "--config applies to all"),
            (vec![], vec!["a: --epochs '3"], "quotation mark"),
        ] {
            let message = of(&names, &made).unwrap_err().to_string();
            assert!(message.contains(expected), "{message} should contain {expected}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
