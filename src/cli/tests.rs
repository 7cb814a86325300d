//! The command line as a whole.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Arg, Command, CommandFactory};

use super::Arguments;

/// Every command and subcommand, with its name.
fn commands() -> Vec<(String, Command)> {
    fn collect(command: &Command, prefix: &str, all: &mut Vec<(String, Command)>) {
        for inner in command.get_subcommands() {
            let name = format!("{prefix} {}", inner.get_name());
            collect(inner, &name, all);
            all.push((name, inner.clone()));
        }
    }
    let mut all = Vec::new();
    collect(&Arguments::command(), "proxmo", &mut all);
    all
}

/// The commands that share the settings of a run. `lm`, `serve` and `act` put models to use, and their flags
/// have the names that are common for models.
fn commands_of_runs() -> Vec<(String, Command)> {
    let shares = |name: &str| {
        !name.starts_with("proxmo lm ") && !["proxmo serve", "proxmo act"].contains(&name)
    };
    commands().into_iter().filter(|(name, _)| shares(name)).collect()
}

/// Every name of an argument, hidden ones included.
fn names(argument: &Arg) -> Vec<String> {
    let visible = argument.get_long().into_iter();
    let aliases = argument.get_all_aliases().into_iter().flatten();
    visible.chain(aliases).map(str::to_string).collect()
}

#[test]
fn no_command_has_two_groups_of_one_name() {
    for (name, command) in commands() {
        let groups: Vec<_> = command.get_groups().map(|group| group.get_id()).collect();
        let different: BTreeSet<_> = groups.iter().collect();
        assert_eq!(different.len(), groups.len(), "{name}: {groups:?}");
    }
}

#[test]
fn no_command_has_two_flags_of_one_name() {
    for (name, command) in commands() {
        let mut seen = BTreeSet::new();
        for flag in command.get_arguments().flat_map(names) {
            assert!(seen.insert(flag.clone()), "{name} has --{flag} twice");
        }
    }
}

#[test]
fn a_flag_has_one_meaning_in_all_commands_of_runs() {
    let mut meanings: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut differing = Vec::new();
    for (name, command) in commands_of_runs() {
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            let Some(flag) = argument.get_long() else { continue };
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            let meaning = help.split(" [default").next().unwrap_or_default().to_string();
            assert!(!meaning.is_empty(), "{name} --{flag} has no help");
            let (first, known) =
                meanings.entry(flag.to_string()).or_insert_with(|| (name.clone(), meaning.clone()));
            if *known != meaning {
                differing.push(format!("--{flag}: {first} '{known}', {name} '{meaning}'"));
            }
        }
    }
    assert!(differing.is_empty(), "flags of several meanings:\n{}", differing.join("\n"));
}

#[test]
fn a_former_flag_is_no_flag_of_another_command() {
    let all = commands_of_runs();
    let arguments = || all.iter().flat_map(|(_, command)| command.get_arguments());
    // `--split` and `--seed` keep their meaning in the commands that still have them.
    let still = ["split"];
    let former: BTreeSet<&str> = arguments()
        .filter(|argument| argument.is_hide_set())
        .filter_map(Arg::get_long)
        .filter(|flag| !still.contains(flag))
        .collect();
    for flag in ["temperature", "episodes", "tasks"] {
        assert!(former.contains(flag), "--{flag} should be a former flag");
        let visible = arguments().filter(|argument| !argument.is_hide_set());
        let users = visible.filter(|argument| argument.get_long() == Some(flag)).count();
        assert_eq!(users, 0, "--{flag} is refused by one command and taken by another");
    }
}

/// The digits of a number from its first digit that is not 0.
fn significant_digits(number: &str) -> usize {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').len()
}

#[test]
fn the_help_of_every_command_shows_defaults_in_short_form() {
    let mut command = Arguments::command();
    command.build();
    let mut defaults = 0;
    for subcommand in command.get_subcommands_mut() {
        let help = subcommand.render_long_help().to_string();
        for part in help.split("[default: ").skip(1) {
            let Some(default) = part.split(']').next() else { continue };
            defaults += 1;
            if default.parse::<f64>().is_ok() && default.contains(['.', 'e']) {
                assert!(significant_digits(default) <= 7, "{}: {default}", subcommand.get_name());
            }
        }
    }
    assert!(defaults > 100, "{defaults} defaults");
}
