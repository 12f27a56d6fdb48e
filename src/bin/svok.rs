//! svok: check whether supervise is running in a directory.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use cli::{Exit, Failure, Program, text};
use daemontools::supervise_dir::SuperviseDirRule;
use daemontools::{ClientError, probe};
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
    chdir(dir).map_err(|error| SVOK.fatal(text!["unable to chdir to ", dir], error))?;
    let files = rule.of_current();
    let files =
        files.map_err(|error| SVOK.fatal(text!["unable to find the path of ", dir], error))?;
    match probe(&files) {
        Ok(_) => Ok(Exit::Success),
        Err(ClientError { errno, .. }) if [Errno::ENOENT, Errno::ENXIO].contains(&errno) => {
            Ok(Exit::Permanent)
        }
        Err(ClientError { file, errno, .. }) => {
            Err(SVOK.fatal(text!["unable to open ", files.display(dir, file)], errno))
        }
    }
}
