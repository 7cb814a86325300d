//! Signals that end a run: it finishes its iteration and saves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::terminal::{leave_screen, tell};
use crate::error::{Error, Result};

/// The number of SIGINT, which Ctrl-C sends.
pub const INTERRUPT: i32 = 2;

/// Whether a request to stop that is heeded was made.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Whether this process was asked to stop.
#[cfg(feature = "mpi")]
pub fn asked_to_stop() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// A request to stop after the iteration under way, made by signals or keys.
///
/// As long as it is not heeded, the first request ends the process, as a signal does by default.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Request>);

#[derive(Debug)]
struct Request {
    /// What is finished first.
    unit: &'static str,
    asked: Arc<AtomicBool>,
    heeded: AtomicBool,
    watches: AtomicBool,
}

impl Stop {
    /// A request that has not been made. `unit` is what is finished first.
    pub fn new(unit: &'static str) -> Self {
        Self(Arc::new(Request {
            unit,
            asked: Arc::default(),
            heeded: AtomicBool::new(false),
            watches: AtomicBool::new(false),
        }))
    }

    /// Lets Ctrl-C make the request, and on Unix also SIGTERM and SIGHUP (the end of a batch job, of a
    /// container or of a connection).
    pub fn watch_signals(&self) -> Result<()> {
        if self.0.watches.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let this = self.clone();
        watch(move |signal| this.ask(signal))
            .map_err(|error| Error::Run(format!("cannot handle signals: {error}")))
    }

    /// From now on requests are heeded, those of signals included.
    pub fn heed(&self) -> Result<()> {
        self.0.heeded.store(true, Ordering::Relaxed);
        self.watch_signals()
    }

    /// Whether the request was made.
    pub fn is_asked(&self) -> bool {
        self.0.asked.load(Ordering::Relaxed)
    }

    /// Makes the request, as `signal` does. The second [`INTERRUPT`] ends the process immediately.
    pub fn ask(&self, signal: i32) {
        if !self.0.heeded.load(Ordering::Relaxed) {
            end_by(signal);
        }
        ASKED.store(true, Ordering::Relaxed);
        let is_first = !self.0.asked.swap(true, Ordering::Relaxed);
        let unit = self.0.unit;
        match (is_first, signal == INTERRUPT) {
            (false, true) => {
                leave_screen();
                std::process::exit(130)
            }
            (false, false) => {}
            (true, true) => {
                tell!("\nstopping after this {unit}; press Ctrl-C again to exit now and lose it")
            }
            (true, false) => tell!("\nasked to end: stopping after this {unit}"),
        }
    }
}

/// Ends the process as `signal` does by default.
fn end_by(signal: i32) -> ! {
    leave_screen();
    #[cfg(unix)]
    let _ = signal_hook::low_level::emulate_default_handler(signal);
    std::process::exit(128 + signal)
}

/// A flag that Ctrl-C sets, and on Unix also SIGTERM and SIGHUP (the end of a batch job, of a container
/// or of a connection). A second Ctrl-C ends the process immediately. `unit` is what is finished first.
pub fn stop_on_signal(unit: &'static str) -> Result<Arc<AtomicBool>> {
    let stop = Stop::new(unit);
    stop.heed()?;
    Ok(stop.0.asked.clone())
}

/// A flag that Ctrl-C sets, and on Unix also SIGTERM and SIGHUP, for a command that has nothing to lose. A
/// second Ctrl-C ends the process immediately. `words` are told first.
pub fn end_on_signal(words: &'static str) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    watch(move |signal| match (flag.swap(true, Ordering::Relaxed), signal == INTERRUPT) {
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
    watch(move |signal| match signal == INTERRUPT && !flag.swap(true, Ordering::Relaxed) {
        true => {}
        false => std::process::exit(if signal == INTERRUPT { 130 } else { 143 }),
    })
    .map_err(|error| Error::Run(format!("cannot handle signals: {error}")))?;
    Ok(interrupted)
}

/// Calls a function at every signal, with its number.
#[cfg(unix)]
fn watch(mut act: impl FnMut(i32) + Send + 'static) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut watched = vec![SIGINT, SIGTERM];
    // `nohup` has SIGHUP ignored, which stays so.
    if !is_hangup_ignored() {
        watched.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(watched)?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            act(signal);
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
fn watch(mut act: impl FnMut(i32) + Send + 'static) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(move || act(INTERRUPT))
}
