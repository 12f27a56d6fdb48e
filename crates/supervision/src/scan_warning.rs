//! The warnings of svscan and runsvdir.

use std::ffi::CStr;

use nix::errno::Errno;

use crate::Role;

/// An operation that failed. The next scan repeats the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanWarning<'a> {
    /// Reading the directory. All services stay.
    ReadDirectory,
    /// stat(2) of an entry, or of its `log`.
    Stat(&'a CStr),
    /// Adding a service, or its new name, for want of memory. One warning stands for
    /// all services until a scan finds memory for each.
    Memory(&'a CStr),
    /// Making the pipe between a service and its logger.
    Pipe(&'a CStr),
    /// Forking the process of a role.
    Fork(&'a CStr, Role),
    /// Entering the service directory, in the logger's process.
    Chdir(&'a CStr),
    /// Executing supervise or runsv, in the new process.
    Exec(&'a CStr, Role),
    /// Stopping a role within the timeout. SIGKILL follows.
    Stop(&'a CStr, Role),
}

/// The receiver of warnings. A child process calls it too, before exec.
pub(crate) type WarnFn<'a> = &'a dyn Fn(ScanWarning<'_>, Errno);
