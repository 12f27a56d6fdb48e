//! The start of supervise or runsv: the pipe of a service, and the process of
//! each role.

use std::ffi::{CStr, CString};
use std::os::fd::AsFd;
use std::time::{Instant, SystemTime};

use daemontools_core::names;
use nix::errno::Errno;
use nix::unistd::Pid;
use unix::descriptors::{DescriptorLimit, FdSlot};
use unix::exec::{PreparedExec, candidates};
use unix::file;
use unix::launch::{Launch, LaunchError};
use unix::path::PathBuffer;
use unix::signals::SignalPipe;

use crate::Role;
use crate::pipe::Pipe;
use crate::scan_warning::{ScanWarning, WarnFn};
use crate::table::{DeadService, NewService, StartSlots};

/// The number of services up to which fork(2) starts processes. With more
/// services, copying the memory and descriptors of svscan costs more than
/// waiting for the exec of a vfork(2) child.
const FORK_LIMIT: usize = 1000;

/// The program that is started for each service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpawnConfig {
    pub(crate) program: &'static CStr,
    /// The argument before the service directory.
    pub(crate) option: Option<&'static CStr>,
    /// Whether a service's logger gets a process and a pipe as well.
    pub(crate) loggers: bool,
    /// Whether each process leads a session.
    pub(crate) sessions: bool,
}

pub(crate) struct Spawner<'a> {
    config: SpawnConfig,
    /// The files that the search for the program tries.
    candidates: Vec<CString>,
    children: &'a SignalPipe,
    limit: DescriptorLimit,
    slot: Option<FdSlot>,
    report: WarnFn<'a>,
}

impl<'a> Spawner<'a> {
    pub(crate) fn new(config: SpawnConfig, children: &'a SignalPipe, report: WarnFn<'a>) -> Self {
        Spawner {
            config,
            candidates: candidates(config.program, unix::start::variable(b"PATH")),
            children,
            limit: DescriptorLimit::read(),
            slot: FdSlot::new(children),
            report,
        }
    }

    /// Adds a new service to the table, and starts its processes. A service
    /// whose pipe cannot be made is left to the next scan. Errors: ENOMEM, as
    /// [`NewService::add`].
    pub(crate) fn start_new(&mut self, service: NewService<'_, Pipe>) -> Result<(), Errno> {
        let created = self.creation_time(service.name);
        if let Ok(pipe) = self.new_pipe(service.name) {
            self.start(service.add(pipe, created)?);
        }
        Ok(())
    }

    /// The creation time of a service directory, for [`Spawner::is_replaced`].
    fn creation_time(&self, name: &CStr) -> Option<SystemTime> {
        let loggers = self.config.loggers;
        loggers.then(|| file::creation_time(name)).flatten()
    }

    /// Whether another directory has replaced that of a dead service, and its logger
    /// differs.
    pub(crate) fn is_replaced(&self, dead: DeadService, name: &CStr) -> bool {
        self.config.loggers && is_replaced(dead, name)
    }

    /// Starts processes, up to the first that fails. Returns whether all were
    /// started.
    pub(crate) fn start(&mut self, mut slots: StartSlots<'_, Pipe>) -> bool {
        let mut roles = std::mem::take(&mut slots.roles);
        roles.all(|role| {
            let pid = self.spawn(role, slots.name(), slots.pipe(), slots.services);
            if let Some(pid) = pid {
                slots.record_start(role, pid, Instant::now());
            }
            pid.is_some()
        })
    }

