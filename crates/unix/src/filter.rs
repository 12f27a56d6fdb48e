//! A helper program between a file and a pipe.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::exec::PreparedExec;
use crate::launch::{Launch, LaunchError};
use crate::output::{close_above_standard, discard_stderr};
use crate::pipe::pipe2;
use crate::process::signal_process;
use crate::signals::set_default;
use crate::wait::{ExitStatus, wait_for};

/// A running program whose output is read through a pipe. The program is killed
/// and reaped when the value is dropped.
#[derive(Debug)]
pub struct Filter {
    child: Option<Pid>,
    output: File,
}

impl Filter {
    /// Starts a program whose standard input is a copy of `input`. Standard error
    /// is /dev/null, and all other descriptors are closed. Errors: as pipe(2) and
    /// fork(2).
    pub fn start(program: PreparedExec<'_>, input: BorrowedFd<'_>) -> Result<Self, Errno> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
        let launch = Launch {
            stdin: Some(input),
            stdout: Some(writer.as_fd()),
            ..Launch::new(program)
        };
        let prepare = || {
            // SIGPIPE ends the program once the pipe is closed.
            set_default(Signal::SIGPIPE);
            discard_stderr()?;
            close_above_standard();
            Ok(())
        };
        let child = launch.start_with(prepare, |_: LaunchError<Errno>| ())?;
        Ok(Filter {
            child: Some(child),
            output: File::from(reader),
        })
    }

    /// Reaps the program. None: it was killed from outside and reaped elsewhere.
    /// Call it at the end of the output; before, it kills the program.
    pub fn finish(&mut self, is_at_end: bool) -> Option<ExitStatus> {
        let child = self.child.take()?;
        if !is_at_end {
            signal_process(child, Signal::SIGKILL);
        }
        wait_for(child)
    }
}

impl Read for Filter {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.output.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        self.finish(false);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;
    use crate::single_thread::run_alone;

    #[test]
    fn output_of_filter_is_read_to_its_end() {
        run_alone(|| {
            let mut input = tempfile::tempfile().unwrap();
            input.write_all(b"a line\n").unwrap();
            input.rewind().unwrap();
            let script = c"tr a-z A-Z; echo error >&2; exit 3";
            let shell = PreparedExec::at(
                c"/bin/sh",
                &[c"sh", c"-c", script],
                &[c"PATH=/bin:/usr/bin"],
            );
            let mut filter = Filter::start(shell, input.as_fd()).unwrap();
            let mut output = String::new();
            filter.read_to_string(&mut output).unwrap();
            assert_eq!(output, "A LINE\n");
            assert_eq!(filter.finish(true).unwrap().code(), Some(3));
        });
    }

    #[test]
    fn endless_filter_ends_when_dropped() {
        run_alone(|| {
            let input = tempfile::tempfile().unwrap();
            let script = c"trap '' PIPE TERM; while :; do echo y; done 2>&-";
            let shell = PreparedExec::at(c"/bin/sh", &[c"sh", c"-c", script], &[]);
            let mut filter = Filter::start(shell, input.as_fd()).unwrap();
            let child = filter.child.unwrap();
            filter.read_exact(&mut [0; 2]).unwrap();
            drop(filter);
            assert_eq!(wait_for(child), None);
        });
    }
}
