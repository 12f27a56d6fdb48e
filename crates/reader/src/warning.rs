//! Faults that do not end the reading of a log directory.

use std::ffi::OsString;
use std::io;

use nix::errno::Errno;

use crate::compressed::MissingTool;
use crate::held_file::NotRegular;

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
    /// A name is that of no regular file, such as a FIFO or a broken link.
    NotRegular {
        /// Its name in the log directory.
        file: OsString,
    },
    /// The tool of a compressed file has failed; the remaining lines of the file
    /// are skipped.
    Damaged {
        /// Its name in the log directory.
        file: OsString,
    },
    /// A file is compressed, and the tool for it is missing. The file is skipped.
    MissingTool {
        /// Its name in the log directory.
        file: OsString,
        /// The name of the tool, such as `zstd`.
        tool: &'static str,
    },
}

impl ReadWarning {
    /// The warning for a file that could not be opened or read.
    pub(crate) fn of_error(file: OsString, error: &io::Error) -> Self {
        let cause = error.get_ref();
        if let Some(MissingTool(tool)) = cause.and_then(|cause| cause.downcast_ref()) {
            return ReadWarning::MissingTool { file, tool };
        }
        if let Some(NotRegular) = cause.and_then(|cause| cause.downcast_ref()) {
            return ReadWarning::NotRegular { file };
        }
        ReadWarning::Unreadable {
            file,
            error: unix::errno(error),
        }
    }
}
