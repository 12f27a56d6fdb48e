//! supervise: start a service and keep it running.

#![cfg_attr(not(test), no_main)]

mod messages;

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;

use chain::identity::group_id;
use cli::options::flag;
use cli::{Exit, Failure, Program, text};
use daemontools_core::names;
use daemontools_core::status::Want;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::{chdir, getcwd};
use supervision::supervise::{ExitSignals, ExtendedSetup};
use unix::file;
use unix::signals::SignalPipe;

use daemontools::supervise_dir::SuperviseDirRule;
use messages::{cannot_acquire, warn};

pub(crate) static SUPERVISE: Program = Program {
    name: "supervise",
    usage: "supervise: usage: supervise dir",
    options: &[flag(
        b'e',
        "extended: apply the further files of a service directory",
    )],
};

unix::main_with_reserve!(SUPERVISE.name, SUPERVISE.start(supervise));

fn supervise(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let (dir, extended) = match *arguments {
        [_, dir] => (dir, false),
        [_, option, dir] if option == c"-e" => (dir, true),
        _ => return Err(SUPERVISE.usage()),
    };
    let rule = SuperviseDirRule::from_environment()
        .map_err(|error| SUPERVISE.fatal_msg(error.message()))?;
    let children = SignalPipe::catch(&[Signal::SIGCHLD])
        .map_err(|error| SUPERVISE.fatal(text!["unable to create pipe for ", dir], error))?;
    let signals = extended.then(ExitSignals::new).transpose();
    let signals = signals
        .map_err(|error| SUPERVISE.fatal(text!["unable to hold signals for ", dir], error))?;
    chdir(dir).map_err(|error| SUPERVISE.fatal(text!["unable to chdir to ", dir], error))?;
    let want = match file::status(names::DOWN) {
        Ok(_) => Want::Down,
        Err(Errno::ENOENT) => Want::Up,
        Err(error) => return Err(SUPERVISE.fatal(text!["unable to stat ", dir, "/down"], error)),
    };
    let extended = signals.map(|signals| ExtendedSetup {
        name: service_name(dir),
        signals,
        find_group: |name| group_id(name).ok(),
    });
    let files = rule.of_current();
    let files = files.map_err(|error| {
        SUPERVISE.fatal(
            text!["unable to find the path of ", dir],
            unix::errno(&error),
        )
    })?;
    let warn = |warning| warn(dir, &files, warning);
    supervision::supervise::supervise(&children, want, files.clone(), extended, &warn)
        .map_err(|error| cannot_acquire(dir, &files, error))?;
    Ok(Exit::Success)
}

/// The name of the service: that of its directory, and for a logger also that
/// of the directory above, as `NAME/log`.
fn service_name(dir: &CStr) -> CString {
    let mut elements = dir.to_bytes().rsplit(|&byte| byte == b'/');
    let called = elements.find(|element| !element.is_empty());
    let current = getcwd().unwrap_or_default();
    let mut above = current.iter().rev().map(OsStr::as_bytes);
    let real = above.next().unwrap_or_default();
    let name = match called {
        None | Some(b"." | b"..") => real,
        Some(name) => name,
    };
    let name = if name == names::LOG.to_bytes() {
        text![above.next().unwrap_or_default(), "/", name]
    } else {
        name.to_vec()
    };
    CString::new(name).unwrap_or_default()
}
