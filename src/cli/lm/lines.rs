//! JSON lines in.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::credit::STANDARD;
use crate::error::{Error, Result};
use crate::lines::read_line;

/// The file with the input.
#[derive(Debug, Args)]
pub struct InputFlags {
    /// File of JSON lines; - for standard input.
    #[arg(long, short, value_name = "FILE")]
    pub input: PathBuf,
}

/// The file with the input, and how many of its lines are taken at once.
#[derive(Debug, Args)]
pub struct BatchFlags {
    #[command(flatten)]
    file: InputFlags,
    /// Number of sequences that are computed together.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
}

impl BatchFlags {
    /// Calls `work` with the lines, batch by batch, as [`for_batches`] does.
    ///
    /// # Errors
    /// As [`for_batches`].
    pub fn for_batches(&self, work: &mut dyn FnMut(&[Line]) -> Result<()>) -> Result<()> {
        for_batches(&self.file.input, self.batch.into(), work)
    }
}

/// A line of the input that is not blank.
#[derive(Debug)]
pub struct Line {
    /// The file and the number of the line, for errors.
    pub place: String,
    /// The line without its end.
    pub text: String,
}

/// Calls `work` with the lines of a file, or of standard input for `-`, in order: at most `most` at a
/// time, fewer if no more have arrived. So a program that waits for the answer to one line gets it.
///
/// # Errors
/// Returns the first error of reading or of `work`. Lines before it were worked on.
pub fn for_batches(
    path: &Path,
    most: usize,
    work: &mut dyn FnMut(&[Line]) -> Result<()>,
) -> Result<()> {
    if path == Path::new(STANDARD) {
        return batches(&mut BufReader::new(io::stdin()), "standard input", most, work);
    }
    let file = File::open(path).map_err(Error::io("read", path))?;
    batches(&mut BufReader::new(file), &path.display().to_string(), most, work)
}

fn batches<R: Read>(
    input: &mut BufReader<R>,
    name: &str,
    most: usize,
    work: &mut dyn FnMut(&[Line]) -> Result<()>,
) -> Result<()> {
    let mut batch = Vec::new();
    let mut number = 0;
    loop {
        number += 1;
        let place = format!("{name}:{number}");
        let end = match read_line(input, number == 1) {
            Ok(Some(text)) => {
                if !text.trim().is_empty() {
                    batch.push(Line { place, text });
                }
                None
            }
            Ok(None) => Some(Ok(())),
            Err(message) => Some(Err(Error::input(&place, message))),
        };
        let waits = end.is_some() || !input.buffer().contains(&b'\n');
        if !batch.is_empty() && (waits || batch.len() >= most) {
            work(&batch)?;
            batch.clear();
        }
        if let Some(end) = end {
            return end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(text: &[u8], most: usize) -> (Vec<usize>, Result<()>) {
        let mut sizes = Vec::new();
        let result = batches(&mut BufReader::new(text), "in", most, &mut |lines| {
            sizes.push(lines.len());
            Ok(())
        });
        (sizes, result)
    }

    #[test]
    fn lines_come_in_batches_and_blank_ones_are_dropped() {
        assert_eq!(sizes(b"1\n\n2\n3\r\n4", 2).0, [2, 1, 1]);
        assert_eq!(sizes(b"", 2).0, [0; 0]);
        // A byte-order mark is no text.
        assert_eq!(sizes(b"\xef\xbb\xbf\n1", 2).0, [1]);
    }

    #[test]
    fn an_error_names_its_line_after_the_lines_before_it() {
        let (sizes, result) = sizes(b"1\n2\n\xff\n", 8);
        assert_eq!(sizes, [2]);
        assert!(result.unwrap_err().to_string().starts_with("in:3: expected UTF-8, found "));
    }
}
