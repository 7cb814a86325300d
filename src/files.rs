//! Atomic writes, and locking a folder for one process.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Prefix of temporary names.
const UNFINISHED: &str = ".unfinished-";

/// Writes a file atomically: under a temporary name in the same folder, synced, then renamed. A reader
/// sees either the old or the new content.
///
/// # Errors
/// Fails if the file system fails; the old content is then unchanged.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomic_by(path, |temporary| {
        // The user knows the file by its final name.
        let mut file =
            File::options().write(true).open(temporary).map_err(Error::io("write", path))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io("write", path))
    })
}

/// [`write_atomic`] of a file that `fill` writes and syncs under the name that it is given.
///
/// # Errors
/// Returns the error of `fill`, or one of the file system; the old content is then unchanged.
pub fn write_atomic_by(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let file = temporary_file().tempfile_in(folder).map_err(Error::io("write", path))?;
    let file = file.into_temp_path();
    fill(&file)?;
    file.persist(path).map_err(|error| Error::io("write", path)(error.error))?;
    sync_folder(folder)
}

/// Removes temporary files of [`write_atomic`] that killed processes left. Only a process that holds the
/// folder's lock may call this.
///
/// # Errors
/// Fails if the file system fails.
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

/// Bytes, such as a checksum, in hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes and syncs a file that no other process reads yet.
///
/// # Errors
/// Fails if the file system fails; part of the file may then exist.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(Error::io("create", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io("write", path))
}

/// Checks that a folder can be written by [`write_folder`]: it does not exist or is empty.
///
/// # Errors
/// Fails if it is not empty, is a file, or cannot be read.
#[cfg(feature = "lm")]
pub fn expect_vacant(path: &Path) -> Result<()> {
    let mut entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Error::file(path, "is not empty, expected a new or an empty folder")),
    }
}

/// Writes a folder atomically: `fill` writes it under a temporary name beside `path`, then it is
/// renamed. `path` must not exist or be empty.
///
/// # Errors
/// Returns the error of `fill`, or one of the file system; `path` is then unchanged.
#[cfg(feature = "lm")]
pub fn write_folder(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    expect_vacant(path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let temporary = builder.tempdir_in(parent).map_err(Error::io("write", path))?;
    fill(temporary.path())?;
    sync_folder(temporary.path())?;
    // Only Unix can rename onto an empty folder.
    if !cfg!(unix) && path.exists() {
        std::fs::remove_dir(path).map_err(Error::io("replace", path))?;
    }
    std::fs::rename(temporary.path(), path).map_err(Error::io("write", path))?;
    // It has another name now, so there is nothing to remove.
    let _ = temporary.keep();
    sync_folder(parent)
}

/// Locks a folder for this process until dropped. The system releases the lock when the process ends,
/// for any reason; the file `.lock` stays and has no meaning without the lock.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Locks a folder. If the file system does not support locks, this succeeds without a lock.
    ///
    /// # Errors
    /// Fails if another process holds the lock, or if the file system fails.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(".lock");
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::file(
                folder,
                "another process is training into this folder; wait for it, stop it, or choose \
                 another folder",
            )),
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                Ok(Self { _file: file })
            }
            Err(TryLockError::Error(error)) => Err(Error::io("lock", &path)(error)),
        }
    }
}

/// Temporary files are readable by their owner only; this one gets the permissions of the umask, because
/// it becomes permanent.
fn temporary_file<'a>() -> tempfile::Builder<'a, 'a> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}

/// Syncs a folder's entries, so that a rename in it survives a power failure.
///
/// # Errors
/// Fails if the file system fails.
pub fn sync_folder(folder: &Path) -> Result<()> {
    // Only Unix can open a folder as a file.
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
    fn a_write_replaces_the_content_and_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let message = write_atomic(&folder.path().join("no/such/f"), b"x").unwrap_err().to_string();
        assert!(message.contains("cannot write"), "{message}");
    }

    #[cfg(feature = "lm")]
    #[test]
    fn a_folder_is_written_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let failed = write_folder(&path, |folder| {
            std::fs::write(folder.join("x"), "1").unwrap();
            Err(Error::Run("broken".into()))
        });
        assert_eq!(failed.unwrap_err().to_string(), "broken");
        assert_eq!(std::fs::read_dir(root.path().join("a")).unwrap().count(), 0);
        let fill = |folder: &Path| write_new(&folder.join("x"), b"1");
        write_folder(&path, fill).unwrap();
        assert_eq!(std::fs::read(path.join("x")).unwrap(), b"1");
        let message = write_folder(&path, fill).unwrap_err().to_string();
        assert!(message.contains("is not empty"), "{message}");
        std::fs::remove_file(path.join("x")).unwrap();
        write_folder(&path, fill).unwrap();
        assert_eq!(std::fs::read_dir(root.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn unfinished_files_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        write_atomic(&folder.path().join("a.txt"), b"one").unwrap();
        let half = temporary_file().tempfile_in(folder.path()).unwrap().into_temp_path();
        let half = half.keep().unwrap();
        clear_unfinished(folder.path()).unwrap();
        assert!(!half.exists() && folder.path().join("a.txt").exists());
    }

    #[test]
    fn a_folder_is_locked_until_the_lock_is_dropped() {
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
    fn a_written_file_has_the_permissions_of_any_other_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode =
            |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        File::create(folder.path().join("other")).unwrap();
        write_atomic(&folder.path().join("whole"), b"x").unwrap();
        assert_eq!(mode("whole"), mode("other"));
    }
}
