//! softlimit: run a program with lower soft resource limits.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use chain::Child;
use chain::limits::{Bound, Error, MEMORY, set_soft};
use cli::{Exit, Failure, Opt, Program};
use nix::sys::resource::Resource;
use unix::start::environment;

pub(crate) static SOFTLIMIT: Program = Program {
    name: "softlimit",
    usage: "softlimit: usage: softlimit [-a allbytes] [-c corebytes] [-d databytes] \
            [-f filebytes] [-l lockbytes] [-m membytes] [-o openfiles] [-p processes] \
            [-r residentbytes] [-s stackbytes] [-t cpusecs] child",
    options: &OPTIONS,
};

/// Each option, and the resources that it limits, in the order in which they
/// are set.
const LIMITS: [(Opt, &[Resource]); 11] = [
    (
        option(b'a', "allbytes", "memory in all"),
        &[Resource::RLIMIT_AS],
    ),
    (
        option(b'c', "corebytes", "core file"),
        &[Resource::RLIMIT_CORE],
    ),
    (
        option(b'd', "databytes", "data segment"),
        &[Resource::RLIMIT_DATA],
    ),
    (
        option(b'f', "filebytes", "each output file"),
        &[Resource::RLIMIT_FSIZE],
    ),
    (
        option(b'l', "lockbytes", "locked memory"),
        &[Resource::RLIMIT_MEMLOCK],
    ),
    (
        option(b'm', "membytes", "-d, -s, -l and -a at once"),
        &MEMORY,
    ),
    (
        option(b'o', "openfiles", "open descriptors"),
        &[Resource::RLIMIT_NOFILE],
    ),
    (
        option(b'p', "processes", "processes of the user"),
        &[Resource::RLIMIT_NPROC],
    ),
    (
        option(b'r', "residentbytes", "resident memory"),
        &[Resource::RLIMIT_RSS],
    ),
    (
        option(b's', "stackbytes", "stack"),
        &[Resource::RLIMIT_STACK],
    ),
    (
        option(b't', "cpusecs", "seconds of CPU time"),
        &[Resource::RLIMIT_CPU],
    ),
];

const fn option(letter: u8, value: &'static str, meaning: &'static str) -> Opt {
    Opt {
        letter,
        value: Some(value),
        meaning,
    }
}

static OPTIONS: [Opt; LIMITS.len()] = options(LIMITS);

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn options<const N: usize>(limits: [(Opt, &[Resource]); N]) -> [Opt; N] {
    let mut options = [limits[0].0; N];
    let mut n = 1;
    while n < N {
        options[n] = limits[n].0;
        n += 1;
    }
    options
}

unix::main!(SOFTLIMIT.start(softlimit));

/// Options act as they are read, those before a wrong one too. But all is
/// read before the first acts, for then there may be no memory to be had.
fn softlimit(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let environment = environment();
    let mut limits = Vec::new();
    let child = read(arguments, &environment, &mut limits);
    for (resource, bound) in limits {
        set_soft(resource, bound).map_err(|error| match error {
            Error::Get(error) => SOFTLIMIT.fatal("getrlimit failed", error),
            Error::Set(error) => SOFTLIMIT.fatal("setrlimit failed", error),
        })?;
    }
    Err(child?.exec())
}

/// Reads the command line: the child, and as far as there is nothing wrong,
/// the limits.
fn read<'a>(
    arguments: &[&'static CStr],
    environment: &[&'a CStr],
    limits: &mut Vec<(Resource, Bound)>,
) -> Result<Child<'a>, Failure> {
    let mut options = SOFTLIMIT.options(arguments);
    while let Some((letter, value)) = options.next()? {
        let bound = Bound::parse(value).ok_or_else(|| SOFTLIMIT.usage())?;
        let option = LIMITS.iter().find(|(option, _)| option.letter == letter);
        for resource in option.into_iter().flat_map(|(_, resources)| *resources) {
            limits.push((*resource, bound));
        }
    }
    match options.operands() {
        [] => Err(SOFTLIMIT.usage()),
        child => Ok(Child::new(&SOFTLIMIT, child, environment)),
    }
}
