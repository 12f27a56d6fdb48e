//! Accounts and groups from the name service (nsswitch.conf).

use std::ffi::CStr;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid};

/// The user ID and the primary group ID of an account. None if the account
/// does not exist. Errors: as getpwnam(3). Some name services report an outage
/// as a missing account.
pub fn user(name: &CStr) -> Result<Option<(Uid, Gid)>, Errno> {
    Errno::clear();
    // SAFETY: the argument is a NUL-terminated string. The programs have one
    // thread, so no other call overwrites the C library's entry.
    let entry = unsafe { libc::getpwnam(name.as_ptr()) };
    // SAFETY: a pointer that is not null points to an entry that is valid
    // until the next call.
    let entry = unsafe { entry.as_ref() };
    result(entry.map(|entry| (Uid::from_raw(entry.pw_uid), Gid::from_raw(entry.pw_gid))))
}

/// The group ID of a group. None if the group does not exist. Errors: as
/// getgrnam(3); see [`user`].
pub fn group(name: &CStr) -> Result<Option<Gid>, Errno> {
    Errno::clear();
    // SAFETY: as for getpwnam.
    let entry = unsafe { libc::getgrnam(name.as_ptr()) };
    // SAFETY: as for the entry of getpwnam.
    let entry = unsafe { entry.as_ref() };
    result(entry.map(|entry| Gid::from_raw(entry.gr_gid)))
}

fn result<T>(found: Option<T>) -> Result<Option<T>, Errno> {
    match (found, Errno::last_raw()) {
        (None, error @ 1..) => Err(Errno::from_raw(error)),
        (found, _) => Ok(found),
    }
}
