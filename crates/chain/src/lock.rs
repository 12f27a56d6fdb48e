//! A lock on a file that the executed program inherits.

use std::os::fd::OwnedFd;

use cli::Opt;
use cli::options::flag;
use nix::NixPath;
use nix::errno::Errno;
use unix::file;
use unix::file_lock::{FileLock, WhenLocked};

/// The options of setlock.
pub static OPTIONS: [Opt; 4] = [
    flag(b'n', "fail if the lock is held"),
    flag(b'N', "wait while the lock is held (default)"),
    flag(b'x', "exit 0 silently if locking fails"),
    flag(b'X', "report a failed lock and exit 111 (default)"),
];

/// The behaviour while another process holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Wait for the lock.
    Wait,
    /// Fail with EAGAIN.
    Try,
}

/// The failed operation of [`take`].
#[derive(Debug)]
pub enum LockError {
    /// Opening or creating the file.
    Open(Errno),
    /// Locking. The file is still open: if standard error was closed, the file
    /// may be descriptor 2, to which 0.76 writes its message.
    Lock(Errno, OwnedFd),
}

/// Locks a file on the lowest free descriptor. After exec, the lock is held until
/// every process that inherited the descriptor has closed it. Creates the file with mode 0600
/// if it does not exist. Errors: as open(2) and flock(2).
pub fn take<P: NixPath + ?Sized>(path: &P, mode: LockMode) -> Result<FileLock, LockError> {
    let file = file::open_append(path, 0o600).map_err(LockError::Open)?;
    let operation = match mode {
        LockMode::Wait => WhenLocked::Wait,
        LockMode::Try => WhenLocked::Fail,
    };
    match FileLock::lock(file, operation) {
        Ok(lock) => {
            // fcntl(2) cannot fail on an open descriptor.
            let _ = file::clear_cloexec(&*lock);
            Ok(lock)
        }
        Err((file, error)) => Err(LockError::Lock(error, file)),
    }
}
