//! Creating processes. [`launch`](crate::launch) starts programs with them.

use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::unistd::{ForkResult, Pid};

use crate::signal_mask::SignalMask;
use crate::signals::reset_changed;

pub(crate) use crate::clone::{fork_silent, spawn};

/// Forks. The child runs `child`, which usually executes another program, and
/// exits with the returned code.
///
/// The signals of every [`SignalPipe`](crate::signals::SignalPipe) have their
/// default action in the child from the start. Otherwise a signal for the child
/// would wake the parent through the shared pipe. So have the signals of
/// [`ignore`](crate::signals::ignore).
///
/// The programs have one thread, so the child may allocate. A panic aborts the
/// child instead of unwinding into the parent's frames. Errors: as fork(2).
pub(crate) fn fork(child: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    let blocked = AllBlocked::new()?;
    // SAFETY: the process has one thread, so no lock stays held in the child.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let guard = AbortOnUnwind;
            reset_changed();
            drop(blocked);
            let code = child();
            std::mem::forget(guard);
            // SAFETY: _exit takes no pointer and does not return. It skips the
            // atexit handlers and buffers, which belong to the parent.
            unsafe { libc::_exit(code) }
        }
    }
}

/// Blocks all signals until dropped.
pub(crate) struct AllBlocked(SignalMask);

impl AllBlocked {
    pub(crate) fn new() -> Result<Self, Errno> {
        SignalMask::before_blocking(&SigSet::all()).map(AllBlocked)
    }

    pub(crate) fn lift(&self) {
        self.0.restore();
    }
}

impl Drop for AllBlocked {
    fn drop(&mut self) {
        self.lift();
    }
}

/// Aborts a child that would unwind into the parent's frames.
pub(crate) struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    use nix::sys::signal::{Signal, raise};
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{dup, pipe, write};

    use super::*;
    use crate::file::dup_min;
    use crate::signals::SignalPipe;
    use crate::single_thread::run_alone;

    #[test]
    fn signal_for_child_does_not_reach_parent() {
        run_alone(|| {
            let pipe = SignalPipe::catch(&[Signal::SIGUSR1]).unwrap();
            let child = || {
                let this = nix::unistd::getpid().as_raw();
                // SAFETY: the child signals itself.
                unsafe { libc::kill(this, libc::SIGUSR1) };
                0
            };
            for child in [fork(child), spawn(1000, child)] {
                let end = waitpid(child.unwrap(), None);
                assert!(
                    matches!(end, Ok(WaitStatus::Signaled(_, Signal::SIGUSR1, _))),
                    "{end:?}"
                );
            }
            assert!(!pipe.drain());
            // The parent still receives its own signals.
            raise(Signal::SIGUSR1).unwrap();
            assert!(pipe.drain());
        });
    }

    #[test]
    fn spawned_child_exits_with_returned_code() {
        run_alone(|| {
            for code in [0, 111] {
                let child = spawn(3, || code).unwrap();
                assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, code)));
            }
        });
    }

    #[test]
    fn spawned_child_copies_only_lower_descriptors() {
        run_alone(|| {
            let (_reader, writer) = pipe().unwrap();
            let above = dup_min(&writer, 500).unwrap();
            let child = spawn(above.as_raw_fd(), || {
                let lower = write(&writer, b"x").is_ok();
                let is_closed = write(&above, b"x") == Err(Errno::EBADF);
                // SAFETY: the descriptor is the child's copy; the parent keeps its
                // own of the same number.
                drop(unsafe { OwnedFd::from_raw_fd(writer.as_raw_fd()) });
                i32::from(lower && is_closed)
            })
            .unwrap();
            assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 1)));
            assert!(dup(&writer).is_ok() && dup(&above).is_ok());
        });
    }
}
