//! Children that have ended, and how.

use libc::c_int;
use nix::errno::Errno;
use nix::unistd::Pid;

/// How a process ended, by whatever signal: nix knows no realtime signals, and
/// a child that ended by one would never be heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitStatus(c_int);

impl ExitStatus {
    /// From a status as waitpid(2) tells it.
    #[must_use]
    pub const fn from_raw(status: c_int) -> Self {
        ExitStatus(status)
    }

    /// The exit code; None if a signal ended it.
    #[must_use]
    pub fn code(self) -> Option<i32> {
        libc::WIFEXITED(self.0).then(|| libc::WEXITSTATUS(self.0))
    }

    /// The number of the signal that ended it; None if it exited.
    #[must_use]
    pub fn signal(self) -> Option<u8> {
        match self.low_byte() & 0x7f {
            0 => None,
            signal => Some(signal),
        }
    }

    /// The low byte of the status: 0 after an exit, else the number of the
    /// signal, and 128 more if there was a core dump.
    #[must_use]
    pub fn low_byte(self) -> u8 {
        let [low, ..] = self.0.to_le_bytes();
        low
    }
}

/// Takes leave of a child that has ended; None if there is none.
#[must_use]
pub fn reap() -> Option<(Pid, ExitStatus)> {
    wait(-1, libc::WNOHANG)
}

/// Waits for a child to end; None if there is no such child.
#[must_use]
pub fn wait_for(child: Pid) -> Option<ExitStatus> {
    wait(child.as_raw(), 0).map(|(_, end)| end)
}

fn wait(who: libc::pid_t, options: c_int) -> Option<(Pid, ExitStatus)> {
    let mut status = 0;
    loop {
        // SAFETY: the second argument points to room for a status.
        match Errno::result(unsafe { libc::waitpid(who, &raw mut status, options) }) {
            Ok(0) => return None,
            Ok(pid) => return Some((Pid::from_raw(pid), ExitStatus(status))),
            Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fork::fork;

    #[test]
    fn a_realtime_signal_is_an_end() {
        let child = fork(|| {
            loop {
                std::thread::park();
            }
        });
        let child = child.unwrap();
        let signal = libc::SIGRTMIN() + 6;
        // SAFETY: the child is this test's own.
        unsafe { libc::kill(child.as_raw(), signal) };
        let end = wait_for(child).unwrap();
        assert_eq!((end.code(), i32::from(end.low_byte())), (None, signal));
    }

    #[test]
    fn an_exit_has_a_code() {
        let child = fork(|| 3).unwrap();
        let end = wait_for(child).unwrap();
        assert_eq!((end.code(), end.low_byte()), (Some(3), 0));
    }
}
