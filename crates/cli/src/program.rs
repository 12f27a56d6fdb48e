//! A program's name and grammar, how it starts and how it ends.

use std::ffi::CStr;

use nix::errno::Errno;

use crate::errno::errno_message;
use crate::options::{Opt, Options};
use crate::text;
use crate::text::{try_write_stderr, write_stderr};

/// What a program is called and how it is used.
#[derive(Debug)]
pub struct Program {
    /// The name in messages, whatever the program was called as.
    pub name: &'static str,
    /// The usage line, whole but for its newline.
    pub usage: &'static str,
    /// The options, in the order in which they are documented.
    pub options: &'static [Opt],
}

/// How a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Success,
    /// 100: the answer is no, or the program was called wrongly.
    Permanent,
    /// 111: the system did not let it.
    Temporary,
    /// Another program's code, passed on.
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

/// The end of a program that could not do its work: the exit code, and what
/// there is to say on standard error.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The message, its newlines included; empty for a silent end.
    pub message: Vec<u8>,
}

impl Failure {
    /// An end without a message.
    #[must_use]
    pub fn silent(exit: Exit) -> Self {
        Failure {
            exit,
            message: Vec::new(),
        }
    }

    /// Says the message; what is left is the exit code.
    #[must_use]
    pub fn print(&self) -> Exit {
        write_stderr(&self.message);
        self.exit
    }
}

impl Program {
    /// Runs the program on its arguments, from [`unix::main!`], and says its
    /// failure.
    pub fn start(&self, run: impl FnOnce(&[&'static CStr]) -> Result<Exit, Failure>) -> Exit {
        match run(&unix::start::arguments()) {
            Ok(exit) => exit,
            Err(failure) => failure.print(),
        }
    }

    /// The options before the operands of `arguments`, to be read in turn.
    #[must_use]
    pub fn options<'a>(&'static self, arguments: &'a [&'static CStr]) -> Options<'a> {
        Options::new(self, arguments)
    }

    /// The usage line, exit 100.
    #[must_use]
    pub fn usage(&self) -> Failure {
        Failure {
            exit: Exit::Permanent,
            message: text![self.usage, "\n"],
        }
    }

    /// `NAME: fatal: WHAT: WORDING`, exit 111.
    #[must_use]
    pub fn fatal(&self, what: impl AsRef<[u8]>, error: Errno) -> Failure {
        self.fatal_msg(text![what.as_ref(), ": ", errno_message(error)])
    }

    /// `NAME: fatal: WHAT`, exit 111: for failures that are not an errno.
    #[must_use]
    pub fn fatal_msg(&self, what: impl AsRef<[u8]>) -> Failure {
        Failure {
            exit: Exit::Temporary,
            message: text![self.name, ": fatal: ", what.as_ref(), "\n"],
        }
    }

    /// Prints `NAME: warning: WHAT: WORDING`.
    pub fn warn(&self, what: impl AsRef<[u8]>, error: Errno) {
        self.warn_msg(text![what.as_ref(), ": ", errno_message(error)]);
    }

    /// Prints `NAME: warning: WHAT`.
    pub fn warn_msg(&self, what: impl AsRef<[u8]>) {
        write_stderr(&text![self.name, ": warning: ", what.as_ref(), "\n"]);
    }

    /// As [`Program::warn`], but never waits for who reads it; see
    /// [`try_write_stderr`].
    pub fn try_warn(&self, what: impl AsRef<[u8]>, error: Errno) {
        self.try_warn_msg(text![what.as_ref(), ": ", errno_message(error)]);
    }

    /// As [`Program::remark`], but never waits for who reads it.
    pub fn try_warn_msg(&self, what: impl AsRef<[u8]>) {
        try_write_stderr(&text![self.name, ": warning: ", what.as_ref(), "\n"]);
    }
}
