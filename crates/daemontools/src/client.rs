//! The calls below [`Service`](crate::Service), which allocate no memory: for
//! supervisors. Messages need the name of the service beside a [`ClientError`].

use std::ffi::CStr;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use daemontools_core::names;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::unistd::write;
use unix::file;
use unix::poll::wait_for_events;

use crate::error::Operation;
use crate::supervise_dir::SuperviseDir;

pub use daemontools_core::tally::Tally;

pub use crate::envdir::read_envdir_edits;
pub use crate::status::{
    is_normally_up, read_deaths, read_runsv_status, read_state_file, read_status,
};

/// A failed system call of a client. Each program words the error in its own
/// way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientError {
    /// The system call.
    pub operation: Operation,
    /// The file; empty: the service directory itself.
    pub file: &'static CStr,
    pub(crate) errno: Errno,
}

impl ClientError {
    /// Whether no supervise runs: open(2) refuses a FIFO without a reader.
    #[must_use]
    pub fn is_not_running(&self) -> bool {
        self.operation == Operation::Open
            && [names::OK, names::CONTROL].contains(&self.file)
            && self.errno == Errno::ENXIO
    }

    /// The errno.
    #[must_use]
    pub fn raw_os_error(&self) -> i32 {
        self.errno as i32
    }

    pub(crate) fn new(operation: Operation, file: &'static CStr) -> impl Fn(Errno) -> Self {
        move |errno| ClientError {
            operation,
            file,
            errno,
        }
    }
}

/// `unable to open supervise/ok: `, and the cause.
impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, cause) = (self.operation.words(), io::Error::from(self.errno));
        write!(
            f,
            "unable to {verb} {}: {cause}",
            self.file.to_string_lossy()
        )
    }
}

impl std::error::Error for ClientError {}

/// The cause of an unknown status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum StatusError {
    /// A system call failed.
    Client(ClientError),
    /// The status record is too short.
    Format,
}

impl StatusError {
    /// As [`ClientError::is_not_running`].
    #[must_use]
    pub fn is_not_running(&self) -> bool {
        match self {
            StatusError::Client(error) => error.is_not_running(),
            StatusError::Format => false,
        }
    }
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StatusError::Client(error) => error.fmt(f),
            StatusError::Format => f.write_str("the status record is too short"),
        }
    }
}

impl std::error::Error for StatusError {}

impl From<ClientError> for StatusError {
    fn from(error: ClientError) -> Self {
        StatusError::Client(error)
    }
}

/// Opens the FIFO `ok` for writing, which only a running supervise or runsv has
/// open for reading. A poll of the descriptor reports `POLLERR` once it exits.
///
/// # Errors
/// As open(2): ENXIO if no supervise runs, ENOENT if none ever ran.
pub fn probe(dir: &SuperviseDir) -> Result<OwnedFd, ClientError> {
    dir.open_write(names::OK)
        .map_err(ClientError::new(Operation::Open, names::OK))
}

/// The behaviour when the control FIFO is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum WhenFull {
    /// Block until supervise has read earlier commands, as 0.76's svc does.
    Block,
    /// Fail with EAGAIN, as runit's sv does.
    Fail,
}

/// Writes the letters to `control` in the supervise directory.
///
/// # Errors
/// As open(2): ENXIO if no supervise runs. As write(2): EPIPE if it exits in
/// between; the caller blocks or ignores SIGPIPE.
pub fn send_commands(
    dir: &SuperviseDir,
    letters: &[u8],
    when_full: WhenFull,
) -> Result<(), ClientError> {
    let open = || {
        let control = dir.open_write(names::CONTROL)?;
        match when_full {
            WhenFull::Block => file::set_blocking(&control)?,
            WhenFull::Fail => {}
        }
        Ok(control)
    };
    let error = |operation| ClientError::new(operation, names::CONTROL);
    let control = open().map_err(error(Operation::Open))?;
    write(&control, letters)
        .map(drop)
        .map_err(error(Operation::Write))
}

