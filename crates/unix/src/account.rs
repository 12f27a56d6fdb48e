//! Accounts and groups, from the system's name service.

use std::ffi::CStr;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid};

/// The user ID and the primary group ID of an account; None if there is none
/// of that name.
///
/// # Errors
/// The name service did not answer, as far as it says so.
pub fn user(name: &CStr) -> Result<Option<(Uid, Gid)>, Errno> {
    Errno::clear();
    // SAFETY: the argument is a string that a NUL ends; the answer is the C
    // library's, and the programs have one thread.
    let entry = unsafe { libc::getpwnam(name.as_ptr()) };
    // SAFETY: a pointer that is not null is to an entry that stays as it is
    // until the next question.
    let entry = unsafe { entry.as_ref() };
    answer(entry.map(|entry| (Uid::from_raw(entry.pw_uid), Gid::from_raw(entry.pw_gid))))
}

/// The group ID of a group; None if there is none of that name.
///
/// # Errors
/// As [`user`].
pub fn group(name: &CStr) -> Result<Option<Gid>, Errno> {
    Errno::clear();
    // SAFETY: as for getpwnam.
    let entry = unsafe { libc::getgrnam(name.as_ptr()) };
    // SAFETY: as for the answer of getpwnam.
    let entry = unsafe { entry.as_ref() };
    answer(entry.map(|entry| Gid::from_raw(entry.gr_gid)))
}

fn answer<T>(found: Option<T>) -> Result<Option<T>, Errno> {
    match (found, Errno::last_raw()) {
        (None, error @ 1..) => Err(Errno::from_raw(error)),
        (found, _) => Ok(found),
    }
}
