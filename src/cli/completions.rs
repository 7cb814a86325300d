//! `proxmo completions`.

use clap::{Args, Command};
use clap_complete::Shell;

use super::terminal::to_out_raw;
use crate::error::{Error, Result};

/// Print a script with which a shell completes the commands and flags of proxmo.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  proxmo completions bash > ~/.local/share/bash-completion/completions/proxmo
  proxmo completions zsh > ~/.zfunc/_proxmo
  proxmo completions fish > ~/.config/fish/completions/proxmo.fish
  proxmo completions powershell >> $PROFILE";

pub fn run(arguments: &Arguments, command: Command) -> Result<()> {
    to_out_raw(&script(arguments.shell, command)?);
    Ok(())
}

fn script(shell: Shell, mut command: Command) -> Result<String> {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut command, "proxmo", &mut bytes);
    String::from_utf8(bytes)
        .map_err(|error| Error::Run(format!("the script is not UTF-8: {error}")))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, ValueEnum};

    use super::*;

    #[test]
    fn the_scripts_of_all_shells_know_all_commands_and_flags() {
        let command = crate::cli::Arguments::command();
        for shell in Shell::value_variants() {
            let script = script(*shell, command.clone()).unwrap();
            for subcommand in command.get_subcommands() {
                assert!(script.contains(subcommand.get_name()), "{shell}: {subcommand}");
            }
            for flag in ["proximity-temperature", "backend", "no-check"] {
                assert!(script.contains(flag), "{shell}: --{flag}");
            }
        }
    }
}
