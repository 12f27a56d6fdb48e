//! fork, with what a child may do.

use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid};

/// Forks; the child runs `child` and exits with the code that it returns,
/// if it returns: it is expected to become another program.
///
/// The programs have one thread, so the child may use memory as before; it
/// must not unwind into its parent's frames, and does not.
///
/// # Errors
/// As fork(2).
pub fn fork(child: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    // SAFETY: the process has one thread: no lock can be held by another
    // that the child lacks.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let guard = AbortOnUnwind;
            let code = child();
            std::mem::forget(guard);
            // SAFETY: _exit takes no pointer and does not return; atexit
            // handlers and buffers belong to the parent.
            unsafe { libc::_exit(code) }
        }
    }
}

struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}
