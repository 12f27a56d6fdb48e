//! The program that a chain program executes.

use std::ffi::CStr;

use cli::errno::errno_message;
use cli::{Failure, Program, text};
use nix::errno::Errno;
use nix::unistd::Pid;
use unix::exec::PreparedExec;
use unix::launch::{Launch, LaunchError};

/// Space for the longest errno text and a newline.
const ERRNO_TEXT: usize = 64;

/// A program to execute, with the failure to print if that fails.
///
/// The constructors allocate all memory, so [`Child::exec`] works after fork
/// and under a memory limit.
#[derive(Debug)]
pub struct Child<'a> {
    program: PreparedExec<'a>,
    /// The failure without the errno text at its end.
    failure: Failure,
}

impl<'a> Child<'a> {
    /// The program that `argv` names, searched for in the inherited PATH.
    ///
    /// Failure: `CALLER: fatal: unable to run NAME: ERRNO TEXT`.
    pub fn new(caller: &Program, argv: &[&'a CStr], environment: &[&'a CStr]) -> Self {
        let name = argv.first().copied().unwrap_or_default();
        let failure = caller.fatal_msg(text!["unable to run ", name, ": "]);
        Child::named(name, argv, environment, failure)
    }

    /// As [`Child::new`], for `name` in place of argument 0. The errno text is
    /// appended to the message of `failure`.
    pub fn named(
        name: &CStr,
        argv: &[&'a CStr],
        environment: &[&'a CStr],
        mut failure: Failure,
    ) -> Self {
        let path = unix::start::variable(b"PATH");
        failure.message.pop();
        failure.message.reserve(ERRNO_TEXT);
        Child {
            program: PreparedExec::search_for(name, path, argv, environment),
            failure,
        }
    }

    /// Executes the program. Returns only if that failed: the failure, exit
    /// code 111.
    pub fn exec(self) -> Failure {
        let error = self.program.exec();
        complete(self.failure, error)
    }

    /// Starts the program in a new process, which runs `prepare` first. If the
    /// program cannot be executed, the process prints the failure and exits
    /// 111. Errors: as fork(2).
    pub fn start(self, prepare: impl FnOnce()) -> Result<Pid, Errno> {
        let Child { program, failure } = self;
        let prepare = || {
            prepare();
            Ok(())
        };
        Launch::new(program).start_with(prepare, |error: LaunchError| {
            let _ = complete(failure, error.errno()).print();
        })
    }
}

/// Adds the message of an errno, and the end of the line.
fn complete(mut failure: Failure, error: Errno) -> Failure {
    let text = errno_message(error).as_bytes();
    failure.message.extend_from_slice(text);
    failure.message.push(b'\n');
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_errno_text_fits() {
        for number in 0..4096 {
            assert!(errno_message(Errno::from_raw(number)).len() < ERRNO_TEXT);
        }
    }
}
