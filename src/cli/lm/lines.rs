//! JSON lines in.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::cli::credit::STANDARD;
use crate::error::{Error, Result};

/// Length limit of a line, in bytes.
const MAX_LINE: u64 = 64 << 20;

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
        let read = read_line(input, &place);
        let end = match read {
            Ok(Some(text)) => {
                if !text.trim().is_empty() {
                    batch.push(Line { place, text });
                }
                None
            }
            Ok(None) => Some(Ok(())),
            Err(error) => Some(Err(error)),
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

fn read_line<R: Read>(input: &mut BufReader<R>, place: &str) -> Result<Option<String>> {
    let mut line = Vec::new();
    let read = (&mut *input).take(MAX_LINE + 1).read_until(b'\n', &mut line);
    let read = read.map_err(|error| Error::input(place, error.to_string()))?;
    if read == 0 {
        return Ok(None);
    }
    if line.pop_if(|last| *last == b'\n').is_none() && read as u64 > MAX_LINE {
        let message = format!("expected a line of at most {MAX_LINE} bytes, found a longer one");
        return Err(Error::input(place, message));
    }
    line.pop_if(|last| *last == b'\r');
    let text = String::from_utf8(line);
    text.map(Some).map_err(|error| Error::input(place, format!("is not UTF-8: {error}")))
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
    }

    #[test]
    fn an_error_names_its_line_after_the_lines_before_it() {
        let (sizes, result) = sizes(b"1\n2\n\xff\n", 8);
        assert_eq!(sizes, [2]);
        assert!(result.unwrap_err().to_string().starts_with("in:3: is not UTF-8"));
    }
}
