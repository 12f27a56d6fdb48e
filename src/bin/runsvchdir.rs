//! runsvchdir: switch the directory of services that runsvdir runs.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;
use std::os::unix::fs::MetadataExt;

use cli::errno::errno_message;
use cli::text::print;
use cli::{Exit, Failure, Program, text};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, renameat};
use nix::unistd::{chdir, symlinkat, unlink};
use unix::file;

pub(crate) static RUNSVCHDIR: Program = Program {
    name: "runsvchdir",
    usage: " dir",
    options: &[],
};

/// The parent directory of the service directories and of the links to them.
/// `make SYSCONFDIR` sets another one at build time.
const ROOT: &str = match option_env!("RUNSVCHDIR_ROOT") {
    Some(root) => root,
    None => "/etc/runit/runsvdir",
};
/// The link to the directory that runsvdir runs.
const CURRENT: &CStr = c"current";
/// The new link, before it is renamed.
const NEXT: &CStr = c"current.new";
/// The old link, after it was renamed.
const PREVIOUS: &CStr = c"previous";

unix::main!(RUNSVCHDIR.start(runsvchdir));

fn runsvchdir(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let called = arguments.first().copied().unwrap_or_default();
    let fatal = |message: Vec<u8>| Failure {
        exit: Exit::Temporary,
        message: text![called, ": fatal: ", message, "\n"],
    };
    let failed = |step: Vec<u8>| move |error: Errno| fatal(text![step, ": ", errno_message(error)]);
    let Some(directory) = arguments.get(1).copied() else {
        return Err(Failure {
            exit: Exit::Code(1),
            message: text!["usage: ", called, RUNSVCHDIR.usage, "\n\n"],
        });
    };
    if directory.to_bytes().starts_with(b".") {
        return Err(fatal(text![directory, ": must not start with a dot."]));
    }
    chdir(ROOT).map_err(failed(text!["unable to chdir: ", ROOT]))?;
    let next = file::status(directory).map_err(|error| {
        let prefix = match error {
            Errno::ENOENT => "",
            _ => "unable to stat: ",
        };
        failed(text![prefix, directory])(error)
    })?;
    if !next.is_dir() {
        // runit prints no separator either.
        return Err(fatal(text![directory, "not a directory."]));
    }
    let current = file::status(CURRENT).map_err(failed(text!["unable to stat: ", CURRENT]))?;
    if (next.dev(), next.ino()) == (current.dev(), current.ino()) {
        return Ok(print_result(&text![directory, ": current."]));
    }
    remove(NEXT).map_err(failed(text!["unable to unlink: ", NEXT]))?;
    symlinkat(directory, AT_FDCWD, NEXT).map_err(failed(text![
        "unable to create: ",
        NEXT,
        " -> ",
        directory
    ]))?;
    remove(PREVIOUS).map_err(failed(text!["unable to unlink: ", PREVIOUS]))?;
    let copy_failed = failed(text!["unable to copy: ", CURRENT, " to ", PREVIOUS]);
    renameat(AT_FDCWD, CURRENT, AT_FDCWD, PREVIOUS).map_err(copy_failed)?;
    let move_failed = failed(text!["unable to move: ", NEXT, " to ", CURRENT]);
    renameat(AT_FDCWD, NEXT, AT_FDCWD, CURRENT).map_err(move_failed)?;
    Ok(print_result(&text![directory, ": now current."]))
}

fn remove(name: &CStr) -> Result<(), Errno> {
    match unlink(name) {
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}

/// Ignores a failed write: the switch is complete.
fn print_result(message: &[u8]) -> Exit {
    let _ = print(&text!["runsvchdir: ", message, "\n"]);
    Exit::Success
}
