//! Accounts, from the system's name service.

use std::ffi::CStr;

use nix::unistd::{Gid, Uid};

/// The user ID and the primary group ID of an account. None if there is none
/// of that name, or if the name service does not answer: it does not always
/// say which.
#[must_use]
pub fn find(name: &CStr) -> Option<(Uid, Gid)> {
    // SAFETY: the argument is a string that a NUL ends; the answer is the C
    // library's, and the programs have one thread.
    let entry = unsafe { libc::getpwnam(name.as_ptr()) };
    // SAFETY: a pointer that is not null is to an entry that stays as it is
    // until the next question.
    let entry = unsafe { entry.as_ref() }?;
    Some((Uid::from_raw(entry.pw_uid), Gid::from_raw(entry.pw_gid)))
}
