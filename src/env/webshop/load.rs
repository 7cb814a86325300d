//! The files of a catalogue: finding and reading them, and keeping the index beside them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use liblzma::read::XzDecoder;
use liblzma::stream::Stream;
use sha2::{Digest, Sha256};

use super::bm25::{Postings, build};
use super::catalogue::Catalogue;
use super::index_file::{Key, decode, encode};
use super::sources::{IndexOrigin, Sources};
use crate::error::{Error, Result};
use crate::files::write_atomic;

/// From how many documents on the index is kept in a file: it takes a second or more to make.
pub(crate) const MIN_SAVED: usize = 20_000;

/// The most memory that unpacking a file may take, and the most bytes of it once unpacked.
const DECODER: u64 = 256 << 20;
const UNPACKED: u64 = 64 << 30;

const ITEMS: &str = "items_shuffle";
const ATTRIBUTES: &str = "items_ins_v2";
const HUMAN: &str = "items_human_ins";
const NOUNS: &str = "nouns";

/// The file names that end a JSON file's name, plain or packed.
const ENDINGS: [&str; 2] = [".json", ".json.xz"];

/// The small set's items, which are taken if a folder holds several.
const SMALL: &str = "_1000";

/// The files of a catalogue.
#[derive(Debug)]
pub(crate) struct Files {
    items: PathBuf,
    attributes: PathBuf,
    human: Option<PathBuf>,
    nouns: Option<PathBuf>,
}

impl Files {
    /// Finds the files in a folder, or beside an items file. The attributes are those with the items'
    /// own suffix.
    ///
    /// # Errors
    /// Fails if there are none.
    pub fn find(path: &Path) -> Result<Self> {
        let is_file = fs::metadata(path).map_err(Error::io("open", path))?.is_file();
        let (folder, items) = match is_file {
            true => (path.parent().unwrap_or(Path::new("")), path.to_path_buf()),
            false => (path, items_in(path)?),
        };
        let name = items.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
        let suffix = stem.and_then(|stem| stem.strip_prefix(ITEMS)).unwrap_or_default();
        let find = |name: &str| {
            let mut paths = ENDINGS.iter().map(|ending| folder.join(format!("{name}{ending}")));
            paths.find(|path| path.is_file())
        };
        let attributes = format!("{ATTRIBUTES}{suffix}");
        Ok(Self {
            attributes: find(&attributes).ok_or_else(|| missing(folder, &attributes))?,
            human: find(HUMAN),
            nouns: find(NOUNS),
            items,
        })
    }

    /// The file of human instructions.
    ///
    /// # Errors
    /// Fails if there is none.
    pub fn human(&self) -> Result<&Path> {
        let folder = self.items.parent().unwrap_or(Path::new(""));
        self.human.as_deref().ok_or_else(|| missing(folder, HUMAN))
    }
}

fn missing(folder: &Path, name: &str) -> Error {
    Error::file(folder, format!("there is no {name}.json"))
}

/// The items file of a folder.
fn items_in(folder: &Path) -> Result<PathBuf> {
    let is_items =
        |name: &str| name.starts_with(ITEMS) && ENDINGS.iter().any(|ending| name.ends_with(ending));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let name = entry.map_err(Error::io("list", folder))?.file_name();
        found.extend(name.to_str().filter(|name| is_items(name)).map(str::to_string));
    }
    found.sort_unstable_by_key(|name| (!name.contains(SMALL), name.len(), name.clone()));
    let name = found.first().ok_or_else(|| missing(folder, "items_shuffle_1000"))?;
    Ok(folder.join(name))
}

/// Opens a file, plain or packed.
fn open(path: &Path) -> Result<Box<dyn Read + Send>> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    if path.extension().is_none_or(|extension| extension != "xz") {
        return Ok(Box::new(file));
    }
    let stream = Stream::new_stream_decoder(DECODER, 0)
        .map_err(|error| Error::io("read", path)(error.into()))?;
    Ok(Box::new(XzDecoder::new_stream(io::BufReader::new(file), stream).take(UNPACKED)))
}

/// A reader that computes the checksum of what is read.
struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

/// Reads a file of a catalogue: calls `read` with its content and its name in errors.
fn reading<T>(
    path: &Path,
    read: impl FnOnce(Box<dyn Read + Send>, &str) -> Result<T>,
) -> Result<T> {
    read(open(path)?, &path.display().to_string())
}

/// Reads the products of a catalogue, and the index that belongs to them.
pub(crate) struct FileSources {
    files: Files,
    key: Key,
    min_saved: usize,
}

impl FileSources {
    pub fn new(files: Files, min_saved: usize) -> Self {
        Self { files, key: Key::default(), min_saved }
    }

    fn index_path(&self) -> PathBuf {
        let name = self.files.items.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.files.items.with_file_name(format!("{name}.index"))
    }
}

impl Sources for FileSources {
    fn items(&mut self, limit: Option<usize>) -> Result<Catalogue> {
        let mut hashing = Hashing { inner: open(&self.files.items)?, hash: Sha256::new() };
        let name = self.files.items.display().to_string();
        let catalogue = Catalogue::read(&mut hashing, &name, limit)?;
        self.key = hashing.hash.finalize().into();
        Ok(catalogue)
    }

    fn attributes<T>(
        &mut self,
        read: impl FnOnce(Box<dyn Read + Send + '_>, &str) -> Result<T>,
    ) -> Result<T> {
        reading(&self.files.attributes, |input, name| read(input, name))
    }

    fn human<T>(
        &mut self,
        read: impl FnOnce(Box<dyn Read + Send + '_>, &str) -> Result<T>,
    ) -> Result<T> {
        reading(self.files.human()?, |input, name| read(input, name))
    }

    fn nouns<T>(
        &mut self,
        read: impl FnOnce(Box<dyn Read + Send + '_>, &str) -> Result<T>,
    ) -> Result<Option<T>> {
        let nouns = self.files.nouns.as_deref();
        nouns.map(|path| reading(path, |input, name| read(input, name))).transpose()
    }

    fn index(
        &mut self,
        documents: usize,
        write_document: impl Fn(usize, &mut String) + Sync + Send,
    ) -> Result<(Postings, IndexOrigin)> {
        if documents < self.min_saved {
            return Ok((build(documents, write_document), IndexOrigin::Built));
        }
        let path = self.index_path();
        // An index that cannot be read is made anew.
        let saved = fs::read(&path).ok();
        if let Some(found) = saved.and_then(|bytes| decode(&bytes, &self.key, documents)) {
            return Ok((found, IndexOrigin::Loaded));
        }
        let postings = build(documents, write_document);
        // The folder may be one that cannot be written to; the index is then made each time.
        let written = write_atomic(&path, &encode(&postings, &self.key));
        let origin = if written.is_ok() { IndexOrigin::Saved } else { IndexOrigin::Built };
        Ok((postings, origin))
    }
}
