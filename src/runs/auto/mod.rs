//! Which backend `auto` trains on: the one that takes least time for this run's own updates.
//!
//! A small network can be faster on the CPU than on a GPU, so nothing is presumed: where there is a
//! real GPU, a few updates of a policy of the run's size are timed on each candidate. What they took
//! is kept in a file and measured again only where the machine, the crate or the run's size changed.

mod cache;
mod trial;

use std::path::PathBuf;

use self::cache::{Cache, Key};
use self::trial::Trial;
use crate::device::{Adapter, Backend, Opened, auto_candidates, candidates, choose, open};
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::train::Config;

/// How `auto` goes about it.
#[derive(Debug, Clone, Default)]
pub struct Auto {
    /// The folder that keeps what was measured; nothing is kept without one.
    pub cache: Option<PathBuf>,
    /// Whether software GPUs are candidates too, as they are in tests.
    pub software: bool,
}

/// What a candidate took.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// The candidate.
    pub adapter: Adapter,
    /// Milliseconds an update, or why it could not be measured.
    pub milliseconds: Result<f64, String>,
}

/// A device to train on, and why it was chosen.
#[derive(Debug)]
pub struct Choice {
    /// The device.
    pub opened: Opened,
    /// What each candidate took; empty where there was nothing to choose.
    pub timed: Vec<Timed>,
    /// Whether that was measured by an earlier run.
    pub remembered: bool,
    /// Why, in words; empty where the backend was named.
    pub reason: String,
}

/// Opens the device that a run asks for; for `auto` the fastest. `observe` is told before each
/// candidate that is measured.
///
/// A cache that cannot be read or written is as good as none.
///
/// # Errors
/// Where there is no such device, or the environment cannot be played.
pub fn open_for_training(
    config: &Config,
    environment: &dyn Environment,
    auto: &Auto,
    observe: &mut dyn FnMut(&Adapter),
) -> Result<Choice> {
    let run = &config.run;
    let without = |backend, index, reason: &str| -> Result<Choice> {
        let opened = open(backend, index)?;
        Ok(Choice { opened, timed: Vec::new(), remembered: false, reason: reason.into() })
    };
    if run.backend != Backend::Auto {
        return without(run.backend, run.device, "");
    }
    let here = candidates(Backend::Auto);
    let candidates = auto_candidates(&here, run.device, auto.software);
    let [_, _, ..] = &candidates[..] else {
        let only = choose(&candidates, Backend::Auto, 0)?;
        return without(only.backend, only.index, "no real GPU here");
    };
    let key = Key::of(config, &candidates);
    let cache = auto.cache.as_deref().map(Cache::in_folder);
    let known = cache.as_ref().and_then(|cache| cache.find(&key));
    let remembered = known.is_some();
    let milliseconds = match known {
        Some(known) => known.into_iter().map(Ok).collect(),
        None => measure(config, environment, &candidates, observe)?,
    };
    if let (Some(cache), false) = (&cache, remembered) {
        // Only what all of them managed is worth remembering.
        let all: Result<Vec<f64>, String> = milliseconds.iter().cloned().collect();
        if let Ok(all) = all {
            cache.keep(key, &all);
        }
    }
    let timed = candidates.into_iter().zip(milliseconds);
    let timed = timed.map(|(adapter, milliseconds)| Timed { adapter, milliseconds }).collect();
    decide(timed, remembered)
}

fn measure(
    config: &Config,
    environment: &dyn Environment,
    candidates: &[Adapter],
    observe: &mut dyn FnMut(&Adapter),
) -> Result<Vec<Result<f64, String>>> {
    let trial = Trial::new(config, environment)?;
    let time = |adapter: &Adapter| {
        observe(adapter);
        let opened = open(adapter.backend, adapter.index);
        let time = opened.and_then(|opened| trial.milliseconds(&opened.device));
        time.map_err(|error| error.to_string())
    };
    Ok(candidates.iter().map(time).collect())
}

fn decide(timed: Vec<Timed>, remembered: bool) -> Result<Choice> {
    let best = fastest(&timed)?;
    let opened = open(best.backend, best.index)?;
    let when = if remembered { "measured by an earlier run" } else { "measured now" };
    let reason = format!("{} ({when})", in_words(&timed));
    Ok(Choice { opened, timed, remembered, reason })
}

/// The candidate that took least; the first of equals.
fn fastest(timed: &[Timed]) -> Result<&Adapter> {
    let mut best: Option<(&Adapter, f64)> = None;
    for one in timed {
        if let Ok(time) = one.milliseconds
            && best.is_none_or(|(_, least)| time < least)
        {
            best = Some((&one.adapter, time));
        }
    }
    best.map(|(adapter, _)| adapter)
        .ok_or_else(|| Error::Run(format!("no backend can train: {}", in_words(timed))))
}

/// "flex 12.1 ms an update, vulkan 31.4 ms", the fastest first.
fn in_words(timed: &[Timed]) -> String {
    let mut sorted: Vec<&Timed> = timed.iter().collect();
    let time = |one: &Timed| one.milliseconds.as_ref().map_or(f64::INFINITY, |&time| time);
    sorted.sort_by(|a, b| time(a).total_cmp(&time(b)));
    let one = |(place, one): (usize, &&Timed)| {
        let unit = if place == 0 { "ms an update" } else { "ms" };
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

    fn timed(backend: Backend, milliseconds: Result<f64, String>) -> Timed {
        let mut adapter = candidates(Backend::Flex)[0].clone();
        adapter.backend = backend;
        Timed { adapter, milliseconds }
    }

    #[test]
    fn the_fastest_is_taken_and_the_reason_names_all() {
        let slow = timed(Backend::Vulkan, Ok(31.44));
        let quick = timed(Backend::Flex, Ok(12.06));
        let broken = timed(Backend::Metal, Err("no such thing".into()));
        let all = [broken.clone(), slow.clone(), quick];
        assert_eq!(fastest(&all).unwrap().backend, Backend::Flex);
        let words = in_words(&all);
        assert_eq!(words, "flex 12.1 ms an update, vulkan 31.4 ms, metal failed: no such thing");
        let other = [slow.clone(), timed(Backend::Flex, Ok(99.0))];
        assert_eq!(fastest(&other).unwrap().backend, Backend::Vulkan);
        let message = fastest(&[broken]).unwrap_err().to_string();
        assert!(message.contains("metal failed: no such thing"), "{message}");
    }
}
