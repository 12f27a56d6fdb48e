//! Descriptors 0, 1 and 2, without std's buffers and locks.

use std::os::fd::BorrowedFd;

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
