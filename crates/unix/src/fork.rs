//! Creating processes. [`launch`](crate::launch) starts programs with them.

use std::ffi::c_void;
use std::num::NonZero;
use std::os::fd::RawFd;
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::sched::{CloneFlags, clone, unshare};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::signal::SigSet;
use nix::unistd::{ForkResult, Pid};

use crate::signal_mask::SignalMask;
use crate::signals::reset_changed;

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

/// As [`fork`], without SIGCHLD at the end of the child.
///
/// [`wait_for`](crate::wait::wait_for) returns the status of the child even if
/// this process ignores SIGCHLD. Errors: as clone(2), and as mmap(2) for the
/// child's stack.
pub(crate) fn fork_silent(child: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    let mut stack = Stack::new()?;
    let mut child = Some(child);
    let blocked = AllBlocked::new()?;
    let run = Box::new(|| {
        let guard = AbortOnUnwind;
        reset_changed();
        blocked.lift();
        let code = child.take().map_or(111, |child| child());
        std::mem::forget(guard);
        code as isize
    });
    // SAFETY: the child has its own copy of this memory, and of the stack.
    let created = unsafe { clone(run, stack.bytes(), CloneFlags::empty(), None) };
    drop(blocked);
    match (created, child) {
        // qemu-user creates only children that send SIGCHLD.
        (Err(Errno::EINVAL), Some(child)) => fork(child),
        (created, _) => created,
    }
}

/// Creates a process as vfork(2) does, without copying memory. The child runs
/// `child` in the memory of this process, which is blocked until the child has
/// executed another program or exited with the returned code.
///
/// Signal actions and mask, limits, working directory and descriptors are the
/// child's own, as in a child of [`fork`]. The child has only the descriptors
/// with numbers below `below`. Where the system refuses a child in the same
/// memory, the child is one of [`fork`]. Errors: as clone(2), and as mmap(2) for
/// the child's stack.
pub(crate) fn spawn(below: RawFd, child: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    let mut stack = Stack::new()?;
    let mut child = Some(child);
    let blocked = AllBlocked::new()?;
    let run = Box::new(|| {
        let guard = AbortOnUnwind;
        reset_changed();
        blocked.lift();
        let code = match (unshare_descriptors(below), child.take()) {
            (Ok(()), Some(child)) => child(),
            (Err(_), _) | (_, None) => 111,
        };
        std::mem::forget(guard);
        code as isize
    });
    let flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK | CloneFlags::CLONE_FILES;
    // SAFETY: only the child uses the stack. This thread, and so everything
    // that the child borrows, is blocked until the child has left this memory.
    // No signal handler runs in the child.
    let created = unsafe { clone(run, stack.bytes(), flags, Some(libc::SIGCHLD)) };
    drop(blocked);
    match (created, child) {
        // qemu's emulation of Linux refuses the flags.
        (Err(Errno::EINVAL), Some(child)) => {
            fork(|| unshare_descriptors(below).map_or(111, |()| child()))
        }
        (created, _) => created,
    }
}

/// In a child that shares the parent's descriptors: unshares the ones below
/// `first` and closes the others.
fn unshare_descriptors(first: RawFd) -> Result<(), Errno> {
    let flags = libc::CLOSE_RANGE_UNSHARE;
    // SAFETY: no memory is passed. The parent's descriptors stay open, and the
    // child uses none of the closed ones.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flags) };
    match Errno::result(result) {
        Ok(_) => Ok(()),
        // Linux before 5.9, or a seccomp filter without close_range(2).
        Err(_) => unshare(CloneFlags::CLONE_FILES),
    }
}

/// A stack for a child. The system allocates only the pages in use.
struct Stack(NonNull<c_void>);

impl Stack {
    const SIZE: NonZero<usize> = NonZero::new(256 * 1024).unwrap();

    fn new() -> Result<Self, Errno> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_STACK;
        // SAFETY: a new mapping at an address that the system chooses.
        let memory = unsafe { mmap_anonymous(None, Self::SIZE, access, flags) };
        memory.map(Stack)
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping has this size, is zeroed, and is borrowed with
        // `self`.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr().cast(), Self::SIZE.get()) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: `new` made the mapping with this size; no borrow is left.
        let _ = unsafe { munmap(self.0, Self::SIZE.get()) };
    }
}

/// Blocks all signals until dropped.
struct AllBlocked(SignalMask);

impl AllBlocked {
    fn new() -> Result<Self, Errno> {
        SignalMask::before_blocking(&SigSet::all()).map(AllBlocked)
    }

    fn lift(&self) {
        self.0.restore();
    }
}

impl Drop for AllBlocked {
    fn drop(&mut self) {
        self.lift();
    }
}

struct AbortOnUnwind;

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
