//! Parsing of a command line without running it, for the fuzzer.

use std::ffi::OsString;

use clap::Parser;

use super::{Arguments, Command, Result, compare, env, train};
use crate::error::Error;
use crate::train::Config;

/// Reads the words of a command line and resolves its settings. It reads no file except that of
/// `--config`.
///
/// # Errors
/// The errors of the command itself.
pub fn check(words: &[OsString]) -> Result<()> {
    let arguments = Arguments::try_parse_from(words)
        .map_err(|error| Error::setting("arguments", error.to_string()))?;
    match arguments.command {
        Command::Train(arguments) => resolved(train::new_config(&arguments, false)),
        Command::Clone(arguments) => resolved(train::new_config(&arguments.train, true)),
        Command::Eval(arguments) => resolved(arguments.settings.resolve(None)),
        Command::Config(arguments) => resolved(arguments.settings.merge(None)),
        Command::Play(arguments) => resolved(arguments.env.resolve(None)),
        Command::Credit(arguments) => arguments.settings.resolve().map(drop),
        Command::Compare(arguments) => compare::variants_and_seeds(&arguments).map(drop),
        Command::Env(arguments) => match arguments.command {
            env::Command::Serve(arguments) => resolved(arguments.env.resolve(None)),
            env::Command::List | env::Command::Generate(_) => Ok(()),
        },
        Command::Import(_)
        | Command::Report(_)
        | Command::Lm(_)
        | Command::Serve(_)
        | Command::Act(_)
        | Command::Devices(_)
        | Command::Verify(_)
        | Command::Completions(_)
        | Command::Man(_) => Ok(()),
    }
}

fn resolved(config: Result<Config>) -> Result<()> {
    // A run writes its configuration into its folder.
    config?.to_toml().map(drop)
}
