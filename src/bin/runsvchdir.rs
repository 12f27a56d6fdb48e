//! runsvchdir: switch the directory of services that runsvdir runs.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use cli::errno::errno_message;
use cli::text::print;
use cli::{Exit, Failure, Program, text};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, renameat};
use nix::sys::stat::{SFlag, stat};
use nix::unistd::{chdir, symlinkat, unlink};

pub(crate) static RUNSVCHDIR: Program = Program {
    name: "runsvchdir",
    usage: " dir",
    options: &[],
};

/// Where the directories of services are, and the links to them.
const PLACE: &CStr = c"/etc/runit/runsvdir";
/// The link to the one that is run.
const CURRENT: &CStr = c"current";
/// What it will be.
const NEXT: &CStr = c"current.new";
/// What it was before.
const PREVIOUS: &CStr = c"previous";

unix::main!(RUNSVCHDIR.start(runsvchdir));

fn runsvchdir(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let called = arguments.first().copied().unwrap_or_default();
    let fatal = |what: Vec<u8>| Failure {
        exit: Exit::Temporary,
        message: text![called, ": fatal: ", what, "\n"],
    };
    let refused =
        |what: Vec<u8>| move |error: Errno| fatal(text![what, ": ", errno_message(error)]);
    let Some(directory) = arguments.get(1).copied() else {
        return Err(Failure {
            exit: Exit::Code(1),
            message: text!["usage: ", called, RUNSVCHDIR.usage, "\n\n"],
        });
    };
    if directory.to_bytes().starts_with(b".") {
        return Err(fatal(text![directory, ": must not start with a dot."]));
    }
    chdir(PLACE).map_err(refused(text!["unable to chdir: ", PLACE]))?;
    let next = stat(directory).map_err(|error| {
        let unable = if error == Errno::ENOENT {
            ""
        } else {
            "unable to stat: "
        };
        refused(text![unable, directory])(error)
    })?;
    if !is_directory(next.st_mode) {
        // The words run together in runit.
        return Err(fatal(text![directory, "not a directory."]));
    }
    let current = stat(CURRENT).map_err(refused(text!["unable to stat: ", CURRENT]))?;
    if (next.st_dev, next.st_ino) == (current.st_dev, current.st_ino) {
        return Ok(say(&text![directory, ": current."]));
    }
    remove(NEXT).map_err(refused(text!["unable to unlink: ", NEXT]))?;
    symlinkat(directory, AT_FDCWD, NEXT).map_err(refused(text![
        "unable to create: ",
        NEXT,
        " -> ",
        directory
    ]))?;
    remove(PREVIOUS).map_err(refused(text!["unable to unlink: ", PREVIOUS]))?;
    let copied = refused(text!["unable to copy: ", CURRENT, " to ", PREVIOUS]);
    renameat(AT_FDCWD, CURRENT, AT_FDCWD, PREVIOUS).map_err(copied)?;
    let moved = refused(text!["unable to move: ", NEXT, " to ", CURRENT]);
    renameat(AT_FDCWD, NEXT, AT_FDCWD, CURRENT).map_err(moved)?;
    Ok(say(&text![directory, ": now current."]))
}

fn is_directory(mode: u32) -> bool {
    SFlag::from_bits_truncate(mode) & SFlag::S_IFMT == SFlag::S_IFDIR
}

fn remove(name: &CStr) -> Result<(), Errno> {
    match unlink(name) {
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}

/// Nobody could be told if this cannot be said, and it is done.
fn say(what: &[u8]) -> Exit {
    let _ = print(&text!["runsvchdir: ", what, "\n"]);
    Exit::Success
}
