//! The colours of the screen.

use ratatui_core::style::{Color, Modifier, Style};

/// The styles; without colours if `NO_COLOR` is set (<https://no-color.org>).
#[derive(Debug, Clone, Copy)]
pub struct Palette {
    has_colours: bool,
}

impl Palette {
    /// That of the environment's variables.
    pub fn of_environment() -> Self {
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { has_colours: !forbidden }
    }

    /// With or without colours.
    #[cfg(test)]
    pub fn new(has_colours: bool) -> Self {
        Self { has_colours }
    }

    fn colour(self, colour: Color) -> Style {
        if self.has_colours { Style::new().fg(colour) } else { Style::new() }
    }

    /// Values of the iterations.
    pub fn training(self) -> Style {
        self.colour(Color::Cyan)
    }

    /// Values on held-out tasks.
    pub fn held_out(self) -> Style {
        self.colour(Color::Yellow)
    }

    /// Bars, and actions.
    pub fn accent(self) -> Style {
        self.colour(Color::Green)
    }

    /// Warnings.
    pub fn warning(self) -> Style {
        self.colour(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// Frames, axes and the help.
    pub fn faint(self) -> Style {
        self.colour(Color::DarkGray)
    }

    /// What is selected.
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Heads.
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }
}
