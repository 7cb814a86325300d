//! Opening a device for a command.

use clap::Args;

use super::terminal::tell;
use crate::device::{Backend, Opened};
use crate::device_check::{DeviceCheck, RefusedDevice};
use crate::error::Result;

/// Whether a GPU is checked before it is used.
#[derive(Debug, Clone, Copy, Args)]
#[group(skip)]
pub struct CheckFlag {
    /// Use a GPU without the short check, at the start, that it computes what the CPU computes.
    #[arg(long)]
    no_check: bool,
}

impl CheckFlag {
    /// The check that the flag leaves.
    pub fn check(self) -> DeviceCheck {
        if self.no_check { DeviceCheck::NONE } else { DeviceCheck::default() }
    }

    /// Opens a device, and tells of the GPUs that are not used.
    ///
    /// # Errors
    /// Fails if there is no such device, its driver fails, or a GPU that is named computes wrongly.
    pub fn open(self, backend: Backend, device: usize) -> Result<Opened> {
        let checked = self.check().open(backend, device)?;
        tell_refused(&checked.refused);
        Ok(checked.opened)
    }
}

/// Tells of GPUs that are not used because they compute wrongly.
pub fn tell_refused(refused: &[RefusedDevice]) {
    for one in refused {
        tell!("proxmo: warning: {one}; it is not used (--no-check uses it nevertheless)");
    }
}
