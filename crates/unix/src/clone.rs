//! Children that the functions of fork(2) cannot create: in the memory of this
//! process, or without SIGCHLD.

use std::ffi::{c_int, c_void};
use std::num::NonZero;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::unistd::Pid;

use crate::fork::{AbortOnUnwind, AllBlocked, fork};
use crate::signals::reset_changed;

/// As [`fork`], without SIGCHLD at the end of the child.
///
/// [`wait_for`](crate::wait::wait_for) returns the status of the child even if
/// this process ignores SIGCHLD. Errors: as clone(2), and as mmap(2) for the
/// stack.
pub(crate) fn fork_silent(child: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    // qemu-user creates only children that send SIGCHLD.
    clone_or_fork(0, child)
}

/// Creates a process as vfork(2) does, without copying memory. The child runs
/// `child` in the memory of this process, which is blocked until the child has
/// executed another program or exited with the returned code.
///
/// Signal actions and mask, limits, working directory and descriptors are the
/// child's own, as in a child of [`fork`]. The child has only the descriptors
/// with numbers below `below`. Where the system refuses a child in the same
/// memory, the child is one of [`fork`]. Errors: as clone(2), and as mmap(2) for
/// the stack.
pub(crate) fn spawn(below: RawFd, child: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    // This thread, and so everything that the child borrows, is blocked until the
    // child has left this memory. No signal handler runs in the child. qemu's
    // emulation of Linux refuses the flags.
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::SIGCHLD;
    clone_or_fork(flags, || {
        unshare_descriptors(below).map_or(111, |()| child())
    })
}

/// Creates a process with these flags, or one of [`fork`] where the system refuses
/// them.
fn clone_or_fork(flags: c_int, child: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    let mut child = Some(child);
    let blocked = AllBlocked::new()?;
    let run = || {
        let guard = AbortOnUnwind;
        reset_changed();
        blocked.lift();
        let code = child.take().map_or(111, |child| child());
        std::mem::forget(guard);
        code
    };
    let created = clone(flags, run);
    drop(blocked);
    match (created, child) {
        (Err(Errno::EINVAL), Some(child)) => fork(child),
        (created, _) => created,
    }
}

/// Creates a process that runs `child` once on a stack of its own. Without
/// `CLONE_VM` the child has a copy of the memory, with `CLONE_VFORK` this thread is
/// blocked. Errors: as clone(2), and as mmap(2) for the stack.
fn clone<F: FnMut() -> i32>(flags: c_int, mut child: F) -> Result<Pid, Errno> {
    extern "C" fn run<F: FnMut() -> i32>(child: *mut c_void) -> c_int {
        // SAFETY: `clone` passes a pointer to `child`, in this memory or its copy.
        let child = unsafe { &mut *child.cast::<F>() };
        child()
    }
    let mut stack = Stack::take()?;
    let argument: *mut F = &raw mut child;
    // SAFETY: only the child uses the stack, and `child` lives until it ends or
    // leaves this memory.
    let created = unsafe { libc::clone(run::<F>, stack.end(), flags, argument.cast()) };
    Errno::result(created).map(Pid::from_raw)
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

/// The stack of a child.
enum Stack {
    /// That of [`map_stack`].
    Kept(NonNull<c_void>),
    /// For one child.
    Mapped(NonNull<c_void>),
}

/// The size of a stack in bytes. The system allocates only the pages in use.
const STACK_SIZE: usize = 256 * 1024;

/// The stack of [`map_stack`]: null without one, and while a child uses it.
static KEPT_STACK: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// Maps a stack for the life of the process, so that a start needs no new memory.
/// Without it, and for a child of a child, each start maps a stack. Errors: as mmap(2).
pub(crate) fn map_stack() -> Result<(), Errno> {
    KEPT_STACK.store(new_stack()?.as_ptr(), Ordering::Release);
    Ok(())
}

fn new_stack() -> Result<NonNull<c_void>, Errno> {
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_STACK;
    let size = NonZero::new(STACK_SIZE).ok_or(Errno::EINVAL)?;
    // SAFETY: a new mapping at an address that the system chooses.
    unsafe { mmap_anonymous(None, size, access, flags) }
}

impl Stack {
    fn take() -> Result<Self, Errno> {
        let kept = KEPT_STACK.swap(std::ptr::null_mut(), Ordering::Acquire);
        match NonNull::new(kept) {
            Some(kept) => Ok(Stack::Kept(kept)),
            None => new_stack().map(Stack::Mapped),
        }
    }

    /// The end of the memory, where a stack begins.
    fn end(&mut self) -> *mut c_void {
        let (Stack::Kept(start) | Stack::Mapped(start)) = self;
        start.as_ptr().wrapping_byte_add(STACK_SIZE)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        match self {
            Stack::Kept(start) => {
                // The pages that the child has used are free again.
                // SAFETY: no child uses the pages of this process any more.
                let _ = unsafe { libc::madvise(start.as_ptr(), STACK_SIZE, libc::MADV_DONTNEED) };
                KEPT_STACK.store(start.as_ptr(), Ordering::Release);
            }
            Stack::Mapped(start) => {
                // SAFETY: `take` made the mapping with this size.
                let _ = unsafe { munmap(*start, STACK_SIZE) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::wait::{WaitStatus, waitpid};

    use super::*;
    use crate::single_thread::run_alone;

    #[test]
    fn child_of_a_child_has_a_stack_of_its_own() {
        run_alone(|| {
            map_stack().unwrap();
            let kept = KEPT_STACK.load(Ordering::Relaxed);
            let child = spawn(3, || {
                let local = std::hint::black_box([7_u8; 4096]);
                let Ok(inner) = spawn(3, || i32::from(std::hint::black_box([9_u8; 4096])[0]))
                else {
                    return 1;
                };
                let inner = crate::wait::wait_for(inner).and_then(crate::wait::ExitStatus::code);
                i32::from(local == [7; 4096] && inner == Some(9)) + 40
            });
            let child = child.unwrap();
            assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 41)));
            assert!(!kept.is_null() && KEPT_STACK.load(Ordering::Relaxed) == kept);
        });
    }
}
