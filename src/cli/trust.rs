//! Which command of a run folder may be run.
//!
//! With `--env process`, the `config.toml` of a run names a command. A folder may come from somebody
//! else, so its command runs only if this user started it there: the folder holds a signature of the
//! command, its working folder and the run folder's path, made with a secret key in the user's state
//! folder. Otherwise the command has to be given again, or `--trust-command`.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::env::EnvConfig;
use crate::env::process::ProcessConfig;
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::train::Config;

/// Name of the file with the signature.
const SIGNATURE: &str = "command.signature";

/// Number of bytes of the key.
const KEY: usize = 32;

/// What a command line says about the command of a run folder.
#[derive(Debug, Clone, Copy)]
pub struct Given {
    /// `--command` is given.
    pub command: bool,
    /// `--working-folder` is given.
    pub working_folder: bool,
    /// `--trust-command` is given.
    pub trust: bool,
}

/// Settles which command the settings `config` run, if they begin with those of a run folder,
/// `recorded`. A command that is given again runs in the current folder, unless it is the folder's own
/// and trusted, or unless a working folder is given.
///
/// # Errors
/// Refuses a command that only the folder names, unless this user started it there.
pub fn settle(run: &Path, recorded: &Config, config: &mut Config, given: Given) -> Result<()> {
    let EnvConfig::Process(process) = &mut config.env else { return Ok(()) };
    let EnvConfig::Process(recorded) = &recorded.env else { return Ok(()) };
    let is_trusted = given.trust || is_signed(run, recorded);
    if given.command {
        let is_own = is_trusted && process.command == recorded.command;
        if !given.working_folder && !is_own {
            process.working_folder = PathBuf::new();
        }
        return Ok(());
    }
    if is_trusted {
        return Ok(());
    }
    let place = match recorded.working_folder.as_os_str().is_empty() {
        true => String::new(),
        false => format!(" in {}", recorded.working_folder.display()),
    };
    Err(Error::file(
        &run.join("config.toml"),
        format!(
            "its command was not run for this folder by this user on this machine: {}{place}; check \
             it, then give it again with --command, or pass --trust-command",
            recorded.command
        ),
    ))
}

/// Makes the current folder the working folder of a command that names none, so that a run does not
/// depend on the folder that it is resumed in.
///
/// # Errors
/// Fails if the current folder does not exist.
pub fn fix_working_folder(config: &mut Config) -> Result<()> {
    if let EnvConfig::Process(process) = &mut config.env
        && process.working_folder.as_os_str().is_empty()
    {
        let here = std::env::current_dir().map_err(Error::io("find", Path::new(".")))?;
        process.working_folder = here;
    }
    Ok(())
}

/// Signs the command of a run folder, if its environment is a program. It runs from there on without
/// `--trust-command`.
///
/// # Errors
/// Fails if the key or the signature cannot be written.
pub fn sign(run: &Path, config: &Config) -> Result<()> {
    let EnvConfig::Process(process) = &config.env else { return Ok(()) };
    if is_signed(run, process) {
        return Ok(());
    }
    let signature = mac(&key_or_new()?, run, process)?.finalize().into_bytes();
    let text: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    write_atomic(&run.join(SIGNATURE), format!("{text}\n").as_bytes())
}

/// Whether this user started the command in this folder.
fn is_signed(run: &Path, process: &ProcessConfig) -> bool {
    let verified = || -> Option<bool> {
        let text = fs::read(run.join(SIGNATURE)).ok()?;
        let text = str::from_utf8(text.get(..64)?).ok()?;
        let byte = |at: usize| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok();
        let signature: Vec<u8> = (0..32).map(byte).collect::<Option<_>>()?;
        let key = read_key(&key_path().ok()?).ok()??;
        Some(mac(&key, run, process).ok()?.verify_slice(&signature).is_ok())
    };
    verified().unwrap_or(false)
}

/// The code over a command, its working folder and the run folder's path.
fn mac(key: &[u8], run: &Path, process: &ProcessConfig) -> Result<Hmac<Sha256>> {
    let run = fs::canonicalize(run).map_err(Error::io("find", run))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|error| Error::Run(format!("the key cannot be used: {error}")))?;
    let parts = [
        process.command.as_bytes(),
        process.working_folder.as_os_str().as_encoded_bytes(),
        run.as_os_str().as_encoded_bytes(),
    ];
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    Ok(mac)
}

fn key_path() -> Result<PathBuf> {
    let user = etcetera::choose_base_strategy()
        .map_err(|error| Error::Run(format!("this user has no home folder: {error}")))?;
    Ok(user.state_dir().unwrap_or_else(|| user.data_dir()).join("proxmo").join("key"))
}

/// The key of this user, or `None` if there is none yet.
fn read_key(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(key) if key.len() == KEY => Ok(Some(key)),
        Ok(_) => Err(Error::file(path, "is no key of proxmo; remove it, and a new one is made")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

fn key_or_new() -> Result<Vec<u8>> {
    let path = key_path()?;
    if let Some(key) = read_key(&path)? {
        return Ok(key);
    }
    let mut key = [0; KEY];
    getrandom::fill(&mut key)
        .map_err(|error| Error::Run(format!("the system gives no random numbers: {error}")))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    // A temporary file is readable by its owner only.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Error::io("write", &path))?;
    file.write_all(&key)
        .and_then(|()| file.as_file().sync_all())
        .map_err(Error::io("write", &path))?;
    match file.persist_noclobber(&path) {
        Ok(_) => Ok(key.to_vec()),
        // Another process was quicker.
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
            read_key(&path)?.ok_or_else(|| Error::file(&path, "was removed while it was read"))
        }
        Err(error) => Err(Error::io("write", &path)(error.error)),
    }
}
