//! The folder that holds the state of a training while there is no result.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::{FolderLock, clear_unfinished, remove_folder};
use crate::lm::{FitStart, FitState, Fitter};

/// `OUTPUT.partial`. If it holds no state when this is dropped, it is removed.
pub struct StateFolder {
    path: PathBuf,
    lock: Option<FolderLock>,
    holds_state: bool,
}

impl StateFolder {
    /// The folder beside a result. Nothing is created.
    pub fn beside(output: &Path) -> Result<Self> {
        let name = output.file_name().ok_or_else(|| {
            Error::file(output, "has no name of its own, expected the path of a new folder")
        })?;
        let mut partial = OsString::from(name);
        partial.push(".partial");
        Ok(Self { path: output.with_file_name(partial), lock: None, holds_state: false })
    }

    /// Refuses a folder that holds a state: a new training would replace it.
    pub fn expect_none(&self) -> Result<()> {
        match FitState::open(&self.path)? {
            None => Ok(()),
            Some(state) => {
                let (done, steps) = (state.done(), state.steps());
                let message = format!(
                    "holds a training after step {done} of {steps}; go on with it (--resume), or remove \
                     the folder"
                );
                Err(Error::file(&self.path, message))
            }
        }
    }

    /// Locks the folder and opens the state in it.
    pub fn resumed(&mut self) -> Result<FitState> {
        let missing = || {
            Error::file(&self.path, "holds no training to go on with; start it without --resume")
        };
        if FitState::open(&self.path)?.is_none() {
            return Err(missing());
        }
        self.holds_state = true;
        self.lock = Some(FolderLock::take(&self.path)?);
        FitState::open(&self.path)?.ok_or_else(missing)
    }

    /// Creates the folder if need be, and locks it for this process.
    pub fn lock(&mut self) -> Result<()> {
        if self.lock.is_none() {
            fs::create_dir_all(&self.path).map_err(Error::io("create", &self.path))?;
            self.lock = Some(FolderLock::take(&self.path)?);
            // Another process may have written one in the meantime.
            self.holds_state = true;
            self.expect_none()?;
            self.holds_state = false;
        }
        clear_unfinished(&self.path)
    }

    /// Writes the state of a training, in place of an earlier one.
    pub fn write(&mut self, fitter: &Fitter, start: &FitStart) -> Result<()> {
        fitter.save_state(&self.path, start)?;
        self.holds_state = true;
        Ok(())
    }

    /// Removes the folder and the state in it.
    pub fn remove(mut self) -> Result<()> {
        self.holds_state = true;
        self.lock = None;
        remove_folder(&self.path).map_err(Error::io("remove", &self.path))
    }
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        if !self.holds_state && self.lock.take().is_some() {
            // The folder is only in the way, which is no failure.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
