//! Terminals.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

/// The width of a terminal in columns. None if the descriptor is not a terminal
/// or the terminal reports no width.
#[must_use]
pub fn columns(descriptor: impl AsFd) -> Option<usize> {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    let number = descriptor.as_fd().as_raw_fd();
    // SAFETY: TIOCGWINSZ writes to the one winsize passed to it.
    let result = unsafe { libc::ioctl(number, libc::TIOCGWINSZ, size.as_mut_ptr()) };
    // SAFETY: all zeroes is a valid winsize, filled in or not.
    let size = unsafe { size.assume_init() };
    (result == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}
