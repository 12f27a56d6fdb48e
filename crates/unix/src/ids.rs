//! The users and groups of this process.

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, getresgid, getresuid};

pub use nix::unistd::{getgroups, setgroups};

/// The real, effective and saved user ID. Errors: as getresuid(2).
pub fn users() -> Result<[Uid; 3], Errno> {
    getresuid().map(|ids| [ids.real, ids.effective, ids.saved])
}

/// The real, effective and saved group ID. Errors: as getresgid(2).
pub fn groups() -> Result<[Gid; 3], Errno> {
    getresgid().map(|ids| [ids.real, ids.effective, ids.saved])
}
