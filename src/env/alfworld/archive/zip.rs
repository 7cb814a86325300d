//! Zip archives.

use std::io::{Read, Seek};

use zip::ZipArchive;

use super::{Entries, LimitedReader};
use crate::error::Result;

/// Reads the wanted entries of an archive.
pub(super) fn read(file: impl Read + Seek, entries: &mut Entries) -> Result<()> {
    let mut archive = ZipArchive::new(file).map_err(|error| entries.unreadable(&error))?;
    for number in 0..archive.len() {
        let data = archive.by_index_raw(number).map_err(|error| entries.unreadable(&error))?;
        let path = data.name_raw().to_vec();
        let is_file = data.is_file();
        drop(data);
        if !is_file {
            continue;
        }
        let Some(wanted) = entries.wanted(&path)? else { continue };
        let entry = archive.by_index(number).map_err(|error| entries.unreadable(&error))?;
        let size = entry.size();
        let mut limited = LimitedReader { inner: entry, remaining: entries.remaining };
        let read = entries.read(wanted, &mut limited, size);
        entries.remaining = limited.remaining;
        read?;
    }
    Ok(())
}
