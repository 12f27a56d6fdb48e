//! svok: check whether supervise is running in a directory.

#![cfg_attr(not(test), no_main)]

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;

use cli::{Exit, Failure, Program, text};
use daemontools::{Error, Operation, Service, SuperviseDirRule};
use nix::errno::Errno;

pub(crate) static SVOK: Program = Program {
    name: "svok",
    usage: "svok: usage: svok dir",
    options: &[],
};

unix::main!(SVOK.start(svok));

fn svok(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let [_, dir, ..] = *arguments else {
        return Err(SVOK.usage());
    };
    let rule =
        SuperviseDirRule::from_environment().map_err(|error| SVOK.fatal_msg(error.message()))?;
    let service = Service::open_with(rule, OsStr::from_bytes(dir.to_bytes()));
    let service = service.map_err(|error| {
        let problem = match error.operation() {
            Operation::Enter => "unable to chdir to ",
            _ => "unable to find the path of ",
        };
        SVOK.fatal(text![problem, dir], errno(&error))
    })?;
    match service.is_supervised() {
        Ok(true) => Ok(Exit::Success),
        Ok(false) => Ok(Exit::Permanent),
        Err(error) => {
            let file = error.path().as_os_str().as_bytes();
            Err(SVOK.fatal(text!["unable to open ", file], errno(&error)))
        }
    }
}

fn errno(error: &Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}
