//! setuidgid: run a program with an account's user ID and group ID.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use chain::Child;
use chain::identity::{Account, ApplyError, Identity};
use cli::options::flag;
use cli::{Exit, Failure, Opt, Program, text};
use unix::start::environment;

pub(crate) static SETUIDGID: Program = Program {
    name: "setuidgid",
    usage: "setuidgid: usage: setuidgid account child",
    options: &[SUPPLEMENTARY],
};

/// Not in 0.76, where `-s` is an account name, which no account can have.
const SUPPLEMENTARY: Opt = flag(b's', "the account's supplementary groups as well");

unix::main!(SETUIDGID.start(setuidgid));

fn setuidgid(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let (supplementary, name, child) = match *arguments {
        [_, option, name, ref child @ ..]
            if !child.is_empty() && option.to_bytes() == [b'-', SUPPLEMENTARY.letter] =>
        {
            (true, name, child)
        }
        [_, name, ref child @ ..] if !child.is_empty() => (false, name, child),
        _ => return Err(SETUIDGID.usage()),
    };
    identity(name, supplementary)?
        .apply()
        .map_err(|error| match error {
            ApplyError::Groups(error) | ApplyError::Group(error) => {
                SETUIDGID.fatal("unable to setgid", error)
            }
            ApplyError::User(error) => SETUIDGID.fatal("unable to setuid", error),
        })?;
    Err(Child::new(&SETUIDGID, child, &environment()).exec())
}

/// The identity of an account, or of `:uid[:gid…]`. As in 0.76, an account of
/// that name takes precedence.
fn identity(name: &CStr, supplementary: bool) -> Result<Identity, Failure> {
    match Account::find(name) {
        Some(account) if supplementary => Identity::with_groups(account, name)
            .map_err(|error| SETUIDGID.fatal(text!["unable to get groups of ", name], error)),
        Some(account) => Ok(Identity::primary_group_only(account)),
        None => Identity::parse(name.to_bytes())
            .ok_or_else(|| SETUIDGID.fatal_msg(text!["unknown account ", name])),
    }
}
