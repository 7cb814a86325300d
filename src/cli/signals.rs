//! Signals that end a run: it finishes its iteration and saves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::terminal::tell;
use crate::error::{Error, Result};

/// Whether a signal has asked this process to stop.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Whether a signal that [`stop_on_signal`] watches for has asked this process to stop.
pub fn asked_to_stop() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// A flag that Ctrl-C sets, and on Unix also SIGTERM and SIGHUP (the end of a batch job, of a container
/// or of a connection). A second Ctrl-C ends the process immediately. `unit` is what is finished first.
pub fn stop_on_signal(unit: &'static str) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    watch(move |is_interrupt| {
        ASKED.store(true, Ordering::Relaxed);
        let is_first = !flag.swap(true, Ordering::Relaxed);
        match (is_first, is_interrupt) {
            (false, true) => std::process::exit(130),
            (false, false) => {}
            (true, true) => {
                tell!("\nstopping after this {unit}; press Ctrl-C again to exit now and lose it")
            }
            (true, false) => tell!("\nasked to end: stopping after this {unit}"),
        }
    })
    .map_err(|error| Error::Run(format!("cannot handle signals: {error}")))?;
    Ok(stop)
}

/// A flag that Ctrl-C sets, and on Unix also SIGTERM and SIGHUP, for a command that has nothing to lose. A
/// second Ctrl-C ends the process immediately. `words` are told first.
pub fn end_on_signal(words: &'static str) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    watch(move |is_interrupt| match (flag.swap(true, Ordering::Relaxed), is_interrupt) {
        (false, _) => tell!("\nproxmo: {words}"),
        (true, true) => std::process::exit(130),
        (true, false) => {}
    })
    .map_err(|error| Error::Run(format!("cannot handle signals: {error}")))?;
    Ok(stop)
}

/// A flag that Ctrl-C sets. A second Ctrl-C before the flag is cleared ends the process, and so do
/// SIGTERM and SIGHUP.
pub fn interrupt_flag() -> Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    watch(move |is_interrupt| match is_interrupt && !flag.swap(true, Ordering::Relaxed) {
        true => {}
        false => std::process::exit(if is_interrupt { 130 } else { 143 }),
    })
    .map_err(|error| Error::Run(format!("cannot handle signals: {error}")))?;
    Ok(interrupted)
}

/// Calls a function at every signal, with whether it is Ctrl-C.
#[cfg(unix)]
fn watch(mut act: impl FnMut(bool) + Send + 'static) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut watched = vec![SIGINT, SIGTERM];
    // `nohup` has SIGHUP ignored, which stays so.
    if !is_hangup_ignored() {
        watched.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(watched)?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            act(signal == SIGINT);
        }
    })?;
    Ok(())
}

/// Whether the process was started with SIGHUP ignored, as far as the system tells.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Bit 0 is signal 1, SIGHUP.
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(not(unix))]
fn watch(mut act: impl FnMut(bool) + Send + 'static) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(move || act(true))
}