/// As [`send_commands`], with a deadline for a full FIFO. Whether the commands are sent;
/// a part of them may be sent if they are more than `PIPE_BUF`.
pub(crate) fn send_until(
    dir: &SuperviseDir,
    mut letters: &[u8],
    deadline: Option<Instant>,
) -> Result<bool, ClientError> {
    let error = |operation| ClientError::new(operation, names::CONTROL);
    let control = dir
        .open_write(names::CONTROL)
        .map_err(error(Operation::Open))?;
    while !letters.is_empty() {
        match write(&control, letters) {
            Ok(sent) => letters = letters.get(sent..).unwrap_or_default(),
            Err(Errno::EAGAIN) if deadline.is_some_and(|end| end <= Instant::now()) => {
                return Ok(false);
            }
            Err(Errno::EAGAIN) => {
                let full = PollFd::new(control.as_fd(), PollFlags::POLLOUT);
                wait_for_events(&mut [full], deadline);
            }
            Err(Errno::EINTR) => {}
            Err(cause) => return Err(error(Operation::Write)(cause)),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::supervise_dir::IN_SERVICE;
    use testkit::service_files::{Supervised, in_directory};

    #[test]
    fn only_fifo_without_reader_shows_no_supervise() {
        let not_running = ClientError {
            operation: Operation::Open,
            file: names::OK,
            errno: Errno::ENXIO,
        };
        let with = |change: fn(&mut ClientError)| {
            let mut error = not_running;
            change(&mut error);
            assert_eq!(
                StatusError::from(error).is_not_running(),
                error.is_not_running()
            );
            error.is_not_running()
        };
        assert!(with(|_| {}));
        assert!(with(|error| error.file = names::CONTROL));
        assert!(!with(|error| error.file = names::STATUS));
        assert!(!with(|error| error.errno = Errno::ENOENT));
        assert!(!with(|error| error.operation = Operation::Write));
        assert!(!StatusError::Format.is_not_running());
        assert_eq!(
            StatusError::from(not_running).to_string(),
            "unable to open supervise/ok: No such device or address (os error 6)"
        );
    }

    #[test]
    fn full_fifo_takes_no_command_until_deadline() {
        in_directory(|| {
            let supervised = Supervised::new(".");
            while send_commands(&IN_SERVICE, &[b'u'; 4096], WhenFull::Fail).is_ok() {}
            let now = Some(Instant::now());
            assert_eq!(send_until(&IN_SERVICE, b"dx", now), Ok(false));
            let service = crate::Service::open(".").unwrap();
            let outcome = |timeout| {
                let down = crate::WaitCondition::Down;
                service.send_and_wait(&[crate::Command::Down], down, Some(timeout))
            };
            let timed_out = Ok(crate::WaitOutcome::TimedOut);
            assert_eq!(outcome(Duration::ZERO), timed_out);
            assert_eq!(outcome(Duration::from_millis(1)), timed_out);
            // More commands than the FIFO holds, while a thread reads all.
            let total = 1 << 20;
            let reader = std::thread::spawn(move || {
                let (mut read, mut last) = (0, 0);
                let mut bytes = [0; 4096];
                while last != b'x' {
                    let poll = PollFd::new(supervised.control.as_fd(), PollFlags::POLLIN);
                    wait_for_events(&mut [poll], None);
                    let length = nix::unistd::read(&supervised.control, &mut bytes).unwrap_or(0);
                    read += bytes[..length]
                        .iter()
                        .map(|byte| usize::from(*byte == b'd'))
                        .sum::<usize>();
                    last = bytes[..length].last().copied().unwrap_or(last);
                }
                (read, supervised)
            });
            let commands = [vec![b'd'; total], b"x".to_vec()].concat();
            assert_eq!(send_until(&IN_SERVICE, &commands, None), Ok(true));
            let (read, supervised) = reader.join().unwrap();
            assert_eq!(read, total);
            while send_commands(&IN_SERVICE, &[b'u'; 4096], WhenFull::Fail).is_ok() {}
            // The exit of supervise ends the wait, before or after its begin.
            let exit = std::thread::spawn(move || drop(supervised));
            let error = send_until(&IN_SERVICE, b"d", None).unwrap_err();
            assert!(error.errno == Errno::EPIPE || error.is_not_running());
            exit.join().unwrap();
        });
    }

    #[test]
    fn commands_reach_the_control_fifo() {
        in_directory(|| {
            let missing = probe(&IN_SERVICE).unwrap_err();
            assert_eq!(missing.errno, Errno::ENOENT);
            let supervised = Supervised::new(".");
            assert!(probe(&IN_SERVICE).is_ok());
            for when_full in [WhenFull::Block, WhenFull::Fail] {
                send_commands(&IN_SERVICE, b"dx", when_full).unwrap();
                let mut bytes = [0; 8];
                assert_eq!(nix::unistd::read(&supervised.control, &mut bytes), Ok(2));
                assert_eq!(bytes.get(..2), Some(&b"dx"[..]));
            }
            // A full FIFO blocks, or fails.
            while send_commands(&IN_SERVICE, &[b'u'; 4096], WhenFull::Fail).is_ok() {}
            let full = send_commands(&IN_SERVICE, b"u", WhenFull::Fail).unwrap_err();
            assert_eq!(
                (full.operation, full.errno),
                (Operation::Write, Errno::EAGAIN)
            );
            drop(supervised);
            assert!(probe(&IN_SERVICE).unwrap_err().is_not_running());
            let gone = send_commands(&IN_SERVICE, b"u", WhenFull::Block).unwrap_err();
            assert!(gone.is_not_running());
        });
    }
}
