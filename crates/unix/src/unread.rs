//! Files that are opened without being read or written: a FIFO with a reader looks
//! supervised.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use nix::unistd::{Gid, Uid, fchownat, getpid};

use crate::file::mode_of;
use crate::process::proc_path;

/// Opens a file, or a symbolic link itself. Errors: as openat(2).
pub fn open(above: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(above, name, flags, Mode::empty())
}

/// Sets owner and group. Errors: as fchownat(2).
pub fn change_owner(file: BorrowedFd<'_>, owner: Uid, group: Gid) -> Result<(), Errno> {
    fchownat(file, c"", Some(owner), Some(group), AtFlags::AT_EMPTY_PATH)
}

/// Sets the mode. fchmod(2) refuses a descriptor that can neither read nor write.
/// Errors: as fchmodat(2), ENOSYS without /proc.
pub fn change_mode(file: BorrowedFd<'_>, mode: u32) -> Result<(), Errno> {
    let path = proc_path(getpid(), &format!("fd/{}", file.as_raw_fd()));
    let path = path.ok_or(Errno::ENOSYS)?;
    let follow = FchmodatFlags::FollowSymlink;
    fchmodat(AT_FDCWD, path.as_str(), mode_of(mode), follow)
}
