//! Event files of TensorBoard.
//!
//! An event file is a sequence of records (the length of a record, its masked CRC-32C, the record, its
//! masked CRC-32C), and each record is an `Event` of TensorFlow's protocol buffers. The numbers of fields below
//! are those of its `event.proto`, `summary.proto` and `tensor.proto`.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::recorder::{Recorder, RunStart, RunSummary};
use crate::error::{Error, Result};
use crate::train::IterationMetrics;

/// The begin of the names of event files, by which TensorBoard finds them.
const PREFIX: &str = "events.out.tfevents.";

/// Writes all numbers of a run to an event file in its folder, one point an iteration, and the settings as
/// a text. A resumed run gets a further file, which replaces the points after its first iteration.
#[derive(Debug, Default)]
pub struct TensorBoard {
    /// The file, from the start of the run.
    file: Option<(PathBuf, File)>,
}

impl TensorBoard {
    /// Whether a run's folder has an event file.
    pub fn is_in(run: &Path) -> bool {
        let entries = fs::read_dir(run).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
    }

    fn write(&mut self, event: &Message) -> Result<()> {
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        file.write_all(&record(&event.0)).map_err(Error::io("write", path))
    }
}

impl Recorder for TensorBoard {
    fn started(&mut self, start: &RunStart) -> Result<()> {
        // The process tells files of one second apart.
        let name = format!("{PREFIX}{:010}.proxmo.{}.0", seconds_now() as u64, std::process::id());
        let path = start.folder.join(name);
        let file = OpenOptions::new().create_new(true).append(true).open(&path);
        self.file = Some((path.clone(), file.map_err(Error::io("create", &path))?));
        let next = if start.is_resumed { start.iteration + 1 } else { 0 };
        self.write(&version())?;
        self.write(&session_start(next))?;
        let settings = indented(&start.config.to_toml()?);
        self.write(&summary(next, [text("settings", &settings)]))
    }

    fn iteration(&mut self, metrics: &IterationMetrics) -> Result<()> {
        let numbers = metrics.scalars();
        let numbers = numbers.iter().filter(|(name, _)| name != "iteration");
        let values = numbers.map(|(name, value)| scalar(name, *value as f32));
        self.write(&summary(metrics.iteration, values))
    }

    fn sync(&mut self) -> Result<()> {
        let Some((path, file)) = &self.file else { return Ok(()) };
        file.sync_data().map_err(Error::io("write", path))
    }

    fn finished(&mut self, _summary: &RunSummary) -> Result<()> {
        self.sync()
    }
}

/// Seconds since the begin of 1970.
fn seconds_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A text as a code block in Markdown, in which TensorBoard shows texts.
fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// A record of an event file.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length).to_le_bytes(), data, &masked_crc(data).to_le_bytes()]
        .concat()
}

/// The checksum of a record: a CRC of data that contain a CRC would be weak, so it is rotated and shifted.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A message of protocol buffers: its fields, each with its number.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// The low bits of a field's key, which say how its value is written.
    const VARINT: u64 = 0;
    const EIGHT_BYTES: u64 = 1;
    const LENGTH: u64 = 2;
    const FOUR_BYTES: u64 = 5;

    /// Seven bits a byte, the lowest first; the high bit says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, number: u64, form: u64) {
        self.varint(number << 3 | form);
    }

    fn integer(mut self, number: u64, value: u64) -> Self {
        self.key(number, Self::VARINT);
        self.varint(value);
        self
    }

    fn double(mut self, number: u64, value: f64) -> Self {
        self.key(number, Self::EIGHT_BYTES);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn float(mut self, number: u64, value: f32) -> Self {
        self.key(number, Self::FOUR_BYTES);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, number: u64, value: &[u8]) -> Self {
        self.key(number, Self::LENGTH);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    fn text(self, number: u64, value: &str) -> Self {
        self.bytes(number, value.as_bytes())
    }

    fn message(self, number: u64, value: &Message) -> Self {
        self.bytes(number, &value.0)
    }
}

/// An `Event`: its time, its step, and what `content` adds.
fn event(step: u64, content: impl FnOnce(Message) -> Message) -> Message {
    content(Message::default().double(1, seconds_now()).integer(2, step))
}

/// The first event of a file.
fn version() -> Message {
    event(0, |event| event.text(3, "brain.Event:2"))
}

/// The begin of a process: TensorBoard drops points of earlier files from this step on.
fn session_start(step: u64) -> Message {
    const START: u64 = 1;
    event(step, |event| event.message(7, &Message::default().integer(1, START)))
}

/// Values of a `Summary`.
fn summary(step: u64, values: impl IntoIterator<Item = Message>) -> Message {
    let values = values.into_iter();
    let summary = values.fold(Message::default(), |summary, value| summary.message(1, &value));
    event(step, |event| event.message(5, &summary))
}

fn scalar(tag: &str, value: f32) -> Message {
    Message::default().text(1, tag).float(2, value)
}

/// A text, as a tensor without dimensions.
fn text(tag: &str, text: &str) -> Message {
    const STRING: u64 = 7;
    let tensor = Message::default().integer(1, STRING).text(8, text);
    let plugin = Message::default().text(1, "text");
    let metadata = Message::default().message(1, &plugin);
    Message::default().text(1, tag).message(8, &tensor).message(9, &metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_published_algorithm() {
        // RFC 3720, B.4: 32 bytes of zeros.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        // Rotated to the right by 15 bits: 0x6d551522; the sum is taken modulo 2^32.
        assert_eq!(masked_crc(&[0; 32]), 0x0fd7_fffa);
    }

    #[test]
    fn a_record_has_its_length_and_both_checksums() {
        let record = record(b"abc");
        assert_eq!(record.len(), 8 + 4 + 3 + 4);
        assert_eq!(record[..8], 3u64.to_le_bytes());
        assert_eq!(record[8..12], masked_crc(&3u64.to_le_bytes()).to_le_bytes());
        assert_eq!(&record[12..15], b"abc");
        assert_eq!(record[15..], masked_crc(b"abc").to_le_bytes());
    }

    #[test]
    fn an_event_has_the_bytes_of_its_protocol_buffer() {
        let event = summary(300, [scalar("a", 1.0)]);
        // The time, in eight bytes; step = 300; summary of 10 bytes; value of 8 bytes; tag "a"; 1.0.
        assert_eq!(event.0[0], 0x09);
        let mut expected = vec![0x10, 0xac, 0x02, 0x2a, 10, 0x0a, 8, 0x0a, 1, b'a', 0x15];
        expected.extend(1.0f32.to_le_bytes());
        assert_eq!(event.0[9..], expected);
    }
}
