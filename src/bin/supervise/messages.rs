//! The messages of supervise.

use std::ffi::CStr;

use cli::{Failure, basename, text};
use daemontools::supervise_dir::SuperviseDir;
use daemontools_core::names;
use nix::errno::Errno;
use supervision::directory::{AcquireError, ReplaceError};
use supervision::permissions::PermissionsErrorCause;
use supervision::supervise::SuperviseWarning;

use super::SUPERVISE;

/// The end of a supervise that could not start.
pub(crate) fn cannot_acquire(dir: &CStr, files: &SuperviseDir, error: AcquireError) -> Failure {
    let (doing, file, error) = match error {
        AcquireError::Make(supervise, error) => ("make ", supervise, error),
        AcquireError::Link(_, error) => ("acquire ", names::LOCK, error),
        AcquireError::Open(lock, error) | AcquireError::Lock(lock, error) => {
            ("acquire ", lock, error)
        }
        AcquireError::Stat(fifo, error) | AcquireError::Read(fifo, error) => ("read ", fifo, error),
        AcquireError::NoFifo(fifo) => ("read ", fifo, Errno::EINVAL),
        AcquireError::Write(fifo, error) => ("write ", fifo, error),
    };
    SUPERVISE.fatal(text!["unable to ", doing, files.display(dir, file)], error)
}

/// Prints a warning, or the fatal error of a child.
pub(crate) fn warn(dir: &CStr, files: &SuperviseDir, warning: SuperviseWarning) {
    let name = |file| files.display(dir, file);
    match warning {
        SuperviseWarning::Replace(error) => warn_replace(name, error),
        SuperviseWarning::Fork(error) => {
            unable(text!["fork for ", dir, ", sleeping 60 seconds"], error);
        }
        SuperviseWarning::Exec(program, error) => {
            let program = basename(program.to_bytes());
            child_failed(text!["start ", dir, "/", program], error);
        }
        SuperviseWarning::Config(warning) => SUPERVISE.try_warn_msg(warning.message(name)),
        SuperviseWarning::NotificationPipe(error) => {
            let file = name(names::NOTIFICATION_FD);
            unable(text!["create pipe for ", file], error);
        }
        SuperviseWarning::Descriptor(file, error) => {
            child_failed(text!["set the descriptor of ", name(file)], error);
        }
        SuperviseWarning::LockHeld => {
            SUPERVISE.try_warn_msg(text!["waiting for what holds ", name(names::RUN_LOCK)]);
        }
        SuperviseWarning::Lock(error) => {
            child_failed(text!["lock ", name(names::RUN_LOCK)], error);
        }
        SuperviseWarning::Permissions(error) => {
            let file = name(error.file);
            match error.cause {
                PermissionsErrorCause::Link => {
                    SUPERVISE.try_warn_msg(text![file, " is a symbolic link"]);
                }
                PermissionsErrorCause::NoFifo => {
                    SUPERVISE.try_warn_msg(text![file, " is not a FIFO"]);
                }
                PermissionsErrorCause::Os(error) => {
                    unable(text!["set permissions of ", file], error);
                }
            }
        }
        SuperviseWarning::NotifyFork(error) => {
            unable(text!["fork for ", name(names::NOTIFY)], error);
        }
        SuperviseWarning::Check(error) => unable(text!["start ", name(names::CHECK)], error),
    }
}

/// `name` returns the name of a file in messages.
fn warn_replace(name: impl Fn(&'static CStr) -> Vec<u8>, error: ReplaceError) {
    match error {
        ReplaceError::Open(file, error) => unable(text!["open ", name(file.new)], error),
        ReplaceError::Write(file, error) => unable(text!["write ", name(file.new)], error),
        ReplaceError::Short(file) => {
            let problem = text!["unable to write ", name(file.new), ": partial write"];
            SUPERVISE.try_warn_msg(problem);
        }
        ReplaceError::Rename(file, error) => {
            let to = basename(file.name.to_bytes());
            unable(text!["rename ", name(file.new), " to ", to], error);
        }
    }
}

fn unable(to: impl AsRef<[u8]>, error: Errno) {
    SUPERVISE.try_warn(text!["unable to ", to.as_ref()], error);
}

/// Prints the fatal error of a child that exits instead of executing its
/// program.
fn child_failed(to: impl AsRef<[u8]>, error: Errno) {
    let failure = SUPERVISE.fatal(text!["unable to ", to.as_ref()], error);
    text::try_write_stderr(&failure.message);
}
