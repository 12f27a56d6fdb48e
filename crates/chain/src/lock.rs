//! A lock on a file, kept for as long as a program and its children run.

use std::os::fd::OwnedFd;

use cli::Opt;
use cli::options::flag;
use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use unix::file;

/// The options of setlock.
pub static OPTIONS: [Opt; 4] = [
    flag(b'n', "fail if the lock is held"),
    flag(b'N', "wait while the lock is held (default)"),
    flag(b'x', "exit 0 silently if locking fails"),
    flag(b'X', "report a failed lock and exit 111 (default)"),
];

/// What to do while another holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Wait until it is free.
    Wait,
    /// Give up, with EAGAIN.
    Try,
}

/// A lock that is held until this is dropped, or, if another program is run
/// by exec first, until that and all that inherit its descriptor have ended.
#[derive(Debug)]
#[must_use = "the lock is held until this is dropped"]
pub struct Lock {
    _descriptor: Flock<OwnedFd>,
}

impl Lock {
    /// Holds the lock for as long as the process lives, whatever becomes of
    /// its descriptor.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

/// What could not be done with a lock file.
#[derive(Debug)]
pub enum LockError {
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
pub fn take<P: NixPath + ?Sized>(path: &P, held: LockMode) -> Result<Lock, LockError> {
    let file = file::open_append(path, 0o600).map_err(LockError::Open)?;
    let how = match held {
        LockMode::Wait => FlockArg::LockExclusive,
        LockMode::Try => FlockArg::LockExclusiveNonblock,
    };
    match Flock::lock(file, how) {
        Ok(lock) => {
            // A descriptor that was just opened cannot refuse this.
            let _ = file::clear_cloexec(&*lock);
            Ok(Lock { _descriptor: lock })
        }
        Err((file, error)) => Err(LockError::Lock(error, file)),
    }
}
