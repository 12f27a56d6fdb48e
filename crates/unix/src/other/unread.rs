//! Files that are opened without being read or written, which only Linux does for
//! all files.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::{Gid, Uid};

/// Errors: EOPNOTSUPP.
pub fn open(_above: impl AsFd, _name: &CStr) -> Result<OwnedFd, Errno> {
    Err(Errno::EOPNOTSUPP)
}

/// Errors: EOPNOTSUPP.
pub fn change_owner(_file: BorrowedFd<'_>, _owner: Uid, _group: Gid) -> Result<(), Errno> {
    Err(Errno::EOPNOTSUPP)
}

/// Errors: EOPNOTSUPP.
pub fn change_mode(_file: BorrowedFd<'_>, _mode: u32) -> Result<(), Errno> {
    Err(Errno::EOPNOTSUPP)
}
