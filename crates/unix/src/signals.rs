//! Signals as something that poll can wait for.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libc::c_int;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::{SigHandler, SigSet, Signal};
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
    inherited_mask: SigSet,
    inherited_ignored: Vec<Signal>,
}

impl SignalPipe {
    /// Catches `signals`.
    ///
    /// # Errors
    /// As pipe2(2), dup(2) and sigaction(2).
    pub fn catch(signals: &[Signal]) -> Result<Self, Errno> {
        let (reader, writer) = unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let inherited_mask = SigSet::thread_get_mask()?;
        let inherited_ignored = signals
            .iter()
            .copied()
            .filter(|&signal| is_ignored(signal as c_int))
            .collect();
        for &signal in signals {
            let writer = writer.try_clone().map_err(|error| crate::errno(&error))?;
            signal_hook::low_level::pipe::register(signal as c_int, writer)
                .map_err(|error| crate::errno(&error))?;
        }
        signals
            .iter()
            .copied()
            .collect::<SigSet>()
            .thread_unblock()?;
        Ok(SignalPipe {
            reader,
            inherited_mask,
            inherited_ignored,
        })
    }

    /// In a child that is to become another program: gives it the mask and
    /// the ignored signals that this process inherited.
    pub fn give_back(&self) {
        for &signal in &self.inherited_ignored {
            // SAFETY: to ignore a signal runs no code of ours.
            let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigIgn) };
        }
        let _ = self.inherited_mask.thread_set_mask();
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

/// Whether the process ignores a signal.
pub(crate) fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the third argument points to room for one sigaction.
    unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all zeroes is a valid sigaction, whether or not it was filled in.
    unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}
