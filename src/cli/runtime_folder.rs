//! A private `XDG_RUNTIME_DIR` for machines without one, such as containers.
//!
//! Without it, Mesa's drivers write a line of error for every device that is opened. A process cannot
//! change its own environment safely once it has threads, so the program replaces itself by itself, with
//! the variable set: the process, its files and its terminal stay the same.

#[cfg(target_os = "linux")]
pub fn provide() {
    use std::os::unix::fs::DirBuilderExt;
    use std::os::unix::process::CommandExt;

    use etcetera::BaseStrategy;

    const VARIABLE: &str = "XDG_RUNTIME_DIR";
    if std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let Ok(user) = etcetera::choose_base_strategy() else { return };
    let folder = user.state_dir().unwrap_or_else(|| user.data_dir()).join("proxmo/runtime");
    let created = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    let (Ok(()), Ok(program)) = (created, std::env::current_exe()) else { return };
    let mut arguments = std::env::args_os();
    let mut command = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // Only a failure returns, and then the lines of error are all that is lost.
    let _ = command.args(arguments).env(VARIABLE, folder).exec();
}

/// Other systems have no such variable.
#[cfg(not(target_os = "linux"))]
pub fn provide() {}
