//! Waiting for child processes.

use std::mem::MaybeUninit;
use std::time::Duration;

use libc::c_int;
use nix::errno::Errno;
use nix::unistd::Pid;

use crate::system::WAIT_ALL;

/// The exit status of a process. nix's `WaitStatus` lacks realtime signals: a
/// child killed by one would never be reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitStatus(c_int);

impl ExitStatus {
    /// From the status of waitpid(2).
    pub const fn from_raw(status: c_int) -> Self {
        ExitStatus(status)
    }

    /// The exit code. None if a signal killed the process.
    pub fn code(self) -> Option<i32> {
        libc::WIFEXITED(self.0).then(|| libc::WEXITSTATUS(self.0))
    }

    /// The number of the signal that killed the process. None if it exited.
    pub fn signal(self) -> Option<u8> {
        match self.low_byte() & 0x7f {
            0 => None,
            signal => Some(signal),
        }
    }

    /// The low byte of the status: 0 after an exit, else the number of the
    /// signal, plus 128 after a core dump.
    pub fn low_byte(self) -> u8 {
        let [low, ..] = self.0.to_le_bytes();
        low
    }
}

/// The interval between two attempts to wait for a child, after errors that Linux
/// does not document but a filter of system calls or a ptracer may return.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// The maximum number of such errors: after 5 seconds, they count as permanent.
const MAX_FAILURES: usize = 50;

/// Reaps one ended child without blocking. None if no child has ended. Errors: as
/// waitpid(2), ECHILD if the process has no child.
pub fn reap() -> Result<Option<(Pid, ExitStatus)>, Errno> {
    match wait(-1, libc::WNOHANG) {
        Err(Errno::EINTR) => wait(-1, libc::WNOHANG),
        reaped => reaped,
    }
}

/// Blocks until a child has ended, with or without SIGCHLD. None if the process
/// is not a child.
pub fn wait_for(child: Pid) -> Option<ExitStatus> {
    let mut failures = 0;
    loop {
        match wait(child.as_raw(), WAIT_ALL) {
            Ok(reaped) => return reaped.map(|(_, status)| status),
            Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return None,
            Err(_) if failures == MAX_FAILURES => return None,
            Err(_) => {
                failures += 1;
                std::thread::sleep(RETRY_INTERVAL);
            }
        }
    }
}

/// Whether a child has ended; it can still be reaped. Errors: as waitid(2).
pub fn has_ended(child: Pid) -> Result<bool, Errno> {
    let child = libc::id_t::try_from(child.as_raw()).map_err(|_| Errno::ECHILD)?;
    let options = libc::WNOHANG | libc::WNOWAIT | libc::WEXITED;
    // Stays 0 for a child that has not ended.
    let mut status = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: the third argument points to space for one siginfo.
    let result = unsafe { libc::waitid(libc::P_PID, child, status.as_mut_ptr(), options) };
    Errno::result(result)?;
    // SAFETY: all zeroes is a valid siginfo, filled in or not.
    Ok(unsafe { status.assume_init() }.si_signo != 0)
}

fn wait(child: libc::pid_t, options: c_int) -> Result<Option<(Pid, ExitStatus)>, Errno> {
    let mut status = 0;
    // SAFETY: the second argument points to space for a status.
    let pid = Errno::result(unsafe { libc::waitpid(child, &raw mut status, options) })?;
    Ok((pid != 0).then_some((Pid::from_raw(pid), ExitStatus(status))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fork::fork;
    use crate::single_thread::run_alone;

    #[test]
    fn exit_has_code_and_realtime_signal_number() {
        run_alone(|| {
            let exited = wait_for(fork(|| 3).unwrap()).unwrap();
            assert_eq!((exited.code(), exited.low_byte()), (Some(3), 0));
            let child = fork(|| {
                loop {
                    std::thread::park();
                }
            });
            let child = child.unwrap();
            let signal = libc::SIGRTMIN() + 6;
            // SAFETY: the child belongs to this test.
            unsafe { libc::kill(child.as_raw(), signal) };
            let status = wait_for(child).unwrap();
            assert_eq!(
                (status.code(), i32::from(status.low_byte())),
                (None, signal)
            );
        });
    }
}
