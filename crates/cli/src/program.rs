//! A program's name, options, messages and exit codes.

use std::ffi::CStr;

use nix::errno::Errno;

use crate::errno::errno_message;
use crate::options::{Opt, Options};
use crate::text;
use crate::text::{print, try_write_stderr, write_stderr};

/// The name and the command line of a program.
#[derive(Debug)]
pub struct Program {
    /// The name in messages, independent of argument 0.
    pub name: &'static str,
    /// The usage line without its newline.
    pub usage: &'static str,
    /// The options in the order of the manual.
    pub options: &'static [Opt],
}

/// The exit code of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Exit {
    /// 0.
    Success,
    /// 100: a negative result or a usage error. A retry cannot help.
    Permanent,
    /// 111: a system call failed. A retry may succeed.
    Temporary,
    /// Any other code, such as that of a child.
    Code(u8),
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => 0,
            Exit::Permanent => 100,
            Exit::Temporary => 111,
            Exit::Code(code) => code,
        }
    }
}

/// A failure that ends the program.
#[derive(Debug)]
#[must_use]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The text for standard error with its newlines. May be empty.
    pub message: Vec<u8>,
}

impl Failure {
    /// Prints the message and returns the exit code.
    pub fn print(&self) -> Exit {
        write_stderr(&self.message);
        self.exit
    }
}

impl Program {
    /// Runs the program on its arguments and prints its failure. Called from
    /// [`unix::main!`].
    pub fn start(&self, run: impl FnOnce(&[&'static CStr]) -> Result<Exit, Failure>) -> Exit {
        match run(&unix::start::arguments()) {
            Ok(exit) => exit,
            Err(failure) => failure.print(),
        }
    }

    /// An iterator over the options in `arguments`, the program's name first.
    pub fn options<'a>(&'static self, arguments: &'a [&'static CStr]) -> Options<'a> {
        let (called, words) = match arguments {
            [called, words @ ..] => (called.to_bytes(), words),
            [] => (&b""[..], arguments),
        };
        Options {
            program: self,
            called,
            words,
            letters: b"",
        }
    }

    /// Prints `NAME (daemontools-rs) VERSION`, for an option such as -V. Errors: those
    /// of write(2), exit 111.
    pub fn print_version(&self) -> Result<Exit, Failure> {
        let version = env!("CARGO_PKG_VERSION");
        print(&text![self.name, " (daemontools-rs) ", version, "\n"])
            .map_err(|error| self.fatal("unable to write output", error))?;
        Ok(Exit::Success)
    }

    /// The usage line, exit 100.
    pub fn usage(&self) -> Failure {
        Failure {
            exit: Exit::Permanent,
            message: text![self.usage, "\n"],
        }
    }

    /// `NAME: fatal: SUBJECT: ERRNO TEXT`, exit 111.
    pub fn fatal(&self, subject: impl AsRef<[u8]>, error: Errno) -> Failure {
        self.fatal_msg(text![subject.as_ref(), ": ", errno_message(error)])
    }

    /// `NAME: fatal: MESSAGE`, exit 111.
    pub fn fatal_msg(&self, message: impl AsRef<[u8]>) -> Failure {
        Failure {
            exit: Exit::Temporary,
            message: text![self.name, ": fatal: ", message.as_ref(), "\n"],
        }
    }

    /// Prints `NAME: warning: SUBJECT: ERRNO TEXT`.
    pub fn warn(&self, subject: impl AsRef<[u8]>, error: Errno) {
        self.warn_msg(text![subject.as_ref(), ": ", errno_message(error)]);
    }

    /// Prints `NAME: warning: MESSAGE`.
    pub fn warn_msg(&self, message: impl AsRef<[u8]>) {
        write_stderr(&text![self.name, ": warning: ", message.as_ref(), "\n"]);
    }

    /// As [`Program::warn`], without blocking; see [`try_write_stderr`].
    pub fn try_warn(&self, subject: impl AsRef<[u8]>, error: Errno) {
        self.try_warn_msg(text![subject.as_ref(), ": ", errno_message(error)]);
    }

    /// As [`Program::warn_msg`], without blocking; see [`try_write_stderr`].
    pub fn try_warn_msg(&self, message: impl AsRef<[u8]>) {
        try_write_stderr(&text![self.name, ": warning: ", message.as_ref(), "\n"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_076() {
        let codes = [
            Exit::Success,
            Exit::Permanent,
            Exit::Temporary,
            Exit::Code(7),
        ]
        .map(u8::from);
        assert_eq!(codes, [0, 100, 111, 7]);
    }
}
