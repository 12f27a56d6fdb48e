//! The changes of process state, applied in the order of runit's chpst.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::RawFd;

use chain::envdir;
use chain::identity::{self, Account, Identity, LookupError};
use chain::limits::{self, SoftLimit, resources, set_soft};
use chain::lock::{self, LockMode, take};
use chain::{Child, Environment};
use cli::{Exit, Failure, text};
use nix::errno::Errno;
use nix::unistd::{chdir, chroot, close, setsid};
use unix::process::nice;
use unix::rlimit::Resource;

use super::CHPST;

/// The changes that the command line requests. The last value of an option
/// counts.
#[derive(Default)]
pub(crate) struct Changes<'a> {
    pub(crate) verbose: bool,
    pub(crate) session: bool,
    pub(crate) variables: Option<(&'a [u8], Subdirectories)>,
    pub(crate) root: Option<&'a [u8]>,
    pub(crate) nice: i32,
    pub(crate) id_variables: Option<UserSpec<'a>>,
    pub(crate) user: Option<UserSpec<'a>>,
    pub(crate) lock: Option<LockSpec<'a>>,
    /// Descriptors to close, in this order, with their names.
    pub(crate) closed: BTreeMap<RawFd, &'static str>,
    /// Soft limits. The last limit of a resource counts.
    pub(crate) limits: Vec<(Resource, SoftLimit)>,
    /// The program and its arguments, never empty.
    pub(crate) program: &'a [&'static CStr],
    pub(crate) argv0: Option<CString>,
}

/// The treatment of subdirectories in a directory of variables.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subdirectories {
    /// Ignored.
    Skipped,
    /// An error, as unreadable files.
    Refused,
}

/// A user on the command line.
#[derive(Clone, Copy)]
pub(crate) enum UserSpec<'a> {
    /// The name of an account.
    Account(&'a [u8]),
    /// `user[:group…]`.
    Names(&'a [u8]),
    /// The text after the first colon of `:uid:gid…`.
    Numbers(&'a [u8]),
}

pub(crate) struct LockSpec<'a> {
    pub(crate) file: &'a [u8],
    pub(crate) mode: LockMode,
    /// Whether a failure exits 0 without a message.
    pub(crate) silent: bool,
}

impl<'a> LockSpec<'a> {
    /// A lock whose failure ends chpst with a message.
    pub(crate) fn required(file: &'a [u8], mode: LockMode) -> Self {
        let silent = false;
        LockSpec { file, mode, silent }
    }
}

/// The order of the setrlimit(2) calls.
const LIMITS: [Resource; 10] = [
    Resource::RLIMIT_DATA,
    Resource::RLIMIT_STACK,
    Resource::RLIMIT_MEMLOCK,
    Resource::RLIMIT_AS,
    Resource::RLIMIT_NOFILE,
    Resource::RLIMIT_NPROC,
    Resource::RLIMIT_FSIZE,
    Resource::RLIMIT_CORE,
    Resource::RLIMIT_RSS,
    Resource::RLIMIT_CPU,
];

impl Changes<'_> {
    /// Adds the limits of an option of softlimit.
    pub(crate) fn limit(&mut self, letter: u8, limit: SoftLimit) {
        self.limits
            .extend(resources(letter).iter().map(|resource| (*resource, limit)));
    }

    /// Applies the changes and executes the program.
    pub(crate) fn apply_and_exec(self) -> Result<Exit, Failure> {
        if self.session {
            // setsid(2) fails for the leader of a process group, which then
            // keeps its session, as in runit.
            let _ = setsid();
        }
        let mut environment = Environment::inherited();
        if let Some((directory, subdirectories)) = self.variables {
            let edits = envdir::read(directory, |name| {
                if self.verbose {
                    let subject = text!["unable to read ", directory, "/", name];
                    CHPST.warn(subject, Errno::EISDIR);
                }
                subdirectories == Subdirectories::Skipped
            });
            environment.extend(edits.map_err(|error| envdir_failure(directory, error))?);
        }
        if let Some(root) = self.root {
            chdir(root)
                .map_err(|error| CHPST.fatal(text!["unable to change directory: ", root], error))?;
            chroot(c".").map_err(|error| CHPST.fatal("unable to change root directory", error))?;
        }
        if self.nice != 0 {
            nice(self.nice).map_err(|error| CHPST.fatal("unable to set nice level", error))?;
        }
        if let Some(user) = self.id_variables {
            let identity = user.look_up()?;
            environment.set_uid_gid(identity.uid, identity.gid);
        }
        if let Some(user) = self.user {
            user.look_up()?.apply().map_err(|error| match error {
                identity::ApplyError::Groups(error) => CHPST.fatal("unable to setgroups", error),
                identity::ApplyError::Group(error) => CHPST.fatal("unable to setgid", error),
                identity::ApplyError::User(error) => CHPST.fatal("unable to setuid", error),
            })?;
        }
        if let Some(LockSpec { file, mode, silent }) = self.lock {
            // If standard error was closed, the file is descriptor 2, and the
            // messages go to the file, as in runit.
            match take(file, mode) {
                Ok(lock) => std::mem::forget(lock),
                Err(_) if silent => return Ok(Exit::Success),
                Err(lock::LockError::Open(error)) => {
                    return Err(CHPST.fatal(text!["unable to open lock: ", file], error));
                }
                Err(lock::LockError::Lock(error, _open)) => {
                    return Ok(CHPST.fatal(text!["unable to lock: ", file], error).print());
                }
            }
        }
        for (number, name) in self.closed {
            close(number).map_err(|error| CHPST.fatal(text!["unable to close ", name], error))?;
        }
        // Allocates all memory before a limit applies.
        let [name, arguments @ ..] = self.program else {
            return Ok(Exit::Success);
        };
        let called = self.argv0.as_deref().unwrap_or(name);
        let argv: Vec<_> = [called]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        let failure = CHPST.fatal_msg(text!["unable to run: ", called, ": "]);
        let child = Child::named(name, &argv, &environment.entries(), failure);
        for resource in LIMITS {
            let limit = self.limits.iter().rev().find(|(of, _)| *of == resource);
            if let Some((_, limit)) = limit {
                set_soft(resource, *limit).map_err(|error| match error {
                    limits::LimitError::Get(error) => CHPST.fatal("unable to getrlimit()", error),
                    limits::LimitError::Set(error) => CHPST.fatal("unable to setrlimit()", error),
                })?;
            }
        }
        Err(child.exec())
    }
}

