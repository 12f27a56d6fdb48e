//! Errors that some systems do not have.

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
    /// The error of this number. None for all other errors.
    pub fn of(error: Errno) -> Option<Self> {
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
}
