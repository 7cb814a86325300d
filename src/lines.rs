//! Reading text files by lines.

use std::io::{BufRead, Read};

use crate::json_scan::{utf8, without_mark};

/// Length limit of a line in bytes.
const MAX_LINE: u64 = 64 << 20;

/// The next line, blank or not, without its end; `None` at the end of the input. Of the first line, a
/// byte-order mark is dropped. At most 64 MiB are held in memory.
///
/// # Errors
/// Returns a message if reading fails, the line is longer, or it is not UTF-8.
pub(crate) fn read_line(input: &mut dyn BufRead, is_first: bool) -> Result<Option<String>, String> {
    let mut line = Vec::new();
    let mut limited = input.take(MAX_LINE + 1);
    let read = limited.read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
    if read == 0 {
        return Ok(None);
    }
    if line.pop_if(|last| *last == b'\n').is_none() && read as u64 > MAX_LINE {
        return Err(format!("expected a line of at most {MAX_LINE} bytes, found a longer one"));
    }
    line.pop_if(|last| *last == b'\r');
    let text = if is_first { without_mark(&line) } else { &line };
    let text = utf8(text).map_err(|found| not_utf8(&found))?;
    Ok(Some(text.to_string()))
}

/// The message for bytes that are not UTF-8.
pub(crate) fn not_utf8(found: &str) -> String {
    let advice = match found.starts_with("UTF-16") {
        true => "; convert the file, for example with iconv -f UTF-16 -t UTF-8",
        false => "",
    };
    format!("expected UTF-8, found {found}{advice}")
}
