//! runsv: start and monitor a service and, if it has one, its logger.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use cli::text::try_write_stderr;
use cli::{Diagnostics, Exit, Failure, Program, text};
use daemontools_core::names;
use daemontools_core::status::Want;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::stat::{SFlag, stat};
use nix::unistd::chdir;
use supervision::directory::{Obstacle, ReplaceTrouble};
use supervision::pipe::Pipe;
use supervision::supervise::{self, Logger, Trouble};
use unix::signals::SignalPipe;

pub(crate) static RUNSV: Program = Program {
    name: "runsv",
    usage: "usage: runsv dir\n",
    options: &[],
};

unix::main!(RUNSV.start(runsv));

fn runsv(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let [_, directory] = *arguments else {
        let exit = Exit::Code(1);
        return Err(Failure {
            exit,
            ..RUNSV.usage()
        });
    };
    let program = RUNSV.name;
    let voice = Diagnostics { program, directory };
    let catch = |signal| {
        SignalPipe::catch(&[signal])
            .map_err(|error| voice.fatal("unable to create selfpipe", error))
    };
    let (children, terminated) = (catch(Signal::SIGCHLD)?, catch(Signal::SIGTERM)?);
    chdir(directory).map_err(|error| voice.fatal("unable to change to directory", error))?;
    let want = wanted(names::DOWN);
    let logger = if has_logger(voice) {
        let pipe = Pipe::new().map_err(|error| voice.fatal("unable to create log pipe", error))?;
        let want = wanted(names::LOG_DOWN);
        Some(Logger { want, pipe })
    } else {
        None
    };
    supervise::runsv(&children, &terminated, want, logger, |trouble| {
        report(voice, trouble);
    })
    .map_err(|obstacle| cannot_begin(voice, obstacle))?;
    Ok(Exit::Success)
}

/// What a service is to be at the start, by its file `down`. One that cannot
/// be looked at is none.
fn wanted(down: &CStr) -> Want {
    match stat(down) {
        Ok(_) => Want::Down,
        Err(_) => Want::Up,
    }
}

/// Whether there is a directory `log`.
fn has_logger(voice: Diagnostics) -> bool {
    match stat(names::LOG) {
        Ok(status) => {
            let kind = SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT;
            if kind != SFlag::S_IFDIR {
                voice.warn_msg("./log: not a directory.");
            }
            kind == SFlag::S_IFDIR
        }
        Err(Errno::ENOENT) => false,
        Err(error) => {
            voice.warn("unable to stat() ./log: ", error);
            false
        }
    }
}

/// What keeps runsv from starting.
fn cannot_begin(voice: Diagnostics, obstacle: Obstacle) -> Failure {
    let (what, error) = match obstacle {
        Obstacle::Link(file, error) => (text!["unable to readlink ./", file], error),
        Obstacle::Open(file, error) | Obstacle::Write(file, error) => {
            (text!["unable to open ", file], error)
        }
        Obstacle::Lock(file, error) => (text!["unable to lock ", file], error),
        Obstacle::Stat(file, error) => (text!["unable to stat ", file], error),
        Obstacle::NoFifo(file) => return voice.fatal_msg(text![file, " exists but is not a fifo"]),
        // A FIFO is opened, and `ok` is read.
        Obstacle::Read(file, error) if file.to_bytes().ends_with(names::OK.to_bytes()) => {
            (text!["unable to read ", file], error)
        }
        Obstacle::Read(file, error) => (text!["unable to open ", file], error),
    };
    voice.fatal(what, error)
}

/// What goes wrong later; it is tried again when there is reason to.
fn report(voice: Diagnostics, trouble: Trouble) {
    // What a new process says is the last that it says.
    let give_up = |what: Vec<u8>, error| try_write_stderr(&voice.fatal(what, error).message);
    match trouble {
        Trouble::Replace(ReplaceTrouble::Open(file, error)) => {
            voice.warn(text!["unable to open ", file.new], error);
        }
        Trouble::Replace(ReplaceTrouble::Write(file, error)) => {
            voice.warn(text!["unable to write ", file.new], error);
        }
        Trouble::Replace(ReplaceTrouble::Short(file)) => {
            voice.warn_msg(text!["unable to write ", file.new, ": partial write."]);
        }
        Trouble::Replace(ReplaceTrouble::Rename(file, error)) => {
            let new = file.new.to_bytes().rsplit(|&byte| byte == b'/').next();
            let what = text![
                "unable to rename ",
                new.unwrap_or_default(),
                " to ",
                file.name
            ];
            voice.warn(what, error);
        }
        Trouble::Fork(error) => voice.warn("unable to fork, sleeping", error),
        Trouble::Pipe(program, error) => {
            give_up(
                text!["unable to setup filedescriptor for ./", trimmed(program)],
                error,
            );
        }
        Trouble::Chdir(error) => give_up(text!["unable to change directory to ./log"], error),
        Trouble::Start(program, error) => give_up(text!["unable to start ", program], error),
        Trouble::ControlStat(program, error) => {
            voice.warn(text!["unable to stat ", program], error);
        }
        Trouble::ControlFork(program, error) => {
            voice.warn(text!["unable to fork for ", program], error);
        }
        Trouble::ControlPipe(program, error) => {
            voice.warn(text!["unable to setup stdout for ", program], error);
        }
        // It does not say which.
        Trouble::ControlStart(_, error) => give_up(text!["unable to run control/?"], error),
        // Only supervise has -e.
        Trouble::Extended(_) => {}
    }
}

/// A program without the `./` before its name.
fn trimmed(program: &CStr) -> Vec<u8> {
    let name = program.to_bytes().rsplit(|&byte| byte == b'/').next();
    let log = program.to_bytes().starts_with(names::LOG.to_bytes());
    text![if log { "log/" } else { "" }, name.unwrap_or_default()]
}
