//! Job control: Ctrl-Z, `fg` and `bg`.

use std::io;

/// Whether the screen is on the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    Shown,
    /// The process is being stopped.
    Stopped,
    /// The process goes on, perhaps in the background.
    Continued,
}

/// Calls `pause` before SIGTSTP stops the process, and `go_on` when it goes on.
///
/// # Errors
/// Fails if the system takes no handler or gives no thread.
#[cfg(unix)]
pub fn watch(pause: fn(), go_on: fn()) -> io::Result<()> {
    use signal_hook::consts::{SIGCONT, SIGTSTP};
    use signal_hook::low_level::emulate_default_handler;

    let mut signals = signal_hook::iterator::Signals::new([SIGTSTP, SIGCONT])?;
    std::thread::Builder::new().name("job control".into()).spawn(move || {
        for signal in signals.forever() {
            if signal == SIGCONT {
                go_on();
            // There is no shell that could let the leader of a session go on.
            } else if !leads_session() {
                pause();
                let _ = emulate_default_handler(SIGTSTP);
            }
        }
    })?;
    Ok(())
}

/// Elsewhere there is no job control.
#[cfg(not(unix))]
pub fn watch(_pause: fn(), _go_on: fn()) -> io::Result<()> {
    Ok(())
}

/// Stops the process as Ctrl-Z does.
pub fn suspend() {
    #[cfg(unix)]
    let _ = signal_hook::low_level::raise(signal_hook::consts::SIGTSTP);
}

/// Whether the process may use the terminal. Without job control it may.
pub fn is_in_foreground() -> bool {
    #[cfg(unix)]
    {
        let foreground = rustix::termios::tcgetpgrp(io::stdout());
        let own = nix::unistd::getpgrp().as_raw();
        foreground.map_or(true, |group| group.as_raw_pid() == own)
    }
    #[cfg(not(unix))]
    true
}

#[cfg(unix)]
fn leads_session() -> bool {
    let leader = rustix::termios::tcgetsid(io::stdout());
    leader.is_ok_and(|leader| leader.as_raw_pid() == nix::unistd::getpid().as_raw())
}
