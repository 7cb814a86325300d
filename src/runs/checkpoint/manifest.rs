//! The manifest of a checkpoint: size and SHA-256 checksum of each of its files.
//!
//! The manifest is written last. A file is read only after its size is compared, and used only after
//! its checksum is compared, so the memory that a reader takes is bounded by the size of the files. The
//! manifest may list only the known files of a checkpoint, so nothing outside the folder is opened.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files::{REFERENCE, REQUIRED};
use crate::error::{Error, Result};
use crate::files::{hexadecimal, write_new};

/// Name of the manifest's file.
pub(super) const MANIFEST: &str = "manifest.json";

/// Maximum size of a manifest.
const MAX_BYTES: u64 = 64 * 1024;

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    files: Vec<Entry>,
}

/// One file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    bytes: u64,
    sha256: String,
}

impl Manifest {
    /// Writes a file into an incomplete checkpoint, and adds it to the manifest.
    pub(super) fn write(&mut self, folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
        write_new(&folder.join(name), bytes)?;
        self.files.push(Entry {
            name: name.into(),
            bytes: bytes.len() as u64,
            sha256: hexadecimal(&Sha256::digest(bytes)),
        });
        Ok(())
    }

    /// Writes the manifest itself, which completes the checkpoint.
    pub(super) fn close(&self, folder: &Path) -> Result<()> {
        let path = folder.join(MANIFEST);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::file(&path, error.to_string()))?;
        write_new(&path, &text)
    }

    /// Reads a checkpoint's manifest.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let file = File::open(&path).map_err(Error::io("read", &path))?;
        let mut text = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(Error::io("read", &path))?;
        if text.len() as u64 > MAX_BYTES {
            let message = format!("expected a manifest of at most {MAX_BYTES} bytes");
            return Err(Error::file(&path, message));
        }
        let manifest: Self = serde_json::from_slice(&text)
            .map_err(|error| Error::file(&path, format!("not a manifest: {error}")))?;
        match manifest.unexpected_name() {
            None => Ok(manifest),
            Some(name) => {
                let message =
                    format!("lists {name:?}, which is not a file of a checkpoint or appears twice");
                Err(Error::file(&path, message))
            }
        }
    }

    /// The first name that is not a file of a checkpoint or appears for the second time.
    fn unexpected_name(&self) -> Option<&str> {
        let is_known = |name: &str| REQUIRED.contains(&name) || name == REFERENCE;
        let names = || self.files.iter().map(|entry| entry.name.as_str());
        names().enumerate().find_map(|(at, name)| {
            let fine = is_known(name) && !names().take(at).any(|before| before == name);
            (!fine).then_some(name)
        })
    }

    /// Whether the checkpoint has a file.
    pub(super) fn has(&self, name: &str) -> bool {
        self.files.iter().any(|entry| entry.name == name)
    }

    /// Size of a file in bytes, 0 if the checkpoint does not have it.
    pub(super) fn bytes(&self, name: &str) -> u64 {
        self.files.iter().find(|entry| entry.name == name).map_or(0, |entry| entry.bytes)
    }

    /// Reads a file and checks its size and checksum.
    pub(super) fn read(&self, folder: &Path, name: &str) -> Result<Vec<u8>> {
        let entry = self.entry(folder, name)?;
        let mut file = entry.open(folder)?;
        let mut bytes = Vec::with_capacity(usize::try_from(entry.bytes).unwrap_or(0));
        let path = folder.join(name);
        file.read_to_end(&mut bytes).map_err(Error::io("read", &path))?;
        entry.expect(&path, &Sha256::digest(&bytes))?;
        Ok(bytes)
    }

    /// Checks the size and checksum of every file, reading in small pieces.
    pub(super) fn verify(&self, folder: &Path, required: &[&str]) -> Result<()> {
        required.iter().try_for_each(|name| self.entry(folder, name).map(drop))?;
        for entry in &self.files {
            let path = folder.join(&entry.name);
            let mut sum = Sha256::new();
            io::copy(&mut entry.open(folder)?, &mut sum).map_err(Error::io("read", &path))?;
            entry.expect(&path, &sum.finalize())?;
        }
        Ok(())
    }

    fn entry(&self, folder: &Path, name: &str) -> Result<&Entry> {
        self.files
            .iter()
            .find(|entry| entry.name == name)
            .ok_or_else(|| Error::file(&folder.join(MANIFEST), format!("does not list {name}")))
    }
}

impl Entry {
    /// Opens the file if its size is as expected. No more than that size can be read from it.
    fn open(&self, folder: &Path) -> Result<io::Take<File>> {
        let path = folder.join(&self.name);
        let found = fs::metadata(&path).map_err(Error::io("read", &path))?;
        if !found.is_file() || found.len() != self.bytes {
            let message = format!("has {} bytes, expected {}", found.len(), self.bytes);
            return Err(Error::file(&path, message));
        }
        Ok(File::open(&path).map_err(Error::io("read", &path))?.take(self.bytes))
    }

    fn expect(&self, path: &Path, sum: &[u8]) -> Result<()> {
        if hexadecimal(sum) == self.sha256 {
            return Ok(());
        }
        Err(Error::file(path, "its SHA-256 checksum differs from the manifest"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::STATE;
    use super::*;

    fn written() -> (tempfile::TempDir, Manifest) {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = Manifest::default();
        manifest.write(folder.path(), STATE, b"alpha").unwrap();
        manifest.close(folder.path()).unwrap();
        (folder, manifest)
    }

    #[test]
    fn a_written_file_reads_back() {
        let (folder, manifest) = written();
        assert_eq!(Manifest::open(folder.path()).unwrap(), manifest);
        assert_eq!(manifest.read(folder.path(), STATE).unwrap(), b"alpha");
        manifest.verify(folder.path(), &[STATE]).unwrap();
        assert!(manifest.has(STATE) && !manifest.has(REFERENCE));
        // The digest that FIPS 180-2 gives for its first example.
        assert_eq!(
            hexadecimal(&Sha256::digest(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_changed_file_is_named_and_not_returned() {
        let (folder, manifest) = written();
        for (changed, expected) in
            [("alphA", "SHA-256"), ("alph", "has 4 bytes, expected 5"), ("alphaa", "has 6 bytes")]
        {
            fs::write(folder.path().join(STATE), changed).unwrap();
            let read = manifest.read(folder.path(), STATE).unwrap_err().to_string();
            let verified = manifest.verify(folder.path(), &[STATE]).unwrap_err().to_string();
            assert!(read.contains(expected) && read == verified, "{read}");
        }
        let error = manifest.verify(folder.path(), &[REFERENCE]).unwrap_err().to_string();
        assert!(error.contains("does not list reference.safetensors"), "{error}");
        fs::remove_file(folder.path().join(STATE)).unwrap();
        assert!(manifest.verify(folder.path(), &[STATE]).is_err());
    }

    #[test]
    fn a_name_outside_the_checkpoint_is_refused() {
        let (folder, mut manifest) = written();
        let outside = folder.path().join("outside");
        fs::write(&outside, b"alpha").unwrap();
        let valid = manifest.clone();
        for name in ["../x", "/etc/passwd", "outside", outside.to_str().unwrap(), STATE, "a\u{1b}"]
        {
            manifest.files.push(Entry { name: name.into(), ..manifest.files[0].clone() });
            manifest.close(folder.path()).unwrap();
            let error = Manifest::open(folder.path()).unwrap_err().to_string();
            assert!(error.contains("not a file of a checkpoint or appears twice"), "{error}");
            assert!(!error.contains('\u{1b}'), "{error}");
            manifest = valid.clone();
        }
    }
}
