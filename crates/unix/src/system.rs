//! Single calls and flags that only Linux has.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libc::{c_int, c_uint};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate, open};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use crate::exec::NumberArgument;
use crate::path::PathBuffer;
use crate::rare_error::RareError;

pub(crate) use nix::unistd::dup3;

/// Opens files above 2 GiB on 32-bit machines.
pub(crate) const LARGE_FILE: OFlag = OFlag::O_LARGEFILE;

/// Opens a file that need not be readable, and neither reads nor writes it.
pub(crate) const PATH_ONLY: OFlag = OFlag::O_PATH;

/// Flag of open(2): creates a file without a name in a directory. Without support,
/// open(2) fails.
pub const OPEN_UNNAMED: c_int = libc::O_TMPFILE;

/// Option of waitpid(2): children that send another signal than SIGCHLD, too.
pub(crate) const WAIT_ALL: c_int = libc::__WALL;

/// In a process that drops no owner of these descriptors: closes `first` to `last`.
/// Errors: as `close_range`(2), such as ENOSYS before Linux 5.9.
pub(crate) fn close_range(first: c_uint, last: c_uint) -> Result<(), Errno> {
    // SAFETY: no memory is passed, and no owner of a closed descriptor is dropped.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    Errno::result(result).map(drop)
}

/// As [`file::reopen`](crate::file::reopen).
pub(crate) fn reopen(descriptor: BorrowedFd<'_>, flags: OFlag) -> Result<OwnedFd, Errno> {
    let number = NumberArgument::new(descriptor.as_raw_fd());
    let path = PathBuffer::join(c"/proc/self/fd", number.as_c_str())?;
    open(path.as_c_str(), flags, Mode::empty())
}

/// As [`file::punch_hole`](crate::file::punch_hole).
pub(crate) fn punch_hole(file: impl AsFd, start: u64, length: u64) -> Result<(), Errno> {
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let start = start.try_into().map_err(|_| Errno::EFBIG)?;
    let length = length.try_into().map_err(|_| Errno::EFBIG)?;
    fallocate(file, flags, start, length)
}

/// As [`RareError::of`].
pub(crate) fn rare_error(error: Errno) -> Option<RareError> {
    match error {
        Errno::ENOSTR => Some(RareError::Nostr),
        Errno::ETIME => Some(RareError::Time),
        Errno::ENOSR => Some(RareError::Nosr),
        Errno::ENONET => Some(RareError::Nonet),
        Errno::EADV => Some(RareError::Adv),
        Errno::ESRMNT => Some(RareError::Srmnt),
        Errno::ECOMM => Some(RareError::Comm),
        Errno::EREMCHG => Some(RareError::Remchg),
        Errno::ENOLINK => Some(RareError::Nolink),
        Errno::EMULTIHOP => Some(RareError::Multihop),
        _ => None,
    }
}

/// As [`end_with_parent`](crate::process::end_with_parent).
pub(crate) fn end_with_parent(enabled: bool) -> Result<(), Errno> {
    set_pdeathsig(enabled.then_some(Signal::SIGKILL))
}

/// As [`open_process`](crate::process::open_process).
pub(crate) fn pidfd_open(process: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: no memory is passed.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, process.as_raw(), 0) };
    let number = RawFd::try_from(Errno::result(result)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// As [`file::creation_time`](crate::file::creation_time).
pub(crate) fn creation_time(path: &CStr) -> Option<SystemTime> {
    let mut buffer = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the path ends with a NUL, and the kernel writes one `statx`.
    let result = unsafe {
        libc::syscall(
            libc::SYS_statx,
            libc::AT_FDCWD,
            path.as_ptr(),
            0,
            libc::STATX_BTIME,
            buffer.as_mut_ptr(),
        )
    };
    Errno::result(result).ok()?;
    // SAFETY: each field is an integer, for which the zeros are valid as well.
    let status = unsafe { buffer.assume_init() };
    if status.stx_mask & libc::STATX_BTIME == 0 {
        return None;
    }
    let seconds = u64::try_from(status.stx_btime.tv_sec).ok()?;
    UNIX_EPOCH.checked_add(Duration::new(seconds, status.stx_btime.tv_nsec))
}
