//! The records of a file: a JSON array, a record a line, or one record.

use serde_json::value::RawValue;

use super::super::json::each_item;
use crate::error::{Error, Result};

/// One record of a file.
pub(super) struct Record<'a> {
    /// The file and the line, or the file and the number of the record.
    pub(super) place: String,
    /// The JSON text.
    pub(super) text: &'a str,
}

/// The records in `bytes`, the contents of the file `name`.
pub(super) fn records<'a>(bytes: &'a [u8], name: &str) -> Result<Vec<Record<'a>>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Error::input(name, "expected UTF-8, found UTF-16; save the file as UTF-8"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        Error::input(format!("{name}:{line}"), "expected UTF-8, found an invalid byte")
    })?;
    if text.trim_start().starts_with('[') {
        return array(text, name);
    }
    match lines(text, name) {
        Ok(records) => Ok(records),
        // One record can fill several lines.
        Err(error) => match serde_json::from_str::<&RawValue>(text) {
            Ok(record) => Ok(vec![Record { place: format!("{name}:1"), text: record.get() }]),
            Err(_) => Err(error),
        },
    }
}

fn lines<'a>(text: &'a str, name: &str) -> Result<Vec<Record<'a>>> {
    let filled = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    filled
        .map(|(number, line)| {
            let place = format!("{name}:{}", number + 1);
            match serde_json::from_str::<&RawValue>(line) {
                Ok(_) => Ok(Record { place, text: line }),
                Err(error) => Err(Error::input(place, not_json(&error))),
            }
        })
        .collect()
}

fn array<'a>(text: &'a str, name: &str) -> Result<Vec<Record<'a>>> {
    let array = serde_json::from_str::<&RawValue>(text)
        .map_err(|error| Error::input(format!("{name}:{}", error.line()), not_json(&error)))?;
    let mut records = Vec::new();
    let _: Option<Result<(), ()>> = each_item(array, |item| {
        let place = format!("{name}: record {}", records.len() + 1);
        records.push(Record { place, text: item.get() });
        Ok(())
    });
    Ok(records)
}

fn not_json(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let reason = message.split(" at line ").next().unwrap_or_default();
    format!("expected JSON, found an error at column {}: {reason}", error.column())
}
