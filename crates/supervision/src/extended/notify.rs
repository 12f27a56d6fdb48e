//! The program `notify`, which supervise -e runs at each start and death.

use std::ffi::CString;

use daemontools_core::names;
use nix::unistd::Pid;
use unix::exec::PreparedExec;
use unix::launch::{Launch, LaunchError};
use unix::start::environment;
use unix::wait::ExitStatus;

use super::config::program_exists;
use super::{SuperviseWarning, to_cstring};

/// Runs `notify`, if there is one, as `./notify run start PID`; does not wait
/// for it.
pub(super) fn started(pid: Pid, warn: &dyn Fn(SuperviseWarning)) {
    run("start", pid, None, warn);
}

/// Runs `notify` as `./notify run exit PID CODE`, or
/// `./notify run killed PID SIGNAL`.
pub(super) fn exited(pid: Pid, status: ExitStatus, warn: &dyn Fn(SuperviseWarning)) {
    match status.signal() {
        Some(signal) => run("killed", pid, Some(signal.into()), warn),
        None => run("exit", pid, status.code(), warn),
    }
}

fn run(event: &str, pid: Pid, number: Option<i32>, warn: &dyn Fn(SuperviseWarning)) {
    if !program_exists(names::NOTIFY) {
        return;
    }
    let words = ["run".to_owned(), event.to_owned(), pid.to_string()];
    let number = number.map(|number| number.to_string());
    let words: Vec<_> = words.into_iter().chain(number).map(to_cstring).collect();
    let arguments: Vec<_> = std::iter::once(names::NOTIFY_PROGRAM)
        .chain(words.iter().map(CString::as_c_str))
        .collect();
    let program = PreparedExec::search(None, &arguments, &environment());
    let exec_failed =
        |error: LaunchError| warn(SuperviseWarning::Exec(names::NOTIFY_PROGRAM, error.errno()));
    if let Err(error) = Launch::new(program).start(exec_failed) {
        warn(SuperviseWarning::NotifyFork(error));
    }
}
