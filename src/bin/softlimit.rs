//! softlimit: run a program with lower soft resource limits.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use chain::Child;
use chain::limits::{LimitError, OPTIONS, SoftLimit, resources, set_soft};
use cli::{Exit, Failure, Program};
use nix::sys::resource::Resource;
use unix::start::environment;

pub(crate) static SOFTLIMIT: Program = Program {
    name: "softlimit",
    usage: "softlimit: usage: softlimit [-a allbytes] [-c corebytes] [-d databytes] \
            [-f filebytes] [-l lockbytes] [-m membytes] [-o openfiles] [-p processes] \
            [-r residentbytes] [-s stackbytes] [-t cpusecs] child",
    options: &OPTIONS,
};

unix::main!(SOFTLIMIT.start(softlimit));

/// Options act as they are read, those before a wrong one too. But all is
/// read before the first acts, for then there may be no memory to be had.
fn softlimit(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let environment = environment();
    let mut limits = Vec::new();
    let child = read(arguments, &environment, &mut limits);
    for (resource, bound) in limits {
        set_soft(resource, bound).map_err(|error| match error {
            LimitError::Get(error) => SOFTLIMIT.fatal("getrlimit failed", error),
            LimitError::Set(error) => SOFTLIMIT.fatal("setrlimit failed", error),
        })?;
    }
    Err(child?.exec())
}

/// Reads the command line: the child, and as far as there is nothing wrong,
/// the limits.
fn read<'a>(
    arguments: &[&'static CStr],
    environment: &[&'a CStr],
    limits: &mut Vec<(Resource, SoftLimit)>,
) -> Result<Child<'a>, Failure> {
    let mut options = SOFTLIMIT.options(arguments);
    while let Some((letter, value)) = options.next()? {
        let bound = SoftLimit::parse(value).ok_or_else(|| SOFTLIMIT.usage())?;
        limits.extend(resources(letter).iter().map(|resource| (*resource, bound)));
    }
    match options.operands() {
        [] => Err(SOFTLIMIT.usage()),
        child => Ok(Child::new(&SOFTLIMIT, child, environment)),
    }
}
