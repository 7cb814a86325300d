//! Groups runs that differ by their seed alone into variants.

use super::recorded_run::RecordedRun;
use crate::train::Config;

/// A variant: runs with the same settings apart from the seed.
#[derive(Debug, Clone, PartialEq)]
pub struct VariantRuns {
    /// The name of the first run's folder, without the suffix of its seed.
    pub name: String,
    /// The runs, by seed.
    pub runs: Vec<RecordedRun>,
}

impl VariantRuns {
    /// The settings; the seed is the first run's.
    pub fn config(&self) -> Option<&Config> {
        self.runs.first().map(|run| &run.config)
    }

    /// The number of finished runs.
    pub fn finished(&self) -> usize {
        self.runs.iter().filter(|run| run.is_finished()).count()
    }

    /// The runs whose last evaluations count as the variant's results: the finished ones, or all runs
    /// if none is finished.
    pub fn runs_with_results(&self) -> Vec<&RecordedRun> {
        let any = self.finished() > 0;
        self.runs.iter().filter(|run| !any || run.is_finished()).collect()
    }
}

/// The suffix of a run's name that names its seed.
pub fn seed_suffix(seed: u64) -> String {
    format!("-s{seed}")
}

/// Groups runs by variant, sorted by name.
pub fn group_by_variant(mut runs: Vec<RecordedRun>) -> Vec<VariantRuns> {
    runs.sort_by(|a, b| (a.config.run.seed, &a.name).cmp(&(b.config.run.seed, &b.name)));
    let mut variants: Vec<(Config, VariantRuns)> = Vec::new();
    for run in runs {
        let mut settings = run.config.clone();
        settings.run.seed = 0;
        match variants.iter_mut().find(|(found, _)| *found == settings) {
            Some((_, variant)) => variant.runs.push(run),
            None => {
                let suffix = seed_suffix(run.config.run.seed);
                let name = run.name.strip_suffix(&suffix).filter(|name| !name.is_empty());
                let name = name.unwrap_or(&run.name).to_string();
                variants.push((settings, VariantRuns { name, runs: vec![run] }));
            }
        }
    }
    let mut variants: Vec<VariantRuns> = variants.into_iter().map(|(_, variant)| variant).collect();
    variants.sort_by(|a, b| a.name.cmp(&b.name));
    number_equal_names(&mut variants);
    variants
}

/// Appends numbers to equal names, in a list sorted by name.
fn number_equal_names(variants: &mut [VariantRuns]) {
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
    fn runs_that_differ_by_seed_alone_are_one_variant() {
        let runs =
            vec![run("b-s10", 10, 2), run("b-s2", 2, 2), run("a-s2", 2, 1), run("a-s10", 10, 1)];
        let variants = group_by_variant(runs);
        let names: Vec<_> = variants.iter().map(|variant| variant.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let seeds: Vec<_> = variants[1].runs.iter().map(|run| run.config.run.seed).collect();
        assert_eq!(seeds, [2, 10]);
    }

    #[test]
    fn equal_names_are_numbered() {
        let runs = vec![run("x", 0, 1), run("x", 0, 2), run("x-s0", 0, 3), run("y-s3", 0, 4)];
        let names: Vec<_> =
            group_by_variant(runs).into_iter().map(|variant| variant.name).collect();
        assert_eq!(names, ["x", "x (2)", "x (3)", "y-s3"]);
    }

    #[test]
    fn only_finished_runs_have_results_once_there_is_one() {
        let mut variant =
            VariantRuns { name: "a".into(), runs: vec![run("a", 0, 1), run("b", 1, 1)] };
        assert_eq!((variant.finished(), variant.runs_with_results().len()), (0, 2));
        let last = crate::train::IterationMetrics { iteration: 300, ..Default::default() };
        variant.runs[1].metrics.push(last);
        assert_eq!((variant.finished(), variant.runs_with_results().len()), (1, 1));
    }
}
