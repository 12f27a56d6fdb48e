//! svstat: print the status of services monitored by supervise.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use cli::{Exit, Failure, Program, errno::errno_message, text, text::print};
use daemontools_core::label::Label;
use daemontools_core::names;
use daemontools_core::status::{LENGTH, Status};
use daemontools_core::status_line::StatusLine;
use nix::errno::Errno;
use nix::sys::stat::stat;
use nix::unistd::{chdir, fchdir, read};
use supervision::snapshot::state;
use unix::file;

pub(crate) static SVSTAT: Program = Program {
    name: "svstat",
    usage: "svstat: usage: svstat dir ...",
    options: &[],
};

unix::main!(SVSTAT.start(svstat));

fn svstat(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let origin = file::open_read(c".")
        .map_err(|error| SVSTAT.fatal("unable to open current directory", error))?;
    let mut lines = Vec::new();
    // As in 0.76, a status that cannot be read at all (it is a directory,
    // say) shows as what was read before it, and at first as zeroes.
    let mut record = [0; LENGTH];
    for dir in arguments.iter().skip(1) {
        let sentence = match chdir(*dir) {
            Ok(()) => describe(&mut record),
            Err(error) => complaint("unable to chdir", error),
        };
        lines.extend(text![dir, ": ", sentence, "\n"]);
        fchdir(&origin).map_err(|error| SVSTAT.fatal("unable to set directory", error))?;
    }
    // Like the original it has nothing to add when nobody can read this.
    let _ = print(&lines);
    Ok(Exit::Success)
}

/// What there is to say about the service in the current directory.
fn describe(record: &mut [u8; LENGTH]) -> String {
    let normally_up = match stat(names::DOWN) {
        Ok(_) => false,
        Err(Errno::ENOENT) => true,
        Err(error) => return complaint("unable to stat down", error),
    };
    match file::open_write(names::OK) {
        Ok(_) => {}
        Err(Errno::ENXIO) => return "supervise not running".to_owned(),
        Err(error) => return complaint("unable to open supervise/ok", error),
    }
    let length = match file::open_read(names::STATUS) {
        Ok(status) => read(&status, record).unwrap_or(LENGTH),
        Err(error) => return complaint("unable to open supervise/status", error),
    };
    match Status::decode(record.get(..length).unwrap_or_default()) {
        Some(status) => StatusLine {
            status,
            normally_up,
            state: state(&status),
            now: Label::now(),
        }
        .to_string(),
        None => "unable to read supervise/status: bad format".to_owned(),
    }
}

fn complaint(what: &str, error: Errno) -> String {
    format!("{what}: {}", errno_message(error))
}
