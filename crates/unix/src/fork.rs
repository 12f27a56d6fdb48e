//! New processes, and what they may do before they become other programs.

use std::ffi::c_void;
use std::num::NonZero;
use std::os::fd::RawFd;
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::sched::{CloneFlags, clone, unshare};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::unistd::{ForkResult, Pid};

use crate::signals::release_caught;

/// Forks; the child runs `child` and exits with the code that it returns,
/// if it returns: it is expected to become another program.
///
/// What a [`SignalPipe`](crate::signals::SignalPipe) catches has its default
/// action in the child from the beginning: a signal for the child is no news
/// for its parent.
///
/// The programs have one thread, so the child may use memory as before; it
/// must not unwind into its parent's frames, and does not.
///
/// # Errors
/// As fork(2).
pub fn fork(child: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    let blocked = AllBlocked::new()?;
    // SAFETY: the process has one thread: no lock can be held by another
    // that the child lacks.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let guard = AbortOnUnwind;
            release_caught();
            drop(blocked);
            let code = child();
            std::mem::forget(guard);
            // SAFETY: _exit takes no pointer and does not return; atexit
            // handlers and buffers belong to the parent.
            unsafe { libc::_exit(code) }
        }
    }
}

/// Starts a process as vfork(2) does: nothing is copied, however much memory
/// and however many descriptors this process has. The child runs `child` in
/// this memory, while this process waits until it has become another program,
/// or has exited with the code that `child` returned.
///
/// Signal actions and mask, limits, working directory and descriptors are the
/// child's own, as in a child of [`fork`]; it has only the descriptors of lower
/// numbers than `below`.
///
/// # Errors
/// As clone(2), and as mmap(2) for the child's stack.
pub fn spawn(below: RawFd, child: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    let mut stack = Stack::new()?;
    let mut child = Some(child);
    let blocked = AllBlocked::new()?;
    let run = Box::new(|| {
        let guard = AbortOnUnwind;
        release_caught();
        blocked.lift();
        let code = match (part_from_descriptors(below), child.take()) {
            (Ok(()), Some(child)) => child(),
            (Err(_), _) | (_, None) => 111,
        };
        std::mem::forget(guard);
        code as isize
    });
    let flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK | CloneFlags::CLONE_FILES;
    // SAFETY: the stack is the child's alone. This thread, and with it all
    // that the child borrows, stands still until the child has left this
    // memory; no signal handler runs there.
    unsafe { clone(run, stack.bytes(), flags, Some(libc::SIGCHLD)) }
}

/// In a child that shares its parent's descriptors: keeps copies of those of
/// lower numbers than `first`, as its own.
fn part_from_descriptors(first: RawFd) -> Result<(), Errno> {
    let flags = libc::CLOSE_RANGE_UNSHARE;
    // SAFETY: no memory is passed. What is closed is the child's part in its
    // parent's descriptors; the parent keeps them, and the child uses none.
    let parted = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flags) };
    match Errno::result(parted) {
        Ok(_) => Ok(()),
        // Linux before 5.9, or a filter of system calls that is as old.
        Err(_) => unshare(CloneFlags::CLONE_FILES),
    }
}

/// Memory for a child to run in, given back when it is dropped. Only what is
/// touched is taken from the system.
struct Stack(NonNull<c_void>);

impl Stack {
    const SIZE: NonZero<usize> = NonZero::new(256 * 1024).unwrap();

    fn new() -> Result<Self, Errno> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_STACK;
        // SAFETY: new memory, at a place of the system's choice.
        let memory = unsafe { mmap_anonymous(None, Self::SIZE, access, flags) };
        memory.map(Stack)
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is of this size, all zeroes, and borrowed with
        // `self`.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr().cast(), Self::SIZE.get()) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: made by `new` with this size; nobody borrows it any more.
        let _ = unsafe { munmap(self.0, Self::SIZE.get()) };
    }
}

/// All signals wait as long as this lives.
struct AllBlocked(SigSet);

impl AllBlocked {
    fn new() -> Result<Self, Errno> {
        SigSet::all()
            .thread_swap_mask(SigmaskHow::SIG_BLOCK)
            .map(AllBlocked)
    }

    fn lift(&self) {
        let _ = self.0.thread_set_mask();
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

    #[test]
    fn a_signal_for_a_child_is_not_its_parents() {
        let told = SignalPipe::catch(&[Signal::SIGUSR1]).unwrap();
        let child = || {
            let this = nix::unistd::getpid().as_raw();
            // SAFETY: the child sends it to itself.
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
        assert!(!told.drain());
        // The parent hears of its own as before.
        raise(Signal::SIGUSR1).unwrap();
        assert!(told.drain());
    }

    #[test]
    fn a_spawned_child_exits_with_its_code() {
        for code in [0, 111] {
            let child = spawn(3, || code).unwrap();
            assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, code)));
        }
    }

    #[test]
    fn a_spawned_child_has_its_own_copies_of_lower_descriptors_alone() {
        let (_reader, writer) = pipe().unwrap();
        let above = dup_min(&writer, 500).unwrap();
        let child = spawn(above.as_raw_fd(), || {
            let lower = write(&writer, b"x").is_ok();
            let gone = write(&above, b"x") == Err(Errno::EBADF);
            // Closing its copy leaves the parent's.
            // SAFETY: the parent owns a descriptor of this number of its own.
            drop(unsafe { OwnedFd::from_raw_fd(writer.as_raw_fd()) });
            i32::from(lower && gone)
        })
        .unwrap();
        assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 1)));
        assert!(dup(&writer).is_ok() && dup(&above).is_ok());
    }
}
