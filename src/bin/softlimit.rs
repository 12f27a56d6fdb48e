//! softlimit: run a program with lower soft resource limits.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use chain::Child;
use chain::limits::{LimitError, OPTIONS, SoftLimit, resources, set_soft};
use cli::{Exit, Failure, Program};
use unix::rlimit::Resource;
use unix::start::environment;

pub(crate) static SOFTLIMIT: Program = Program {
    name: "softlimit",
    usage: "softlimit: usage: softlimit [-a allbytes] [-c corebytes] [-d databytes] \
            [-f filebytes] [-l lockbytes] [-m membytes] [-o openfiles] [-p processes] \
            [-r residentbytes] [-s stackbytes] [-t cpusecs] child",
    options: &OPTIONS,
};

unix::main!(SOFTLIMIT.start(softlimit));

/// As in 0.76, the options before an invalid one take effect. All are parsed
/// before the first takes effect, since a memory limit may make parsing fail.
fn softlimit(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let environment = environment();
    let mut limits = Vec::new();
    let child = parse(arguments, &environment, &mut limits);
    for (resource, limit) in limits {
        set_soft(resource, limit).map_err(|error| match error {
            LimitError::Get(error) => SOFTLIMIT.fatal("getrlimit failed", error),
            LimitError::Set(error) => SOFTLIMIT.fatal("setrlimit failed", error),
        })?;
    }
    Err(child?.exec())
}

/// Parses the command line. `limits` gets the limits before the first error.
fn parse<'a>(
    arguments: &[&'static CStr],
    environment: &[&'a CStr],
    limits: &mut Vec<(Resource, SoftLimit)>,
) -> Result<Child<'a>, Failure> {
    let mut options = SOFTLIMIT.options(arguments);
    while let Some((letter, value)) = options.next()? {
        let limit = SoftLimit::parse(value).ok_or_else(|| SOFTLIMIT.usage())?;
        limits.extend(resources(letter).iter().map(|resource| (*resource, limit)));
    }
    match options.operands() {
        [] => Err(SOFTLIMIT.usage()),
        child => Ok(Child::new(&SOFTLIMIT, child, environment)),
    }
}
