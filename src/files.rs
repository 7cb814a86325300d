//! Writing files whole or not at all, and keeping a folder for one process.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// How a temporary name begins.
const UNFINISHED: &str = ".unfinished-";

/// Writes a file under a temporary name beside it, waits until it is on the disk, and renames it: a
/// reader sees the old content or the new one, whatever happens in between.
///
/// # Errors
/// Where the file system refuses; the old content is then untouched.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file = as_any_file()
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(Error::io("write", path))?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(Error::io("write", path))?;
    file.persist(path).map_err(|error| Error::io("write", path)(error.error))?;
    sync_folder(folder.unwrap_or(Path::new(".")))
}

/// Removes what processes that died left of [`write_atomic`]. For whoever alone writes into the folder.
///
/// # Errors
/// Where the file system refuses.
pub fn clear_unfinished(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            let path = entry.path();
            std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Writes a file where nobody looks yet, and waits until it is on the disk.
///
/// # Errors
/// Where the file system refuses; part of the file may then be there.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(Error::io("create", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io("write", path))
}

/// Keeps a folder for this process until it is dropped. The system lets go of it when the process
/// ends, however it ends; the file `.lock` stays and means nothing by itself.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes a folder. Where the file system knows no locks it is taken on trust.
    ///
    /// # Errors
    /// Where another process has it, or the file system refuses.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(".lock");
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::file(
                folder,
                "another process is training into this folder; wait for it, stop it, or name \
                 another folder with --run",
            )),
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                Ok(Self { _file: file })
            }
            Err(TryLockError::Error(error)) => Err(Error::io("lock", &path)(error)),
        }
    }
}

/// Temporary files are for their owner alone; one that is there to stay is for whom the umask says.
fn as_any_file<'a>() -> tempfile::Builder<'a, 'a> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}

/// Waits until a folder's entries are on the disk, so that a rename in it outlives a power cut.
///
/// # Errors
/// Where the file system refuses.
pub fn sync_folder(folder: &Path) -> Result<()> {
    // Only Unix lets a folder be opened as a file; elsewhere the rename is as durable as it gets.
    if cfg!(unix) {
        let opened = File::open(folder).map_err(Error::io("open", folder))?;
        opened.sync_all().map_err(Error::io("sync", folder))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_replaced_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let message = write_atomic(&folder.path().join("no/such/f"), b"x").unwrap_err().to_string();
        assert!(message.contains("cannot write"), "{message}");
    }

    #[test]
    fn what_was_never_finished_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        write_atomic(&folder.path().join("a.txt"), b"one").unwrap();
        let half = as_any_file().tempfile_in(folder.path()).unwrap().into_temp_path();
        let half = half.keep().unwrap();
        clear_unfinished(folder.path()).unwrap();
        assert!(!half.exists() && folder.path().join("a.txt").exists());
    }

    #[test]
    fn a_folder_is_kept_for_one_until_it_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(folder.path()).unwrap();
        let error = FolderLock::take(folder.path()).unwrap_err();
        assert!(error.to_string().contains("another process"), "{error}");
        assert_eq!(error.exit_code(), 2);
        drop(lock);
        FolderLock::take(folder.path()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_for_whom_any_other_file_is() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode =
            |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        File::create(folder.path().join("other")).unwrap();
        write_atomic(&folder.path().join("whole"), b"x").unwrap();
        assert_eq!(mode("whole"), mode("other"));
    }
}
