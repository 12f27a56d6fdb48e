//! Errors that some systems do not have.

use nix::errno::Errno;

use crate::system;

/// An error of Linux that other systems lack, named as in errno(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RareError {
    Nostr,
    Time,
    Nosr,
    Nonet,
    Adv,
    Srmnt,
    Comm,
    Remchg,
    Nolink,
    Multihop,
}

impl RareError {
    /// The error of this number. None for all other errors.
    pub fn of(error: Errno) -> Option<Self> {
        system::rare_error(error)
    }
}