    /// The pipe of a new service with a logger.
    fn new_pipe(&self, name: &CStr) -> Result<Option<Pipe>, ()> {
        if !self.config.loggers {
            return Ok(None);
        }
        let Ok(log) = PathBuffer::join(name, names::LOG) else {
            return Ok(None);
        };
        match has_logger(log.as_c_str()) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => {
                (self.report)(ScanWarning::Stat(log.as_c_str()), error);
                return Err(());
            }
        }
        with_descriptors(&self.limit, Pipe::new)
            .map(Some)
            .map_err(|error| (self.report)(ScanWarning::Pipe(name), error))
    }

    /// Starts the process of a role. None after a warning. `services` is the
    /// number of services.
    fn spawn(
        &mut self,
        role: Role,
        name: &CStr,
        pipe: Option<&Pipe>,
        services: usize,
    ) -> Option<Pid> {
        // A vfork(2) child copies few descriptors, and finds its end of the pipe
        // in the slot.
        let mut slot = self.slot.as_mut().filter(|_| services > FORK_LIMIT);
        let mut open_end = |pipe: &Pipe| {
            let end = with_descriptors(&self.limit, || pipe.open_end(role))?;
            if let Some(slot) = &mut slot {
                slot.put(&end)?;
            }
            Ok(end)
        };
        let end = pipe.map(&mut open_end).transpose();
        let end = end.map_err(|error| (self.report)(ScanWarning::Pipe(name), error));
        let end = end.ok()?;
        let end = end.as_ref().map(AsFd::as_fd);
        let end = end.map(|end| slot.as_ref().map_or(end, |slot| slot.as_fd()));
        let (stdin, stdout, directory, argument) = match role {
            Role::Service => (None, end, None, name),
            Role::Logger => (end, None, Some(name), names::LOG),
        };
        let SpawnConfig {
            program, option, ..
        } = self.config;
        let arguments = match option {
            Some(option) => &[program, option, argument][..],
            None => &[program, argument],
        };
        let program = PreparedExec::first_of(&self.candidates, arguments);
        let launch = Launch {
            stdin,
            stdout,
            directory,
            session: self.config.sessions,
            copies_below: slot.as_ref().map(|slot| slot.end()),
            ..Launch::new(program)
        };
        let restore = || {
            self.limit.restore();
            self.children.restore();
            Ok(())
        };
        let started = launch.start_with(restore, |error: LaunchError| match error {
            LaunchError::Descriptor(error) | LaunchError::Chdir(error) => {
                (self.report)(ScanWarning::Chdir(name), error);
            }
            LaunchError::Exec(error) => (self.report)(ScanWarning::Exec(name, role), error),
        });
        if let Some(slot) = slot {
            // A pipe end left in the slot would keep the pipe open.
            let _ = slot.put(self.children);
        }
        let started = started.map_err(|error| (self.report)(ScanWarning::Fork(name, role), error));
        started.ok()
    }
}

/// As [`Spawner::is_replaced`]. A file system may give a new directory the inode of a
/// removed one at once.
///
/// Creation times distinguish the two, but some file systems record none, and that of a
/// directory changes when overlayfs copies it. `log` decides then.
fn is_replaced(dead: DeadService, name: &CStr) -> bool {
    if dead.created.is_some() && dead.created == file::creation_time(name) {
        return false;
    }
    let has_logger = PathBuffer::join(name, names::LOG).map(|log| has_logger(log.as_c_str()));
    matches!(has_logger, Ok(Ok(has_logger)) if has_logger != dead.has_pipe)
}

/// Whether the directory of a logger exists.
fn has_logger(log: &CStr) -> Result<bool, Errno> {
    match file::status(log) {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Calls `open`, and once more with a raised descriptor limit if `open` fails
/// with EMFILE.
fn with_descriptors<T>(
    limit: &DescriptorLimit,
    open: impl Fn() -> Result<T, Errno>,
) -> Result<T, Errno> {
    open().or_else(|error| match error {
        Errno::EMFILE => {
            limit.raise();
            open()
        }
        other => Err(other),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::testing::in_directory;

    #[test]
    fn replaced_directory_differs_in_age_and_logger() {
        in_directory(|| {
            fs::create_dir("plain").unwrap();
            fs::create_dir_all("logged/log").unwrap();
            for (name, has_logger) in [(c"plain", false), (c"logged", true)] {
                let same = file::creation_time(name);
                let other = same.map(|time| time - Duration::from_nanos(1));
                for created in [None, same, other] {
                    for has_pipe in [false, true] {
                        let dead = DeadService { created, has_pipe };
                        let is_known = created.is_some() && created == same;
                        let expected = !is_known && has_pipe != has_logger;
                        assert_eq!(is_replaced(dead, name), expected, "{name:?} {dead:?}");
                    }
                }
            }
        });
    }
}
