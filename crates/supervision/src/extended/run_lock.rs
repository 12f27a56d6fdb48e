//! The lock that a run inherits on the descriptor of `lock-fd`, as in s6: the
//! next run waits until all processes of the last one have released it.

use std::os::fd::OwnedFd;

use daemontools_core::names;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};
use unix::file;

/// Takes the lock in the new process, and calls `on_wait` before it blocks.
/// The lock lives as long as a copy of the descriptor.
///
/// # Errors
/// As open(2), flock(2), prctl(2) and fcntl(2); ESRCH if `supervise`, the
/// parent, has exited.
pub(super) fn acquire(supervise: Pid, on_wait: impl FnOnce()) -> Result<OwnedFd, Errno> {
    let file = file::open_append(names::RUN_LOCK, 0o600)?;
    let held = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Err((file, Errno::EAGAIN)) => {
            on_wait();
            // This process has copies of all descriptors of supervise, its lock
            // included, and must not outlive it.
            set_pdeathsig(Signal::SIGKILL)?;
            if getppid() != supervise {
                return Err(Errno::ESRCH);
            }
            let held = Flock::lock(file, FlockArg::LockExclusive);
            set_pdeathsig(None)?;
            held
        }
        result => result,
    };
    let held = held.map_err(|(_, error)| error)?;
    let copy = file::dup_min(&*held, 0);
    // Dropped, it would release the lock.
    std::mem::forget(held);
    copy
}
