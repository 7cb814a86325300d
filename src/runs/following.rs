//! The ranks other than the leader.

use super::command::{Blueprint, Command, digest_of_tasks};
use super::leading::compare_weights;
use super::training::{Training, new_training};
use crate::device::Opened;
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::policy::PolicyDescription;
use crate::ranks::{Ranks, decode, encode};
use crate::train::Config;

/// What a rank opens for itself: the environment for training, the held-out one, and the device.
pub struct FollowerResources {
    /// The environment for training.
    pub environment: Box<dyn Environment>,
    /// The held-out tasks.
    pub held_out: Box<dyn Environment>,
    /// The device.
    pub opened: Opened,
}

/// A training of a rank that follows.
struct Following {
    resources: FollowerResources,
    training: Box<dyn Training>,
}

/// Does what the leader of a training commands, until it ends. `open` opens what the settings name, which
/// come from the leader; `stop` tells whether this process was asked to stop, of which the leader is told.
///
/// Returns the exit code of the leader.
///
/// # Errors
/// Fails if the connection to the other ranks is lost. Other errors are those of the leader, which reports
/// them.
pub fn follow(
    ranks: &Ranks,
    open: &dyn Fn(&Config) -> Result<FollowerResources>,
    stop: &dyn Fn() -> bool,
) -> Result<u8> {
    let mut following = None;
    loop {
        let commands = ranks.exchange(Ok(vec![u8::from(stop())]));
        let done = commands.and_then(|commands| match decode(&commands[0])? {
            Command::End(code) => Ok(Some(code)),
            command => obey(command, ranks, open, &mut following).map(|()| None),
        });
        match ranks.settle(done) {
            Ok(Some(code)) => return Ok(code),
            Err(error) if ranks.is_lost() => return Err(error),
            // The leader has the same error, and ends.
            Ok(None) | Err(_) => {}
        }
    }
}

fn obey(
    command: Command,
    ranks: &Ranks,
    open: &dyn Fn(&Config) -> Result<FollowerResources>,
    following: &mut Option<Following>,
) -> Result<()> {
    if let Command::Build(blueprint) = command {
        *following = Some(build(&blueprint, ranks, open)?);
        return ranks.agree(Ok(()));
    }
    let Some(Following { resources, training }) = following else {
        return Err(Error::Run("the leader began with another command than to build".into()));
    };
    let FollowerResources { environment, held_out, .. } = resources;
    match command {
        Command::Imitate(demonstrations) => training.imitate(&**environment, &demonstrations),
        Command::Advance(progress) => {
            training.advance(&**environment, progress, &mut |_| {}).map(drop)
        }
        Command::Evaluate(plan) => {
            training.evaluate(&**held_out, &plan.plan(), &mut |_| {}).map(drop)
        }
        Command::Compare => compare_weights(&**training, ranks),
        Command::Build(_) | Command::End(_) => Ok(()),
    }
}

/// Builds the training that the leader describes.
fn build(
    blueprint: &Blueprint,
    ranks: &Ranks,
    open: &dyn Fn(&Config) -> Result<FollowerResources>,
) -> Result<Following> {
    let config = Config::from_toml(&blueprint.settings, "settings of the leader")?;
    ranks.set_time_limit(config.distributed.timeout);
    let policy = PolicyDescription::from_json(&blueprint.policy)
        .map_err(|message| Error::input("policy.json", message))?;
    let resources = open(&config)?;
    let FollowerResources { environment, held_out, opened } = &resources;
    for (own, expected) in [environment, held_out].into_iter().zip(&blueprint.tasks) {
        if digest_of_tasks(&**own) != *expected {
            let message = format!(
                "its {} tasks are not those of rank 0: all ranks need the same files",
                own.tasks()
            );
            return Err(Error::input(own.name(), message));
        }
    }
    let mut training = new_training(&policy, config, &opened.device, ranks)?;
    if let Some(start) = &blueprint.start {
        let folder = start.write()?;
        match start.is_resume {
            true => training.restore(folder.path()).map(drop)?,
            false => training.start_from(folder.path())?,
        }
    }
    Ok(Following { resources, training })
}

/// Ends the work of the ranks that follow, which return from [`follow`], with the exit code of the
/// leader's result. The leader calls it once, whether it succeeds or fails.
pub fn dismiss(ranks: &Ranks, result: &Result<()>) {
    let code = result.as_ref().err().map_or(0, Error::exit_code);
    // Another rank may fail in the meantime, and then waits for a further command.
    for _ in 0..ranks.size() {
        if ranks.is_alone() || ranks.is_lost() {
            return;
        }
        if ranks.settle(ranks.exchange(encode(&Command::End(code)))).is_ok() {
            return;
        }
    }
}
