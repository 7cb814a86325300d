//! Atomic writes, renames and removals that other programs may hold up, and locking a folder for one
//! process.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use tempfile::TempPath;

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
    persist(file, path).map_err(Error::io("write", path))?;
    sync_folder(folder)
}

/// Renames a file or a folder. On Windows another program may hold it for a moment: a virus scanner, the
/// search index, or a reader. The rename is then tried again for about two seconds.
///
/// # Errors
/// Fails if the file system fails, or if the other program holds the file for longer.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    retried(|| std::fs::rename(from, to))
}

/// Removes a folder with everything in it; repeats as [`rename`] does.
///
/// # Errors
/// Fails as [`rename`] does.
pub fn remove_folder(path: &Path) -> io::Result<()> {
    retried(|| std::fs::remove_dir_all(path))
}

/// Gives a temporary file its final name, in place of an earlier file; repeats as [`rename`] does.
///
/// # Errors
/// Fails as [`rename`] does; the temporary file is then removed.
pub fn persist(file: TempPath, path: &Path) -> io::Result<()> {
    let mut file = Some(file);
    retried(|| match file.take().map(|file| file.persist(path)) {
        Some(Err(failed)) => {
            file = Some(failed.path);
            Err(failed.error)
        }
        _ => Ok(()),
    })
}

/// Whether an error means that another program holds a file or a folder, which only Windows reports.
pub fn is_held(error: &io::Error) -> bool {
    cfg!(windows) && is_held_on_windows(error)
}

/// Access denied, which is also the answer for a file whose removal is pending; a sharing violation; a
/// locked part of the file; a folder that is not empty, because a removal in it is pending.
fn is_held_on_windows(error: &io::Error) -> bool {
    const SHARING_VIOLATION: i32 = 32;
    const LOCK_VIOLATION: i32 = 33;
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::DirectoryNotEmpty)
        || matches!(error.raw_os_error(), Some(SHARING_VIOLATION | LOCK_VIOLATION))
}

fn retried(attempt: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    retried_if(is_held, &mut std::thread::sleep, attempt)
}

/// Repeats an operation while it fails with an error that passes by, with pauses that double from one
/// millisecond on, for about two seconds in all.
fn retried_if(
    passes_by: impl Fn(&io::Error) -> bool,
    pause: &mut dyn FnMut(Duration),
    mut attempt: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    const PAUSES: u32 = 11;
    for number in 0..PAUSES {
        match attempt() {
            Err(error) if passes_by(&error) => pause(Duration::from_millis(1 << number)),
            ended => return ended,
        }
    }
    attempt()
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
    rename(temporary.path(), path).map_err(Error::io("write", path))?;
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
            Err(TryLockError::Error(error)) if is_unsupported(&error) => Ok(Self { _file: file }),
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

/// Syncs a folder's entries, so that a rename in it survives a power failure. Some network and FUSE file
/// systems refuse that for folders, and so does a folder that may be written but not read; a rename is
/// then as durable as the file system makes it, which is no error.
///
/// # Errors
/// Fails if the file system fails, for example with an error of input or output, or a full disk.
pub fn sync_folder(folder: &Path) -> Result<()> {
    // Only Unix can open a folder as a file.
    if cfg!(unix) {
        sync_folder_by(folder, |folder| File::open(folder), File::sync_all)?;
    }
    Ok(())
}

fn sync_folder_by<T>(
    folder: &Path,
    open: impl FnOnce(&Path) -> io::Result<T>,
    sync: impl FnOnce(&T) -> io::Result<()>,
) -> Result<()> {
    let opened = match open(folder) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(()),
        opened => opened.map_err(Error::io("open", folder))?,
    };
    match sync(&opened) {
        Err(error) if is_unsupported(&error) => Ok(()),
        synced => synced.map_err(Error::io("sync", folder)),
    }
}

/// Whether an error means that the file system lacks an operation. On Unix these are EINVAL, EBADF,
/// ENOSYS, ENOTSUP and ENOLCK, on Windows ERROR_INVALID_FUNCTION and ERROR_NOT_SUPPORTED.
fn is_unsupported(error: &io::Error) -> bool {
    const BAD_DESCRIPTOR: i32 = 9;
    // ENOTSUP and ENOLCK have other numbers elsewhere.
    const LACKING: [i32; 2] = match cfg!(target_os = "linux") {
        true => [95, 37],
        false => [45, 77],
    };
    const LACKING_ON_WINDOWS: [i32; 2] = [1, 50];
    let number = error.raw_os_error().unwrap_or_default();
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput)
        || cfg!(unix) && (number == BAD_DESCRIPTOR || LACKING.contains(&number))
        || cfg!(windows) && LACKING_ON_WINDOWS.contains(&number)
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

    #[test]
    fn a_rename_that_another_program_holds_up_is_repeated_for_two_seconds() {
        let (mut attempts, mut waited) = (0, Duration::ZERO);
        let held = || io::Error::from(ErrorKind::PermissionDenied);
        retried_if(is_held_on_windows, &mut |pause| waited += pause, || {
            attempts += 1;
            if attempts < 5 { Err(held()) } else { Ok(()) }
        })
        .unwrap();
        assert_eq!((attempts, waited), (5, Duration::from_millis(15)));

        (attempts, waited) = (0, Duration::ZERO);
        let refused = retried_if(is_held_on_windows, &mut |pause| waited += pause, || {
            attempts += 1;
            Err(io::Error::from_raw_os_error(32))
        });
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(32));
        assert_eq!((attempts, waited), (12, Duration::from_millis(2047)));
    }

    #[test]
    fn a_rename_that_fails_for_good_is_not_repeated() {
        let mut attempts = 0;
        let failed = retried_if(is_held_on_windows, &mut |_| panic!("it waited"), || {
            attempts += 1;
            Err(ErrorKind::StorageFull.into())
        });
        assert_eq!((failed.unwrap_err().kind(), attempts), (ErrorKind::StorageFull, 1));
        // Only Windows reports files that others hold in this way.
        assert_eq!(is_held(&ErrorKind::PermissionDenied.into()), cfg!(windows));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_the_file_system_refuses_to_sync_is_no_error() {
        let folder = Path::new("x");
        let sync = |number| {
            let failed = move |_: &()| Err(io::Error::from_raw_os_error(number));
            sync_folder_by(folder, |_| Ok(()), failed)
        };
        let (bad_descriptor, invalid) = (9, 22);
        sync(bad_descriptor).unwrap();
        sync(invalid).unwrap();
        sync(if cfg!(target_os = "linux") { 95 } else { 45 }).unwrap();
        let unreadable = |_: &Path| Err(ErrorKind::PermissionDenied.into());
        sync_folder_by(folder, unreadable, |_: &()| Ok(())).unwrap();
        for (number, text) in [(5, "input/output"), (28, "no space")] {
            let message = sync(number).unwrap_err().to_string().to_lowercase();
            assert!(message.contains("cannot sync x") && message.contains(text), "{message}");
        }
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
