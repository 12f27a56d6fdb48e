//! svperms: set the users that may control services and look at their status.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use chain::identity::{LookupError, group_id, user_id};
use cli::errno::errno_message;
use cli::options::{flag, value};
use cli::{Exit, Failure, Program, text};
use daemontools::supervise_dir::SuperviseDirRule;
use nix::unistd::chdir;
use supervision::permissions::{DirectoryLink, Permissions, PermissionsErrorCause};
use unix::cwd::Origin;

pub(crate) static SVPERMS: Program = Program {
    name: "svperms",
    usage: "svperms: usage: svperms [-u user] [-g group] [-G group] [-V] dir ...",
    options: &[
        value(b'u', "user", "the user that may control"),
        value(b'g', "group", "the group that may control"),
        value(b'G', "group", "the group that may look"),
        flag(b'V', "print the version"),
    ],
};

unix::main!(SVPERMS.start(svperms));

fn svperms(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let mut permissions = Permissions::default();
    let mut options = SVPERMS.options(arguments);
    while let Some((letter, value)) = options.next()? {
        match letter {
            b'u' => permissions.user = Some(user_id(value).map_err(unknown("account", value))?),
            b'g' => permissions.control = Some(group_id(value).map_err(unknown("group", value))?),
            b'V' => return SVPERMS.print_version(),
            _ => permissions.status = Some(group_id(value).map_err(unknown("group", value))?),
        }
    }
    let dirs = options.operands();
    if dirs.is_empty() {
        return Err(SVPERMS.usage());
    }
    if let (Some((_, None)), None, None) =
        (permissions.user, permissions.control, permissions.status)
    {
        return Err(SVPERMS.fatal_msg("the user has no account: -g or -G must name a group"));
    }
    let rule =
        SuperviseDirRule::from_environment().map_err(|error| SVPERMS.fatal_msg(error.message()))?;
    let origin = Origin::open_path()
        .map_err(|error| SVPERMS.fatal("unable to open current directory", error))?;
    let mut exit = Exit::Success;
    for dir in dirs {
        if let Err(message) = set(rule, dir, permissions) {
            SVPERMS.warn_msg(message);
            exit = Exit::Temporary;
        }
        origin
            .enter()
            .map_err(|error| SVPERMS.fatal("unable to change directory", error))?;
    }
    Ok(exit)
}

/// Sets the permissions of a service. Errors: the message.
fn set(rule: SuperviseDirRule, dir: &CStr, permissions: Permissions) -> Result<(), Vec<u8>> {
    chdir(dir).map_err(|error| text!["unable to chdir to ", dir, ": ", errno_message(error)])?;
    let files = rule.of_current().map_err(|error| {
        text![
            "unable to find the path of ",
            dir,
            ": ",
            errno_message(unix::errno(&error))
        ]
    })?;
    permissions
        .apply(&files, DirectoryLink::Refuse)
        .map_err(|error| {
            let file = files.display(dir, error.file);
            match error.cause {
                PermissionsErrorCause::Link => text![file, " is a symbolic link"],
                PermissionsErrorCause::NoFifo => text![file, " is not a FIFO"],
                PermissionsErrorCause::Os(error) => {
                    text![
                        "unable to set permissions of ",
                        file,
                        ": ",
                        errno_message(error)
                    ]
                }
            }
        })
}

/// The failure of a lookup. `kind` is the kind of the name.
fn unknown(kind: &str, name: &[u8]) -> impl Fn(LookupError) -> Failure {
    move |error| match error {
        LookupError::Unknown => SVPERMS.fatal_msg(text!["unknown ", kind, " ", name]),
        LookupError::Os(error) => SVPERMS.fatal(text!["unable to look up ", name], error),
    }
}
