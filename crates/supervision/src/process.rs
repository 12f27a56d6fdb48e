//! Other processes: signals to them, and what /proc has of them.
#![expect(
    clippy::disallowed_methods,
    reason = "it is here that signals are fenced in"
)]

use daemontools_core::control::SignalTarget;
use nix::fcntl::readlink;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid, getpid};

/// Sends a signal to a process, or to its group if it leads one. It may have
/// ended already; who waits for it will know.
///
/// To kill(2), 0 is everybody in the group of who calls it, and -1, which is
/// the group of process 1, everybody there is. Neither is ever meant.
pub(crate) fn send(process: Pid, signal: Signal, target: SignalTarget) {
    if process.as_raw() <= 1 {
        return;
    }
    let leads = || getpgid(Some(process)) == Ok(process);
    let _ = match target {
        SignalTarget::ProcessGroup if leads() => killpg(process, signal),
        SignalTarget::ProcessGroup | SignalTarget::Process => kill(process, signal),
    };
}

/// Where /proc has something of a process. None if it has none of this one:
/// in a PID namespace without a /proc of its own, the numbers there are those
/// of other processes.
pub(crate) fn proc_path(process: Pid, what: &str) -> Option<String> {
    let this = readlink("/proc/self").ok()?;
    (this.to_str() == Some(&getpid().to_string())).then(|| format!("/proc/{process}/{what}"))
}

/// The children of a process, as far as /proc tells.
pub(crate) fn children(process: Pid) -> Vec<Pid> {
    let list = proc_path(process, &format!("task/{process}/children"));
    let list = list.and_then(|list| std::fs::read_to_string(list).ok());
    let numbers = list.iter().flat_map(|list| list.split_whitespace());
    numbers
        .filter_map(|number| number.parse().ok().map(Pid::from_raw))
        .collect()
}
