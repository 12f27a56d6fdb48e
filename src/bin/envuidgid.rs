//! envuidgid: run a program with an account's user ID and group ID in UID and
//! GID.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use chain::identity::Account;
use chain::{Child, Environment};
use cli::{Exit, Failure, Program, text};

pub(crate) static ENVUIDGID: Program = Program {
    name: "envuidgid",
    usage: "envuidgid: usage: envuidgid account child",
    options: &[],
};

unix::main!(ENVUIDGID.start(envuidgid));

fn envuidgid(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let (name, child) = match *arguments {
        [_, name, ref child @ ..] if !child.is_empty() => (name, child),
        _ => return Err(ENVUIDGID.usage()),
    };
    let account =
        Account::find(name).ok_or_else(|| ENVUIDGID.fatal_msg(text!["unknown account ", name]))?;
    let mut environment = Environment::inherited();
    environment.set_uid_gid(account.uid, account.gid);
    Err(Child::new(&ENVUIDGID, child, &environment.entries()).exec())
}
