//! svscan: start and monitor a collection of services.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use cli::options::flag;
use cli::{Exit, Failure, Program, text};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, chdir, getpid};
use supervision::scan::Trouble;
use supervision::svscan::{End, Manner, Orders, svscan as run};
use supervision::table::Role;
use unix::signals::SignalPipe;

pub(crate) static SVSCAN: Program = Program {
    name: "svscan",
    // It is never printed: whatever else svscan is told is a directory.
    usage: "svscan: usage: svscan [-e] [directory]",
    options: &[flag(
        b'e',
        "extended: supervise -e for each service, and signals are obeyed",
    )],
};

unix::main!(SVSCAN.start(svscan));

fn svscan(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let children = SignalPipe::catch(&[Signal::SIGCHLD])
        .map_err(|error| SVSCAN.fatal("unable to create pipe", error))?;
    let (manner, operands) = match arguments {
        [_, option, operands @ ..] if *option == c"-e" => (Manner::Extended, operands),
        [_, operands @ ..] => (Manner::Plain, operands),
        [] => (Manner::Plain, arguments),
    };
    if let [dir, ..] = *operands {
        chdir(dir).map_err(|error| SVSCAN.fatal(text!["unable to chdir to ", dir], error))?;
    }
    let obeys = match manner {
        Manner::Extended => true,
        // Nobody else could end process 1 in order.
        Manner::Plain => getpid() == Pid::from_raw(1),
    };
    let orders = obeys
        .then(|| Orders::new(manner))
        .transpose()
        .map_err(|error| SVSCAN.fatal("unable to hold signals", error))?;
    Ok(match run(manner, &children, orders.as_ref(), report) {
        End::Told => Exit::Success,
        End::Essential(code) => Exit::Code(code),
    })
}

fn report(trouble: Trouble, error: Errno) {
    let what = match trouble {
        Trouble::Directory => text!["read directory"],
        Trouble::Stat(name) => text!["stat ", name],
        Trouble::Pipe(name) => text!["create pipe for ", name],
        Trouble::Fork(name, role) => text!["fork for ", name, suffix(role)],
        Trouble::Chdir(name) => text!["switch to ", name],
        Trouble::Start(name, role) => text!["start supervise ", name, suffix(role)],
        Trouble::Stop(name, role) => text!["stop ", name, suffix(role)],
    };
    SVSCAN.try_warn(text!["unable to ", what], error);
}

/// What tells a logger's name from its service's.
fn suffix(role: Role) -> &'static str {
    match role {
        Role::Service => "",
        Role::Logger => "/log",
    }
}
