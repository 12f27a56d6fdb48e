//! supervise and runsv: one loop, and the families of programs that share it.

mod driver;
mod family;
mod runsv;
mod service;

use std::ffi::CString;

use daemontools_core::names;
use daemontools_core::status::Want;
use nix::unistd::Gid;
use unix::file_lock::WhenLocked;
use unix::signals::SignalPipe;

use crate::Role;
use crate::directory::{AcquireError, ControlFifo, MissingParents, SuperviseFiles};
use crate::extended::Extended;
use crate::extended::config::permissions;
pub use crate::extended::{ConfigWarning, ExitSignals, SuperviseWarning};
use crate::machine::{Machine, Moment, Ruleset};
use crate::permissions::DirectoryLink;
use crate::pipe::Pipe;
use crate::retry::Reaper;

use daemontools::supervise_dir::{IN_SERVICE, SuperviseDir};
use driver::Supervisor;
use family::Family;
pub use runsv::RunsvWarning;
use runsv::{Logger, Runsv};
use service::{PidFile, Service};

/// The setup of supervise -e.
#[derive(Debug)]
pub struct ExtendedSetup {
    /// The name of the service, for `finish`.
    pub name: CString,
    /// The signals that request the exit.
    pub signals: ExitSignals,
    /// Looks up the groups of `control-group` and `status-group`.
    pub find_group: fn(&[u8]) -> Option<Gid>,
}

/// Supervises the service in the current directory, as supervise does, until a
/// command to exit. `dir` is its supervise directory. `children` reports SIGCHLD.
/// `extended`: as supervise -e.
///
/// # Errors
/// The service directory could not be acquired, or the FIFO `ok` not opened.
pub fn supervise(
    children: &SignalPipe,
    want: Want,
    mut dir: SuperviseDir,
    extended: Option<ExtendedSetup>,
    warn: &dyn Fn(SuperviseWarning),
) -> Result<(), AcquireError> {
    let names = &names::SERVICE;
    dir.keep_paths();
    let files = SuperviseFiles { names, dir };
    let parents = if extended.is_some() || files.dir.is_moved() {
        MissingParents::Make
    } else {
        MissingParents::Fail
    };
    let lock = files.lock(WhenLocked::Fail, parents)?;
    let control = ControlFifo::open(&files)?;
    let (ruleset, family) = match extended {
        Some(ExtendedSetup {
            name,
            signals,
            find_group,
        }) => {
            set_permissions(&files, find_group, warn);
            let extended = Extended::new(name, files.dir.clone(), signals, warn);
            (Ruleset::Extended, Family::Extended(extended))
        }
        None => (Ruleset::Supervise, Family::Supervise(warn)),
    };
    let machine = Machine::new(ruleset, want, Moment::now());
    let service = Service::new(files, lock, control, machine);
    Supervisor {
        service,
        family,
        children,
        reaper: Reaper::default(),
    }
    .run()
}

/// Sets the permissions of the settings, before the service counts as supervised.
fn set_permissions(
    files: &SuperviseFiles,
    find_group: fn(&[u8]) -> Option<Gid>,
    warn: &dyn Fn(SuperviseWarning),
) {
    let settings = permissions(find_group, |warning| {
        warn(SuperviseWarning::Config(warning));
    });
    if let Some(permissions) = settings {
        files.make_fifo(names::OK);
        if let Err(error) = permissions.apply(&files.dir, DirectoryLink::Follow) {
            warn(SuperviseWarning::Permissions(error));
        }
    }
}

/// The logger of a service, for [`runsv()`].
#[derive(Debug)]
pub struct LoggerSetup {
    /// Whether the logger is started at once.
    pub want: Want,
    /// The pipe from the service.
    pub pipe: Pipe,
}

/// Supervises the service in the current directory, and its logger if any, as
/// runsv does, until a command to exit. `children` reports SIGCHLD, `terminated`
/// SIGTERM, which is such a command.
///
/// # Errors
/// A service directory could not be acquired, or a FIFO not opened.
pub fn runsv(
    children: &SignalPipe,
    terminated: &SignalPipe,
    want: Want,
    logger: Option<LoggerSetup>,
    warn: &dyn Fn(RunsvWarning<'_>),
) -> Result<(), AcquireError> {
    let in_service = |names| SuperviseFiles {
        names,
        dir: IN_SERVICE.clone(),
    };
    let files = in_service(&names::SERVICE);
    let lock = files.lock(WhenLocked::Fail, MissingParents::Fail)?;
    let logger = match logger {
        // Blocks: another holder of the lock has lost its service and is about
        // to exit.
        Some(setup) => {
            let files = in_service(&names::LOGGER);
            let lock = files.lock(WhenLocked::Wait, MissingParents::Fail)?;
            Some((files, lock, setup))
        }
        None => None,
    };
    let control = ControlFifo::open_strict(&files)?;
    let machine = Machine::new(Ruleset::Runsv(Role::Service), want, Moment::now());
    let mut service = Service::new(files, lock, control, machine);
    let mut family = Runsv {
        terminated,
        logger: None,
        warn,
    };
    family.publish(&mut service, Role::Service);
    if let Some((files, lock, LoggerSetup { want, pipe })) = logger {
        let control = ControlFifo::open_strict(&files)?;
        let machine = Machine::new(Ruleset::Runsv(Role::Logger), want, Moment::now());
        let mut service = Service::new(files, lock, control, machine);
        // Before its first start, the logger has no files.
        service.pid_file = PidFile::Contains(None);
        family.logger = Some(Logger {
            service,
            pipe: Some(pipe),
        });
    }
    let family = Family::Runsv(family);
    Supervisor {
        service,
        family,
        children,
        reaper: Reaper::default(),
    }
    .run()
}
