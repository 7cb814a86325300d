//! Trains what is to be trained, several runs at a time.
//!
//! Trainings are threads of one process, so that they share the games. Nothing else is shared: every
//! random draw is named by its run's seed, so that what is learnt does not depend on the neighbours.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;

use super::plan::{Planned, Standing};
use super::screen::Screen;
use crate::device::{Backend, Opened, open};
use crate::env::{EnvConfig, Environment};
use crate::error::{Error, Result};
use crate::runs::{Run, Summary};
use crate::train::Config;

/// Stack of a training's thread: what a main thread commonly has, which is where trainings run else.
const STACK: usize = 8 << 20;

/// What runs play and compute on, each opened once.
pub struct Worlds {
    environments: Vec<(EnvConfig, String, Box<dyn Environment>)>,
    devices: Vec<(Backend, usize, Opened)>,
}

impl Worlds {
    /// Opens what `runs` need.
    pub fn open(runs: &[&Planned]) -> Result<Self> {
        let mut worlds = Self { environments: Vec::new(), devices: Vec::new() };
        for Planned { config, .. } in runs {
            for split in [config.env.split(), &config.eval.split] {
                if worlds.environment(&config.env, split).is_none() {
                    let environment = config.env.open(split)?;
                    worlds.environments.push((config.env.clone(), split.to_string(), environment));
                }
            }
            let (backend, device) = (config.run.backend, config.run.device);
            if worlds.device(config).is_none() {
                worlds.devices.push((backend, device, open(backend, device)?));
            }
        }
        Ok(worlds)
    }

    fn environment(&self, env: &EnvConfig, split: &str) -> Option<&dyn Environment> {
        let found = self.environments.iter().find(|one| one.0 == *env && one.1 == split)?;
        Some(&*found.2)
    }

    fn device(&self, config: &Config) -> Option<&Opened> {
        let wanted = (config.run.backend, config.run.device);
        self.devices.iter().find(|one| (one.0, one.1) == wanted).map(|one| &one.2)
    }
}

/// Trains `runs`, `jobs` at once, until all are done or `is_stopped` says so, and returns those that
/// failed. One that fails does not keep the others.
pub fn work<'a>(
    runs: &[&'a Planned],
    jobs: usize,
    worlds: &Worlds,
    is_stopped: &(dyn Fn() -> bool + Sync),
    screen: &Screen,
) -> Result<Vec<(&'a Planned, Error)>> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let worker = || {
        while !is_stopped() {
            let Some(&run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            // A panic of a driver or a library is to cost its own run and not a night's others.
            let outcome = catch_unwind(AssertUnwindSafe(|| train(run, worlds, is_stopped, screen)));
            let outcome = outcome.unwrap_or_else(|panic| Err(Error::Run(told(&*panic))));
            screen.ended(run, &outcome);
            if let Err(error) = outcome {
                failed.lock().unwrap_or_else(|poison| poison.into_inner()).push((run, error));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(runs.len()) {
            let thread = Builder::new().name("training".into()).stack_size(STACK);
            thread
                .spawn_scoped(scope, worker)
                .map_err(|error| Error::Run(format!("cannot begin a thread: {error}")))?;
        }
        Ok(())
    })?;
    Ok(failed.into_inner().unwrap_or_else(|poison| poison.into_inner()))
}

/// What a panic said.
fn told(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", words.unwrap_or("without a word").replace('\n', " "))
}

fn train(
    run: &Planned,
    worlds: &Worlds,
    is_stopped: &dyn Fn() -> bool,
    screen: &Screen,
) -> Result<Summary> {
    let config = &run.config;
    let absent = || Error::Run(format!("{}: what it plays was not opened", run.name));
    let training = worlds.environment(&config.env, config.env.split()).ok_or_else(absent)?;
    let held_out = worlds.environment(&config.env, &config.eval.split).ok_or_else(absent)?;
    let opened = worlds.device(config).ok_or_else(absent)?;
    let begin = match run.standing {
        Standing::Begun(_) | Standing::Finished => Run::resume,
        Standing::New => Run::create,
    };
    let mut watch = screen.begin(run);
    let trained = begin(&run.folder, config.clone(), opened, training, held_out)?;
    trained.train(is_stopped, &mut |event| watch.show(&event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_tells_what_it_said() {
        let panic = |panics: fn()| told(&*catch_unwind(panics).unwrap_err());
        assert_eq!(panic(|| std::panic::panic_any("a".to_string())), "it panicked: a");
        assert_eq!(panic(|| std::panic::panic_any("b\nc")), "it panicked: b c");
        assert_eq!(panic(|| std::panic::panic_any(3)), "it panicked: without a word");
    }
}
