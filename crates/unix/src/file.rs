//! Opening files, their status, and duplicating descriptors.
//!
//! Every open is non-blocking, so a FIFO without a peer does not block, and
//! sets close-on-exec. On 32-bit machines, the functions also work above 2 GiB
//! and after 2038, unlike those of nix.

use std::ffi::{CStr, OsStr};
use std::fs::{File, Metadata};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, FdFlag, OFlag, fcntl, open, openat};
use nix::sys::stat::{Mode, fstatat};

use crate::system;

pub use crate::system::OPEN_UNNAMED;

/// Opens for reading. Errors: as open(2).
pub fn open_read<P: NixPath + ?Sized>(path: &P) -> Result<OwnedFd, Errno> {
    open_with(path, OFlag::O_RDONLY, 0)
}

/// Opens an existing file for writing. A FIFO without a reader gives ENXIO.
/// Errors: as open(2).
pub fn open_write<P: NixPath + ?Sized>(path: &P) -> Result<OwnedFd, Errno> {
    open_with(path, OFlag::O_WRONLY, 0)
}

/// Opens for appending; creates the file if it does not exist. Errors: as
/// open(2).
pub fn open_append<P: NixPath + ?Sized>(path: &P, mode: u32) -> Result<OwnedFd, Errno> {
    open_with(
        path,
        OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT,
        mode,
    )
}

/// Opens for writing; truncates or creates the file. Errors: as open(2).
pub fn open_truncate<P: NixPath + ?Sized>(path: &P, mode: u32) -> Result<OwnedFd, Errno> {
    open_with(
        path,
        OFlag::O_WRONLY | OFlag::O_TRUNC | OFlag::O_CREAT,
        mode,
    )
}

fn open_with<P: NixPath + ?Sized>(path: &P, how: OFlag, mode: u32) -> Result<OwnedFd, Errno> {
    open(path, how | ALWAYS, mode_of(mode))
}

/// As [`open_read`], with a relative path in this directory. Errors: as openat(2).
pub fn open_read_in(directory: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    openat(directory, path, OFlag::O_RDONLY | ALWAYS, Mode::empty())
}

/// As [`open_write`], with a relative path in this directory. Errors: as openat(2).
pub fn open_write_in(directory: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    openat(directory, path, OFlag::O_WRONLY | ALWAYS, Mode::empty())
}

/// The flags of every open.
const ALWAYS: OFlag = OFlag::O_NONBLOCK
    .union(OFlag::O_CLOEXEC)
    .union(system::LARGE_FILE);

/// The permission bits of a number. Their type has 16 bits on some systems.
pub fn mode_of(bits: u32) -> Mode {
    Mode::from_bits_truncate(bits as libc::mode_t)
}

/// The status of a file; of a symbolic link, that of its target. Errors: as
/// stat(2).
///
/// std calls statx(2), whose sizes, times and inode numbers have 64 bits
/// everywhere. stat(2) of a 32-bit glibc fails with EOVERFLOW beyond 32 bits.
pub fn status<P: NixPath + ?Sized>(path: &P) -> Result<Metadata, Errno> {
    status_with(path, |path| std::fs::metadata(path))
}

/// As [`status`], but does not follow a symbolic link. Errors: as lstat(2).
pub fn link_status<P: NixPath + ?Sized>(path: &P) -> Result<Metadata, Errno> {
    status_with(path, |path| std::fs::symlink_metadata(path))
}

