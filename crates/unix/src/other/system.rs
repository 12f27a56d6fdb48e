//! The calls and flags of `system.rs`, as far as other systems have them.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::SystemTime;

use libc::{c_int, c_uint};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::unistd::{Pid, SysconfVar, dup2, sysconf};

use crate::rare_error::RareError;

/// Sizes have 64 bits everywhere.
pub(crate) const LARGE_FILE: OFlag = OFlag::empty();

/// The file has to be readable.
pub(crate) const PATH_ONLY: OFlag = OFlag::O_RDONLY;

/// No flag: open(2) refuses to open a directory for writing.
pub const OPEN_UNNAMED: c_int = 0;

/// All children send SIGCHLD.
pub(crate) const WAIT_ALL: c_int = 0;

/// The maximum number of descriptors where the system names none.
const MAX_DESCRIPTORS: RawFd = 65536;

/// Duplicates a descriptor to the number of another one. Errors: as dup2(2) and
/// fcntl(2).
pub(crate) fn dup3(descriptor: impl AsFd, target: &mut OwnedFd, flags: OFlag) -> Result<(), Errno> {
    dup2(descriptor, target)?;
    if flags.contains(OFlag::O_CLOEXEC) {
        fcntl(&*target, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    Ok(())
}

/// In a process that drops no owner of these descriptors: closes `first` to `last`.
pub(crate) fn close_range(first: c_uint, last: c_uint) -> Result<(), Errno> {
    let limit = sysconf(SysconfVar::OPEN_MAX).ok().flatten();
    let limit = limit.and_then(|limit| RawFd::try_from(limit).ok());
    let limit = limit.map_or(MAX_DESCRIPTORS, |limit| limit.min(MAX_DESCRIPTORS));
    let last = RawFd::try_from(last).map_or(limit, |last| last.min(limit));
    for number in RawFd::try_from(first).unwrap_or(limit)..=last {
        // SAFETY: no owner of a closed descriptor is dropped.
        unsafe { libc::close(number) };
    }
    Ok(())
}

/// Errors: EOPNOTSUPP. /dev/fd and other kinds of /proc may return copies.
pub(crate) fn reopen(_descriptor: BorrowedFd<'_>, _flags: OFlag) -> Result<OwnedFd, Errno> {
    Err(Errno::EOPNOTSUPP)
}

/// None: this system lacks these errors, or not all of them.
pub(crate) fn rare_error(_error: Errno) -> Option<RareError> {
    None
}

/// Errors: EOPNOTSUPP.
pub(crate) fn punch_hole(_file: impl AsFd, _start: u64, _length: u64) -> Result<(), Errno> {
    Err(Errno::EOPNOTSUPP)
}

/// Without effect: the process continues without its parent.
pub(crate) fn end_with_parent(_enabled: bool) -> Result<(), Errno> {
    Ok(())
}

/// Errors: ENOSYS.
pub(crate) fn pidfd_open(_process: Pid) -> Result<OwnedFd, Errno> {
    Err(Errno::ENOSYS)
}

/// As [`file::creation_time`](crate::file::creation_time).
pub(crate) fn creation_time(path: &CStr) -> Option<SystemTime> {
    let path = Path::new(OsStr::from_bytes(path.to_bytes()));
    std::fs::metadata(path).ok()?.created().ok()
}
