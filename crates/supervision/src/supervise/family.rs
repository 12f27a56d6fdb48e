//! The families of programs that share the loop, and the few operations in
//! which they differ.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use daemontools_core::control::{Command, SignalTarget};
use daemontools_core::names;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use unix::exec::PreparedExec;
use unix::launch::Launch;
use unix::process::signal_process;

use super::runsv::{Logger, Runsv, RunsvWarning};
use super::service::{Service, Visible};
use crate::Role;
use crate::extended::config::program_exists;
use crate::extended::{ExitSignal, Extended, StartError, SuperviseWarning};
use crate::machine::{CheckReport, Moment, RunExit, Script};
use crate::retry::{Attempt, RETRY_INTERVAL};

#[allow(clippy::large_enum_variant, reason = "a process has one family")]
pub(super) enum Family<'a> {
    /// supervise.
    Supervise(&'a dyn Fn(SuperviseWarning)),
    /// supervise -e.
    Extended(Extended<'a>),
    /// runsv, with or without a logger.
    Runsv(Runsv<'a>),
}

impl Family<'_> {
    /// Starts a script of the service or of its logger. Errors: the time until the next
    /// attempt.
    pub(super) fn launch(
        &mut self,
        service: &mut Service,
        role: Role,
        script: Script,
    ) -> Result<Pid, Duration> {
        let fork_retry_interval = service.machine.ruleset().fork_retry_interval();
        let launched = match (&mut *self, script) {
            // Without a `finish`, only `run` starts.
            // Only -e has these scripts.
            (
                Family::Supervise(_) | Family::Runsv(_),
                Script::Check | Script::Start | Script::Stop,
            ) => return Err(fork_retry_interval),
            (Family::Extended(family), Script::Check) => {
                return family.launch_check().ok_or(fork_retry_interval);
            }
            (Family::Extended(family), Script::Start) => {
                match family.launch_start(&mut service.machine) {
                    Err(StartError::Exec) => return Err(RETRY_INTERVAL),
                    Err(StartError::Fork(error)) => Err(error),
                    Ok(pid) => Ok(pid),
                }
            }
            (Family::Extended(family), Script::Stop) => family.launch_stop(),
            (Family::Supervise(warn), Script::Run | Script::Finish(_)) => launch_run(warn),
            (Family::Extended(family), Script::Run) => family.launch_run(&mut service.machine),
            (Family::Extended(family), Script::Finish(exit)) => family.launch_finish(exit),
            (Family::Runsv(family), Script::Run) => family.launch_run(service, role),
            (Family::Runsv(family), Script::Finish(exit)) => family.launch_finish(exit),
        };
        launched.map_err(|error| {
            self.warn_fork(error);
            fork_retry_interval
        })
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
            Family::Supervise(warn) => {
                let Some((attempt, view)) = service.next_write(Visible::ExitRequest) else {
                    return;
                };
                let files = &service.files;
                let replaced = files.replace(files.names.status, &view.0.status.encode());
                service.record_write(view, replaced);
                if let (Attempt::Event, Err(error)) = (attempt, replaced) {
                    warn(SuperviseWarning::Replace(error));
                }
            }
            Family::Extended(family) => publish_extended(service, family),
            Family::Runsv(family) => family.publish(service, role),
        }
    }

    /// The next attempt to write a record of the family, after a failure.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        match self {
            Family::Supervise(_) | Family::Runsv(_) => None,
            Family::Extended(family) => family.next_retry(),
        }
    }

    pub(super) fn on_start(&self, script: Script, pid: Pid) {
        match self {
            Family::Supervise(_) | Family::Runsv(_) => {}
            Family::Extended(family) => family.on_start(script, pid),
        }
    }

    /// Whether an optional script of the service exists. Errors: those of stat(2) that
    /// may pass.
    pub(super) fn has_script(&self, script: Script) -> Result<bool, Errno> {
        match self {
            Family::Supervise(_) | Family::Runsv(_) => Ok(false),
            Family::Extended(family) => family.has_script(script),
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

    /// Handles an exit of this script of the service, which the machine has
    /// recorded.
    pub(super) fn on_exit(
        &mut self,
        service: &mut Service,
        script: Script,
        exit: RunExit,
        now: Moment,
    ) {
        match self {
            Family::Supervise(_) | Family::Runsv(_) => {}
            Family::Extended(family) => {
                if script == Script::Run {
                    family.record_run_exit(exit, now);
                }
                // `notify` may read the published files.
                publish_extended(service, family);
                family.notify_exit(script, exit);
            }
        }
    }

    /// Handles an event of the checks, which the machine has recorded.
    pub(super) fn on_check(&mut self, service: &mut Service, report: CheckReport) {
        match self {
            Family::Supervise(_) | Family::Runsv(_) => {}
            Family::Extended(family) => {
                // `notify` may read the published files.
                publish_extended(service, family);
                family.on_check(report);
            }
        }
    }

    /// Prepares for the commands of one read.
    pub(super) fn before_commands(
        &mut self,
        service: &mut Service,
        commands: impl Iterator<Item = (Command, SignalTarget)>,
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

    /// Takes the exit signals of the family. Returns the commands that they
    /// stand for.
    pub(super) fn take_exit_signals(&self, service: &mut Service) -> &'static [Command] {
        match self {
            Family::Extended(family) => match family.signals.take() {
                None => &[],
                Some(signal) => commands_of(signal, service),
            },
            Family::Runsv(family) if family.terminated.drain() => &[Command::Exit],
            Family::Supervise(_) | Family::Runsv(_) => &[],
        }
    }

    /// The family's own descriptors to poll.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let (signals, readiness) = match self {
            Family::Supervise(_) => (None, None),
            Family::Extended(family) => {
                let readiness = family.readiness.as_ref().map(AsFd::as_fd);
                (Some(family.signals.as_fd()), readiness)
            }
            Family::Runsv(family) => (Some(family.terminated.as_fd()), None),
        };
        signals.into_iter().chain(readiness)
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

/// The commands for a signal to supervise -e. A stopped process could not end:
/// each signal also continues it, repeated or not.
fn commands_of(signal: ExitSignal, service: &mut Service) -> &'static [Command] {
    let machine = &mut service.machine;
    if let (Some(finish), None) = (machine.child_pid(), machine.run_pid()) {
        signal_process(finish, Signal::SIGCONT);
    }
    match signal {
        // A second SIGTERM makes some services exit without their cleanup.
        ExitSignal::Stop if machine.is_stopping() => &[Command::Continue],
        ExitSignal::Stop => &[Command::Down, Command::Exit, Command::Continue],
        ExitSignal::AfterRun => {
            machine.request_exit_after_run(Moment::now());
            &[Command::Continue]
        }
    }
}

fn launch_run(warn: &dyn Fn(SuperviseWarning)) -> Result<Pid, Errno> {
    let program = PreparedExec::inheriting(&[names::RUN_PROGRAM]);
    Launch::new(program)
        .start(|error| warn(SuperviseWarning::Exec(names::RUN_PROGRAM, error.errno())))
}

fn publish_extended(service: &mut Service, family: &mut Extended<'_>) {
    // Before the record: see daemontools_core::state.
    family.publish_state(&service.machine);
    family.retry_tally();
    // Readers do not see a request to exit.
    if let Some((_, view)) = service.next_write(Visible::Report) {
        let files = &service.files;
        let status = files.names.status;
        let replaced = files.replace(status, &view.0.status.encode());
        family.record_replace(status, replaced);
        service.record_write(view, replaced);
    }
}
