//! The users and groups of this process, as far as all systems tell them.

use libc::{c_int, gid_t};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid};

/// The supplementary groups. Errors: ENOSYS, as [`groups`].
pub fn getgroups() -> Result<Vec<Gid>, Errno> {
    Err(Errno::ENOSYS)
}

/// Sets the supplementary groups. Errors: as setgroups(2).
pub fn setgroups(groups: &[Gid]) -> Result<(), Errno> {
    let groups: Vec<gid_t> = groups.iter().map(|group| group.as_raw()).collect();
    let count = c_int::try_from(groups.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the pointer leads to `count` group IDs.
    Errno::result(unsafe { libc::setgroups(count, groups.as_ptr()) }).map(drop)
}

/// The real, effective and saved user ID. Errors: ENOSYS, since NetBSD and macOS do
/// not tell the saved one.
pub fn users() -> Result<[Uid; 3], Errno> {
    Err(Errno::ENOSYS)
}

/// The real, effective and saved group ID. Errors: as [`users`].
pub fn groups() -> Result<[Gid; 3], Errno> {
    Err(Errno::ENOSYS)
}
