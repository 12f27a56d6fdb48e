//! The signals with which a process that knows no path to the service, such as
//! svscan -e, ends supervise -e. Their meanings are those of s6-supervise.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getsid};
use unix::file;
use unix::signals::{BlockedSignals, is_ignored};

/// The request of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitSignal {
    /// SIGTERM: stop the service and exit, as after `dx`.
    Stop,
    /// SIGHUP: exit after the end of the current run.
    AfterRun,
}

/// SIGTERM and SIGHUP for supervise -e.
#[derive(Debug)]
pub struct ExitSignals(BlockedSignals);

impl ExitSignals {
    /// Blocks the signals. A SIGHUP that the caller ignores, as under nohup(1),
    /// stays ignored, unless this process leads a session without a terminal:
    /// such a process receives no SIGHUP when a user logs out, and svscan -e
    /// makes its children lead sessions.
    ///
    /// # Errors
    /// As sigprocmask(2) and signalfd(2).
    pub fn new() -> Result<Self, Errno> {
        let mut signals = vec![Signal::SIGTERM];
        let leads_session = || getsid(None) == Ok(Pid::this()) && !has_terminal();
        if !is_ignored(Signal::SIGHUP) || leads_session() {
            signals.push(Signal::SIGHUP);
        }
        BlockedSignals::block(&signals).map(ExitSignals)
    }

    /// The request of the pending signals, which are no longer pending.
    pub(crate) fn take(&self) -> Option<ExitSignal> {
        let mut request = None;
        while let Some(signal) = self.0.take_pending() {
            request = match (signal, request) {
                (Signal::SIGTERM, _) | (_, Some(ExitSignal::Stop)) => Some(ExitSignal::Stop),
                (_, Some(ExitSignal::AfterRun) | None) => Some(ExitSignal::AfterRun),
            };
        }
        request
    }

    /// In a child before exec: restores the inherited signal mask.
    pub(crate) fn restore(&self) {
        self.0.restore();
    }
}

/// Whether the process has a controlling terminal.
fn has_terminal() -> bool {
    file::open_read(c"/dev/tty").is_ok()
}

impl AsFd for ExitSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
