//! The output of a helper program, without an effect on this process.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use libc::c_uint;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, getpid, getppid};

use crate::exec::PreparedExec;
use crate::file::{close_in_child, dup_min, dup_to};
use crate::fork::fork_silent;
use crate::launch::{Launch, LaunchError};
use crate::pipe::pipe2;
use crate::process::{end_with_parent, signal_process};
use crate::signals::set_default;
use crate::stdio::{STDERR, STDIN};
use crate::system::{PATH_ONLY, close_range};
use crate::wait::{ExitStatus, wait_for};

/// The exit code of a program that could not be executed or was killed.
const FAILED: i32 = 255;

/// Runs a program; returns its exit code and its standard output.
///
/// The program runs in the root directory. Standard input and standard error are
/// /dev/null, all other descriptors are closed, and SIGCHLD has its default
/// action. SIGKILL ends the program when this process ends.
///
/// A process between this one and the program reaps the program. This process
/// therefore receives no SIGCHLD, and the next program that it executes inherits
/// neither a zombie nor a pending signal.
///
/// Errors: as pipe(2) and fork(2); EIO if the program cannot be executed, if a
/// signal kills it, or if the output exceeds `limit` bytes.
pub fn read_output(program: PreparedExec<'_>, limit: u64) -> Result<(i32, Vec<u8>), Errno> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    let (reader, writer) = (above_standard(reader)?, above_standard(writer)?);
    let caller = getpid();
    let child = fork_silent(|| {
        // A copy of the reader would keep the pipe open.
        if end_with(caller).is_err() || close_in_child(reader.as_fd()).is_err() {
            return FAILED;
        }
        // An ignored SIGCHLD would discard the exit status.
        set_default(Signal::SIGCHLD);
        let parent = getpid();
        let launch = Launch {
            stdout: Some(writer.as_fd()),
            directory: Some(c"/"),
            failure_code: FAILED,
            ..Launch::new(program)
        };
        let prepare = || {
            end_with(parent)?;
            replace_standard_descriptors()?;
            close_above_standard();
            Ok(())
        };
        let started = launch.start_with(prepare, |_: LaunchError<Errno>| ());
        let status = started.ok().and_then(wait_for);
        status.and_then(ExitStatus::code).unwrap_or(FAILED)
    })?;
    drop(writer);
    let mut output = Vec::new();
    let read = File::from(reader)
        .take(limit.saturating_add(1))
        .read_to_end(&mut output);
    let is_whole = read.is_ok() && output.len() as u64 <= limit;
    if !is_whole {
        // A program that ignores SIGPIPE could write forever. The death of the
        // child ends the program.
        signal_process(child, Signal::SIGKILL);
    }
    let code = wait_for(child).and_then(ExitStatus::code);
    read.map_err(|error| crate::errno(&error))?;
    match code {
        None | Some(FAILED) => Err(Errno::EIO),
        _ if !is_whole => Err(Errno::EIO),
        Some(code) => Ok((code, output)),
    }
}

/// In a new process: standard input and standard error become /dev/null. Where
/// that does not exist, they neither read nor write.
fn replace_standard_descriptors() -> Result<(), Errno> {
    replace_by_null(&[STDIN, STDERR])
}

/// In a new process: standard error becomes /dev/null. Where that does not exist,
/// writes fail.
pub(crate) fn discard_stderr() -> Result<(), Errno> {
    replace_by_null(&[STDERR])
}

fn replace_by_null(descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())
        .or_else(|_| open("/", PATH_ONLY | OFlag::O_CLOEXEC, Mode::empty()))?;
    for descriptor in descriptors {
        dup_to(null.as_fd(), *descriptor)?;
    }
    // The number may be that of a standard descriptor.
    std::mem::forget(null);
    Ok(())
}

/// The descriptor under a number above 2. This process may have inherited a
/// closed standard descriptor.
fn above_standard(descriptor: OwnedFd) -> Result<OwnedFd, Errno> {
    if descriptor.as_raw_fd() < FIRST {
        dup_min(&descriptor, FIRST)
    } else {
        Ok(descriptor)
    }
}

/// The first descriptor number after the standard ones.
const FIRST: RawFd = 3;

/// Closes all descriptors but the standard ones. On Linux before 5.9, those
/// without close-on-exec stay open.
pub(crate) fn close_above_standard() {
    // The process executes a program or exits, and drops no owner.
    let _ = close_range(FIRST.unsigned_abs(), c_uint::MAX);
}

/// In a new process: SIGKILL ends this process when its parent ends. Errors:
/// ESRCH if the parent has ended.
fn end_with(parent: Pid) -> Result<(), Errno> {
    end_with_parent(true)?;
    if getppid() == parent {
        Ok(())
    } else {
        Err(Errno::ESRCH)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;
    use crate::single_thread::run_alone;

    fn run(script: &CStr, limit: u64) -> Result<(i32, String), Errno> {
        let program = PreparedExec::at(c"/bin/sh", &[c"sh", c"-c", script], &[c"A=1"]);
        let (code, output) = read_output(program, limit)?;
        Ok((code, String::from_utf8(output).unwrap()))
    }

    #[test]
    fn program_has_fixed_environment_and_descriptors() {
        run_alone(|| {
            let script =
                c"pwd; readlink /proc/$$/fd/0 /proc/$$/fd/2; echo /proc/$$/fd/*; echo $A; exit 7";
            let (code, output) = run(script, 1000).unwrap();
            let lines: Vec<_> = output.lines().collect();
            assert_eq!((code, lines.len()), (7, 5));
            assert_eq!(lines[..3], ["/", "/dev/null", "/dev/null"]);
            assert_eq!(lines[4], "1");
            let numbers = lines[3].split(' ').map(|name| name.rsplit('/').next());
            // The shell itself opens the directory for the pattern.
            assert_eq!(numbers.flatten().take(3).collect::<String>(), "012");
            assert!(lines[3].split(' ').count() <= 4, "{output}");
        });
    }

    #[test]
    fn killed_or_endless_program_is_an_error() {
        run_alone(|| {
            assert_eq!(run(c"kill -9 $$", 1000), Err(Errno::EIO));
            assert_eq!(run(c"exec yes", 1000), Err(Errno::EIO));
            let deaf = c"trap '' PIPE; while :; do echo 1234; done 2>/dev/null";
            assert_eq!(run(deaf, 1000), Err(Errno::EIO));
            assert_eq!(run(c"echo 1234", 4), Err(Errno::EIO));
            assert_eq!(run(c"echo 1234", 5), Ok((0, "1234\n".to_owned())));
            let nothing = PreparedExec::at(c"/nonexistent", &[c"x"], &[]);
            assert_eq!(read_output(nothing, 5), Err(Errno::EIO));
        });
    }
}
