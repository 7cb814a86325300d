//! Reads games from archives: zip, and tar as it is or compressed with gzip, xz or zstd.
//!
//! The format is detected from the first bytes. Nothing is unpacked to disk. Of the path of an entry only
//! the last parts are used, as a name.

mod tar;
mod zip;
mod zstd;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::Stream;

use self::zstd::ZstdReader;
use super::game_file::{ENTRIES, check_name, file_name, read_game};
use crate::error::{Error, Result};

/// Maximum number of bytes of an unpacked archive.
const MAX_UNPACKED_BYTES: u64 = 16 << 30;

/// Maximum number of bytes of memory for decompression. The header of the archive requests it.
const MAX_DECODER_BYTES: u64 = 256 << 20;

/// Number of bytes at the start of a file that tell its format.
const MAGIC_BYTES: usize = 265;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One game file, which is JSON.
    Game,
    Zip,
    Tar,
    TarGz,
    TarXz,
    TarZst,
}

impl Format {
    /// The format of a file that begins with `bytes`.
    fn of(bytes: &[u8]) -> Option<Self> {
        let starts = |magic: &[u8]| bytes.starts_with(magic);
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        Some(match () {
            () if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") => Self::Zip,
            () if starts(b"\x1f\x8b") => Self::TarGz,
            () if starts(b"\xfd7zXZ\0") => Self::TarXz,
            () if starts(b"\x28\xb5\x2f\xfd") || zstd::is_skippable(bytes) => Self::TarZst,
            () if bytes.get(257..262) == Some(b"ustar".as_slice()) => Self::Tar,
            () if text.trim_ascii_start().starts_with(b"{") => Self::Game,
            () => return None,
        })
    }

    /// Detects the format of a file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or has no known format.
    pub(super) fn detect(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let mut start = Vec::new();
        let read = file.take(MAGIC_BYTES as u64).read_to_end(&mut start);
        read.map_err(Error::io("read", path))?;
        Self::of(&start).ok_or_else(|| {
            let message = "cannot be read as games: expected a game file, or a .zip, .tar, .tar.gz, \
                           .tar.xz or .tar.zst archive of game files";
            Error::file(path, message)
        })
    }
}

/// What an archive is searched for.
pub(super) trait Visitor {
    /// Whether the entry `file` of the game `name` is to be read.
    fn wants(&mut self, name: &str, file: &'static str) -> bool;

    /// Receives the contents of an entry, or the reason why it cannot be read.
    fn found(
        &mut self,
        name: String,
        file: &'static str,
        content: Result<Vec<u8>, String>,
    ) -> Result<()>;
}

/// Reads the entries of an archive that `visitor` wants.
///
/// # Errors
/// Returns an error if the archive cannot be read or exceeds its limits, and the errors of `visitor`.
pub(super) fn unpack(path: &Path, format: Format, visitor: &mut dyn Visitor) -> Result<()> {
    let file = BufReader::new(File::open(path).map_err(Error::io("open", path))?);
    let mut entries = Entries { archive: path, remaining: MAX_UNPACKED_BYTES, visitor };
    match format {
        Format::Zip => zip::read(file, &mut entries),
        Format::TarGz => tar::read(MultiGzDecoder::new(file), &mut entries),
        Format::TarXz => {
            let stream = Stream::new_stream_decoder(MAX_DECODER_BYTES, 0)
                .map_err(|error| entries.unreadable(&error))?;
            tar::read(XzDecoder::new_stream(file, stream), &mut entries)
        }
        Format::TarZst => tar::read(ZstdReader::new(file, MAX_DECODER_BYTES), &mut entries),
        Format::Tar | Format::Game => tar::read(file, &mut entries),
    }
}

/// The entries of one archive, in the course of reading it.
struct Entries<'a> {
    archive: &'a Path,
    /// The number of bytes that may still be unpacked.
    remaining: u64,
    visitor: &'a mut dyn Visitor,
}

