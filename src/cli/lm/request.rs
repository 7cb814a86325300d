//! The object of an input line.

use serde::Deserialize;

use super::lines::Line;
use crate::error::{Error, Result};

/// The members that give a sequence of tokens. Other members are kept in the output.
#[derive(Debug, Deserialize)]
pub struct Request {
    /// Tokens as they are.
    ids: Option<Vec<u32>>,
}

impl Request {
    /// Reads a line.
    ///
    /// # Errors
    /// Returns an error that names the line and the member at fault.
    pub fn read(line: &Line) -> Result<Self> {
        serde_json::from_str(&line.text)
            .map_err(|error| Error::input(&line.place, error.to_string()))
    }

    /// The tokens.
    ///
    /// # Errors
    /// Returns an error if the line gives none.
    pub fn ids(&self, line: &Line) -> Result<Vec<u32>> {
        let missing = || Error::input(&line.place, "expected the member \"ids\"");
        self.ids.clone().ok_or_else(missing)
    }
}
