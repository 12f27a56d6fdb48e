//! setuidgid: run a program under an account's uid and gid.

use std::ffi::CStr;
use std::process::ExitCode;

use chain::Child;
use chain::identity::{Account, Error, Identity};
use cli::{Exit, Failure, Program, text};
use unix::start::environment;

static SETUIDGID: Program = Program {
    name: "setuidgid",
    usage: "setuidgid: usage: setuidgid account child",
    options: &[],
};

fn main() -> ExitCode {
    SETUIDGID.start(setuidgid)
}

fn setuidgid(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let [_, name, ref child @ ..] = *arguments else {
        return Err(SETUIDGID.usage());
    };
    if child.is_empty() {
        return Err(SETUIDGID.usage());
    }
    let account =
        Account::find(name).ok_or_else(|| SETUIDGID.refuse(text!["unknown account ", name]))?;
    Identity::alone(account)
        .assume()
        .map_err(|error| match error {
            Error::Group(error) => SETUIDGID.fatal("unable to setgid", error),
            Error::User(error) => SETUIDGID.fatal("unable to setuid", error),
        })?;
    Err(Child::new(&SETUIDGID, child, &environment()).exec())
}
