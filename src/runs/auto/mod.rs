//! The backend that `auto` trains on: the one with the fastest updates for this run.
//!
//! A small network can be faster on the CPU than on a GPU. On a machine with a real GPU, a few updates of
//! a policy of the run's size are therefore timed on each candidate. A cache file keeps the times; they
//! are measured again only if the machine, the crate version or the run's size changes.

mod cache;
mod timer;

use std::path::PathBuf;

use self::cache::{Cache, Key};
use self::timer::new_timer;
use super::describe::describe;
use crate::device::{Adapter, Backend, Opened, auto_candidates, candidates, choose, open};
use crate::device_check::{DeviceCheck, RefusedDevice};
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::train::Config;

/// Options of `auto`.
#[derive(Debug, Clone, Default)]
pub struct Auto {
    /// Folder of the cache file; `None` for no cache.
    pub cache: Option<PathBuf>,
    /// Whether software GPUs are candidates, as in tests.
    pub software: bool,
    /// The check of each GPU. One that computes wrongly is no candidate.
    pub check: DeviceCheck,
}

/// The measurement of a candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct TimedDevice {
    /// The candidate.
    pub adapter: Adapter,
    /// Milliseconds per update, or the error of the measurement.
    pub milliseconds: Result<f64, String>,
}

/// The device that a run trains on, and the reason for it.
#[derive(Debug)]
pub struct DeviceChoice {
    /// The device.
    pub opened: Opened,
    /// The measurements; empty if there was only one candidate.
    pub timed: Vec<TimedDevice>,
    /// Whether the measurements come from the cache.
    pub cached: bool,
    /// The reason as text; empty if the settings name the backend.
    pub reason: String,
    /// GPUs that are not used because they compute wrongly.
    pub refused: Vec<RefusedDevice>,
}

/// Opens the device that the settings name; for `auto`, the fastest that computes correctly. `observe` is
/// called before each candidate is measured.
///
/// A cache that cannot be read or written is ignored.
///
/// # Errors
/// Fails if there is no such device, if a GPU that the settings name computes wrongly, or if the
/// environment fails.
pub fn open_for_training(
    config: &Config,
    environment: &dyn Environment,
    auto: &Auto,
    observe: &mut dyn FnMut(&Adapter),
) -> Result<DeviceChoice> {
    let run = &config.run;
    if run.backend != Backend::Auto {
        let opened = auto.check.open(run.backend, run.device)?.opened;
        return Ok(DeviceChoice::unmeasured(opened, "", Vec::new()));
    }
    let mut candidates = auto_candidates(&candidates(Backend::Auto), run.device, auto.software);
    let cache = auto.cache.as_deref().map(Cache::in_folder);
    let mut refused = Vec::new();
    while candidates.len() > 1 {
        let key = Key::of(config, &candidates);
        let known = cache.as_ref().and_then(|cache| cache.find(&key));
        let cached = known.is_some();
        // What is measured is checked first. Of what was measured earlier, only the one that is used.
        let checked = match &known {
            Some(times) => fastest_of(&candidates, times),
            None => candidates.clone(),
        };
        let wrong = auto.check.refusals(&checked);
        if !wrong.is_empty() {
            candidates.retain(|one| wrong.iter().all(|refused| refused.adapter != *one));
            refused.extend(wrong);
            continue;
        }
        let milliseconds = match known {
            Some(known) => known.into_iter().map(Ok).collect(),
            None => measure(config, environment, &candidates, observe)?,
        };
        if let (Some(cache), false) = (&cache, cached) {
            // Kept only if all candidates were measured.
            let all: Result<Vec<f64>, String> = milliseconds.iter().cloned().collect();
            if let Ok(all) = all {
                cache.keep(key, &all);
            }
        }
        let timed = candidates.into_iter().zip(milliseconds);
        let timed =
            timed.map(|(adapter, milliseconds)| TimedDevice { adapter, milliseconds }).collect();
        return decide(timed, cached, refused);
    }
    let only = choose(&candidates, Backend::Auto, 0)?;
    let opened = open(only.backend, only.index)?;
    let reason = match refused.is_empty() {
        true => "this machine has no real GPU",
        false => "this machine has no GPU that computes correctly",
    };
    Ok(DeviceChoice::unmeasured(opened, reason, refused))
}

