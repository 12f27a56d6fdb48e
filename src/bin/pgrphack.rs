//! pgrphack: run a program in a new session and process group.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use chain::Child;
use cli::{Exit, Failure, Program};
use nix::unistd::setsid;
use unix::start::environment;

pub(crate) static PGRPHACK: Program = Program {
    name: "pgrphack",
    usage: "pgrphack: usage: pgrphack child",
    options: &[],
};

unix::main!(PGRPHACK.start(pgrphack));

fn pgrphack(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let child = match arguments {
        [_, child @ ..] if !child.is_empty() => child,
        _ => return Err(PGRPHACK.usage()),
    };
    // setsid(2) fails for the leader of a process group, which then keeps its
    // session, as in 0.76.
    let _ = setsid();
    Err(Child::new(&PGRPHACK, child, &environment()).exec())
}
