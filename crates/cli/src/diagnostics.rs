//! How the programs of runit speak: with the name of the directory that they
//! work on after their own.

use std::ffi::CStr;

use nix::errno::Errno;

use crate::errno::errno_message;
use crate::program::{Exit, Failure};
use crate::text;
use crate::text::try_write_stderr;

/// A program at work on a directory.
#[derive(Clone, Copy, Debug)]
pub struct Diagnostics<'a> {
    /// The program's name.
    pub program: &'a str,
    /// The directory, as it was called.
    pub directory: &'a CStr,
}

impl Diagnostics<'_> {
    /// `NAME DIRECTORY: fatal: WHAT: WORDING`, exit 111.
    #[must_use]
    pub fn fatal(&self, what: impl AsRef<[u8]>, error: Errno) -> Failure {
        self.fatal_msg(text![what.as_ref(), ": ", errno_message(error)])
    }

    /// `NAME DIRECTORY: fatal: WHAT`, exit 111: for failures that are not an
    /// errno.
    #[must_use]
    pub fn fatal_msg(&self, what: impl AsRef<[u8]>) -> Failure {
        Failure {
            exit: Exit::Temporary,
            message: self.line("fatal", what.as_ref()),
        }
    }

    /// Prints `NAME DIRECTORY: warning: WHAT: WORDING`.
    pub fn warn(&self, what: impl AsRef<[u8]>, error: Errno) {
        self.warn_msg(text![what.as_ref(), ": ", errno_message(error)]);
    }

    /// Prints `NAME DIRECTORY: warning: WHAT`, without waiting for who reads
    /// it.
    pub fn warn_msg(&self, what: impl AsRef<[u8]>) {
        try_write_stderr(&self.line("warning", what.as_ref()));
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
