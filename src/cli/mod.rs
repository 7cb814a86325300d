//! The command line: one file a subcommand.
//!
//! Exit codes: 0 where all went well, 1 where a run failed, 2 where the input was at fault.

#[cfg(any(test, feature = "fuzzing"))]
mod check;
mod clone;
mod compare;
mod credit;
mod devices;
mod env;
mod env_flags;
mod eval;
mod explain;
mod json_line;
mod play;
mod progress;
mod report;
mod settings;
mod table;
mod terminal;
mod train;
mod verify;

use std::process::ExitCode;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::{check::check, credit::with_credit};

use clap::{Parser, Subcommand};

use self::terminal::tell;
use crate::error::Result;

/// Train multi-turn agents with ProxMO on any GPU that WebGPU reaches, or on the CPU.
#[derive(Debug, Parser)]
#[command(name = "proxmo", version, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  proxmo train                              train on generated household tasks
  proxmo train --preset alfworld --games DIR   train on the ALFWorld benchmark
  proxmo eval --run runs/household-1        judge a trained policy
  proxmo compare --seeds 3                  train by several estimators, and report
  proxmo report runs/compare-1              report on runs as one HTML file
  proxmo play                               play a task yourself
  proxmo credit --input episodes.jsonl      say what each step of your own episodes was worth
  proxmo env list                           list the environments and their options
  proxmo devices                            list the backends and devices of this machine
  proxmo verify                             check that all of them compute the same";

#[derive(Debug, Subcommand)]
enum Command {
    Train(train::Arguments),
    Clone(clone::Arguments),
    Eval(eval::Arguments),
    Compare(compare::Arguments),
    Report(report::Arguments),
    Play(play::Arguments),
    Credit(credit::Arguments),
    Env(env::Arguments),
    Devices(devices::Arguments),
    Verify(verify::Arguments),
}

/// Runs the command that the process was given. Errors go to standard error as one line.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Train(arguments) => train::run(&arguments),
        Command::Clone(arguments) => clone::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Play(arguments) => play::run(&arguments),
        Command::Credit(arguments) => credit::run(&arguments),
        Command::Env(arguments) => env::run(&arguments),
        Command::Devices(arguments) => devices::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
    };
    finish(result)
}

fn finish(result: Result<()>) -> ExitCode {
    match result.and_then(|()| terminal::check()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell!("proxmo: error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use std::collections::BTreeSet;

    #[test]
    fn no_command_has_two_groups_of_one_name() {
        let whole = Arguments::command();
        for command in whole.get_subcommands() {
            let names: Vec<_> = command.get_groups().map(|group| group.get_id()).collect();
            let different: BTreeSet<_> = names.iter().collect();
            assert_eq!(different.len(), names.len(), "{}: {names:?}", command.get_name());
        }
    }
}
