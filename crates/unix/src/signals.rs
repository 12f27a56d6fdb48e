//! Signals as something that poll can wait for.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd;

/// A pipe that becomes readable when one of its signals arrives.
///
/// The signals are caught and unblocked for as long as the process lives. A
/// program run by exec gets them back at their default action, as the system
/// does for every caught signal; their place in the signal mask is inherited
/// (unblocked).
#[derive(Debug)]
pub struct SignalPipe {
    reader: OwnedFd,
}

impl SignalPipe {
    /// Catches `signals`.
    ///
    /// # Errors
    /// As pipe2(2), dup(2) and sigaction(2).
    pub fn catch(signals: &[Signal]) -> Result<Self, Errno> {
        let (reader, writer) = unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        for &signal in signals {
            let writer = writer.try_clone().map_err(|error| crate::errno(&error))?;
            signal_hook::low_level::pipe::register(signal as i32, writer)
                .map_err(|error| crate::errno(&error))?;
        }
        signals
            .iter()
            .copied()
            .collect::<SigSet>()
            .thread_unblock()?;
        Ok(SignalPipe { reader })
    }

    /// Forgets the signals that arrived so far, so that poll waits for the
    /// next one.
    pub fn drain(&self) {
        let mut bytes = [0; 64];
        while matches!(unistd::read(&self.reader, &mut bytes), Ok(1..)) {}
    }
}

impl AsFd for SignalPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
