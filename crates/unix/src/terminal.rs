//! Terminals.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

/// How many characters fit into a line; None if the descriptor is no terminal,
/// or one that does not know.
#[must_use]
pub fn columns(descriptor: impl AsFd) -> Option<usize> {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    let number = descriptor.as_fd().as_raw_fd();
    // SAFETY: TIOCGWINSZ fills in the one winsize that it is pointed to.
    let answer = unsafe { libc::ioctl(number, libc::TIOCGWINSZ, size.as_mut_ptr()) };
    // SAFETY: all zeroes is a valid winsize, whether or not it was filled in.
    let size = unsafe { size.assume_init() };
    (answer == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}
