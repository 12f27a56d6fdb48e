//! The program at the end of a chain program's command line.

use std::ffi::CStr;

use cli::errno::errno_message;
use cli::{Failure, Program, text};

/// Room for the longest wording of an errno and the end of the line.
const WORDING: usize = 64;

/// A program to become, and what is said if that fails.
///
/// All memory is taken when it is made: [`Child::exec`] needs none, so that
/// it works after fork and under limits that leave none to be had.
#[derive(Debug)]
pub struct Child<'a> {
    program: unix::exec::PreparedExec<'a>,
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
            program: unix::exec::PreparedExec::search_for(name, path, argv, environment),
            failure,
        }
    }

    /// Becomes the program; returns only if that failed: why, exit 111.
    #[must_use]
    pub fn exec(mut self) -> Failure {
        let error = self.program.exec();
        let message = &mut self.failure.message;
        message.extend_from_slice(errno_message(error).as_bytes());
        message.push(b'\n');
        self.failure
    }
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
