//! The errors of `rare_error.rs`, which this system does not have, or not all.

use nix::errno::Errno;

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
    /// No error.
    pub fn of(_error: Errno) -> Option<Self> {
        None
    }
}
