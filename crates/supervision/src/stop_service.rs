//! The operations on one service during a shutdown, for [`crate::svscan`] and
//! [`crate::runsvdir`]. The machine in [`crate::shutdown`] decides on them.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use daemontools::client::{WhenFull, probe, send_commands};
use daemontools::supervise_dir::SuperviseDir;
use daemontools_core::names;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, chdir};
use unix::process::{children, proc_path, signal_group, signal_process};

use crate::Role;
use crate::extended::config::{ConfigWarning, kill_timeout};
use crate::scan::names_directory;
use crate::shutdown::DEFAULT_STOP_TIMEOUT;
use crate::table::DirectoryId;

/// Enters the directory of a role by the name of the service. Returns whether the
/// name leads to this directory.
pub(crate) fn enter_by_name(name: &CStr, directory: DirectoryId, role: Role) -> bool {
    chdir(name).is_ok()
        && names_directory(c".", directory)
        && match role {
            Role::Service => true,
            Role::Logger => chdir(names::LOG).is_ok(),
        }
}

/// Enters the directory of a role as the working directory of its supervise.
/// Returns whether the service directory is this one.
pub(crate) fn enter_as(supervisor: Pid, directory: DirectoryId, role: Role) -> bool {
    proc_path(supervisor, "cwd").is_some_and(|path| chdir(path.as_str()).is_ok())
        && match role {
            // A new supervise is still in the scan directory.
            Role::Service => names_directory(c".", directory),
            Role::Logger => true,
        }
}

/// The stop timeout of the service in the current directory. None: no limit.
/// `warn` receives the reason if `timeout-kill` counts as absent.
pub(crate) fn stop_timeout(warn: impl Fn(ConfigWarning)) -> Option<Duration> {
    let timeout = kill_timeout(warn).unwrap_or(DEFAULT_STOP_TIMEOUT);
    Some(timeout).filter(|timeout| !timeout.is_zero())
}

/// Kills a supervise or runsv that does not exit, and its children.
pub(crate) fn kill_supervisor(supervisor: Pid) {
    // A stopped supervise neither reaps a child, whose PID could then belong to
    // another process, nor starts one.
    signal_process(supervisor, Signal::SIGSTOP);
    for child in children(supervisor) {
        signal_group(child, Signal::SIGKILL);
    }
    signal_process(supervisor, Signal::SIGKILL);
}

/// A supervise or runsv that is no child of this process and that received an exit
/// command: its exit status is unknown.
#[derive(Debug)]
pub(crate) struct ForeignSupervisor {
    /// `ok`, open for writing. poll(2) reports an error when supervise exits.
    pub(crate) ok: OwnedFd,
    /// The end of the stop timeout. None: no limit.
    pub(crate) deadline: Option<Instant>,
}

impl ForeignSupervisor {
    /// Sends `command` to the supervise of the current directory. None if no
    /// supervise runs there.
    pub(crate) fn stop(
        files: &SuperviseDir,
        command: &[u8],
        timeout: Option<Duration>,
    ) -> Option<Self> {
        let ok = probe(files).ok()?;
        send_commands(files, command, WhenFull::Fail).ok()?;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Some(ForeignSupervisor { ok, deadline })
    }

    /// Whether supervise has exited or its stop timeout has expired.
    pub(crate) fn is_done(&self) -> bool {
        let mut ok = [PollFd::new(self.ok.as_fd(), PollFlags::empty())];
        let _ = poll(&mut ok, PollTimeout::ZERO);
        let [ok] = ok;
        ok.any() == Some(true)
            || self
                .deadline
                .is_some_and(|deadline| deadline <= Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::read;

    use super::*;
    use crate::testing::{Supervised, in_directory, write};
    use daemontools::supervise_dir::IN_SERVICE;

    fn id(name: &str) -> DirectoryId {
        DirectoryId::of(&std::fs::metadata(name).unwrap())
    }

    #[test]
    fn name_leads_to_the_same_directory_and_its_log() {
        in_directory(|| {
            let root = std::env::current_dir().unwrap();
            std::fs::create_dir_all("a/log").unwrap();
            std::fs::create_dir("b").unwrap();
            let (a, b) = (id("a"), id("b"));
            let enter = |name: &CStr, directory, role| {
                std::env::set_current_dir(&root).unwrap();
                let entered = enter_by_name(name, directory, role);
                entered.then(|| std::env::current_dir().unwrap())
            };
            assert_eq!(enter(c"a", a, Role::Service), Some(root.join("a")));
            assert_eq!(enter(c"a", a, Role::Logger), Some(root.join("a/log")));
            assert_eq!(enter(c"b", b, Role::Logger), None);
            assert_eq!(enter(c"b", a, Role::Service), None);
            assert_eq!(enter(c"missing", a, Role::Service), None);
            std::env::set_current_dir(root.join("a")).unwrap();
            // /proc/self is the main thread, whose directory is another one.
            assert!(!enter_as(Pid::this(), a, Role::Service));
            assert!(enter_as(Pid::this(), a, Role::Logger));
            assert!(!enter_as(Pid::from_raw(1 << 22), a, Role::Logger));
        });
    }

    #[test]
    fn stop_timeout_is_timeout_kill_or_the_default() {
        in_directory(|| {
            let timeout = || stop_timeout(|warning| panic!("{warning:?}"));
            assert_eq!(timeout(), Some(DEFAULT_STOP_TIMEOUT));
            write("timeout-kill", b"70");
            assert_eq!(timeout(), Some(Duration::from_millis(70)));
            write("timeout-kill", b"0");
            assert_eq!(timeout(), None);
        });
    }

    #[test]
    fn foreign_supervisor_is_done_at_exit_or_timeout() {
        in_directory(|| {
            let stop = |timeout| ForeignSupervisor::stop(&IN_SERVICE, b"dx", timeout);
            assert!(stop(None).is_none());
            let supervised = Supervised::new(".");
            let unlimited = stop(None).unwrap();
            let mut bytes = [0; 8];
            assert_eq!(read(&supervised.control, &mut bytes), Ok(2));
            let limited = stop(Some(Duration::from_secs(3600))).unwrap();
            let expired = stop(Some(Duration::ZERO)).unwrap();
            assert!(!unlimited.is_done() && !limited.is_done() && expired.is_done());
            drop(supervised);
            assert!(unlimited.is_done() && limited.is_done());
            assert!(stop(None).is_none());
        });
    }
}
