//! Games in the archive that they are published in.
//!
//! Nothing is ever unpacked to a disk: of an entry's path only its last parts are used, as a name.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use liblzma::read::XzDecoder;
use liblzma::stream::Stream;
use tar::PaxExtensions;

use super::source::{GAME, check_name, file_name, read_at_most};
use crate::error::{Error, Result};

/// The most bytes that an archive may hold once it is unpacked.
const UNPACKED: u64 = 16 << 30;

/// The most memory that the unpacking itself may take. An archive's header asks for it.
const DECODER: u64 = 256 << 20;

/// The most bytes of an entry's path, or of what else describes an entry.
const DESCRIPTION: u64 = 64 << 10;

/// Unpacks an archive and hands the games of it to `found`, each with its name.
///
/// # Errors
/// Fails where the archive cannot be read or goes beyond its bounds, and where `found` does.
pub(crate) fn unpack(
    path: &Path,
    found: &mut dyn FnMut(String, Vec<u8>) -> Result<()>,
) -> Result<()> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let damaged = |error: io::Error| {
        Error::file(path, format!("cannot be read as a .tar.xz archive of games: {error}"))
    };
    let stream = Stream::new_stream_decoder(DECODER, 0).map_err(|error| damaged(error.into()))?;
    let unpacked = XzDecoder::new_stream(io::BufReader::new(file), stream);
    let mut archive = tar::Archive::new(Bounded { inner: unpacked, left: UNPACKED });
    // Raw entries: the reader itself would take in descriptions of any length.
    let mut described = None;
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() {
            described = Some(read_at_most(&mut entry, 0, DESCRIPTION).map_err(damaged)?);
        } else if kind.is_pax_local_extensions() {
            let fields = read_at_most(&mut entry, 0, DESCRIPTION).map_err(damaged)?;
            described = path_among(&fields).or(described);
        } else if !kind.is_gnu_longlink() && !kind.is_pax_global_extensions() {
            let inner = described.take().unwrap_or_else(|| entry.path_bytes().into_owned());
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

/// The path among an entry's extended fields.
fn path_among(fields: &[u8]) -> Option<Vec<u8>> {
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

/// A reader that fails where there is more to read than there should be.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::other(format!("it holds more than {UNPACKED} bytes unpacked"))
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_last_parts_of_a_path_and_nothing_else() {
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
    fn a_reader_is_cut_off_with_an_error() {
        let mut bounded = Bounded { inner: io::repeat(0), left: 1000 };
        let message = io::copy(&mut bounded, &mut io::sink()).unwrap_err().to_string();
        assert!(message.contains("more than 17179869184 bytes"), "{message}");
        let mut bounded = Bounded { inner: io::repeat(0).take(1000), left: 1000 };
        assert_eq!(io::copy(&mut bounded, &mut io::sink()).unwrap(), 1000);
    }
}
