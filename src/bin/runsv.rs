//! runsv: start and monitor a service and, if it has one, its logger.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use cli::text::try_write_stderr;
use cli::{Diagnostics, Exit, Failure, Program, basename, text};
use daemontools_core::names;
use daemontools_core::status::Want;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::chdir;
use supervision::directory::{AcquireError, ReplaceError};
use supervision::pipe::Pipe;
use supervision::supervise::{self, LoggerSetup, RunsvWarning};
use unix::file;
use unix::signals::SignalPipe;

pub(crate) static RUNSV: Program = Program {
    name: "runsv",
    usage: "usage: runsv dir\n",
    options: &[],
};

unix::main_with_reserve!(RUNSV.name, RUNSV.start(runsv));

fn runsv(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let [_, directory] = *arguments else {
        let exit = Exit::Code(1);
        return Err(Failure {
            exit,
            ..RUNSV.usage()
        });
    };
    let program = RUNSV.name;
    let diagnostics = Diagnostics { program, directory };
    let catch = |signal| {
        SignalPipe::catch(&[signal])
            .map_err(|error| diagnostics.fatal("unable to create selfpipe", error))
    };
    let (children, terminated) = (catch(Signal::SIGCHLD)?, catch(Signal::SIGTERM)?);
    chdir(directory).map_err(|error| diagnostics.fatal("unable to change to directory", error))?;
    let want = initial_want(names::DOWN);
    let logger = if check_log_directory(diagnostics) {
        let pipe =
            Pipe::new().map_err(|error| diagnostics.fatal("unable to create log pipe", error))?;
        let want = initial_want(names::LOG_DOWN);
        Some(LoggerSetup { want, pipe })
    } else {
        None
    };
    let warn = |warning: RunsvWarning<'_>| warn(diagnostics, warning);
    supervise::runsv(&children, &terminated, want, logger, &warn)
        .map_err(|error| cannot_acquire(diagnostics, error))?;
    Ok(Exit::Success)
}

/// Whether a service starts up, which its file `down` prevents. If stat(2)
/// fails, the file counts as absent.
fn initial_want(down: &CStr) -> Want {
    match file::status(down) {
        Ok(_) => Want::Down,
        Err(_) => Want::Up,
    }
}

/// Whether there is a directory `log`. Warns of another file type and of errors.
fn check_log_directory(diagnostics: Diagnostics) -> bool {
    match file::status(names::LOG) {
        Ok(status) => {
            if !status.is_dir() {
                diagnostics.warn_msg("./log: not a directory.");
            }
            status.is_dir()
        }
        Err(Errno::ENOENT) => false,
        Err(error) => {
            diagnostics.warn("unable to stat() ./log: ", error);
            false
        }
    }
}

/// The end of a runsv that could not start.
fn cannot_acquire(diagnostics: Diagnostics, error: AcquireError) -> Failure {
    let (what, error) = match error {
        AcquireError::Link(file, error) => (text!["unable to readlink ./", file], error),
        // Only supervise makes parents.
        AcquireError::Make(file, error) => (text!["unable to make ", file], error),
        AcquireError::Open(file, error) | AcquireError::Write(file, error) => {
            (text!["unable to open ", file], error)
        }
        AcquireError::Lock(file, error) => (text!["unable to lock ", file], error),
        AcquireError::Stat(file, error) => (text!["unable to stat ", file], error),
        AcquireError::NoFifo(file) => {
            return diagnostics.fatal_msg(text![file, " exists but is not a fifo"]);
        }
        // runit's words differ between the two FIFOs.
        AcquireError::Read(file, error) if file.to_bytes().ends_with(names::OK.to_bytes()) => {
            (text!["unable to read ", file], error)
        }
        AcquireError::Read(file, error) => (text!["unable to open ", file], error),
    };
    diagnostics.fatal(what, error)
}

/// Prints a warning, or the fatal error of a child.
fn warn(diagnostics: Diagnostics, warning: RunsvWarning) {
    let unable = |to: Vec<u8>, error| diagnostics.warn(text!["unable to ", to], error);
    let child_failed = |to: Vec<u8>, error| {
        try_write_stderr(&diagnostics.fatal(text!["unable to ", to], error).message);
    };
    match warning {
        RunsvWarning::Replace(ReplaceError::Open(file, error)) => {
            unable(text!["open ", file.new], error);
        }
        RunsvWarning::Replace(ReplaceError::Write(file, error)) => {
            unable(text!["write ", file.new], error);
        }
        RunsvWarning::Replace(ReplaceError::Short(file)) => {
            diagnostics.warn_msg(text!["unable to write ", file.new, ": partial write."]);
        }
        RunsvWarning::Replace(ReplaceError::Rename(file, error)) => {
            let new = basename(file.new.to_bytes());
            unable(text!["rename ", new, " to ", file.name], error);
        }
        RunsvWarning::Fork(error) => unable(text!["fork, sleeping"], error),
        RunsvWarning::Pipe(program, error) => {
            child_failed(
                text!["setup filedescriptor for ./", without_dot_slash(program)],
                error,
            );
        }
        RunsvWarning::Chdir(error) => child_failed(text!["change directory to ./log"], error),
        RunsvWarning::Exec(program, error) => child_failed(text!["start ", program], error),
        RunsvWarning::ControlStat(program, error) => unable(text!["stat ", program], error),
        RunsvWarning::ControlFork(program, error) => unable(text!["fork for ", program], error),
        RunsvWarning::ControlPipe(program, error) => {
            unable(text!["setup stdout for ", program], error);
        }
        // runit's message does not name the program.
        RunsvWarning::ControlExec(_, error) => child_failed(text!["run control/?"], error),
    }
}

/// The name of a program without the `./` before it.
fn without_dot_slash(program: &CStr) -> Vec<u8> {
    let log = program.to_bytes().starts_with(names::LOG.to_bytes());
    text![if log { "log/" } else { "" }, basename(program.to_bytes())]
}
