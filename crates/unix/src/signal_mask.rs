//! The mask of blocked signals, as the kernel has it.

use std::mem::MaybeUninit;
use std::ptr;

use nix::errno::Errno;
use nix::sys::signal::SigSet;

/// The signal mask of the process at one time.
///
/// sigprocmask(2) of musl returns the mask without signal 34, which a parent that
/// was built for glibc may have blocked. The system call returns all signals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignalMask(u64);

impl SignalMask {
    /// The size of the kernel's mask: 64 signals.
    const SIZE: usize = size_of::<u64>();

    /// Reads the mask. Errors: as sigprocmask(2).
    pub(crate) fn current() -> Result<Self, Errno> {
        let mut mask = MaybeUninit::<u64>::zeroed();
        let no_change = ptr::null::<u64>();
        // SAFETY: the kernel writes `SIZE` bytes into the mask.
        let result = unsafe {
            libc::syscall(
                libc::SYS_rt_sigprocmask,
                libc::SIG_SETMASK,
                no_change,
                mask.as_mut_ptr(),
                Self::SIZE,
            )
        };
        Errno::result(result)?;
        // SAFETY: any bits are a valid integer.
        Ok(SignalMask(unsafe { mask.assume_init() }))
    }

    /// Reads the mask, then blocks `signals`. Errors: as sigprocmask(2).
    pub(crate) fn before_blocking(signals: &SigSet) -> Result<Self, Errno> {
        let mask = SignalMask::current()?;
        signals.thread_block()?;
        Ok(mask)
    }

    /// Sets the mask to this one.
    pub(crate) fn restore(self) {
        let no_result = ptr::null_mut::<u64>();
        // SAFETY: the kernel reads `SIZE` bytes of the mask.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigprocmask,
                libc::SIG_SETMASK,
                &raw const self.0,
                no_result,
                Self::SIZE,
            )
        };
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;

    use super::*;

    #[test]
    fn restored_mask_equals_the_first_one() {
        let first = SignalMask::current().unwrap();
        // The signal that musl reserves is blocked as well.
        let with_34 = SignalMask(first.0 | 1 << 33);
        with_34.restore();
        let before = SignalMask::before_blocking(&Signal::SIGUSR1.into()).unwrap();
        assert_eq!(before.0, with_34.0);
        let usr1 = 1 << (Signal::SIGUSR1 as u64 - 1);
        assert_eq!(SignalMask::current().unwrap().0, with_34.0 | usr1);
        before.restore();
        assert_eq!(SignalMask::current().unwrap().0, with_34.0);
        first.restore();
    }
}
