//! `proxmo man`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command};

use super::terminal::say;
use crate::error::{Error, Result};

/// Write the manual pages of all commands: proxmo.1, proxmo-train.1 and so on.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Folder for the pages. Those that it holds are replaced.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  proxmo man ~/.local/share/man/man1";

pub fn run(arguments: &Arguments, command: Command) -> Result<()> {
    write(&arguments.folder, command)?;
    say!("Wrote the manual pages into {}.", arguments.folder.display());
    Ok(())
}

fn write(folder: &Path, command: Command) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    clap_mangen::generate_to(command, folder).map_err(Error::io("write", folder))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_flags_and_examples() {
        let folder = tempfile::tempdir().unwrap();
        let command = crate::cli::Arguments::command();
        write(folder.path(), command.clone()).unwrap();
        let page = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        for subcommand in command.get_subcommands() {
            let page = page(&format!("proxmo-{}.1", subcommand.get_name()));
            assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{subcommand}");
        }
        let train = page("proxmo-train.1");
        // Hyphens are escaped in roff.
        assert!(train.contains(r"\-\-resume") && train.contains("runs/first"), "{train}");
        assert!(page("proxmo.1").contains("proxmo\\-train(1)"));
        assert!(page("proxmo-lm-fit.1").contains(r"\-\-accumulate"));
    }
}
