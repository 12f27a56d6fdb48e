//! supervise: start a service and keep it running.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use cli::{Exit, Failure, Program, text};
use daemontools_core::names;
use daemontools_core::status::Want;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::stat::stat;
use nix::unistd::chdir;
use supervision::directory::{Obstacle, ReplaceTrouble};
use supervision::supervise::Trouble;
use unix::signals::SignalPipe;

pub(crate) static SUPERVISE: Program = Program {
    name: "supervise",
    usage: "supervise: usage: supervise dir",
    options: &[],
};

unix::main!(SUPERVISE.start(supervise));

fn supervise(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let [_, dir] = *arguments else {
        return Err(SUPERVISE.usage());
    };
    let children = SignalPipe::catch(&[Signal::SIGCHLD])
        .map_err(|error| SUPERVISE.fatal(text!["unable to create pipe for ", dir], error))?;
    chdir(dir).map_err(|error| SUPERVISE.fatal(text!["unable to chdir to ", dir], error))?;
    let want = match stat(names::DOWN) {
        Ok(_) => Want::Down,
        Err(Errno::ENOENT) => Want::Up,
        Err(error) => return Err(SUPERVISE.fatal(text!["unable to stat ", dir, "/down"], error)),
    };
    supervision::supervise::supervise(&children, want, |trouble| report(dir, trouble))
        .map_err(|obstacle| cannot_begin(dir, obstacle))?;
    Ok(Exit::Success)
}

/// What keeps supervise from starting.
fn cannot_begin(dir: &CStr, obstacle: Obstacle) -> Failure {
    let (doing, file, error) = match obstacle {
        Obstacle::Link(_, error) => ("acquire ", names::LOCK, error),
        Obstacle::Open(lock, error) | Obstacle::Lock(lock, error) => ("acquire ", lock, error),
        Obstacle::Stat(fifo, error) | Obstacle::Read(fifo, error) => ("read ", fifo, error),
        Obstacle::NoFifo(fifo) => ("read ", fifo, Errno::EINVAL),
        Obstacle::Write(fifo, error) => ("write ", fifo, error),
    };
    SUPERVISE.fatal(text!["unable to ", doing, dir, "/", file], error)
}

/// What goes wrong later; it is tried again when there is reason to.
fn report(dir: &CStr, trouble: Trouble) {
    let (what, error) = match trouble {
        Trouble::Replace(ReplaceTrouble::Open(file, error)) => {
            (text!["open ", dir, "/", file.new], error)
        }
        Trouble::Replace(ReplaceTrouble::Write(file, error)) => {
            (text!["write ", dir, "/", file.new], error)
        }
        Trouble::Replace(ReplaceTrouble::Short(file)) => {
            (text!["write ", dir, "/", file.new], Errno::ENOSPC)
        }
        Trouble::Replace(ReplaceTrouble::Rename(file, error)) => {
            (text!["rename ", dir, "/", file.new, " to status"], error)
        }
        Trouble::Fork(error) => (text!["fork for ", dir, ", sleeping 60 seconds"], error),
        Trouble::Start(_, error)
        | Trouble::Pipe(_, error)
        | Trouble::Chdir(error)
        | Trouble::ControlStat(_, error)
        | Trouble::ControlFork(_, error)
        | Trouble::ControlPipe(_, error)
        | Trouble::ControlStart(_, error) => return cannot_start(dir, error),
    };
    SUPERVISE.warn_in_passing(text!["unable to ", what], error);
}

/// The last words of a child that did not become the service.
fn cannot_start(dir: &CStr, error: Errno) {
    let failure = SUPERVISE.fatal(text!["unable to start ", dir, "/", names::RUN], error);
    text::complain_in_passing(&failure.message);
}
