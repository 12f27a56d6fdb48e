//! Descriptors 0, 1 and 2, without std's buffers and locks.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use crate::file::close_in_child;

/// Standard input.
// SAFETY: no owner in this program closes the descriptor. If it was closed
// from the start, system calls fail with EBADF.
pub const STDIN: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(0) };

/// Standard output.
// SAFETY: as for STDIN.
pub const STDOUT: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(1) };

/// Standard error.
// SAFETY: as for STDIN.
pub const STDERR: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(2) };

/// In a child before exec: replaces standard input by `/dev/null`. If that cannot
/// be opened, standard input is closed.
///
/// The child opens `/dev/null` itself, so that the parent, which may have no
/// free descriptor, needs none.
pub fn detach_stdin() {
    let _ = close_in_child(STDIN);
    // The lowest free number is that of standard input.
    if let Ok(null) = open(c"/dev/null", OFlag::O_RDONLY, Mode::empty()) {
        // The next program owns the descriptor.
        let _ = null.into_raw_fd();
    }
}

/// The width of a terminal in columns. None if the descriptor is not a terminal
/// or the terminal reports no width.
pub fn columns(descriptor: impl AsFd) -> Option<usize> {
    let (columns, _) = window_size(descriptor)?;
    (columns > 0).then_some(columns)
}

/// The columns and rows of a terminal, each 0 if the terminal does not report it.
/// None if the descriptor is not a terminal.
pub fn window_size(descriptor: impl AsFd) -> Option<(usize, usize)> {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    let number = descriptor.as_fd().as_raw_fd();
    // SAFETY: TIOCGWINSZ writes to the one winsize passed to it.
    let result = unsafe { libc::ioctl(number, libc::TIOCGWINSZ, size.as_mut_ptr()) };
    // SAFETY: all zeroes is a valid winsize, filled in or not.
    let size = unsafe { size.assume_init() };
    (result == 0).then(|| (usize::from(size.ws_col), usize::from(size.ws_row)))
}

#[cfg(test)]
mod tests {
    use nix::sys::resource::Resource;
    use nix::unistd::read;

    use super::*;
    use crate::fork::fork;
    use crate::rlimit;
    use crate::single_thread::run_alone;
    use crate::wait::wait_for;

    #[test]
    fn empty_stdin_needs_no_free_descriptor() {
        run_alone(|| {
            let child = fork(|| {
                let limited = rlimit::set(Resource::RLIMIT_NOFILE, 1, 1);
                detach_stdin();
                i32::from(limited.is_err() || read(STDIN, &mut [0; 9]) != Ok(0))
            });
            assert_eq!(wait_for(child.unwrap()).unwrap().code(), Some(0));
        });
    }
}
