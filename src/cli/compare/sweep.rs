//! Sweeps: trials with random settings, and their successive halving.
//!
//! Random search: Bergstra and Bengio, "Random Search for Hyper-Parameter Optimization", 2012. Successive
//! halving: Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
//! Optimization", 2016. All trials train for a short part of the training, the best third of them goes on
//! for three times as long, and so on.

use rand::Rng;

use super::variants::{Variant, variant_of_words};
use crate::cli::settings::all_settings;
use crate::error::{Error, Result};
use crate::settings::{Setting, has_type, show};
use crate::stream::{Purpose, Stream};
use crate::train::{Config, differences};

/// The factor by which trials become fewer and trainings longer from one round to the next.
const FACTOR: u64 = 3;

/// Draws for a trial until its settings are new.
const MAX_DRAWS: usize = 100;

/// A setting and the values that trials take.
#[derive(Debug, Clone, PartialEq)]
struct Dimension {
    setting: &'static Setting,
    values: Values,
}

#[derive(Debug, Clone, PartialEq)]
enum Values {
    /// From the first to the second, uniform in the value or in its logarithm.
    Range { low: f64, high: f64, log: bool },
    /// One of these, as they are written on a command line.
    Choices(Vec<String>),
}

/// A round: how long its trials train, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Iterations from the start.
    pub iterations: u64,
    /// Number of trials.
    pub trials: usize,
}

/// The trials of a sweep over `base`: `trial-01`, `trial-02` and so on. Each dimension is
/// `KEY=LOW..HIGH`, `KEY=LOW..HIGH:log` or `KEY=A,B,C`. The seed of `base` decides the values.
///
/// # Errors
/// Fails if a dimension is malformed, or if a trial's settings are out of range.
pub fn trials(dimensions: &[String], count: usize, base: &Config) -> Result<Vec<Variant>> {
    let dimensions: Vec<Dimension> =
        dimensions.iter().map(|text| Dimension::read(text)).collect::<Result<_>>()?;
    for (at, dimension) in dimensions.iter().enumerate() {
        if dimensions[..at].iter().any(|earlier| earlier.setting.key == dimension.setting.key) {
            let message = format!("{} is given twice", dimension.setting.key);
            return Err(Error::setting("--sweep", message));
        }
    }
    let digits = count.to_string().len();
    let mut found: Vec<Variant> = Vec::new();
    for trial in 0..count {
        let mut rng = Stream::new(base.run.seed, Purpose::Sweep).of(trial, 0).rng();
        // Few choices have few combinations, and then there are fewer trials.
        let new = (0..MAX_DRAWS).find_map(|_| {
            let words: Vec<String> =
                dimensions.iter().flat_map(|dimension| dimension.draw(&mut rng)).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let name = format!("trial-{:0digits$}", found.len() + 1);
            let made = variant_of_words("--sweep", &name, &words, base);
            let is_new = |made: &Variant| {
                found.iter().all(|known| !differences(&known.config, &made.config).is_empty())
            };
            match made {
                Ok(made) if !is_new(&made) => None,
                made => Some(made),
            }
        });
        match new {
            Some(made) => found.push(made?),
            None => break,
        }
    }
    Ok(found)
}

/// The rounds of a sweep. The last trains for `iterations`; rounds end where an evaluation is due, every
/// `evaluate_every` iterations.
pub fn rounds(trials: usize, iterations: u64, evaluate_every: u64) -> Vec<Round> {
    let mut found = Vec::new();
    let (mut left, mut remaining) = (trials, 0);
    while left > 1 {
        (left, remaining) = (left.div_ceil(FACTOR as usize), remaining + 1);
    }
    let mut left = trials;
    for round in (0..=remaining).rev() {
        let share = iterations.div_ceil(FACTOR.pow(round));
        let whole = share.next_multiple_of(evaluate_every).min(iterations);
        // Of rounds of the same length the first has all trials.
        if found.last().is_none_or(|last: &Round| last.iterations < whole) {
            found.push(Round { iterations: whole, trials: left });
            left = left.div_ceil(FACTOR as usize);
        }
    }
    found
}

/// The settings of a trial that differ from the base, for people: `update.learning_rate = 0.0003`.
pub fn describe_trial(trial: &Variant, base: &Config) -> String {
    let parts = differences(base, &trial.config).into_iter();
    parts.map(|one| format!("{} = {}", one.key, one.second)).collect::<Vec<_>>().join(", ")
}

