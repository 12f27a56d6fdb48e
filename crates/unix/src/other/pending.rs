//! The source of [`BlockedSignals`](crate::signals::BlockedSignals) without
//! signalfd(2): handlers that write the numbers of their signals to a pipe.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libc::c_int;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd;

use crate::pipe::pipe2;
use crate::signals::{InheritedSignals, Sender, note_changed};

/// Caught signals, and a descriptor that is readable while one was not taken.
///
/// Unlike blocked signals, they interrupt system calls; most of these restart
/// (`SA_RESTART`).
#[derive(Debug)]
pub(crate) struct PendingSignals {
    /// Both ends stay open for the life of the process, as the handlers do.
    reader: ManuallyDrop<OwnedFd>,
    inherited: InheritedSignals,
}

impl PendingSignals {
    /// Catches `signals`. Errors: as pipe(2), sigprocmask(2) and sigaction(2).
    pub(crate) fn new(signals: &[Signal]) -> Result<Self, Errno> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let writer = ManuallyDrop::new(writer).as_raw_fd();
        let inherited = InheritedSignals::read(signals)?;
        for &signal in signals {
            note_changed(signal);
            let number = signal as c_int as u8;
            let note = move || {
                let error = Errno::last_raw();
                // SAFETY: the pointer leads to one byte, and the descriptor is never
                // closed. With a full pipe, signals are pending anyway.
                unsafe { libc::write(writer, (&raw const number).cast(), 1) };
                Errno::set_raw(error);
            };
            // SAFETY: write(2) is async-signal-safe, and errno keeps its value.
            unsafe { signal_hook::low_level::register(signal as c_int, note) }
                .map_err(|error| crate::errno(&error))?;
        }
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
