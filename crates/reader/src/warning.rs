//! Faults that do not end the reading of a log directory.

use std::ffi::OsString;

use nix::errno::Errno;

/// A fault that does not end the reading of a log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadWarning {
    /// This number of files was removed before they were read.
    Gone(u64),
    /// A file cannot be read; its remaining lines are skipped.
    Unreadable {
        /// Its name in the log directory.
        file: OsString,
        /// The error of open(2) or read(2).
        error: Errno,
    },
    /// A file is compressed, and the tool for it is missing. The file is skipped.
    MissingTool {
        /// Its name in the log directory.
        file: OsString,
        /// The name of the tool, such as `zstd`.
        tool: &'static str,
    },
}
