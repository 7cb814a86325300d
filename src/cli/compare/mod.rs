//! `proxmo compare`.

mod halving;
mod plan;
mod screen;
mod sweep;
mod variant_rows;
mod variants;
mod work;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use clap::Args;

use self::plan::{PlannedRun, Progress, plan};
use self::screen::Screen;
use self::variants::{Variant, describe_ablations, variants};
use self::work::{OpenedResources, train_all};
use super::device::CheckFlag;
use super::report::report;
use super::run_folder::NewFolder;
use super::settings::{SettingFlags, make_paths_absolute};
use super::signals::stop_on_signal;
use super::terminal::say;
use super::trust::fix_working_folder;
use crate::command_line::Rules;
use crate::error::{Error, Result};
use crate::train::Config;

/// Train several variants with several seeds each, and report on all of them.
///
/// A variant is an estimator, a named ablation, or a set of flags (--variant). Each training has its own
/// run folder, DIR/<variant>-s<seed>. After an interruption the same command continues: finished runs
/// are skipped, unfinished ones resume from their newest checkpoint.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = long_help())]
pub struct Arguments {
    /// Comma-separated estimators and named ablations to compare
    /// [default: grpo,gigpo,proxmo, or none with --variant].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    estimators: Vec<String>,
    /// Another variant: its name, a colon, and its flags. May be given several times.
    #[arg(long, value_name = "NAME: FLAGS")]
    variant: Vec<String>,
    /// Search for a setting's best value: KEY=LOW..HIGH, KEY=LOW..HIGH:log or KEY=A,B,C, with a key of
    /// config.toml. May be given several times. Trials with random values train for a short time; the best
    /// third goes on for three times as long, and so on.
    #[arg(long, value_name = "KEY=VALUES", conflicts_with_all = ["variant", "estimators"])]
    sweep: Vec<String>,
    /// Number of trials of a sweep.
    #[arg(long, value_name = "N", requires = "sweep", default_value_t = 27,
          value_parser = clap::value_parser!(u16).range(1..=10_000))]
    trials: u16,
    /// Number of seeds, counted from --seed; or comma-separated seeds [default: 5, in a sweep 1].
    #[arg(long, value_name = "N")]
    seeds: Option<String>,
    /// Folder for the runs and the report [default: the first free runs/compare-<number>].
    #[arg(long, value_name = "DIR")]
    run_folder: Option<PathBuf>,
    /// Number of parallel trainings.
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Print no progress, only warnings and results.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    check: CheckFlag,
    #[command(flatten)]
    settings: SettingFlags,
}

const EXAMPLES: &str = "\
Examples:
  proxmo compare --seeds 3
  proxmo compare --estimators grpo,gigpo,proxmo --seeds 5 --run-folder runs/study --jobs 2
  proxmo compare --estimators proxmo,proxmo-no-modulation,proxmo-no-aggregation --iterations 100
  proxmo compare --estimators proxmo --variant \"hot: --proximity-temperature 0.5\" --variant \"hashed: --embedding hashed\"
  proxmo compare --sweep \"update.learning_rate=1e-4..1e-2:log\" --sweep \"credit.gamma=0.9,0.95,1.0\" --trials 27";

fn long_help() -> String {
    format!("{}\n\n{EXAMPLES}", describe_ablations())
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let new_folder = match &arguments.run_folder {
        Some(_) => None,
        None => Some(NewFolder::below_runs("compare")?),
    };
    let new_path = new_folder.as_ref().map(|new| new.path.clone());
    let folder = arguments.run_folder.clone().or(new_path).unwrap_or_default();
    if !arguments.sweep.is_empty() {
        return halving::run(arguments, &folder);
    }
    // Invalid input is refused before anything is written.
    let plan = plan_all(arguments, &folder)?;
    let waiting: Vec<&PlannedRun> =
        plan.iter().filter(|run| run.progress != Progress::Finished).collect();
    let opened = OpenedResources::open(&waiting, arguments.check)?;
    let stop = stop_on_signal("iteration")?;
    let screen = Screen::new(arguments.quiet, &plan, &folder, arguments.jobs);
    let is_stopped = || stop.load(Ordering::Relaxed);
    let failed =
        train_all(&waiting, usize::from(arguments.jobs), u64::MAX, &opened, &is_stopped, &screen)?;
    let finished = screen.finish();

    let reported = report(std::slice::from_ref(&folder), &folder.join("report.html"), None, None);
    if let Some((run, error)) = failed.first() {
        let message = format!(
            "{} of {} runs failed, {} with: {error}. After the cause is removed, the same command \
             continues (with --run-folder {})",
            failed.len(),
            plan.len(),
            run.name,
            folder.display()
        );
        return Err(Error::Run(message));
    }
    reported?;
    if finished < plan.len() {
        say!("Stopped with {finished} of {} runs finished. Continue with:", plan.len());
        say!("  {}", same_command(arguments.run_folder.is_none(), &folder));
    }
    Ok(())
}

