//! The terminal as ratatui draws on it, through crossterm.
//!
//! The crate ratatui-crossterm would ask for features of crossterm that are not needed here.

use std::io::{self, BufWriter, Stdout, Write, stdout};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::{Attribute, Color as TermColor, Print, SetAttribute, SetForegroundColor};
use crossterm::terminal::{Clear, ClearType as TermClear, size, window_size};
use crossterm::{execute, queue};
use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color, Modifier};

/// Standard output as a terminal. Of styles it knows those of the palette: foreground colours by name,
/// bold and reversed.
pub struct CrosstermBackend(BufWriter<Stdout>);

impl CrosstermBackend {
    /// That of this process.
    pub fn new() -> Self {
        Self(BufWriter::new(stdout()))
    }
}

fn colour(colour: Color) -> TermColor {
    match colour {
        Color::Cyan => TermColor::DarkCyan,
        Color::Yellow => TermColor::DarkYellow,
        Color::Green => TermColor::DarkGreen,
        Color::DarkGray => TermColor::DarkGrey,
        _ => TermColor::Reset,
    }
}

impl Backend for CrosstermBackend {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut style = (Color::Reset, Modifier::empty());
        let mut next = None;
        for (x, y, cell) in content {
            if next != Some((x, y)) {
                queue!(self.0, MoveTo(x, y))?;
            }
            next = Some((x + 1, y));
            if style != (cell.fg, cell.modifier) {
                style = (cell.fg, cell.modifier);
                queue!(self.0, SetAttribute(Attribute::Reset))?;
                if cell.fg != Color::Reset {
                    queue!(self.0, SetForegroundColor(colour(cell.fg)))?;
                }
                if cell.modifier.contains(Modifier::BOLD) {
                    queue!(self.0, SetAttribute(Attribute::Bold))?;
                }
                if cell.modifier.contains(Modifier::REVERSED) {
                    queue!(self.0, SetAttribute(Attribute::Reverse))?;
                }
            }
            queue!(self.0, Print(cell.symbol()))?;
        }
        queue!(self.0, SetAttribute(Attribute::Reset))
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        execute!(self.0, Hide)
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        execute!(self.0, Show)
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        // Only a viewport that does not fill the terminal asks for it.
        Ok(Position::default())
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        execute!(self.0, MoveTo(x, y))
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, part: ClearType) -> io::Result<()> {
        let part = match part {
            ClearType::All => TermClear::All,
            ClearType::AfterCursor => TermClear::FromCursorDown,
            ClearType::BeforeCursor => TermClear::FromCursorUp,
            ClearType::CurrentLine => TermClear::CurrentLine,
            ClearType::UntilNewLine => TermClear::UntilNewLine,
        };
        execute!(self.0, Clear(part))
    }

    fn size(&self) -> io::Result<Size> {
        let (width, height) = size()?;
        Ok(Size { width, height })
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        let window = window_size()?;
        Ok(WindowSize {
            columns_rows: Size { width: window.columns, height: window.rows },
            pixels: Size { width: window.width, height: window.height },
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
