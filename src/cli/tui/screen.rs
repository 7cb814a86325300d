//! The screen that fills the terminal: how it is entered and left, and its thread, which draws and reads
//! keys.
//!
//! Whatever ends the process leaves the screen first: the end of the training, an error, a panic, a
//! signal, a key.

use std::io::{self, stdout};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui_core::terminal::Terminal;

use super::backend::CrosstermBackend;
#[cfg(unix)]
use super::capture::Capture;
use super::draw::{Scene, draw};
use super::job::{self, Presence};
use super::model::Model;
use super::palette::Palette;
use super::view::{Move, View};
use crate::cli::signals::{INTERRUPT, Stop};
use crate::cli::terminal::{hold, last_held, leave_screen_by, let_go};

/// A screen that has been entered.
struct Screen {
    terminal: Terminal<CrosstermBackend>,
    presence: Presence,
    #[cfg(unix)]
    capture: Option<Capture>,
}

/// The screen, if the terminal has been entered and not been left.
static SCREEN: Mutex<Option<Screen>> = Mutex::new(None);

fn screen() -> MutexGuard<'static, Option<Screen>> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Enters the screen, and draws `model` on it until it is left. Its keys ask `stop`.
///
/// # Errors
/// Fails if the terminal cannot be set up.
pub fn enter(model: &Arc<Mutex<Model>>, stop: &Stop, opened: Instant) -> io::Result<()> {
    leave_screen_by(leave);
    job::watch(pause, go_on)?;
    #[cfg(not(unix))]
    hold_panics();
    let terminal = Terminal::new(CrosstermBackend::new())?;
    fill_terminal()?;
    hold();
    *screen() = Some(Screen {
        terminal,
        presence: Presence::Shown,
        // Without it, foreign lines only spoil the picture.
        #[cfg(unix)]
        capture: Capture::begin().ok(),
    });
    let (model, stop) = (model.clone(), stop.clone());
    let watching = thread::Builder::new().name("screen".into());
    let thread = watching.spawn(move || Watcher::new(model, stop, opened).watch());
    thread.map(drop).inspect_err(|_| leave())
}

/// Leaves the screen, if it is entered, and prints the lines that were held back.
pub fn leave() {
    let mut screen = screen();
    let Some(this) = screen.take() else { return };
    // It shows the cursor.
    drop(this.terminal);
    if this.presence == Presence::Shown {
        free_terminal();
    }
    #[cfg(unix)]
    if let Some(capture) = this.capture {
        capture.end();
    }
    let_go();
}

fn fill_terminal() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, Hide).inspect_err(|_| drop(disable_raw_mode()))
}

fn free_terminal() {
    // A terminal that is gone needs nothing.
    let _ = execute!(stdout(), Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

/// Gives the terminal back before the process is stopped.
fn pause() {
    if let Some(screen) = &mut *screen() {
        if screen.presence == Presence::Shown {
            free_terminal();
        }
        screen.presence = Presence::Stopped;
    }
}

/// Takes the terminal again after the process goes on, as soon as it is in the foreground.
fn go_on() {
    if let Some(screen) = &mut *screen() {
        screen.presence = Presence::Continued;
    }
}

/// Where there is no [`Capture`], the messages of panics are held back.
#[cfg(not(unix))]
fn hold_panics() {
    let earlier = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| match SCREEN.is_poisoned() || screen().is_none() {
        true => earlier(panic),
        false => crate::cli::terminal::tell!("{panic}"),
    }));
}

/// Leaves the screen if its thread panics.
struct LeavesAtPanic;

impl Drop for LeavesAtPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            leave();
        }
    }
}

/// The time for which a key is waited for.
const TURN: Duration = Duration::from_millis(100);
/// The time between two pictures if no key is pressed, in seconds.
const PICTURE: f64 = 0.25;
/// The number of lines that are kept at hand for the panel of messages.
const MESSAGES: usize = 200;
/// The lines of a page of an episode.
const PAGE: isize = 5;

/// Draws, and reads keys.
struct Watcher {
    model: Arc<Mutex<Model>>,
    stop: Stop,
    opened: Instant,
    view: View,
    palette: Palette,
    /// When the last picture was drawn.
    drawn: Option<f64>,
}

impl Watcher {
    fn new(model: Arc<Mutex<Model>>, stop: Stop, opened: Instant) -> Self {
        let palette = Palette::of_environment();
        Self { model, stop, opened, view: View::default(), palette, drawn: None }
    }

    /// Until the screen is left.
    fn watch(mut self) {
        let _leaves = LeavesAtPanic;
        while let Some(presence) = self.show() {
            match presence == Presence::Shown && event::poll(TURN).is_ok() {
                true => self.read_keys(),
                false => thread::sleep(TURN),
            }
        }
    }

    /// Draws a picture if one is due. Returns `None` if the screen was left.
    fn show(&mut self) -> Option<Presence> {
        let mut guard = screen();
        let screen = guard.as_mut()?;
        if screen.presence == Presence::Continued && job::is_in_foreground() {
            // A shell may have changed the terminal, whatever its state was.
            let _ = disable_raw_mode();
            if fill_terminal().and_then(|()| screen.terminal.clear()).is_ok() {
                screen.presence = Presence::Shown;
                self.drawn = None;
            }
        }
        let now = self.opened.elapsed().as_secs_f64();
        let is_due = self.drawn.is_none_or(|drawn| now - drawn >= PICTURE);
        if screen.presence == Presence::Shown && is_due {
            self.drawn = Some(now);
            let messages = last_held(MESSAGES);
            let is_stopping = self.stop.is_asked();
            let scene = Scene { messages: &messages, is_stopping, now, palette: self.palette };
            // A terminal that cannot be written to does not end the training.
            let _ = screen.terminal.draw(|frame| {
                let model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
                self.view.follow(&model, now);
                draw(frame.buffer_mut(), &model, &mut self.view, &scene);
            });
        }
        Some(screen.presence)
    }

    fn read_keys(&mut self) {
        while let Ok(true) = event::poll(Duration::ZERO) {
            match event::read() {
                Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => self.press(key),
                Ok(Event::Resize(..)) => {}
                Ok(_) => continue,
                Err(_) => return,
            }
            self.drawn = None;
        }
    }

    fn press(&mut self, key: KeyEvent) {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match (key.code, is_control) {
            (KeyCode::Char('c'), true) | (KeyCode::Char('q' | 'Q'), false) => {
                self.stop.ask(INTERRUPT);
            }
            (KeyCode::Char('z'), true) => job::suspend(),
            (KeyCode::Char('l'), true) => {
                if let Some(screen) = &mut *screen() {
                    let _ = screen.terminal.clear();
                }
            }
            (code, false) => {
                if let Some(step) = step(code) {
                    self.view.apply(step);
                }
            }
            _ => {}
        }
    }
}

/// What a key does to the view.
fn step(key: KeyCode) -> Option<Move> {
    Some(match key {
        KeyCode::Tab | KeyCode::Right => Move::NextCurve,
        KeyCode::BackTab | KeyCode::Left => Move::PreviousCurve,
        KeyCode::Char(digit @ '1'..='6') => Move::Curve(digit as usize - '1' as usize),
        KeyCode::Char('z') => Move::SingleCurve,
        KeyCode::Char('m') => Move::Messages,
        KeyCode::Up => Move::Scroll(-1),
        KeyCode::Down => Move::Scroll(1),
        KeyCode::PageUp => Move::Scroll(-PAGE),
        KeyCode::PageDown => Move::Scroll(PAGE),
        KeyCode::Home => Move::Newest,
        _ => return None,
    })
}
