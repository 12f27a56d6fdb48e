//! The program at the end of a chain program's command line.

use std::ffi::CStr;

use cli::errno::errno_message;
use cli::{Failure, Program, text};
use nix::errno::Errno;
use nix::unistd::Pid;
use unix::exec::PreparedExec;
use unix::launch::{Launch, LaunchError};

/// Room for the longest wording of an errno and the end of the line.
const WORDING: usize = 64;

/// A program to become, and what is said if that fails.
///
/// All memory is taken when it is made: [`Child::exec`] needs none, so that
/// it works after fork and under limits that leave none to be had.
#[derive(Debug)]
pub struct Child<'a> {
    program: PreparedExec<'a>,
    /// The failure, whose message wants its wording.
    failure: Failure,
}

impl<'a> Child<'a> {
    /// The program that `argv` names, to be run with this environment by
    /// `caller`. It is searched for in the PATH that the caller inherited.
    ///
    /// If it cannot be run: `CALLER: fatal: unable to run NAME: WORDING`.
    #[must_use]
    pub fn new(caller: &Program, argv: &[&'a CStr], environment: &[&'a CStr]) -> Self {
        let name = argv.first().copied().unwrap_or_default();
        let failure = caller.fatal_msg(text!["unable to run ", name, ": "]);
        Child::called(name, argv, environment, failure)
    }

    /// The program `name`, whatever `argv` calls it. The refusal wants its
    /// wording and the end of its line.
    #[must_use]
    pub fn called(
        name: &CStr,
        argv: &[&'a CStr],
        environment: &[&'a CStr],
        refusal: Failure,
    ) -> Self {
        let path = unix::start::variable(b"PATH");
        let mut failure = refusal;
        failure.message.pop();
        failure.message.reserve(WORDING);
        Child {
            program: PreparedExec::search_for(name, path, argv, environment),
            failure,
        }
    }

    /// Executes the program. Returns only if that failed: the failure, exit
    /// code 111.
    #[must_use]
    pub fn exec(self) -> Failure {
        let error = self.program.exec();
        complete(self.failure, error)
    }

    /// Starts the program in a new process, which runs `prepare` first. If the
    /// program cannot be executed, the process prints the failure and exits
    /// 111.
    ///
    /// # Errors
    /// As fork(2).
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
    use cli::errno::errno_message;
    use cli::{Exit, Program};
    use nix::errno::Errno;

    use super::{Child, WORDING};

    #[test]
    fn a_refusal_is_one_line_with_its_wording() {
        let caller = Program {
            name: "chain",
            usage: "",
            options: &[],
        };
        let failure = Child::new(&caller, &[c"/no/such/program"], &[]).exec();
        assert_eq!(failure.exit, Exit::Temporary);
        assert_eq!(
            failure.message.escape_ascii().to_string(),
            "chain: fatal: unable to run /no/such/program: file does not exist\\n"
        );
    }

    #[test]
    fn there_is_room_for_every_wording() {
        for number in 0..4096 {
            assert!(errno_message(Errno::from_raw(number)).len() < WORDING);
        }
    }
}
