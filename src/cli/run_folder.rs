//! New folders below `runs/`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A new folder. It is removed again when dropped if it is still empty.
#[derive(Debug)]
pub struct NewFolder {
    /// The folder.
    pub path: PathBuf,
    made_parent: bool,
}

impl NewFolder {
    /// Creates the first free `runs/<name>-<number>`. Processes that do so at the same time get
    /// different folders.
    ///
    /// # Errors
    /// Fails if the folder cannot be created.
    pub fn below_runs(name: &str) -> Result<Self> {
        let parent = Path::new("runs");
        let made_parent = !parent.exists();
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
        for number in 1..u32::MAX {
            let path = parent.join(format!("{name}-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path, made_parent }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create", &path)(error)),
            }
        }
        Err(Error::file(parent, "all folder names are in use; name a folder with --run"))
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // Fails if something was written there, as it should.
        if fs::remove_dir(&self.path).is_ok() && self.made_parent {
            let _ = fs::remove_dir("runs");
        }
    }
}
