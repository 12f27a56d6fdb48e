//! Processes: signals, entries in /proc, and the nice value.
#![expect(
    clippy::disallowed_methods,
    reason = "signal_process and signal_group reject the numbers that mean several processes"
)]

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::readlink;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, Uid, getpgid, getpid};

use crate::system;

/// Sends a signal to a process. Errors are ignored: the process may have
/// ended already.
///
/// Numbers up to 1 are ignored. kill(2) takes 0 for the caller's group and -1
/// for all processes; 1 is init.
pub fn signal_process(process: Pid, signal: Signal) {
    if process.as_raw() > 1 {
        let _ = kill(process, signal);
    }
}

/// Sends a signal to the process group that the process leads, or to the
/// process alone if it leads none. Limits and errors are those of [`signal_process`].
pub fn signal_group(process: Pid, signal: Signal) {
    if process.as_raw() > 1 && getpgid(Some(process)) == Ok(process) {
        let _ = killpg(process, signal);
    } else {
        signal_process(process, signal);
    }
}

/// The path of an entry below `/proc/PID`. None if /proc belongs to another
/// PID namespace, where the same number is another process, or is missing.
pub fn proc_path(process: Pid, entry: &str) -> Option<String> {
    let this = readlink("/proc/self").ok()?;
    (this.to_str() == Some(&getpid().to_string())).then(|| format!("/proc/{process}/{entry}"))
}

/// The children of a process; empty where /proc does not list them.
pub fn children(process: Pid) -> Vec<Pid> {
    let list = proc_path(process, &format!("task/{process}/children"));
    let list = list.and_then(|list| std::fs::read_to_string(list).ok());
    let numbers = list.iter().flat_map(|list| list.split_whitespace());
    numbers
        .filter_map(|number| number.parse().ok().map(Pid::from_raw))
        .collect()
}

/// A descriptor that becomes readable when a process ends. Errors: as
/// `pidfd_open`(2), such as ENOSYS before Linux 5.3 and on other systems.
pub fn open_process(process: Pid) -> Result<OwnedFd, Errno> {
    system::pidfd_open(process)
}

/// Whether SIGKILL ends this process when its parent ends. Only Linux can do this.
/// Errors: as prctl(2).
pub fn end_with_parent(enabled: bool) -> Result<(), Errno> {
    system::end_with_parent(enabled)
}

/// Whether a process exists. A zombie does.
pub fn exists(process: Pid) -> bool {
    process.as_raw() > 0 && kill(process, None) != Err(Errno::ESRCH)
}

/// The real, effective and saved user ID of a process. None where /proc does not
/// show them.
pub fn user_ids(process: Pid) -> Option<[Uid; 3]> {
    let status = std::fs::read_to_string(proc_path(process, "status")?).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let mut ids = line
        .split_whitespace()
        .map(|id| id.parse().ok().map(Uid::from_raw));
    Some([ids.next()??, ids.next()??, ids.next()??])
}

/// Adds to the nice value, within its range. Errors: as nice(3).
pub fn nice(increment: i32) -> Result<(), Errno> {
    Errno::clear();
    // SAFETY: nice takes no pointer.
    let value = unsafe { libc::nice(increment) };
    // -1 is also a valid nice value.
    match Errno::last_raw() {
        0 => Ok(()),
        error if value == -1 => Err(Errno::from_raw(error)),
        _ => Ok(()),
    }
}
