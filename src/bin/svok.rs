//! svok: is supervise running in a directory?

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use cli::{Exit, Failure, Program, text};
use daemontools_core::names;
use nix::errno::Errno;
use nix::unistd::chdir;
use unix::file;

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
    chdir(dir).map_err(|error| SVOK.fatal(text!["unable to chdir to ", dir], error))?;
    match file::open_write(names::OK) {
        Ok(_) => Ok(Exit::Success),
        Err(Errno::ENOENT | Errno::ENXIO) => Ok(Exit::Permanent),
        Err(error) => Err(SVOK.fatal(text!["unable to open ", dir, "/", names::OK], error)),
    }
}
