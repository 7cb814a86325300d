//! The command line: one file a subcommand.
//!
//! Exit codes: 0 on success, 1 if a run failed, 2 if the input is at fault.

mod act;
#[cfg(any(test, feature = "fuzzing"))]
mod check;
mod clone;
mod columns;
mod compare;
mod completions;
mod config;
mod credit;
mod device;
mod devices;
mod env;
mod eval;
mod explain;
mod import;
mod json_line;
mod layout;
mod lm;
mod man;
#[cfg(feature = "mpi")]
mod mpi;
mod play;
mod progress;
mod ranks;
mod recorder;
mod renderer;
mod report;
mod run_folder;
mod runtime_folder;
mod serve;
mod settings;
mod signals;
mod table;
mod terminal;
mod train;
mod trust;
mod tui;
mod verify;
mod version;

use std::process::ExitCode;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::{check::check, credit::with_credit};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use self::settings::describe;
use self::terminal::tell;
use crate::error::Result;

/// Train multi-turn agents with ProxMO on any GPU that WebGPU reaches, or on the CPU.
#[derive(Debug, Parser)]
#[command(name = "proxmo", version, long_version = version::long_version(), max_term_width = 100,
          args_override_self = true, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  proxmo train                              train on generated household tasks
  proxmo train --preset alfworld --games DIR   train on the ALFWorld benchmark
  proxmo eval --run runs/household-1        evaluate a trained policy
  proxmo compare --seeds 3                  train with several estimators, and report
  proxmo report runs/compare-1              write a report on runs as one HTML file
  proxmo play                               play a task yourself
  proxmo credit --input episodes.jsonl      assign credit to the steps of your own episodes
  proxmo import trajectories.json           convert trajectories in a public layout into episodes
  proxmo config --preset alfworld           print all settings with their descriptions
  proxmo env list                           list the environments and their settings
  proxmo lm score --model DIR --input -     score tokens with a language model; proxmo lm lists more
  proxmo serve --model DIR                  serve a language model over HTTP, in OpenAI's form
  proxmo act --run runs/household-1         let a trained policy act for another program
  proxmo devices                            list the backends and devices of this machine
  proxmo verify                             check that all backends compute the same
  proxmo completions bash                   print a script for the completion of commands in a shell";

#[derive(Debug, Subcommand)]
enum Command {
    Train(train::Arguments),
    Clone(clone::Arguments),
    Eval(eval::Arguments),
    Compare(compare::Arguments),
    Report(report::Arguments),
    Play(play::Arguments),
    Credit(credit::Arguments),
    Import(import::Arguments),
    Config(config::Arguments),
    Env(env::Arguments),
    Lm(lm::Arguments),
    Serve(serve::Arguments),
    Act(act::Arguments),
    Devices(devices::Arguments),
    Verify(verify::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

impl Command {
    /// Whether the command runs on several ranks, or refuses to. Others may be programs of an environment
    /// that a rank has started.
    fn is_for_ranks(&self) -> bool {
        matches!(self, Self::Train(_) | Self::Clone(_) | Self::Eval(_) | Self::Compare(_))
    }

    /// Whether the command opens devices, or may.
    fn opens_devices(&self) -> bool {
        matches!(
            self,
            Self::Train(_)
                | Self::Clone(_)
                | Self::Eval(_)
                | Self::Compare(_)
                | Self::Lm(_)
                | Self::Serve(_)
                | Self::Act(_)
                | Self::Devices(_)
                | Self::Verify(_)
        )
    }
}

/// Runs the command that the process was given. Errors go to standard error as one line.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // What is wrong with the words of all ranks is reported once, by the leader. The launcher would end
        // it if another process ended with an error first.
        Err(_) if ranks::is_follower() => return ExitCode::SUCCESS,
        // A value that does not fit is one line, as other errors are.
        Err(error) if error.kind() == ErrorKind::ValueValidation => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            tell!("proxmo: {line}");
            return ExitCode::from(2);
        }
        Err(error) => error.exit(),
    };
    if arguments.command.opens_devices() {
        runtime_folder::provide();
    }
    if arguments.command.is_for_ranks() && ranks::is_follower() {
        terminal::silence();
    }
    let result = match arguments.command {
        Command::Train(arguments) => train::run(&arguments),
        Command::Clone(arguments) => clone::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Compare(arguments) => {
            let refusal = "'proxmo compare' runs in one: start it without mpirun";
            ranks::in_one_process(refusal, || compare::run(&arguments))
        }
        Command::Report(arguments) => report::run(&arguments),
        Command::Play(arguments) => play::run(&arguments),
        Command::Credit(arguments) => credit::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Env(arguments) => env::run(&arguments),
        Command::Lm(arguments) => lm::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Act(arguments) => act::run(&arguments),
        Command::Devices(arguments) => devices::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, Arguments::command()),
        Command::Man(arguments) => man::run(&arguments, Arguments::command()),
    };
    finish(result)
}

fn finish(result: Result<()>) -> ExitCode {
    match result.and_then(|()| terminal::check()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell!("proxmo: error: {}", describe(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

#[cfg(test)]
mod tests;
