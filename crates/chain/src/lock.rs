//! A lock on a file, kept for as long as a program and its children run.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use unix::file;

/// What to do while another holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Wait until it is free.
    Wait,
    /// Give up, with EAGAIN.
    GiveUp,
}

/// A lock that is held until this is dropped, or, if another program is run
/// by exec first, until that and all that inherit its descriptor have ended.
#[derive(Debug)]
pub struct Lock {
    _descriptor: Flock<OwnedFd>,
}

/// What could not be done with a lock file.
#[derive(Debug)]
pub enum Error {
    /// To open it for writing, or to make it.
    Open(Errno),
    /// To lock it. The file is still open: with stderr closed it may have
    /// taken its place, and the original's messages go there.
    Lock(Errno, OwnedFd),
}

/// Locks a file, made if need be with mode 0600, on the lowest free
/// descriptor.
///
/// # Errors
/// As open(2) and flock(2).
pub fn take(path: &CStr, held: Held) -> Result<Lock, Error> {
    let file = file::open_append(path, 0o600).map_err(Error::Open)?;
    let how = match held {
        Held::Wait => FlockArg::LockExclusive,
        Held::GiveUp => FlockArg::LockExclusiveNonblock,
    };
    match Flock::lock(file, how) {
        Ok(lock) => {
            // A descriptor that was just opened cannot refuse this.
            let _ = file::set_inherited(&*lock);
            Ok(Lock { _descriptor: lock })
        }
        Err((file, error)) => Err(Error::Lock(error, file)),
    }
}