impl DeviceChoice {
    fn unmeasured(opened: Opened, reason: &str, refused: Vec<RefusedDevice>) -> Self {
        Self { opened, timed: Vec::new(), cached: false, reason: reason.into(), refused }
    }
}

/// The candidate with the shortest time.
fn fastest_of(candidates: &[Adapter], milliseconds: &[f64]) -> Vec<Adapter> {
    let timed = candidates.iter().zip(milliseconds);
    timed
        .min_by(|a, b| a.1.total_cmp(b.1))
        .map(|(adapter, _)| adapter.clone())
        .into_iter()
        .collect()
}

fn measure(
    config: &Config,
    environment: &dyn Environment,
    candidates: &[Adapter],
    observe: &mut dyn FnMut(&Adapter),
) -> Result<Vec<Result<f64, String>>> {
    let timer = new_timer(&describe(environment, config)?, config, environment)?;
    let time = |adapter: &Adapter| {
        observe(adapter);
        let opened = open(adapter.backend, adapter.index);
        let time = opened.and_then(|opened| timer.milliseconds(&opened.device));
        time.map_err(|error| error.to_string())
    };
    Ok(candidates.iter().map(time).collect())
}

fn decide(
    timed: Vec<TimedDevice>,
    cached: bool,
    refused: Vec<RefusedDevice>,
) -> Result<DeviceChoice> {
    let best = fastest(&timed)?;
    let opened = open(best.backend, best.index)?;
    let when = if cached { "measured by an earlier run" } else { "measured now" };
    let reason = format!("{} ({when})", describe_times(&timed));
    Ok(DeviceChoice { opened, timed, cached, reason, refused })
}

/// The fastest candidate; the first of equally fast ones.
fn fastest(timed: &[TimedDevice]) -> Result<&Adapter> {
    let mut best: Option<(&Adapter, f64)> = None;
    for one in timed {
        if let Ok(time) = one.milliseconds
            && best.is_none_or(|(_, least)| time < least)
        {
            best = Some((&one.adapter, time));
        }
    }
    best.map(|(adapter, _)| adapter)
        .ok_or_else(|| Error::Run(format!("no backend can train: {}", describe_times(timed))))
}

/// Text such as "flex 12.1 ms per update, vulkan 31.4 ms", the fastest first.
fn describe_times(timed: &[TimedDevice]) -> String {
    let mut sorted: Vec<&TimedDevice> = timed.iter().collect();
    let time = |one: &TimedDevice| one.milliseconds.as_ref().map_or(f64::INFINITY, |&time| time);
    sorted.sort_by(|a, b| time(a).total_cmp(&time(b)));
    let one = |(place, one): (usize, &&TimedDevice)| {
        let unit = if place == 0 { "ms per update" } else { "ms" };
        match &one.milliseconds {
            Ok(time) => format!("{} {time:.1} {unit}", one.adapter.backend),
            Err(error) => format!("{} failed: {error}", one.adapter.backend),
        }
    };
    sorted.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(backend: Backend, milliseconds: Result<f64, String>) -> TimedDevice {
        let mut adapter = candidates(Backend::Flex)[0].clone();
        adapter.backend = backend;
        TimedDevice { adapter, milliseconds }
    }

    #[test]
    fn the_fastest_device_is_chosen_and_the_reason_names_all() {
        let slow = timed(Backend::Vulkan, Ok(31.44));
        let quick = timed(Backend::Flex, Ok(12.06));
        let broken = timed(Backend::Metal, Err("no such thing".into()));
        let all = [broken.clone(), slow.clone(), quick];
        assert_eq!(fastest(&all).unwrap().backend, Backend::Flex);
        let words = describe_times(&all);
        assert_eq!(words, "flex 12.1 ms per update, vulkan 31.4 ms, metal failed: no such thing");
        let other = [slow.clone(), timed(Backend::Flex, Ok(99.0))];
        assert_eq!(fastest(&other).unwrap().backend, Backend::Vulkan);
        let message = fastest(&[broken]).unwrap_err().to_string();
        assert!(message.contains("metal failed: no such thing"), "{message}");
    }
}
