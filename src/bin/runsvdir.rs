//! runsvdir: start and monitor a collection of services.

#![cfg_attr(not(test), no_main)]

use cli::title::ScrollingTitle;
use cli::{Diagnostics, Exit, Failure, Opt, Program, errno::errno_message, text};
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::{dup2_stderr, pipe2};
use supervision::runsvdir::{RunsvdirExit, RunsvdirWarning, Signals, TitleLog, runsvdir as run};
use supervision::scan::ScanWarning;
use unix::signals::SignalPipe;
use unix::start;

pub(crate) static RUNSVDIR: Program = Program {
    name: "runsvdir",
    usage: "usage: runsvdir [-P] dir\n",
    options: &[Opt {
        letter: b'P',
        value: None,
        help: "each runsv in a session of its own",
    }],
};

/// The log is at least so long.
const SHORTEST: usize = 7;

/// So much of its beginning stays.
const STAYS: usize = 5;

unix::main!(match runsvdir() {
    Ok(exit) => exit,
    Err(failure) => failure.print(),
});

fn runsvdir() -> Result<Exit, Failure> {
    let words = start::copied_arguments();
    // This is not the grammar of the other programs: of the first word alone,
    // and of that the first two letters, depends whether it is an option.
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
    let fatal = |what: &str, error| Failure {
        exit: Exit::Permanent,
        ..diagnostics.fatal(what, error)
    };
    let catch = |signal| {
        SignalPipe::catch(&[signal]).map_err(|error| fatal("unable to create pipe", error))
    };
    let signals = Signals {
        children: catch(Signal::SIGCHLD)?,
        terminate: catch(Signal::SIGTERM)?,
        hang_up: catch(Signal::SIGHUP)?,
        rescan: catch(Signal::SIGALRM)?,
    };
    let log = match words.get(first + 1) {
        Some(_) => log(diagnostics, first + 1),
        None => None,
    };
    let end = run(directory, sessions, &signals, log, |warning| {
        report(diagnostics, warning);
    })
    .map_err(|error| fatal("unable to open current directory", error))?;
    Ok(match end {
        RunsvdirExit::Terminated => Exit::Success,
        RunsvdirExit::HungUp => Exit::Temporary,
    })
}

/// Lets all that is written to standard error be shown in an argument.
fn log(diagnostics: Diagnostics, argument: usize) -> Option<TitleLog> {
    let disabled = || diagnostics.warn_msg("log service disabled.");
    let Some(text) = start::writable_argument(argument).filter(|text| text.len() >= SHORTEST)
    else {
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
        title: ScrollingTitle::new(text, STAYS),
    })
}

/// What goes wrong; it is tried again at the next look.
fn report(diagnostics: Diagnostics, warning: RunsvdirWarning) {
    let directory = diagnostics.directory;
    let (what, error) = match warning {
        RunsvdirWarning::Stat(error) => (text!["unable to stat ", directory], error),
        RunsvdirWarning::Enter(error) => {
            (text!["unable to change directory to ", directory], error)
        }
        RunsvdirWarning::Record(label) => {
            return diagnostics.warn_msg(text!["failed to open./.forced-rescan", label.text()[..]]);
        }
        RunsvdirWarning::Scan(ScanWarning::ReadDirectory, error) => {
            (text!["unable to open directory ", directory], error)
        }
        RunsvdirWarning::Scan(ScanWarning::Stat(name), error) => {
            (text!["unable to stat ", name], error)
        }
        RunsvdirWarning::Scan(ScanWarning::Fork(name, _), error) => {
            (text!["unable to fork for ", name], error)
        }
        RunsvdirWarning::Scan(ScanWarning::Exec(name, _), error) => {
            let what = text!["unable to start runsv ", name, ": ", errno_message(error)];
            return cli::text::try_write_stderr(&diagnostics.fatal_msg(what).message);
        }
        // Only svscan joins services to loggers, and waits for their end.
        RunsvdirWarning::Scan(ScanWarning::Pipe(name) | ScanWarning::Chdir(name), error) => {
            (text!["unable to start ", name], error)
        }
        RunsvdirWarning::Scan(ScanWarning::Stop(name, _), error) => {
            (text!["unable to stop ", name], error)
        }
    };
    diagnostics.warn(what, error);
}