impl<'a> UserSpec<'a> {
    /// Parses the value of -u and -U.
    pub(crate) fn parse(text: &'a [u8]) -> Self {
        match text {
            [b':', numbers @ ..] => UserSpec::Numbers(numbers),
            names => UserSpec::Names(names),
        }
    }

    fn look_up(self) -> Result<Identity, Failure> {
        match self {
            UserSpec::Account(name) => {
                match Account::look_up(&CString::new(name).unwrap_or_default()) {
                    Ok(account) => Ok(Identity::primary_group_only(account)),
                    Err(LookupError::Unknown) => {
                        Err(CHPST.fatal_msg(text!["unknown account: ", name]))
                    }
                    Err(LookupError::Os(error)) => {
                        Err(CHPST.fatal("unable to get password file entry", error))
                    }
                }
            }
            UserSpec::Names(names) => Identity::named(names).map_err(|error| match error {
                LookupError::Unknown => CHPST.fatal_msg(text!["unknown user/group: ", names]),
                LookupError::Os(error) => {
                    CHPST.fatal("unable to get password/group file entry", error)
                }
            }),
            UserSpec::Numbers(numbers) => Identity::numbered(numbers)
                .ok_or_else(|| CHPST.fatal_msg(text!["invalid uid/gids: ", numbers])),
        }
    }
}

fn envdir_failure(directory: &[u8], error: envdir::EnvdirError) -> Failure {
    use envdir::EnvdirError::{Enter, List, Open, Origin, Read, Return};
    let (subject, error) = match error {
        Origin(error) => (text!["unable to open current working directory"], error),
        Enter(error) => (text!["unable to switch to directory: ", directory], error),
        Open(error) => (text!["unable to open directory: ", directory], error),
        List(error) => (text!["unable to read directory: ", directory], error),
        Read(file, error) => (text!["unable to read ", directory, "/", file], error),
        Return(error) => (text!["unable to switch to starting directory"], error),
    };
    CHPST.fatal(subject, error)
}
