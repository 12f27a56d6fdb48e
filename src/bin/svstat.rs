//! svstat: print the status of services monitored by supervise.

#![cfg_attr(not(test), no_main)]

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;

use cli::{Exit, Failure, Program, errno::errno_message, text, text::print};
use daemontools::{Error, Label, Operation, Service, Status, SuperviseDirRule};
use daemontools_core::names;
use daemontools_core::status::LENGTH;
use daemontools_core::status_line::StatusLine;
use nix::errno::Errno;
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
    // As 0.76, which returns to this directory, svstat has to read it.
    Origin::open().map_err(|error| SVSTAT.fatal("unable to open current directory", error))?;
    let mut lines = Vec::new();
    // As in 0.76, a status that cannot be read, such as a directory, shows as the
    // record of the directory before, or as zeroes.
    let mut record = [0; LENGTH];
    for dir in arguments.iter().skip(1) {
        let line = describe(rule, dir, &mut record).unwrap_or_else(|error| failure(&error));
        lines.extend(text![dir, ": ", line, "\n"]);
    }
    // As in 0.76, a closed standard output is no error.
    let _ = print(&lines);
    Ok(Exit::Success)
}

/// The status of a service.
fn describe(
    rule: SuperviseDirRule,
    dir: &CStr,
    record: &mut [u8; LENGTH],
) -> Result<String, Error> {
    let service = Service::open_with(rule, OsStr::from_bytes(dir.to_bytes()))?;
    let normally_up = service.is_normally_up()?;
    let status = match service.read_record(record) {
        Ok(status) => Status::decode(status),
        Err(error) if error.operation() == Operation::Read => Status::decode(record),
        Err(error) if error.is_not_running() => return Ok("supervise not running".to_owned()),
        Err(error) => return Err(error),
    };
    let Some(status) = status else {
        let file = service.supervise_dir().path(names::STATUS);
        return Ok(format!(
            "unable to read {}: bad format",
            file.to_string_lossy()
        ));
    };
    let line = StatusLine {
        status,
        normally_up,
        state: service
            .state_file()?
            .filter(|state| state.belongs_to(&status)),
        now: Label::now(),
    };
    Ok(line.to_string())
}

fn failure(error: &Error) -> String {
    let cause = errno_message(Errno::from_raw(error.raw_os_error().unwrap_or_default()));
    match error.operation() {
        Operation::Enter => format!("unable to chdir: {cause}"),
        Operation::Locate => format!("unable to find the path: {cause}"),
        Operation::Find => format!("unable to stat down: {cause}"),
        Operation::Read => format!("unable to read {}: {cause}", error.file().display()),
        _ => format!("unable to open {}: {cause}", error.file().display()),
    }
}
