//! runsvdir: start and monitor a collection of services.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use cli::errno::errno_message;
use cli::options::flag;
use cli::title::ScrollingTitle;
use cli::{Diagnostics, Exit, Failure, Program, text};
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, dup2_stderr, getpid};
use supervision::runsvdir::{RunsvdirExit, RunsvdirWarning, Signals, TitleLog, runsvdir as run};
use supervision::{Role, ScanWarning};
use unix::memory;
use unix::pipe::pipe2;
use unix::signals::SignalPipe;
use unix::start;

pub(crate) static RUNSVDIR: Program = Program {
    name: "runsvdir",
    usage: "usage: runsvdir [-P] dir\n",
    options: &[flag(b'P', "each runsv in a session of its own")],
};

/// The minimum length of the log argument, in bytes.
const MIN_LOG: usize = 7;

/// The length of the prefix of the log argument that never scrolls.
const LOG_PREFIX: usize = 5;

unix::main_with_reserve!(RUNSVDIR.name, {
    memory::extend_heap();
    match runsvdir() {
        Ok(exit) => exit,
        Err(failure) => failure.print(),
    }
});

fn runsvdir() -> Result<Exit, Failure> {
    let words = start::copied_arguments();
    // Not getopt: runit checks the first two letters of the first argument only.
    let option = words.get(1).map(|word| word.to_bytes());
    let (first, sessions) = match option {
        Some([b'-', b'P', ..]) => (2, true),
        Some([b'-', b'-', ..]) => (2, false),
        Some(_) | None => (1, false),
    };
    let Some(directory) = words.get(first) else {
        let exit = Exit::Code(1);
        return Err(Failure {
            exit,
            ..RUNSVDIR.usage()
        });
    };
    let program = RUNSVDIR.name;
    let diagnostics = Diagnostics { program, directory };
    let fatal = |message: &str, error| Failure {
        exit: Exit::Permanent,
        ..diagnostics.fatal(message, error)
    };
    let catch = |signal| {
        SignalPipe::catch(&[signal]).map_err(|error| fatal("unable to create pipe", error))
    };
    let signals = Signals {
        children: catch(Signal::SIGCHLD)?,
        terminate: catch(Signal::SIGTERM)?,
        hang_up: catch(Signal::SIGHUP)?,
        interrupt: (getpid() == Pid::from_raw(1))
            .then(|| catch(Signal::SIGINT))
            .transpose()?,
        rescan: catch(Signal::SIGALRM)?,
    };
    let log = match words.get(first + 1) {
        Some(_) => title_log(diagnostics, first + 1),
        None => None,
    };
    let reason = run(directory, sessions, &signals, log, |warning| {
        report(diagnostics, warning);
    })
    .map_err(|error| fatal("unable to open current directory", error))?;
    Ok(match reason {
        RunsvdirExit::Terminated => Exit::Success,
        RunsvdirExit::HungUp => Exit::Temporary,
    })
}

/// Redirects standard error into the process title, in place of an argument.
fn title_log(diagnostics: Diagnostics, argument: usize) -> Option<TitleLog> {
    let disabled = || diagnostics.warn_msg("log service disabled.");
    let Some(text) = start::writable_argument(argument).filter(|text| text.len() >= MIN_LOG) else {
        diagnostics.warn_msg("log must have at least seven characters.");
        disabled();
        return None;
    };
    let (pipe, stderr) = match pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK) {
        Ok(ends) => ends,
        Err(error) => {
            diagnostics.warn("unable to create pipe for log.", error);
            disabled();
            return None;
        }
    };
    let _ = unix::file::set_blocking(&stderr);
    if let Err(error) = dup2_stderr(&stderr) {
        diagnostics.warn("unable to set filedescriptor for log.", error);
        disabled();
        return None;
    }
    Some(TitleLog {
        pipe,
        title: ScrollingTitle::new(text, LOG_PREFIX),
    })
}

fn report(diagnostics: Diagnostics, warning: RunsvdirWarning) {
    let directory = diagnostics.directory;
    let (operation, error) = match warning {
        RunsvdirWarning::Stat(error) => (text!["unable to stat ", directory], error),
        RunsvdirWarning::Enter(error) => {
            (text!["unable to change directory to ", directory], error)
        }
        RunsvdirWarning::Record(label) => {
            return diagnostics.warn_msg(text!["failed to open./.forced-rescan", label.text()[..]]);
        }
        RunsvdirWarning::StopTimeout(name, role, warning) => {
            let file = |file: &CStr| text![name, suffix(role), "/", file];
            return diagnostics.warn_msg(warning.message(file));
        }
        RunsvdirWarning::Forced => {
            return diagnostics.warn_msg("signaled again: killing all services");
        }
        RunsvdirWarning::Scan(warning, error) => {
            let operation = match warning {
                ScanWarning::ReadDirectory => text!["unable to open directory ", directory],
                ScanWarning::Memory(name) => text!["unable to add ", name],
                ScanWarning::Stat(name) => text!["unable to stat ", name],
                ScanWarning::Fork(name, _) => text!["unable to fork for ", name],
                ScanWarning::Exec(name, _) => {
                    let message = text!["unable to start runsv ", name, ": ", errno_message(error)];
                    return cli::text::try_write_stderr(&diagnostics.fatal_msg(message).message);
                }
                // Only svscan makes pipes.
                ScanWarning::Pipe(name) | ScanWarning::Chdir(name) => {
                    text!["unable to start ", name]
                }
                ScanWarning::Stop(name, role) => text!["unable to stop ", name, suffix(role)],
            };
            (operation, error)
        }
    };
    diagnostics.warn(operation, error);
}

/// The suffix of the service's name.
fn suffix(role: Role) -> &'static str {
    match role {
        Role::Service => "",
        Role::Logger => "/log",
    }
}
