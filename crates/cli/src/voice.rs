//! How the programs of runit speak: with the name of the directory that they
//! work on after their own.

use std::ffi::CStr;

use nix::errno::Errno;

use crate::errno::wording;
use crate::program::{Exit, Failure};
use crate::text;
use crate::text::complain_in_passing;

/// A program at work on a directory.
#[derive(Clone, Copy, Debug)]
pub struct Voice<'a> {
    /// The program's name.
    pub program: &'a str,
    /// The directory, as it was called.
    pub directory: &'a CStr,
}

impl Voice<'_> {
    /// `NAME DIRECTORY: fatal: WHAT: WORDING`, exit 111.
    #[must_use]
    pub fn fatal(&self, what: impl AsRef<[u8]>, error: Errno) -> Failure {
        self.refuse(text![what.as_ref(), ": ", wording(error)])
    }

    /// `NAME DIRECTORY: fatal: WHAT`, exit 111: for failures that are not an
    /// errno.
    #[must_use]
    pub fn refuse(&self, what: impl AsRef<[u8]>) -> Failure {
        Failure {
            exit: Exit::Failed,
            message: self.line("fatal", what.as_ref()),
        }
    }

    /// Prints `NAME DIRECTORY: warning: WHAT: WORDING`.
    pub fn warn(&self, what: impl AsRef<[u8]>, error: Errno) {
        self.remark(text![what.as_ref(), ": ", wording(error)]);
    }

    /// Prints `NAME DIRECTORY: warning: WHAT`, without waiting for who reads
    /// it.
    pub fn remark(&self, what: impl AsRef<[u8]>) {
        complain_in_passing(&self.line("warning", what.as_ref()));
    }

    fn line(&self, kind: &str, what: &[u8]) -> Vec<u8> {
        text![
            self.program,
            " ",
            self.directory,
            ": ",
            kind,
            ": ",
            what,
            "\n"
        ]
    }
}