impl Dimension {
    fn read(text: &str) -> Result<Self> {
        let refuse = |message: String| Error::setting("--sweep", format!("'{text}': {message}"));
        let Some((key, values)) = text.split_once('=') else {
            let message = "expected KEY=LOW..HIGH, KEY=LOW..HIGH:log or KEY=A,B,C";
            return Err(refuse(message.into()));
        };
        let setting = all_settings().iter().find(|setting| setting.key == key.trim());
        let Some(setting) = setting else {
            let near = all_settings().iter().map(|setting| &*setting.key);
            let near = near.max_by(|a, b| {
                strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key))
            });
            let near = near.unwrap_or_default();
            return Err(refuse(format!("there is no setting {key}; did you mean {near}?")));
        };
        if setting.key == "run.seed" {
            return Err(refuse("--seeds sets the seeds of all trials".into()));
        }
        let values = match values.split_once("..") {
            Some((low, high)) => Values::range(low, high).map_err(refuse)?,
            None => Values::Choices(values.split(',').map(|word| word.trim().into()).collect()),
        };
        let is_number = ["number", "integer"].iter().any(|name| has_type(&setting.schema, name));
        if matches!(values, Values::Range { .. }) && !is_number {
            let message = format!("{key} is no number, expected choices such as {key}=A,B");
            return Err(refuse(message));
        }
        Ok(Self { setting, values })
    }

    /// Words of a command line that give the setting a random value.
    fn draw(&self, rng: &mut impl Rng) -> [String; 1] {
        let value = match &self.values {
            Values::Choices(choices) => choices[rng.random_range(0..choices.len())].clone(),
            Values::Range { low, high, log } => {
                let share: f64 = rng.random();
                let value = match log {
                    true => (low.ln() + share * (high.ln() - low.ln())).exp(),
                    false => low + share * (high - low),
                };
                let only_whole = !has_type(&self.setting.schema, "number");
                if only_whole { format!("{value:.0}") } else { three_digits(value) }
            }
        };
        [format!("--{}={value}", self.setting.flag)]
    }
}

impl Values {
    fn range(low: &str, high: &str) -> Result<Self, String> {
        let (high, log) = match high.split_once(':') {
            None => (high, false),
            Some((high, "log")) => (high, true),
            Some((_, other)) => return Err(format!("':{other}' is unknown, expected ':log'")),
        };
        let number = |text: &str| {
            let parsed = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
            parsed.ok_or_else(|| format!("'{text}' is not a number"))
        };
        let (low, high) = (number(low)?, number(high)?);
        if low >= high {
            return Err(format!("{low} is not below {high}"));
        }
        if log && low <= 0.0 {
            return Err("a logarithmic range begins above 0".into());
        }
        Ok(Self::Range { low, high, log })
    }
}

/// A number with three significant digits, which people can read and repeat.
fn three_digits(value: f64) -> String {
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    show(&serde_json::json!(rounded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(dimensions: &[&str], count: usize) -> Result<Vec<Variant>> {
        let dimensions: Vec<String> = dimensions.iter().map(ToString::to_string).collect();
        trials(&dimensions, count, &Config::default())
    }

    #[test]
    fn trials_lie_in_their_ranges_and_depend_on_the_seed_alone() {
        let dimensions = ["update.learning_rate=1e-4..1e-2:log", "update.epochs=1..4"];
        let found = of(&dimensions, 60).unwrap();
        assert_eq!(found, of(&dimensions, 60).unwrap());
        assert_eq!((found.len(), &*found[0].name, &*found[59].name), (60, "trial-01", "trial-60"));
        let rates: Vec<f64> =
            found.iter().map(|one| f64::from(one.config.update.learning_rate as f32)).collect();
        assert!(rates.iter().all(|rate| (0.99e-4..=1.01e-2).contains(rate)), "{rates:?}");
        // Half of a logarithmic range lies below its geometric mean.
        let low = rates.iter().filter(|&&rate| rate < 1e-3).count();
        assert!((15..45).contains(&low), "{low}");
        for epochs in 1..=4 {
            assert!(found.iter().any(|one| one.config.update.epochs == epochs), "{epochs}");
        }
    }

    #[test]
    fn each_combination_of_choices_is_tried_once() {
        let found = of(&["credit.estimator=grpo,proxmo", "credit.gamma=0.9,1.0"], 16).unwrap();
        assert_eq!(found.len(), 4);
        let told = describe_trial(&found[0], &Config::default());
        assert!(told.contains("credit.gamma = "), "{told}");
    }

    #[test]
    fn rounds_get_fewer_trials_and_more_iterations() {
        let round = |iterations, trials| Round { iterations, trials };
        assert_eq!(rounds(9, 270, 1), [round(30, 9), round(90, 3), round(270, 1)]);
        assert_eq!(rounds(10, 270, 1), [round(10, 10), round(30, 4), round(90, 2), round(270, 1)]);
        // Evaluations are every 50 iterations, so that the first two rounds are the same.
        assert_eq!(rounds(9, 150, 50), [round(50, 9), round(150, 3)]);
        assert_eq!(rounds(1, 20, 7), [round(20, 1)]);
        assert_eq!(rounds(4, 20, 7), [round(7, 4), round(20, 2)]);
    }

    #[test]
    fn malformed_dimensions_are_refused_with_the_reason() {
        for (dimension, expected) in [
            ("update.epochs", "expected KEY=LOW..HIGH"),
            ("update.learning_rat=1..2", "did you mean update.learning_rate?"),
            ("update.epochs=a..2", "'a' is not a number"),
            ("update.epochs=2..1", "2 is not below 1"),
            ("update.learning_rate=0..1:log", "begins above 0"),
            ("update.learning_rate=1..2:exp", "expected ':log'"),
            ("credit.estimator=1..2", "is no number"),
            ("run.seed=1,2", "--seeds"),
            ("update.epochs=0,0", "update.epochs"),
        ] {
            let message = of(&[dimension], 2).unwrap_err().to_string();
            assert!(message.contains(expected), "{dimension}: {message}");
        }
        let twice = of(&["update.epochs=1..2", "update.epochs=1..3"], 2).unwrap_err().to_string();
        assert!(twice.contains("given twice"), "{twice}");
    }
}
