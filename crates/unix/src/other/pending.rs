//! The source of [`BlockedSignals`](crate::signals::BlockedSignals) without
//! signalfd(2): a handler that writes the numbers of the signals to a pipe.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libc::c_int;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd;

use crate::handler;
use crate::pipe::pipe2;
use crate::signals::{InheritedSignals, Sender, note_changed};

/// Caught signals, and a descriptor that is readable while one was not taken.
///
/// Unlike blocked signals, they interrupt system calls; most of these restart
/// (`SA_RESTART`).
#[derive(Debug)]
pub(crate) struct PendingSignals {
    /// Both ends stay open for the life of the process, as the handler does.
    reader: ManuallyDrop<OwnedFd>,
    inherited: InheritedSignals,
}

impl PendingSignals {
    /// Catches `signals`. Errors: as pipe(2), sigprocmask(2) and sigaction(2).
    pub(crate) fn new(signals: &[Signal]) -> Result<Self, Errno> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let inherited = InheritedSignals::read(signals)?;
        signals.iter().copied().for_each(note_changed);
        handler::catch(signals, writer)?;
        let signals: SigSet = signals.iter().copied().collect();
        signals.thread_unblock()?;
        Ok(PendingSignals {
            reader: ManuallyDrop::new(reader),
            inherited,
        })
    }

    /// In a child before exec: restores the signal mask and the ignored signals from
    /// before [`PendingSignals::new`].
    pub(crate) fn restore(&self) {
        self.inherited.restore();
    }

    /// One signal that was not taken. The sender is unknown: a process.
    pub(crate) fn take(&self) -> Option<(Signal, Sender)> {
        let mut number = [0];
        loop {
            match unistd::read(&*self.reader, &mut number) {
                Err(Errno::EINTR) => {}
                Ok(1) => {
                    let [number] = number;
                    let signal = Signal::try_from(c_int::from(number)).ok()?;
                    return Some((signal, Sender::Process));
                }
                Ok(_) | Err(_) => return None,
            }
        }
    }
}

impl AsFd for PendingSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
