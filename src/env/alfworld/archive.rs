//! Reads games from the published archive.
//!
//! Nothing is unpacked to disk. Of the path of an entry only the last parts are used, as a name.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use liblzma::read::XzDecoder;
use liblzma::stream::Stream;
use tar::PaxExtensions;

use super::source::{GAME, check_name, file_name, read_at_most};
use crate::error::{Error, Result};

/// Maximum number of bytes of an unpacked archive.
const MAX_UNPACKED_BYTES: u64 = 16 << 30;

/// Maximum number of bytes of memory for decompression. The header of the archive requests it.
const MAX_DECODER_BYTES: u64 = 256 << 20;

/// Maximum number of bytes of the path of an entry, and of its extended header.
const MAX_HEADER_BYTES: u64 = 64 << 10;

/// Unpacks an archive and calls `found` with the name and contents of each game.
///
/// # Errors
/// Returns an error if the archive cannot be read or exceeds its limits, and the errors of `found`.
pub(crate) fn unpack(
    path: &Path,
    found: &mut dyn FnMut(String, Vec<u8>) -> Result<()>,
) -> Result<()> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let unreadable = |error: io::Error| {
        Error::file(path, format!("cannot be read as a .tar.xz archive of games: {error}"))
    };
    let stream = Stream::new_stream_decoder(MAX_DECODER_BYTES, 0)
        .map_err(|error| unreadable(error.into()))?;
    let unpacked = XzDecoder::new_stream(io::BufReader::new(file), stream);
    let mut archive =
        tar::Archive::new(LimitedReader { inner: unpacked, remaining: MAX_UNPACKED_BYTES });
    // Raw entries, because the reader would otherwise accept extended headers of any length.
    let mut long_path = None;
    for entry in archive.entries().map_err(unreadable)?.raw(true) {
        let mut entry = entry.map_err(unreadable)?;
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() {
            long_path = Some(read_at_most(&mut entry, 0, MAX_HEADER_BYTES).map_err(unreadable)?);
        } else if kind.is_pax_local_extensions() {
            let fields = read_at_most(&mut entry, 0, MAX_HEADER_BYTES).map_err(unreadable)?;
            long_path = path_in_header(&fields).or(long_path);
        } else if !kind.is_gnu_longlink() && !kind.is_pax_global_extensions() {
            let inner = long_path.take().unwrap_or_else(|| entry.path_bytes().into_owned());
            let inner = String::from_utf8_lossy(&inner).trim_end_matches('\0').to_string();
            let Some(name) = game_name(Path::new(&inner)).filter(|_| kind.is_file()) else {
                continue;
            };
            check_name(path, &name)?;
            let size = entry.size();
            let bytes = super::source::read_game(&mut entry, size)
                .map_err(|error| Error::input(format!("{}: {name}", path.display()), error))?;
            found(name, bytes)?;
        }
    }
    Ok(())
}

/// The path in the extended header of an entry.
fn path_in_header(fields: &[u8]) -> Option<Vec<u8>> {
    let mut fields = PaxExtensions::new(fields).filter_map(std::result::Result::ok);
    fields.find(|field| field.key_bytes() == b"path").map(|field| field.value_bytes().to_vec())
}

/// The name of the game in a file of an archive, `…/<split>/<task>/<trial>/game.tw-pddl`.
fn game_name(path: &Path) -> Option<String> {
    let trial = path.parent().filter(|_| file_name(path) == GAME)?;
    let task = trial.parent()?;
    let split = task.parent()?;
    let parts = [split, task, trial].map(file_name);
    parts.iter().all(|part| !part.is_empty()).then(|| parts.join("/"))
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
        let name = |path: &str| game_name(Path::new(path));
        assert_eq!(name("a/b/s/t/u/game.tw-pddl").as_deref(), Some("s/t/u"));
        assert_eq!(name("/etc/s/t/u/game.tw-pddl").as_deref(), Some("s/t/u"));
        assert_eq!(name("../../s/t/u/game.tw-pddl").as_deref(), Some("s/t/u"));
        for other in [
            "game.tw-pddl",
            "t/u/game.tw-pddl",
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
}
