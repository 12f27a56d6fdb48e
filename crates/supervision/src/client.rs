//! The side of a service directory that svok, svstat, svc, sv, svwait, svps and
//! svscan use: probe for a running supervise or runsv, send commands, read the
//! status, and wait for changes. All paths are relative to the service
//! directory, which is the current directory.

mod commands;
mod condition;
mod probe;
mod snapshot;
mod status;
mod wait;
mod watch;

use std::ffi::CStr;

use daemontools_core::names;
use nix::errno::Errno;

pub use commands::{WhenFull, send_commands};
pub use condition::WaitCondition;
pub use probe::probe;
pub use snapshot::{ServiceSnapshot, StatusRecord};
pub use status::{is_normally_up, read_runsv_status, read_state_file, read_status};
pub use wait::{WaitError, WaitMode, WaitOutcome, wait};
pub use watch::ChangeWatcher;
pub(crate) use watch::Watcher;

/// The system call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// open(2).
    Open,
    /// read(2).
    Read,
    /// write(2).
    Write,
}

/// A failed system call of a client. Each program words the error in its own
/// way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientError {
    /// The system call.
    pub operation: Operation,
    /// The file; empty: the service directory itself.
    pub file: &'static CStr,
    /// The errno.
    pub errno: Errno,
}

impl ClientError {
    /// Whether no supervise runs: open(2) refuses a FIFO without a reader.
    #[must_use]
    pub fn is_not_running(&self) -> bool {
        self.operation == Operation::Open
            && [names::OK, names::CONTROL].contains(&self.file)
            && self.errno == Errno::ENXIO
    }

    fn new(operation: Operation, file: &'static CStr) -> impl Fn(Errno) -> Self {
        move |errno| ClientError {
            operation,
            file,
            errno,
        }
    }
}

/// Why a status is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusError {
    /// A system call failed.
    Client(ClientError),
    /// The status record is too short.
    Format,
}

impl StatusError {
    /// The file with the error, and the errno; None: bad format.
    #[must_use]
    pub fn file(&self) -> (&'static CStr, Option<Errno>) {
        match self {
            StatusError::Client(error) => (error.file, Some(error.errno)),
            StatusError::Format => (names::STATUS, None),
        }
    }

    /// As [`ClientError::is_not_running`].
    #[must_use]
    pub fn is_not_running(&self) -> bool {
        match self {
            StatusError::Client(error) => error.is_not_running(),
            StatusError::Format => false,
        }
    }
}

impl From<ClientError> for StatusError {
    fn from(error: ClientError) -> Self {
        StatusError::Client(error)
    }
}
