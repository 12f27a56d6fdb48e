//! svstat: print the status of services monitored by supervise.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use cli::{Exit, Failure, Program, errno::errno_message, text, text::print};
use daemontools::supervise_dir::SuperviseDirRule;
use daemontools::{ClientError, Operation, is_normally_up, probe, read_state_file, read_status};
use daemontools_core::label::Label;
use daemontools_core::names;
use daemontools_core::status::{LENGTH, Status};
use daemontools_core::status_line::StatusLine;
use nix::errno::Errno;
use nix::unistd::chdir;
use unix::cwd::Origin;

pub(crate) static SVSTAT: Program = Program {
    name: "svstat",
    usage: "svstat: usage: svstat dir ...",
    options: &[],
};

unix::main!(SVSTAT.start(svstat));

fn svstat(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let rule =
        SuperviseDirRule::from_environment().map_err(|error| SVSTAT.fatal_msg(error.message()))?;
    let origin =
        Origin::open().map_err(|error| SVSTAT.fatal("unable to open current directory", error))?;
    let mut lines = Vec::new();
    // As in 0.76, a status that cannot be read, such as a directory, shows as the
    // record of the directory before, or as zeroes.
    let mut record = [0; LENGTH];
    for dir in arguments.iter().skip(1) {
        let line = match chdir(*dir) {
            Ok(()) => describe(rule, &mut record),
            Err(error) => failure("unable to chdir", error),
        };
        lines.extend(text![dir, ": ", line, "\n"]);
        let returned = origin.enter();
        returned.map_err(|error| SVSTAT.fatal("unable to set directory", error))?;
    }
    // As in 0.76, a closed standard output is no error.
    let _ = print(&lines);
    Ok(Exit::Success)
}

/// The status of the service in the current directory.
fn describe(rule: SuperviseDirRule, record: &mut [u8; LENGTH]) -> String {
    let normally_up = match is_normally_up() {
        Ok(normally_up) => normally_up,
        Err(error) => return failure("unable to stat down", error),
    };
    let files = match rule.of_current() {
        Ok(files) => files,
        Err(error) => return failure("unable to find the path", error),
    };
    let shown = |file| files.path(file).to_string_lossy().into_owned();
    // One descriptor at a time.
    let probed = probe(&files).map(drop);
    let status = match probed.and_then(|()| read_status(&files, record)) {
        Ok(status) => Status::decode(status),
        Err(ClientError {
            operation: Operation::Read,
            ..
        }) => Status::decode(record),
        Err(error) if error.is_not_running() => return "supervise not running".to_owned(),
        Err(ClientError { file, errno, .. }) => {
            return failure(&format!("unable to open {}", shown(file)), errno);
        }
    };
    match status {
        Some(status) => StatusLine {
            status,
            normally_up,
            state: read_state_file(&files).filter(|state| state.belongs_to(&status)),
            now: Label::now(),
        }
        .to_string(),
        None => format!("unable to read {}: bad format", shown(names::STATUS)),
    }
}

fn failure(problem: &str, error: Errno) -> String {
    format!("{problem}: {}", errno_message(error))
}
