//! Runs that differ by their seed alone are one variant.

use super::read::RecordedRun;
use crate::train::Config;

/// Runs with the same settings but for the seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// The name of the first run's folder, without the ending that names its seed.
    pub name: String,
    /// The runs, by seed.
    pub runs: Vec<RecordedRun>,
}

impl Variant {
    /// The settings; the seed is the first run's.
    pub fn config(&self) -> Option<&Config> {
        self.runs.first().map(|run| &run.config)
    }

    /// How many of the runs are over.
    pub fn over(&self) -> usize {
        self.runs.iter().filter(|run| run.is_over()).count()
    }

    /// The runs that speak for the variant's end: those that are over, or all where none is.
    pub fn judged(&self) -> Vec<&RecordedRun> {
        let any = self.over() > 0;
        self.runs.iter().filter(|run| !any || run.is_over()).collect()
    }
}

/// The ending of a run's name that tells its seed.
pub fn seed_ending(seed: u64) -> String {
    format!("-s{seed}")
}

/// Sorts runs into variants, by name.
pub fn group(mut runs: Vec<RecordedRun>) -> Vec<Variant> {
    runs.sort_by(|a, b| (a.config.run.seed, &a.name).cmp(&(b.config.run.seed, &b.name)));
    let mut variants: Vec<(Config, Variant)> = Vec::new();
    for run in runs {
        let mut settings = run.config.clone();
        settings.run.seed = 0;
        match variants.iter_mut().find(|(found, _)| *found == settings) {
            Some((_, variant)) => variant.runs.push(run),
            None => {
                let ending = seed_ending(run.config.run.seed);
                let name = run.name.strip_suffix(&ending).filter(|name| !name.is_empty());
                let name = name.unwrap_or(&run.name).to_string();
                variants.push((settings, Variant { name, runs: vec![run] }));
            }
        }
    }
    let mut variants: Vec<Variant> = variants.into_iter().map(|(_, variant)| variant).collect();
    variants.sort_by(|a, b| a.name.cmp(&b.name));
    tell_apart(&mut variants);
    variants
}

/// Numbers variants of the same name, which stand beside each other.
fn tell_apart(variants: &mut [Variant]) {
    let mut number = 1;
    for at in 1..variants.len() {
        let (before, after) = variants.split_at_mut(at);
        let first = &before[at - number].name;
        number = if *first == after[0].name { number + 1 } else { 1 };
        if number > 1 {
            after[0].name = format!("{first} ({number})");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, seed: u64, epochs: usize) -> RecordedRun {
        let mut config = Config::default();
        config.run.seed = seed;
        config.update.epochs = epochs;
        RecordedRun { name: name.into(), config, metrics: Vec::new() }
    }

    #[test]
    fn the_seed_alone_makes_no_variant() {
        let runs =
            vec![run("b-s10", 10, 2), run("b-s2", 2, 2), run("a-s2", 2, 1), run("a-s10", 10, 1)];
        let variants = group(runs);
        let names: Vec<_> = variants.iter().map(|variant| variant.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let seeds: Vec<_> = variants[1].runs.iter().map(|run| run.config.run.seed).collect();
        assert_eq!(seeds, [2, 10]);
    }

    #[test]
    fn variants_of_one_name_are_told_apart() {
        let runs = vec![run("x", 0, 1), run("x", 0, 2), run("x-s0", 0, 3), run("y-s3", 0, 4)];
        let names: Vec<_> = group(runs).into_iter().map(|variant| variant.name).collect();
        assert_eq!(names, ["x", "x (2)", "x (3)", "y-s3"]);
    }

    #[test]
    fn those_that_are_over_speak_for_the_rest() {
        let mut variant = Variant { name: "a".into(), runs: vec![run("a", 0, 1), run("b", 1, 1)] };
        assert_eq!((variant.over(), variant.judged().len()), (0, 2));
        let last = crate::train::IterationMetrics { iteration: 300, ..Default::default() };
        variant.runs[1].metrics.push(last);
        assert_eq!((variant.over(), variant.judged().len()), (1, 1));
    }
}
