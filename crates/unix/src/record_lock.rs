//! Locks between processes that share one open file, such as an inherited pipe.
//!
//! The owner of a lock of fcntl(2) is the process. flock(2) and the locks of open
//! file descriptions have the open file as their owner, so that processes with
//! the same standard output would not exclude each other. A new open file, by
//! `/proc/self/fd/1`, needs permission for the file, and sockets have none. Linux
//! locks pipes, FIFOs, terminals and sockets in the same way as files.
//!
//! The process loses its lock when it closes any descriptor of the same file.

use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use libc::c_short;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

/// Waits until no other process has the lock, and takes it. Locks do not nest.
/// Errors: as fcntl(2), without EINTR.
pub fn lock(descriptor: impl AsFd) -> Result<(), Errno> {
    let all = whole_file(Request::Lock);
    loop {
        match fcntl(&descriptor, FcntlArg::F_SETLKW(&all)) {
            Err(Errno::EINTR) => {}
            done => return done.map(drop),
        }
    }
}

/// Releases the lock. Errors: as fcntl(2).
pub fn unlock(descriptor: impl AsFd) -> Result<(), Errno> {
    fcntl(descriptor, FcntlArg::F_SETLK(&whole_file(Request::Unlock))).map(drop)
}

/// A request for the whole file: to lock, or to unlock.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the constants are 0 to 3, of a type that differs between systems"
)]
fn whole_file(request: Request) -> libc::flock {
    // SAFETY: all fields are integers, for which the zeros are valid.
    let mut lock: libc::flock = unsafe { MaybeUninit::zeroed().assume_init() };
    lock.l_type = match request {
        Request::Lock => libc::F_WRLCK as c_short,
        Request::Unlock => libc::F_UNLCK as c_short,
    };
    lock.l_whence = libc::SEEK_SET as c_short;
    lock
}

#[derive(Clone, Copy)]
enum Request {
    Lock,
    Unlock,
}

#[cfg(test)]
mod tests {
    use std::os::fd::{BorrowedFd, OwnedFd};
    use std::os::unix::net::UnixStream;

    use nix::unistd::pipe;

    use super::*;
    use crate::fork::fork;
    use crate::single_thread::run_alone;
    use crate::wait::wait_for;

    /// The errno of another process with the same open file, 0 if it gets the lock.
    fn errno_of_child(file: BorrowedFd<'_>) -> Option<i32> {
        let child = fork(|| {
            let locked = fcntl(file, FcntlArg::F_SETLK(&whole_file(Request::Lock)));
            locked.map_or_else(|error| error as i32, |_| 0)
        });
        wait_for(child.unwrap()).unwrap().code()
    }

    #[test]
    fn lock_excludes_processes_with_same_open_file() {
        run_alone(|| {
            let (_reader, pipe) = pipe().unwrap();
            let (_peer, socket) = UnixStream::pair().unwrap();
            let file = tempfile::tempfile().unwrap();
            let files: [OwnedFd; 3] = [pipe, socket.into(), file.into()];
            for file in files {
                lock(&file).unwrap();
                lock(&file).unwrap();
                assert_eq!(errno_of_child(file.as_fd()), Some(Errno::EAGAIN as i32));
                unlock(&file).unwrap();
                assert_eq!(errno_of_child(file.as_fd()), Some(0));
            }
        });
    }
}
