//! The mask of blocked signals.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};

/// The signal mask of the process at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignalMask(SigSet);

impl SignalMask {
    /// Reads the mask. Errors: as sigprocmask(2).
    pub(crate) fn current() -> Result<Self, Errno> {
        let mut mask = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_SETMASK, None, Some(&mut mask))?;
        Ok(SignalMask(mask))
    }

    /// Reads the mask, then blocks `signals`. Errors: as sigprocmask(2).
    pub(crate) fn before_blocking(signals: &SigSet) -> Result<Self, Errno> {
        let mut mask = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(signals), Some(&mut mask))?;
        Ok(SignalMask(mask))
    }

    /// Sets the mask to this one.
    pub(crate) fn restore(self) {
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.0), None);
    }
}