/// All runs, ordered by seed, so that all variants have about the same number of runs after an
/// interruption.
fn plan_all(arguments: &Arguments, folder: &Path) -> Result<Vec<PlannedRun>> {
    let (variants, seeds) = variants_and_seeds(arguments)?;
    plan(folder, &variants, &seeds)
}

/// The variants and seeds that the arguments name.
pub(super) fn variants_and_seeds(arguments: &Arguments) -> Result<(Vec<Variant>, Vec<u64>)> {
    let base = base(arguments)?;
    let seeds = read_seeds(arguments.seeds.as_deref().unwrap_or("5"), base.run.seed)?;
    let names = match (arguments.estimators.is_empty(), arguments.variant.is_empty()) {
        (true, true) => ["grpo", "gigpo", "proxmo"].map(String::from).to_vec(),
        _ => arguments.estimators.clone(),
    };
    Ok((variants(&names, &arguments.variant, &base)?, seeds))
}

/// The settings that all variants begin from.
fn base(arguments: &Arguments) -> Result<Config> {
    let mut base = arguments.settings.merge(None)?;
    make_paths_absolute(&mut base)?;
    fix_working_folder(&mut base)?;
    if !base.imitation.from.is_empty() {
        let message = "is for proxmo clone; --init starts from a cloned policy";
        return Err(Error::setting("imitation.from", message));
    }
    Ok(base)
}

/// Reads seeds: `5` means five seeds from `first` on, `3,7,9` these three.
fn read_seeds(text: &str, first: u64) -> Result<Vec<u64>> {
    let refuse = || {
        let message =
            format!("'{text}', expected a number from 1 to 1000, or distinct seeds such as 3,7,9");
        Error::setting("--seeds", message)
    };
    if !text.contains(',') {
        let count = text.trim().parse::<u64>().ok().filter(|count| (1..=1000).contains(count));
        let end = count.and_then(|count| first.checked_add(count)).ok_or_else(refuse)?;
        return Ok((first..end).collect());
    }
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let mut seeds = words.map(str::parse).collect::<Result<Vec<u64>, _>>().map_err(|_| refuse())?;
    let given = seeds.len();
    seeds.sort_unstable();
    seeds.dedup();
    if seeds.len() < given || seeds.is_empty() {
        return Err(refuse());
    }
    Ok(seeds)
}

/// The command line of this process, with the run folder if it was chosen by default.
fn same_command(name_folder: bool, folder: &Path) -> String {
    let given = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let mut words: Vec<String> = std::iter::once("proxmo".to_string()).chain(given).collect();
    if name_folder {
        words.extend(["--run-folder".to_string(), folder.display().to_string()]);
    }
    Rules::HERE.join(words.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_number_or_a_list() {
        assert_eq!(read_seeds("3", 0).unwrap(), [0, 1, 2]);
        assert_eq!(read_seeds("2", 10).unwrap(), [10, 11]);
        assert_eq!(read_seeds("9,3, 7", 10).unwrap(), [3, 7, 9]);
        assert_eq!(read_seeds("7,", 0).unwrap(), [7]);
        for wrong in ["0", "", ",", "-1", "3,3", "a", "1,b", "1001", "99999999999999999999"] {
            let message = read_seeds(wrong, 0).unwrap_err().to_string();
            assert!(message.contains("--seeds") && message.contains("3,7,9"), "{message}");
        }
        read_seeds("2", u64::MAX).unwrap_err();
    }
}