impl Entries<'_> {
    fn unreadable(&self, error: &dyn std::fmt::Display) -> Error {
        Error::file(self.archive, format!("cannot be read as an archive of games: {error}"))
    }

    /// The name of the game and the file that the path of an entry names, if it is wanted.
    fn wanted(&mut self, path: &[u8]) -> Result<Option<(String, &'static str)>> {
        let path = String::from_utf8_lossy(path).trim_end_matches('\0').to_string();
        let Some((name, file)) = game_name(Path::new(&path), self.archive) else {
            return Ok(None);
        };
        check_name(self.archive, &name)?;
        Ok(self.visitor.wants(&name, file).then_some((name, file)))
    }

    /// Reads a wanted entry of about `size` bytes.
    fn read(
        &mut self,
        (name, file): (String, &'static str),
        input: impl Read,
        size: u64,
    ) -> Result<()> {
        self.visitor.found(name, file, read_game(input, size))
    }
}

/// The name of the game and the file at a path in an archive, `…/<split>/<task>/<trial>/<file>`. In an
/// archive of one split, whose paths begin with the task, the split has the archive's name.
fn game_name(path: &Path, archive: &Path) -> Option<(String, &'static str)> {
    let inner = file_name(path);
    let file = ENTRIES.into_iter().find(|known| *known == inner)?;
    let trial = path.parent()?;
    let task = trial.parent()?;
    let split = task.parent()?;
    let mut parts = [split, task, trial].map(file_name);
    if split == Path::new("") || split == Path::new(".") {
        let archive = file_name(archive);
        parts[0] = archive.split('.').next().unwrap_or_default().to_string();
    }
    parts.iter().all(|part| !part.is_empty()).then(|| (parts.join("/"), file))
}

/// A reader that returns an error after a maximum number of bytes.
struct LimitedReader<R> {
    inner: R,
    remaining: u64,
}

impl<R: Read> Read for LimitedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.remaining = self.remaining.checked_sub(read as u64).ok_or_else(|| {
            io::Error::other(format!("it has more than {MAX_UNPACKED_BYTES} bytes unpacked"))
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_consists_of_the_last_parts_of_a_path() {
        let name = |path: &str| {
            game_name(Path::new(path), Path::new("/data/seen.tar.gz")).map(|(name, _)| name)
        };
        assert_eq!(name("a/b/s/t/u/game.tw-pddl").as_deref(), Some("s/t/u"));
        assert_eq!(name("/etc/s/t/u/game.tw-pddl").as_deref(), Some("s/t/u"));
        assert_eq!(name("../../s/t/u/game.tw-pddl").as_deref(), Some("s/t/u"));
        assert_eq!(name("s/t/u/traj_data.json").as_deref(), Some("s/t/u"));
        assert_eq!(name("t/u/game.tw-pddl").as_deref(), Some("seen/t/u"));
        assert_eq!(name("./t/u/game.tw-pddl").as_deref(), Some("seen/t/u"));
        for other in [
            "game.tw-pddl",
            "u/game.tw-pddl",
            "/t/u/game.tw-pddl",
            "s/../u/game.tw-pddl",
            "../t/u/game.tw-pddl",
            "s/t/../game.tw-pddl",
            "s/t/u/game.tw-pddl/..",
            "s/t/u/other",
        ] {
            assert_eq!(name(other), None, "{other}");
        }
    }

    #[test]
    fn reading_more_than_the_maximum_is_an_error() {
        let mut reader = LimitedReader { inner: io::repeat(0), remaining: 1000 };
        let message = io::copy(&mut reader, &mut io::sink()).unwrap_err().to_string();
        assert!(message.contains("more than 17179869184 bytes"), "{message}");
        let mut reader = LimitedReader { inner: io::repeat(0).take(1000), remaining: 1000 };
        assert_eq!(io::copy(&mut reader, &mut io::sink()).unwrap(), 1000);
    }

    #[test]
    fn formats_are_detected_from_the_first_bytes() {
        assert_eq!(Format::of(b"PK\x03\x04rest"), Some(Format::Zip));
        assert_eq!(Format::of(b"\x1f\x8b\x08"), Some(Format::TarGz));
        assert_eq!(Format::of(b"\xfd7zXZ\0"), Some(Format::TarXz));
        assert_eq!(Format::of(b"\x28\xb5\x2f\xfd"), Some(Format::TarZst));
        assert_eq!(Format::of(b"\xef\xbb\xbf {\"pddl"), Some(Format::Game));
        assert_eq!(Format::of(b"not games"), None);
        assert_eq!(Format::of(b""), None);
    }
}
