//! Starting another program in a new process: fork, prepare, exec.

use std::convert::Infallible;
use std::ffi::CStr;
use std::os::fd::{BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::unistd::{Pid, chdir, setsid};

use crate::exec::PreparedExec;
use crate::file::dup_to;
use crate::fork::{fork, spawn};
use crate::stdio::{STDIN, STDOUT};

/// A program to start, and the state that its process gets before exec.
///
/// All memory is allocated before fork. The process runs the stages in the
/// order of the fields and stops at the first that fails.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Standard input. Default: inherited.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Standard output. Default: inherited.
    pub stdout: Option<BorrowedFd<'a>>,
    /// Working directory. Default: inherited.
    pub directory: Option<&'a CStr>,
    /// Whether the process leads a new session. Default: false.
    pub session: bool,
    /// The program, after the caller's own preparation (see
    /// [`Launch::start_with`]).
    pub program: PreparedExec<'a>,
    /// Exit status of the process if a stage fails. Default: 111.
    pub failure_code: i32,
    /// With a number: the process shares this one's memory until exec, as after
    /// vfork(2), and copies only the descriptors below the number. Default: None,
    /// which copies everything, as fork(2) does.
    pub copies_below: Option<RawFd>,
}

/// The stage at which a new process failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchError<E = Infallible> {
    /// Setting standard input or output.
    Descriptor(Errno),
    /// Changing the working directory.
    Chdir(Errno),
    /// The caller's own preparation.
    Prepare(E),
    /// Executing the program.
    Exec(Errno),
}

impl LaunchError {
    /// The errno of the failed system call.
    pub fn errno(self) -> Errno {
        match self {
            LaunchError::Descriptor(error)
            | LaunchError::Chdir(error)
            | LaunchError::Exec(error) => error,
        }
    }
}

impl<'a> Launch<'a> {
    /// Only the program; every other field has its default.
    pub fn new(program: PreparedExec<'a>) -> Self {
        Launch {
            stdin: None,
            stdout: None,
            directory: None,
            session: false,
            program,
            failure_code: 111,
            copies_below: None,
        }
    }

    /// Starts the program. `report` runs in the new process if a stage fails.
    /// Errors: as fork(2); `report` is not called.
    pub fn start(self, report: impl FnOnce(LaunchError)) -> Result<Pid, Errno> {
        self.start_with(|| Ok(()), report)
    }

    /// As [`Launch::start`]. `prepare` runs in the new process, right before
    /// exec, for the preparation that only one caller needs. Errors: as
    /// fork(2); `report` is not called.
    pub fn start_with<E>(
        self,
        prepare: impl FnOnce() -> Result<(), E>,
        report: impl FnOnce(LaunchError<E>),
    ) -> Result<Pid, Errno> {
        let child = || {
            let Err(error) = self.run(prepare);
            report(error);
            self.failure_code
        };
        match self.copies_below {
            None => fork(child),
            Some(below) => spawn(below, child),
        }
    }

    fn run<E>(
        &self,
        prepare: impl FnOnce() -> Result<(), E>,
    ) -> Result<Infallible, LaunchError<E>> {
        for (descriptor, standard) in [(self.stdin, STDIN), (self.stdout, STDOUT)] {
            if let Some(descriptor) = descriptor {
                dup_to(descriptor, standard).map_err(LaunchError::Descriptor)?;
            }
        }
        if let Some(directory) = self.directory {
            chdir(directory).map_err(LaunchError::Chdir)?;
        }
        if self.session {
            // A new process leads no group, so setsid(2) succeeds.
            let _ = setsid();
        }
        prepare().map_err(LaunchError::Prepare)?;
        Err(LaunchError::Exec(self.program.exec()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsFd;

    use nix::fcntl::OFlag;
    use nix::unistd::{pipe2, write};

    use super::*;
    use crate::single_thread::run_alone;
    use crate::wait::wait_for;

    /// The output and the exit code of a process whose output is a pipe.
    fn run(launch: impl FnOnce(BorrowedFd<'_>) -> Result<Pid, Errno>) -> (String, Option<i32>) {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let process = launch(writer.as_fd()).unwrap();
        drop(writer);
        let mut output = String::new();
        File::from(reader).read_to_string(&mut output).unwrap();
        (output, wait_for(process).unwrap().code())
    }

    #[test]
    fn process_gets_output_and_directory() {
        run_alone(|| {
            for copies_below in [None, Some(500)] {
                let result = run(|output| {
                    let launch = Launch {
                        stdout: Some(output),
                        directory: Some(c"/"),
                        copies_below,
                        ..Launch::new(PreparedExec::at(c"/bin/pwd", &[c"pwd"], &[]))
                    };
                    launch.start(|_| ())
                });
                assert_eq!(result, ("/\n".to_owned(), Some(0)));
            }
        });
    }

    #[test]
    fn first_failed_stage_ends_process() {
        run_alone(|| {
            let failure = |directory, prepared: Result<(), Errno>, code: Option<i32>| {
                run(|output| {
                    let program = PreparedExec::at(c"/no/such/program", &[c"p"], &[]);
                    let mut launch = Launch::new(program);
                    launch.directory = directory;
                    launch.failure_code = code.unwrap_or(launch.failure_code);
                    launch.start_with(
                        || prepared,
                        |error| {
                            write(output, format!("{error:?}").as_bytes()).unwrap();
                        },
                    )
                })
            };
            let failed = |stage: &str, code| (stage.to_owned(), Some(code));
            let busy = Err(Errno::EBUSY);
            assert_eq!(
                failure(Some(c"/no/such/directory"), busy, None),
                failed("Chdir(ENOENT)", 111)
            );
            assert_eq!(failure(None, busy, None), failed("Prepare(EBUSY)", 111));
            assert_eq!(failure(None, Ok(()), Some(7)), failed("Exec(ENOENT)", 7));
        });
    }
}
