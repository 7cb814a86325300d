//! What other parts of the process write to standard error while the screen fills the terminal: graphics
//! drivers, and the messages of panics.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe, stderr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::stdio::dup2_stderr;

use crate::cli::terminal::tell;

/// Standard error as a pipe. Each of its lines is held back like those of this program.
pub struct Capture {
    original: File,
    writer: PipeWriter,
    is_drained: Arc<(Mutex<bool>, Condvar)>,
}

/// The byte that is written when the capture ends.
const END: u8 = 0;
/// The time in which the rest of the pipe is read.
const DRAINS_IN: Duration = Duration::from_secs(1);

impl Capture {
    /// Begins.
    ///
    /// # Errors
    /// Fails if the system gives no pipe or no thread.
    pub fn begin() -> io::Result<Self> {
        let (reader, writer) = pipe()?;
        let original: OwnedFd = stderr().as_fd().try_clone_to_owned()?;
        let is_drained = Arc::new((Mutex::new(false), Condvar::new()));
        let drained = is_drained.clone();
        thread::Builder::new().name("stderr".into()).spawn(move || read_all(reader, &drained))?;
        dup2_stderr(&writer)?;
        Ok(Self { original: File::from(original), writer, is_drained })
    }

    /// Ends, after everything that was written has been read. Programs that were started meanwhile still
    /// write into the pipe, whose lines are passed on from now on.
    pub fn end(mut self) {
        // Where this fails, standard error is gone for good.
        let _ = dup2_stderr(&self.original);
        if self.writer.write_all(&[END]).is_ok() {
            let (is_drained, changed) = &*self.is_drained;
            let is_drained = is_drained.lock().unwrap_or_else(PoisonError::into_inner);
            drop(changed.wait_timeout_while(is_drained, DRAINS_IN, |is_drained| !*is_drained));
        }
    }
}

/// Tells each line of the pipe until all writers are gone.
fn read_all(mut pipe: PipeReader, drained: &(Mutex<bool>, Condvar)) {
    let (mut line, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let length = match pipe.read(&mut part) {
            Ok(0) => return tell_line(&mut line),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        for &byte in &part[..length] {
            match byte {
                b'\n' => tell_line(&mut line),
                END => {
                    tell_line(&mut line);
                    *drained.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
                    drained.1.notify_all();
                }
                byte => line.push(byte),
            }
        }
    }
}

fn tell_line(line: &mut Vec<u8>) {
    if !line.is_empty() {
        tell!("{}", String::from_utf8_lossy(line));
        line.clear();
    }
}