/// Whether a path, which starts in this directory, leads to a file. Errors: as
/// fstatat(2), except ENOENT. Unlike faccessat(2), the call uses the effective user.
pub fn exists_in(directory: BorrowedFd<'_>, path: &CStr) -> Result<bool, Errno> {
    match fstatat(directory, path, AtFlags::empty()) {
        // A 32-bit glibc, and a value of more than 32 bits.
        Ok(_) | Err(Errno::EOVERFLOW) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn status_with<P: NixPath + ?Sized>(
    path: &P,
    read: fn(&Path) -> io::Result<Metadata>,
) -> Result<Metadata, Errno> {
    let read = |path: &CStr| read(Path::new(OsStr::from_bytes(path.to_bytes())));
    path.with_nix_path(read)?
        .map_err(|error| crate::errno(&error))
}

/// The creation time of a file. None: the file cannot be read, or the file system
/// or the kernel (before Linux 4.11) does not record the time.
///
/// std reads the time with glibc alone. musl before 1.2.5 has no `statx` function.
pub fn creation_time(path: &CStr) -> Option<SystemTime> {
    system::creation_time(path)
}

/// Opens the file of a descriptor again, with these flags and close-on-exec. Errors:
/// as open(2), ENOENT without /proc.
pub fn reopen(descriptor: impl AsFd, flags: OFlag) -> Result<OwnedFd, Errno> {
    system::reopen(descriptor.as_fd(), flags | OFlag::O_CLOEXEC)
}

/// Frees the blocks of a part of a file, which then reads as zeros. Errors: as
/// fallocate(2), EOPNOTSUPP without holes.
pub fn punch_hole(file: impl AsFd, start: u64, length: u64) -> Result<(), Errno> {
    system::punch_hole(file, start, length)
}

/// Whether the file is executable by its owner.
pub fn is_executable_by_owner(status: &Metadata) -> bool {
    mode_of(status.mode()).contains(Mode::S_IXUSR)
}

/// The status of an open file. Errors: as fstat(2).
pub fn descriptor_status(descriptor: BorrowedFd<'_>) -> Result<Metadata, Errno> {
    // SAFETY: the descriptor is open during the borrow, and the file is not
    // dropped.
    let file = unsafe { File::from_raw_fd(descriptor.as_raw_fd()) };
    let file = ManuallyDrop::new(file);
    file.metadata().map_err(|error| crate::errno(&error))
}

/// Clears `O_NONBLOCK`. Errors: as fcntl(2).
pub fn set_blocking(descriptor: impl AsFd) -> Result<(), Errno> {
    let flags = OFlag::from_bits_retain(fcntl(&descriptor, FcntlArg::F_GETFL)?);
    fcntl(&descriptor, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK)).map(drop)
}

/// Duplicates the descriptor to the lowest free number from `least` on, with
/// close-on-exec. Errors: as fcntl(2).
pub fn dup_min(descriptor: impl AsFd, least: RawFd) -> Result<OwnedFd, Errno> {
    let copy = fcntl(&descriptor, FcntlArg::F_DUPFD_CLOEXEC(least))?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// In a child before exec: copies a descriptor to the number of another one,
/// which the next program inherits. Errors: as dup2(2).
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
/// program knows it. The previous descriptor of that number is closed. Errors:
/// as dup2(2).
pub fn move_to_fd(descriptor: OwnedFd, number: RawFd) -> Result<(), Errno> {
    dup_to_number(descriptor.as_fd(), number)?;
    if descriptor.as_raw_fd() == number {
        // The next program owns the descriptor.
        let _ = descriptor.into_raw_fd();
    }
    Ok(())
}

/// Duplicates a descriptor that this process inherited under a number, and sets
/// close-on-exec for both. Errors: as fcntl(2), EBADF if the number is not open.
pub fn dup_inherited(number: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: no memory is passed.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    let copy = Errno::result(copy)?;
    // SAFETY: the descriptor is new and has no other owner.
    let copy = unsafe { OwnedFd::from_raw_fd(copy) };
    // SAFETY: no memory is passed, and the descriptor stays open.
    Errno::result(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    Ok(copy)
}

/// Takes over a descriptor that this process inherited under a number. The next
/// program does not inherit it: the number is free then, or /dev/null if it is that
/// of a standard descriptor. Errors: as fcntl(2), EBADF if the number is not open.
pub fn take_inherited(number: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: no memory is passed.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    let copy = Errno::result(copy)?;
    // SAFETY: the descriptor is new and has no other owner.
    let copy = unsafe { OwnedFd::from_raw_fd(copy) };
    if number < 3 {
        let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
        dup_to_number(null.as_fd(), number)?;
    } else {
        // SAFETY: no owner in this process has the inherited number.
        Errno::result(unsafe { libc::close(number) })?;
    }
    Ok(copy)
}

/// In a child before exec: closes the child's copy of a descriptor that the
/// parent owns. Errors: as close(2).
pub fn close_in_child(descriptor: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: the owner is the parent, with a descriptor of its own. The child
    // never drops that owner: the child executes another program or exits.
    Errno::result(unsafe { libc::close(descriptor.as_raw_fd()) }).map(drop)
}

/// Clears close-on-exec. Errors: as fcntl(2).
pub fn clear_cloexec(descriptor: impl AsFd) -> Result<(), Errno> {
    fcntl(&descriptor, FcntlArg::F_SETFD(FdFlag::empty())).map(drop)
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;

    #[test]
    fn creation_time_equals_that_of_std() {
        let file = std::env::current_exe().unwrap();
        let path = CString::new(file.as_os_str().as_bytes()).unwrap();
        if let Ok(created) = file.metadata().unwrap().created() {
            assert_eq!(creation_time(&path), Some(created));
        }
        assert_eq!(creation_time(c"/nonexistent"), None);
    }
}
