//! Runs a sweep: rounds of trials, of which the best go on.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::plan::{PlannedRun, plan};
use super::screen::Screen;
use super::sweep::{Round, describe_trial, rounds, trials};
use super::variants::Variant;
use super::work::{OpenedResources, train_all};
use super::{Arguments, base, read_seeds, same_command};
use crate::cli::report::report;
use crate::cli::signals::stop_on_signal;
use crate::cli::terminal::{say, tell};
use crate::error::{Error, Result};
use crate::report::read_run;
use crate::train::Config;

/// A trial and its mean result over seeds in a round; `None` if one of its runs failed.
type Scored = (Variant, Option<f64>);

/// Trains the trials in rounds and reports. Interrupted, the same command continues: runs that have done a
/// round's iterations are not trained again, and the choice of the best depends on their metrics alone.
pub fn run(arguments: &Arguments, folder: &Path) -> Result<()> {
    let base = base(arguments)?;
    expect_rounds(&base)?;
    let seeds = read_seeds(arguments.seeds.as_deref().unwrap_or("1"), base.run.seed)?;
    let mut trials = trials(&arguments.sweep, usize::from(arguments.trials), &base)?;
    let rounds = rounds(trials.len(), base.run.iterations, base.eval.every);
    let stop = stop_on_signal("iteration")?;
    let is_stopped = || stop.load(Ordering::Relaxed);
    let mut results: Vec<Scored> = Vec::new();
    for (number, round) in rounds.iter().enumerate() {
        trials.truncate(round.trials);
        if !arguments.quiet {
            let Round { iterations, trials } = round;
            let of = rounds.len();
            tell!("round {} of {of}: {trials} trials, to iteration {iterations}", number + 1);
        }
        let runs = plan(folder, &trials, &seeds)?;
        let failed = train_round(arguments, folder, &runs, *round, &is_stopped)?;
        if is_stopped() {
            say!("Stopped in round {} of {}. Continue with:", number + 1, rounds.len());
            say!("  {}", same_command(arguments.run_folder.is_none(), folder));
            return Ok(());
        }
        results = scored(trials, &runs, &failed, *round)?;
        trials = results.iter().map(|(trial, _)| trial.clone()).collect();
    }
    report(&[folder.to_path_buf()], &folder.join("report.html"), None, None)?;
    let Some((best, score)) = results.first() else { return Ok(()) };
    let score = score.map_or_else(String::new, |score| format!(", {score:.4} on held-out tasks"));
    say!("\nThe best trial is {}{score}: {}", best.name, describe_trial(best, &base));
    Ok(())
}

/// Checks that the settings say how long a trial trains and when it is evaluated.
fn expect_rounds(base: &Config) -> Result<()> {
    if base.run.iterations == 0 || base.run.minutes > 0.0 {
        let message = "a sweep divides the iterations of a training into rounds, expected \
                       run.iterations above 0 and no run.minutes";
        return Err(Error::setting("run.iterations", message));
    }
    if base.eval.every == 0 {
        let message = "a sweep compares trials by their evaluations, expected a number above 0";
        return Err(Error::setting("eval.every", message));
    }
    Ok(())
}

/// Trains the runs of a round that have not done its iterations yet. Returns the names of those that failed.
fn train_round(
    arguments: &Arguments,
    folder: &Path,
    runs: &[PlannedRun],
    round: Round,
    is_stopped: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<String>> {
    let waiting: Vec<&PlannedRun> =
        runs.iter().filter(|run| run.iterations < round.iterations).collect();
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    let opened = OpenedResources::open(&waiting, arguments.check)?;
    let screen = Screen::new(arguments.quiet, runs, folder, arguments.jobs);
    let jobs = usize::from(arguments.jobs);
    let failed = train_all(&waiting, jobs, round.iterations, &opened, is_stopped, &screen)?;
    screen.finish();
    for (run, error) in &failed {
        tell!("proxmo: warning: {} failed and is left out: {error}", run.name);
    }
    Ok(failed.into_iter().map(|(run, _)| run.name.clone()).collect())
}

/// The trials by descending mean result at the end of a round, failed ones last.
///
/// # Errors
/// Fails if all trials failed.
fn scored(
    trials: Vec<Variant>,
    runs: &[PlannedRun],
    failed: &[String],
    round: Round,
) -> Result<Vec<Scored>> {
    // Runs are ordered by seed, then by trial.
    let mut results: HashMap<usize, Vec<Option<f64>>> = HashMap::new();
    for (number, run) in runs.iter().enumerate() {
        let result = match failed.contains(&run.name) {
            true => None,
            false => result_at(run, round.iterations)?,
        };
        results.entry(number % trials.len()).or_default().push(result);
    }
    let score = |number: usize| {
        let results: Option<Vec<f64>> = results.get(&number)?.iter().copied().collect();
        results.map(|all| all.iter().sum::<f64>() / all.len() as f64)
    };
    let scores: Vec<Option<f64>> = (0..trials.len()).map(score).collect();
    if scores.iter().all(Option::is_none) {
        let message = format!("all {} trials failed; the warnings above say why", trials.len());
        return Err(Error::Run(message));
    }
    let mut scored: Vec<Scored> = trials.into_iter().zip(scores).collect();
    let value = |score: Option<f64>| score.unwrap_or(f64::NEG_INFINITY);
    // The sort is stable, so that equal trials keep their order.
    scored.sort_by(|a, b| value(b.1).total_cmp(&value(a.1)));
    Ok(scored)
}

/// The result of a run in the evaluation after an iteration.
fn result_at(run: &PlannedRun, iteration: u64) -> Result<Option<f64>> {
    let metrics = read_run(&run.folder)?.metrics;
    let line = metrics.iter().find(|line| line.iteration == iteration);
    let evaluation = line.and_then(|line| line.evaluation.as_ref());
    Ok(evaluation.and_then(|one| run.config.eval.metric.of(&one.overall())))
}
