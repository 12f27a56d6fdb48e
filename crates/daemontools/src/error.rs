//! The error of a call, with the file.

use std::borrow::Cow;
use std::ffi::{CStr, OsStr};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use daemontools_core::names;
use nix::errno::Errno;

use crate::client::{ClientError, StatusError};
use crate::supervise_dir::SuperviseDir;

/// The operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Reading the environment variable `SUPERVISEDIR`.
    Environment,
    /// Entering the service directory.
    Enter,
    /// Finding the path of the service directory.
    Locate,
    /// Listing a scan directory.
    List,
    /// Looking for a file.
    Find,
    /// open(2).
    Open,
    /// read(2).
    Read,
    /// write(2).
    Write,
    /// Preparing notifications: the system ran out of descriptors or instances.
    Notify,
    /// Watching the service: the system ran out of watches.
    Watch,
}

impl Operation {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Operation::Environment => "follow SUPERVISEDIR",
            Operation::Enter => "enter",
            Operation::Locate => "find the path of",
            Operation::List | Operation::Read => "read",
            Operation::Find => "look for",
            Operation::Open => "open",
            Operation::Write => "write to",
            Operation::Notify => "watch any service",
            Operation::Watch => "watch",
        }
    }
}

/// The cause of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Os(Errno),
    Format,
    NoService,
    LeadsOut,
}

/// A failed operation, with the path of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    operation: Operation,
    path: PathBuf,
    /// Relative to the service directory, or absolute.
    file: PathBuf,
    cause: Cause,
}

impl Error {
    /// An error of the directory itself.
    pub(crate) fn of_directory(operation: Operation, path: &Path, cause: Cause) -> Self {
        Error {
            operation,
            path: path.to_owned(),
            file: PathBuf::new(),
            cause,
        }
    }

    /// An error of a file of a service, which the process calls `service`.
    pub(crate) fn of_status(service: &Path, files: &SuperviseDir, error: StatusError) -> Self {
        let (operation, file, cause) = match error {
            StatusError::Client(error) => (error.operation, error.file, Cause::Os(error.errno)),
            StatusError::Format => (Operation::Read, names::STATUS, Cause::Format),
        };
        Error::of_file(operation, service, files, file, cause)
    }

    /// An error of a file of an environment directory.
    pub(crate) fn of_envdir(directory: &Path, name: &CStr, error: Errno) -> Self {
        let file = Path::new(OsStr::from_bytes(name.to_bytes()));
        Error {
            operation: Operation::Read,
            path: directory.join(file),
            file: file.to_owned(),
            cause: Cause::Os(error),
        }
    }

    pub(crate) fn of_client(service: &Path, files: &SuperviseDir, error: ClientError) -> Self {
        Error::of_status(service, files, error.into())
    }

    pub(crate) fn of_file(
        operation: Operation,
        service: &Path,
        files: &SuperviseDir,
        file: &'static CStr,
        cause: Cause,
    ) -> Self {
        let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
        let service = service.as_os_str().as_bytes();
        Error {
            operation,
            path: path(&files.display_bytes(service, file)),
            file: path(files.path(file).to_bytes()),
            cause,
        }
    }

    /// The operation.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The path of the file or directory, as the process calls it. Empty if the error is
    /// that of no file, as [`Operation::Notify`].
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the file in the service directory. An absolute one, if
    /// `SUPERVISEDIR` is absolute. Empty: the directory itself.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The errno; None if the system did not refuse anything: a status record is too
    /// short, or the directory is no service.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        match self.cause {
            Cause::Os(errno) => Some(errno as i32),
            Cause::Format | Cause::NoService | Cause::LeadsOut => None,
        }
    }

    /// Whether no supervise runs, though one ran before.
    #[must_use]
    pub fn is_not_running(&self) -> bool {
        let (ok, control) = (names::OK.to_bytes(), names::CONTROL.to_bytes());
        let name = |bytes: &[u8]| {
            bytes
                .rsplit(|&byte| byte == b'/')
                .next()
                .map(<[u8]>::to_vec)
        };
        let file = name(self.file.as_os_str().as_bytes());
        self.operation == Operation::Open
            && self.cause == Cause::Os(Errno::ENXIO)
            && (file == name(ok) || file == name(control))
    }

    /// Whether the file, or a directory on its path, does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self.cause, Cause::Os(Errno::ENOENT | Errno::ENOTDIR))
    }

    /// Whether the directory is no service directory: it has neither `run` nor
    /// `supervise`.
    #[must_use]
    pub fn is_no_service(&self) -> bool {
        self.cause == Cause::NoService
    }
}

/// `unable to open /service/web/supervise/ok: `, and the cause.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = match self.cause {
            Cause::Os(_) if self.is_not_running() => "no supervise runs".into(),
            Cause::Os(errno) => Cow::Owned(io::Error::from(errno).to_string()),
            Cause::Format => "bad format".into(),
            Cause::LeadsOut => "it leads out of the service directory".into(),
            Cause::NoService => {
                let path = self.path.display();
                return write!(f, "{path} is no service: it has neither run nor supervise");
            }
        };
        write!(f, "unable to {}", self.operation.words())?;
        if !self.path.as_os_str().is_empty() {
            write!(f, " {}", self.path.display())?;
        }
        write!(f, ": {cause}")
    }
}

impl std::error::Error for Error {}

/// The error keeps its text, and its kind.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.cause {
            Cause::Os(errno) => io::Error::from(errno).kind(),
            Cause::Format => io::ErrorKind::InvalidData,
            Cause::NoService | Cause::LeadsOut => io::ErrorKind::InvalidInput,
        };
        io::Error::new(kind, error)
    }
}
