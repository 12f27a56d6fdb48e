//! The few ways in which these programs open files.
//!
//! None waits for the other end of a FIFO, and each descriptor is closed on
//! exec from birth.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::sys::stat::Mode;

/// Opens for reading.
///
/// # Errors
/// As open(2).
pub fn open_read<P: NixPath + ?Sized>(path: &P) -> Result<OwnedFd, Errno> {
    with(path, OFlag::O_RDONLY, 0)
}

/// Opens what exists for writing; ENXIO for a FIFO that nobody reads.
///
/// # Errors
/// As open(2).
pub fn open_write<P: NixPath + ?Sized>(path: &P) -> Result<OwnedFd, Errno> {
    with(path, OFlag::O_WRONLY, 0)
}

/// Opens for writing at the end, and makes the file if need be.
///
/// # Errors
/// As open(2).
pub fn open_append<P: NixPath + ?Sized>(path: &P, mode: u32) -> Result<OwnedFd, Errno> {
    with(
        path,
        OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT,
        mode,
    )
}

/// Opens for writing and empties the file, or makes it.
///
/// # Errors
/// As open(2).
pub fn open_truncate<P: NixPath + ?Sized>(path: &P, mode: u32) -> Result<OwnedFd, Errno> {
    with(
        path,
        OFlag::O_WRONLY | OFlag::O_TRUNC | OFlag::O_CREAT,
        mode,
    )
}

fn with<P: NixPath + ?Sized>(path: &P, how: OFlag, mode: u32) -> Result<OwnedFd, Errno> {
    let how = how | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    open(path, how, Mode::from_bits_truncate(mode))
}

/// Makes reads and writes of the descriptor wait.
///
/// # Errors
/// As fcntl(2).
pub fn set_blocking(descriptor: impl AsFd) -> Result<(), Errno> {
    let flags = OFlag::from_bits_retain(fcntl(&descriptor, FcntlArg::F_GETFL)?);
    fcntl(&descriptor, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK)).map(drop)
}

/// A copy of the descriptor at the first free number that is not lower than
/// `least`.
///
/// # Errors
/// As fcntl(2).
pub fn dup_min(descriptor: impl AsFd, least: RawFd) -> Result<OwnedFd, Errno> {
    let copy = fcntl(&descriptor, FcntlArg::F_DUPFD_CLOEXEC(least))?;
    // SAFETY: just made, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// In a child before exec: copies a descriptor to the number of another one,
/// which the next program inherits.
///
/// # Errors
/// As dup2(2).
pub fn dup_to(descriptor: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    dup_to_number(descriptor, target.as_raw_fd())
}

fn dup_to_number(descriptor: BorrowedFd<'_>, number: RawFd) -> Result<(), Errno> {
    if descriptor.as_raw_fd() == number {
        // dup2 would leave the flag.
        return clear_cloexec(descriptor);
    }
    // SAFETY: the child never drops an owner of `number`, which is a copy of
    // the parent's: the child executes another program or exits.
    Errno::result(unsafe { libc::dup2(descriptor.as_raw_fd(), number) }).map(drop)
}

/// In a child before exec: moves a descriptor to the number by which the next
/// program knows it. The previous descriptor of that number is closed.
///
/// # Errors
/// As dup2(2).
pub fn move_to_fd(descriptor: OwnedFd, number: RawFd) -> Result<(), Errno> {
    dup_to_number(descriptor.as_fd(), number)?;
    if descriptor.as_raw_fd() == number {
        // The next program owns the descriptor.
        let _ = descriptor.into_raw_fd();
    }
    Ok(())
}

/// In a child that is to become another program: closes a descriptor that the
/// parent keeps.
///
/// # Errors
/// As close(2).
pub fn close_in_child(descriptor: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: its owner is the parent, which has a descriptor of its own; the
    // child becomes another program or exits without dropping anything.
    Errno::result(unsafe { libc::close(descriptor.as_raw_fd()) }).map(drop)
}

/// Hands the descriptor on to the programs run by exec.
///
/// # Errors
/// As fcntl(2).
pub fn clear_cloexec(descriptor: impl AsFd) -> Result<(), Errno> {
    fcntl(&descriptor, FcntlArg::F_SETFD(FdFlag::empty())).map(drop)
}
