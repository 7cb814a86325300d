//! A program in Python that speaks the environment protocol, with a fault to choose.

#![allow(dead_code)] // Each test file uses its own part.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use proxmo::env::process::{Process, ProcessConfig, command_line};
use tempfile::TempDir;

const PROGRAM: &str = include_str!("program.py");

/// A program in Python whose episodes are one step. `tasks` defines `NAME`, `begin(number)` and
/// `end(number, action)`, and imports json and sys.
pub fn one_step(tasks: &str) -> String {
    format!("{tasks}\n{}", include_str!("one_step.py"))
}

/// The name of Python 3: Windows has no `python3`, and some systems no `python`.
static PYTHON: LazyLock<Option<&str>> = LazyLock::new(|| {
    let is_found = |name: &&str| {
        let mut asked = Command::new(name);
        asked.args(["-c", "import sys; sys.exit(sys.version_info < (3, 9))"]).stderr(Stdio::null());
        asked.status().is_ok_and(|status| status.success())
    };
    ["python3", "python"].into_iter().find(is_found)
});

/// Whether Python is installed. Panics in CI if it is not.
pub fn python() -> bool {
    if PYTHON.is_none() {
        assert!(std::env::var_os("CI").is_none(), "there is no Python 3");
        println!("SKIPPED: there is no Python 3");
    }
    PYTHON.is_some()
}

/// The name of Python 3, after [`python`] has found it.
pub fn python_name() -> &'static str {
    PYTHON.unwrap_or("python3")
}

/// The program, and a folder in which its copies record their process ids and that the fault struck.
pub struct Fake {
    folder: TempDir,
    fault: String,
}

impl Fake {
    pub fn new(fault: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("program.py"), PROGRAM).unwrap();
        Self { folder, fault: fault.into() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self) -> String {
        let program = self.path("program.py").display().to_string();
        let folder = self.folder.path().display().to_string();
        command_line([python_name(), &program, &self.fault, &folder])
    }

    pub fn config(&self, processes: usize, answer_timeout: f64) -> ProcessConfig {
        ProcessConfig {
            command: self.command(),
            answer_timeout,
            processes,
            ..ProcessConfig::default()
        }
    }

    pub fn open(&self, processes: usize, answer_timeout: f64) -> proxmo::Result<Process> {
        Process::open(&self.config(processes, answer_timeout), Some("train"))
    }

    /// Lets the fault strike once more.
    pub fn strike_again(&self) {
        let _ = fs::remove_file(self.path("struck"));
    }

    /// The process ids of all copies that were run.
    pub fn pids(&self) -> BTreeSet<u32> {
        let text = fs::read_to_string(self.path("pids")).unwrap_or_default();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }
}

/// Whether a process with this id exists. A zombie counts.
pub fn runs(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}
