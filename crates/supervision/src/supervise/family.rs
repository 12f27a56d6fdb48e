//! The families of programs that share the loop, and the few operations in
//! which they differ.

use std::os::fd::{AsFd, BorrowedFd};

use daemontools_core::control::{Command, SignalTarget};
use daemontools_core::names;
use nix::errno::Errno;
use nix::unistd::Pid;
use unix::exec::PreparedExec;
use unix::launch::Launch;
use unix::start::environment;

use super::runsv::{Logger, Runsv, RunsvWarning};
use super::service::Service;
use crate::Role;
use crate::directory::replace;
use crate::extended::config::program_exists;
use crate::extended::{Extended, SuperviseWarning};
use crate::machine::{Moment, RunExit, Start};

pub(super) enum Family<'a> {
    /// supervise.
    Supervise(&'a dyn Fn(SuperviseWarning)),
    /// supervise -e.
    Extended(Extended<'a>),
    /// runsv, with or without a logger.
    Runsv(Runsv<'a>),
}

impl Family<'_> {
    /// Starts a program of the service or of its logger; None if fork(2) failed.
    pub(super) fn launch(
        &mut self,
        service: &mut Service,
        role: Role,
        start: Start,
    ) -> Option<Pid> {
        let launched = match (&mut *self, start) {
            // Without a `finish`, only `run` starts.
            (Family::Supervise(warn), Start::Run | Start::Finish(_)) => launch_run(warn),
            (Family::Extended(family), Start::Run) => family.launch_run(&mut service.machine),
            (Family::Extended(family), Start::Finish(exit)) => family.launch_finish(exit),
            (Family::Runsv(family), Start::Run) => family.launch_run(service, role),
            (Family::Runsv(family), Start::Finish(exit)) => family.launch_finish(exit),
        };
        launched.map_err(|error| self.warn_fork(error)).ok()
    }

    fn warn_fork(&self, error: Errno) {
        match self {
            Family::Supervise(warn) => warn(SuperviseWarning::Fork(error)),
            Family::Extended(family) => family.warn(SuperviseWarning::Fork(error)),
            Family::Runsv(family) => (family.warn)(RunsvWarning::Fork(error)),
        }
    }

    /// Publishes changes in the files that other programs read.
    pub(super) fn publish(&mut self, service: &mut Service, role: Role) {
        match self {
            Family::Supervise(warn) => publish_status(service, warn),
            Family::Extended(family) => {
                // Before the record: see daemontools_core::state.
                family.publish_state(&service.machine);
                publish_status(service, &|warning| family.warn(warning));
            }
            Family::Runsv(family) => family.publish(service, role),
        }
    }

    pub(super) fn on_start(&self, pid: Pid) {
        match self {
            Family::Supervise(_) | Family::Runsv(_) => {}
            Family::Extended(family) => family.on_start(pid),
        }
    }

    /// Whether `finish` follows the exit of `run`.
    pub(super) fn has_finish(&self, role: Role) -> bool {
        match self {
            Family::Supervise(_) => false,
            Family::Extended(_) => program_exists(names::FINISH),
            Family::Runsv(_) => Runsv::has_finish(role),
        }
    }

    /// Handles an exit of the service's `run`, which the machine has recorded.
    pub(super) fn on_exit(&mut self, service: &mut Service, exit: RunExit, now: Moment) {
        match self {
            Family::Supervise(_) | Family::Runsv(_) => {}
            Family::Extended(family) => family.on_exit(exit, now, |family| {
                family.publish_state(&service.machine);
                publish_status(service, &|warning| family.warn(warning));
            }),
        }
    }

    /// Prepares for the commands of one read.
    pub(super) fn before_commands(
        &mut self,
        service: &mut Service,
        commands: &[(Command, SignalTarget)],
    ) {
        match self {
            Family::Supervise(_) | Family::Runsv(_) => {}
            Family::Extended(family) => family.before_commands(&mut service.machine, commands),
        }
    }

    /// Runs a program in `control`; whether it replaces the signal.
    pub(super) fn run_control_program(&mut self, service: &mut Service, letter: u8) -> bool {
        match self {
            Family::Supervise(_) | Family::Extended(_) => false,
            Family::Runsv(family) => family.run_control_program(service, letter),
        }
    }

    /// Reads a report of readiness.
    pub(super) fn read_notification(&mut self, service: &mut Service) {
        match self {
            Family::Supervise(_) | Family::Runsv(_) => {}
            Family::Extended(family) => family.read_notification(&mut service.machine),
        }
    }

    /// Takes the exit signal of the family; whether it arrived.
    pub(super) fn take_exit_signal(&self) -> bool {
        match self {
            Family::Supervise(_) | Family::Extended(_) => false,
            Family::Runsv(family) => family.terminated.drain(),
        }
    }

    /// The family's own descriptor to poll.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Family::Supervise(_) => None,
            Family::Extended(family) => family.readiness.as_ref().map(AsFd::as_fd),
            Family::Runsv(family) => Some(family.terminated.as_fd()),
        }
    }

    pub(super) fn logger(&self) -> Option<&Logger> {
        match self {
            Family::Supervise(_) | Family::Extended(_) => None,
            Family::Runsv(family) => family.logger.as_ref(),
        }
    }

    pub(super) fn logger_mut(&mut self) -> Option<&mut Logger> {
        match self {
            Family::Supervise(_) | Family::Extended(_) => None,
            Family::Runsv(family) => family.logger.as_mut(),
        }
    }

    /// Whether the service has ended and only its logger is left.
    pub(super) fn only_logger_left(&self) -> bool {
        self.logger().is_some_and(|logger| logger.pipe.is_none())
    }
}

fn launch_run(warn: &dyn Fn(SuperviseWarning)) -> Result<Pid, Errno> {
    let program = PreparedExec::search(None, &[names::RUN_PROGRAM], &environment());
    Launch::new(program)
        .start(|error| warn(SuperviseWarning::Exec(names::RUN_PROGRAM, error.errno())))
}

fn publish_status(service: &mut Service, warn: &dyn Fn(SuperviseWarning)) {
    let published =
        service.publish(|files, _, (report, _)| replace(files.status, &report.status.encode()));
    if let Err(error) = published {
        warn(SuperviseWarning::Replace(error));
    }
}
