//! The source of [`BlockedSignals`](crate::signals::BlockedSignals), by signalfd(2).

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::signal_mask::SignalMask;
use crate::signals::Sender;

/// Blocked signals, and a descriptor that is readable while one is pending.
#[derive(Debug)]
pub(crate) struct PendingSignals {
    descriptor: SignalFd,
    inherited_mask: SignalMask,
}

impl PendingSignals {
    /// Blocks `signals`. Errors: as sigprocmask(2) and signalfd(2).
    pub(crate) fn new(signals: &[Signal]) -> Result<Self, Errno> {
        let signals: SigSet = signals.iter().copied().collect();
        let inherited_mask = SignalMask::before_blocking(&signals)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let descriptor = SignalFd::with_flags(&signals, flags)?;
        Ok(PendingSignals {
            descriptor,
            inherited_mask,
        })
    }

    /// In a child before exec: restores the signal mask from before
    /// [`PendingSignals::new`].
    pub(crate) fn restore(&self) {
        self.inherited_mask.restore();
    }

    /// One pending signal with its sender. None if no signal is pending.
    pub(crate) fn take(&self) -> Option<(Signal, Sender)> {
        let info = self.descriptor.read_signal().ok().flatten()?;
        let signal = Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()?;
        let sender = match (info.ssi_code, info.ssi_pid) {
            (libc::SI_KERNEL, _) => Sender::Kernel,
            (_, 0) => Sender::Outside,
            (_, _) => Sender::Process,
        };
        Some((signal, sender))
    }
}

impl AsFd for PendingSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
