//! svscan: start and monitor a collection of services.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use cli::{Exit, Failure, Program, text};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::chdir;
use supervision::scan::{Trouble, scan};
use supervision::table::Side;
use unix::signals::SignalPipe;

pub(crate) static SVSCAN: Program = Program {
    name: "svscan",
    usage: "svscan: usage: svscan [directory]",
    options: &[],
};

unix::main!(SVSCAN.start(svscan));

fn svscan(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let children = SignalPipe::catch(&[Signal::SIGCHLD])
        .map_err(|error| SVSCAN.fatal("unable to create pipe", error))?;
    if let [_, dir, ..] = *arguments {
        chdir(dir).map_err(|error| SVSCAN.fatal(text!["unable to chdir to ", dir], error))?;
    }
    scan(&children, report)
}

fn report(trouble: Trouble, error: Errno) {
    let what = match trouble {
        Trouble::Directory => text!["read directory"],
        Trouble::Stat(name) => text!["stat ", name],
        Trouble::Pipe(name) => text!["create pipe for ", name],
        Trouble::Fork(name, side) => text!["fork for ", name, suffix(side)],
        Trouble::Chdir(name) => text!["switch to ", name],
        Trouble::Start(name, side) => text!["start supervise ", name, suffix(side)],
    };
    SVSCAN.warn_in_passing(text!["unable to ", what], error);
}

/// What tells a logger's name from its service's.
fn suffix(side: Side) -> &'static str {
    match side {
        Side::Service => "",
        Side::Logger => "/log",
    }
}
