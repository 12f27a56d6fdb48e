//! pgrphack: run a program in a session and a process group of its own.

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
    let [_, ref child @ ..] = *arguments else {
        return Err(PGRPHACK.usage());
    };
    if child.is_empty() {
        return Err(PGRPHACK.usage());
    }
    // It fails only for the leader of a process group, which stays as it is.
    let _ = setsid();
    Err(Child::new(&PGRPHACK, child, &environment()).exec())
}
