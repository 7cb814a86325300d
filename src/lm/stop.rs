//! The text of a continuation, up to a stop string.

use std::borrow::Cow;

use super::tokenizer::{TextStream, Tokenizer};
use crate::error::Result;

/// Turns tokens into text as they come, and ends at the first of some stop strings, which may begin and
/// end within tokens. Text that may be the beginning of a stop string is held back.
#[derive(Debug)]
pub struct StopText<'a> {
    /// Until the text is finished.
    stream: Option<TextStream<'a>>,
    stops: Cow<'a, [String]>,
    /// The text so far. Nothing after a stop string is in it.
    text: String,
    /// Bytes of it that were returned.
    shown: usize,
    is_stopped: bool,
}

impl<'a> StopText<'a> {
    /// An empty text. Empty stop strings are ignored.
    pub fn new(tokenizer: &'a Tokenizer, stops: impl Into<Cow<'a, [String]>>) -> Self {
        let (stream, stops) = (Some(tokenizer.stream()), stops.into());
        Self { stream, stops, text: String::new(), shown: 0, is_stopped: false }
    }

    /// Adds a token and returns the text that is certain by it.
    ///
    /// # Errors
    /// Returns an error if the tokenizer's decoder fails.
    pub fn push(&mut self, id: u32) -> Result<String> {
        if let Some(stream) = &mut self.stream {
            let piece = stream.push(id)?;
            self.add(&piece);
        }
        let held = if self.is_stopped { 0 } else { self.held() };
        Ok(self.show(self.text.len() - held))
    }

    /// Whether a stop string was met.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Returns the whole text and its part that was not returned before.
    ///
    /// # Errors
    /// Returns an error if the tokenizer's decoder fails.
    pub fn finish(mut self) -> Result<(String, String)> {
        if let Some(stream) = self.stream.take().filter(|_| !self.is_stopped) {
            let rest = stream.finish()?;
            self.add(&rest);
        }
        let rest = self.show(self.text.len());
        Ok((self.text, rest))
    }

    fn add(&mut self, piece: &str) {
        // A stop string that ends in the piece begins at most its own length before.
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let mut from = self.text.len().saturating_sub(longest);
        while !self.text.is_char_boundary(from) {
            from -= 1;
        }
        self.text.push_str(piece);
        let stops = self.stops.iter().filter(|stop| !stop.is_empty());
        let found = stops.filter_map(|stop| self.text[from..].find(stop.as_str()));
        if let Some(at) = found.min() {
            self.text.truncate(from + at);
            self.is_stopped = true;
        }
    }

    /// Bytes at the end that may be the beginning of a stop string.
    fn held(&self) -> usize {
        let of = |stop: &String| {
            let mut lengths = (1..stop.len()).rev().filter(|&length| stop.is_char_boundary(length));
            lengths.find(|&length| self.text.ends_with(&stop[..length])).unwrap_or(0)
        };
        self.stops.iter().map(of).max().unwrap_or(0)
    }

    fn show(&mut self, end: usize) -> String {
        let shown = self.text[self.shown.min(end)..end].to_string();
        self.shown = self.shown.max(end);
        shown
    }
}
