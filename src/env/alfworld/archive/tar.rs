//! Tar archives.

use std::io::Read;

use tar::PaxExtensions;

use super::super::game_file::read_at_most;
use super::{Entries, LimitedReader};
use crate::error::Result;

/// Maximum number of bytes of the path of an entry, and of its extended header.
const MAX_HEADER_BYTES: u64 = 64 << 10;

/// Reads the wanted entries of an unpacked archive.
pub(super) fn read(unpacked: impl Read, entries: &mut Entries) -> Result<()> {
    let mut archive =
        tar::Archive::new(LimitedReader { inner: unpacked, remaining: entries.remaining });
    // Raw entries, because the reader would otherwise accept extended headers of any length.
    let mut long_path = None;
    let found = archive.entries().map_err(|error| entries.unreadable(&error))?;
    for entry in found.raw(true) {
        let mut entry = entry.map_err(|error| entries.unreadable(&error))?;
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() || kind.is_pax_local_extensions() {
            let header = read_at_most(&mut entry, 0, MAX_HEADER_BYTES)
                .map_err(|error| entries.unreadable(&error))?;
            long_path = match kind.is_gnu_longname() {
                true => Some(header),
                false => path_in_header(&header).or(long_path),
            };
        } else if !kind.is_gnu_longlink() && !kind.is_pax_global_extensions() {
            let path = long_path.take().unwrap_or_else(|| entry.path_bytes().into_owned());
            if kind.is_file()
                && let Some(wanted) = entries.wanted(&path)?
            {
                let size = entry.size();
                entries.read(wanted, &mut entry, size)?;
            }
        }
    }
    Ok(())
}

/// The path in the extended header of an entry.
fn path_in_header(fields: &[u8]) -> Option<Vec<u8>> {
    let mut fields = PaxExtensions::new(fields).filter_map(std::result::Result::ok);
    fields.find(|field| field.key_bytes() == b"path").map(|field| field.value_bytes().to_vec())
}
