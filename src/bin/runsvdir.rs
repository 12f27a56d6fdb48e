//! runsvdir: start and monitor a collection of services.

#![cfg_attr(not(test), no_main)]

use cli::{Diagnostics, Exit, Failure, Opt, Program, errno::errno_message, text};
use daemontools_core::title::ScrollingTitle;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::{dup2_stderr, pipe2};
use supervision::runsvdir::{End, Log, Signals, Trouble, runsvdir as run};
use supervision::scan;
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
    Err(failure) => failure.say(),
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
    let voice = Diagnostics { program, directory };
    let fatal = |what: &str, error| Failure {
        exit: Exit::Permanent,
        ..voice.fatal(what, error)
    };
    let catch = |signal| {
        SignalPipe::catch(&[signal]).map_err(|error| fatal("unable to create pipe", error))
    };
    let signals = Signals {
        children: catch(Signal::SIGCHLD)?,
        terminate: catch(Signal::SIGTERM)?,
        hang_up: catch(Signal::SIGHUP)?,
        look: catch(Signal::SIGALRM)?,
    };
    let log = match words.get(first + 1) {
        Some(_) => log(voice, first + 1),
        None => None,
    };
    let end = run(directory, sessions, &signals, log, |trouble| {
        report(voice, trouble);
    })
    .map_err(|error| fatal("unable to open current directory", error))?;
    Ok(match end {
        End::Terminated => Exit::Success,
        End::HungUp => Exit::Temporary,
    })
}

/// Lets all that is written to standard error be shown in an argument.
fn log(voice: Diagnostics, argument: usize) -> Option<Log> {
    let disabled = || voice.warn_msg("log service disabled.");
    let Some(text) = start::writable_argument(argument).filter(|text| text.len() >= SHORTEST)
    else {
        voice.warn_msg("log must have at least seven characters.");
        disabled();
        return None;
    };
    let (pipe, stderr) = match pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK) {
        Ok(ends) => ends,
        Err(error) => {
            voice.warn("unable to create pipe for log.", error);
            disabled();
            return None;
        }
    };
    let _ = unix::file::set_blocking(&stderr);
    if let Err(error) = dup2_stderr(&stderr) {
        voice.warn("unable to set filedescriptor for log.", error);
        disabled();
        return None;
    }
    Some(Log {
        pipe,
        title: ScrollingTitle::new(text, STAYS),
    })
}

/// What goes wrong; it is tried again at the next look.
fn report(voice: Diagnostics, trouble: Trouble) {
    let directory = voice.directory;
    let (what, error) = match trouble {
        Trouble::Stat(error) => (text!["unable to stat ", directory], error),
        Trouble::Enter(error) => (text!["unable to change directory to ", directory], error),
        Trouble::Note(label) => {
            return voice.warn_msg(text!["failed to open./.forced-rescan", label.text()[..]]);
        }
        Trouble::Service(scan::Trouble::Directory, error) => {
            (text!["unable to open directory ", directory], error)
        }
        Trouble::Service(scan::Trouble::Stat(name), error) => {
            (text!["unable to stat ", name], error)
        }
        Trouble::Service(scan::Trouble::Fork(name, _), error) => {
            (text!["unable to fork for ", name], error)
        }
        Trouble::Service(scan::Trouble::Start(name, _), error) => {
            let what = text!["unable to start runsv ", name, ": ", errno_message(error)];
            return cli::text::try_write_stderr(&voice.fatal_msg(what).message);
        }
        // Only svscan joins services to loggers, and waits for their end.
        Trouble::Service(scan::Trouble::Pipe(name) | scan::Trouble::Chdir(name), error) => {
            (text!["unable to start ", name], error)
        }
        Trouble::Service(scan::Trouble::Stop(name, _), error) => {
            (text!["unable to stop ", name], error)
        }
    };
    voice.warn(what, error);
}
