//! Locks of whole files by flock(2), which belong to the open file.
//!
//! `nix::fcntl::Flock` panics if the unlock fails. On a network file system, flock(2)
//! sends a request to the server, which may fail.

use std::ops::Deref;
use std::os::fd::{AsRawFd, OwnedFd};

use libc::c_int;
use nix::errno::Errno;

/// A locked file. The drop releases the lock, also that of copies of the descriptor,
/// and closes the file.
#[derive(Debug)]
pub struct FileLock(OwnedFd);

/// The behavior while another open file holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenLocked {
    /// Waits for the lock.
    Wait,
    /// Fails with EAGAIN.
    Fail,
}

impl FileLock {
    /// Locks a file exclusively.
    ///
    /// # Errors
    /// As flock(2), with the file, which is still open.
    pub fn lock(file: OwnedFd, when_locked: WhenLocked) -> Result<Self, (OwnedFd, Errno)> {
        let operation = match when_locked {
            WhenLocked::Wait => libc::LOCK_EX,
            WhenLocked::Fail => libc::LOCK_EX | libc::LOCK_NB,
        };
        match apply(&file, operation) {
            Ok(()) => Ok(FileLock(file)),
            Err(error) => Err((file, error)),
        }
    }
}

impl Deref for FileLock {
    type Target = OwnedFd;

    fn deref(&self) -> &OwnedFd {
        &self.0
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // After an error, the close of the last copy of the descriptor releases the lock.
        let _ = apply(&self.0, libc::LOCK_UN);
    }
}

fn apply(file: &OwnedFd, operation: c_int) -> Result<(), Errno> {
    // SAFETY: flock(2) uses no memory of the process.
    Errno::result(unsafe { libc::flock(file.as_raw_fd(), operation) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{dup_min, open_append};

    #[test]
    fn drop_releases_the_lock_of_copies() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = || FileLock::lock(open_append(&path, 0o600).unwrap(), WhenLocked::Fail);
        let held = lock().unwrap();
        let _copy = dup_min(&*held, 0).unwrap();
        assert_eq!(lock().unwrap_err().1, Errno::EAGAIN);
        drop(held);
        lock().unwrap();
    }
}
