//! svok: check whether supervise is running in a directory.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use cli::{Exit, Failure, Program, text};
use daemontools::SuperviseDirRule;
use daemontools::client::probe;
use nix::errno::Errno;
use nix::unistd::chdir;

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
    // As 0.76, svok needs one free descriptor: it opens the FIFO alone.
    chdir(dir).map_err(|error| SVOK.fatal(text!["unable to chdir to ", dir], error))?;
    let files = rule.of_current().map_err(|error| {
        let problem = text!["unable to find the path of ", dir];
        SVOK.fatal(problem, unix::errno(&error))
    })?;
    match probe(&files) {
        Ok(_) => Ok(Exit::Success),
        Err(error) => match Errno::from_raw(error.raw_os_error()) {
            Errno::ENOENT | Errno::ENXIO => Ok(Exit::Permanent),
            errno => {
                let file = files.display(dir, error.file);
                Err(SVOK.fatal(text!["unable to open ", file], errno))
            }
        },
    }
}
