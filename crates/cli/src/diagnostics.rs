//! Messages of the runit programs, which name a directory after the program.

use std::ffi::CStr;

use nix::errno::Errno;

use crate::errno::errno_message;
use crate::program::{Exit, Failure};
use crate::text;
use crate::text::try_write_stderr;

/// A program and its directory, as the prefix of messages.
#[derive(Clone, Copy, Debug)]
pub struct Diagnostics<'a> {
    /// The program's name.
    pub program: &'a str,
    /// The directory as given on the command line.
    pub directory: &'a CStr,
}

impl Diagnostics<'_> {
    /// `NAME DIRECTORY: fatal: SUBJECT: ERRNO TEXT`, exit 111.
    pub fn fatal(&self, subject: impl AsRef<[u8]>, error: Errno) -> Failure {
        self.fatal_msg(text![subject.as_ref(), ": ", errno_message(error)])
    }

    /// `NAME DIRECTORY: fatal: MESSAGE`, exit 111.
    pub fn fatal_msg(&self, message: impl AsRef<[u8]>) -> Failure {
        Failure {
            exit: Exit::Temporary,
            message: self.line("fatal", message.as_ref()),
        }
    }

    /// Prints `NAME DIRECTORY: warning: SUBJECT: ERRNO TEXT`.
    pub fn warn(&self, subject: impl AsRef<[u8]>, error: Errno) {
        self.warn_msg(text![subject.as_ref(), ": ", errno_message(error)]);
    }

    /// Prints `NAME DIRECTORY: warning: MESSAGE`, without blocking; see
    /// [`try_write_stderr`].
    pub fn warn_msg(&self, message: impl AsRef<[u8]>) {
        try_write_stderr(&self.line("warning", message.as_ref()));
    }

    fn line(&self, kind: &str, message: &[u8]) -> Vec<u8> {
        text![
            self.program,
            " ",
            self.directory,
            ": ",
            kind,
            ": ",
            message,
            "\n"
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_names_program_and_directory() {
        let diagnostics = Diagnostics {
            program: "runsv",
            directory: c"web",
        };
        let failure = diagnostics.fatal("unable to open log/run", Errno::ENOENT);
        let line = b"runsv web: fatal: unable to open log/run: file does not exist\n";
        assert_eq!(failure.message, line);
        assert_eq!(failure.exit, Exit::Temporary);
    }
}
