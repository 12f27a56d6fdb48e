//! The loop: it waits for events, passes them to the machines, and carries out
//! their actions.

use std::os::fd::AsFd;
use std::time::Instant;

use daemontools_core::control::{Command, SignalTarget};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use unix::poll::ReadList;
use unix::process::{signal_group, signal_process};
use unix::signals::SignalPipe;
use unix::wait::ExitStatus;

use super::family::Family;
use super::service::{MAX_COMMAND_BYTES, Service, decode};
use crate::Role;
use crate::directory::AcquireError;
use crate::machine::{CheckEvent, CommandStep, Moment, RunExit};
use crate::retry::{RETRY_INTERVAL, Reaper};

/// The logger comes first: it reads from the first line of its service on.
const START_ORDER: [Role; 2] = [Role::Logger, Role::Service];
const ROLES: [Role; 2] = [Role::Service, Role::Logger];

pub(super) struct Supervisor<'a> {
    pub(super) service: Service,
    pub(super) family: Family<'a>,
    /// Reports SIGCHLD.
    pub(super) children: &'a SignalPipe,
    pub(super) reaper: Reaper,
}

impl Supervisor<'_> {
    /// Supervises until a command to exit. Fails before the first start if a
    /// FIFO `ok` cannot be opened.
    pub(super) fn run(mut self) -> Result<(), AcquireError> {
        // A reader that finds `ok` open also finds the files.
        self.publish_all();
        self.service.open_ok()?;
        if let Some(logger) = self.family.logger_mut() {
            logger.service.open_ok()?;
        }
        while !self.should_exit() {
            for role in START_ORDER {
                self.start_if_due(role);
            }
            if self.service.machine.should_exit() {
                let logger = self.family.logger_mut();
                if let Some(logger) = logger.filter(|logger| !logger.is_due()) {
                    logger.shut_down();
                }
            }
            self.publish_all();
            self.wait();
            self.children.drain();
            self.family.read_notification(&mut self.service);
            self.reap();
            for role in ROLES {
                self.run_commands(role);
            }
            // Loggers have no timeout.
            while let Some((pid, target)) = self.service.machine.take_expired_kill(Moment::now()) {
                send(pid, target, Signal::SIGKILL);
            }
        }
        self.publish_all();
        Ok(())
    }

    /// Whether the service is down for good, and its logger too.
    fn should_exit(&self) -> bool {
        let mut logger = self.family.logger().into_iter();
        self.service.machine.should_exit()
            && logger.all(|logger| logger.service.machine.child_pid().is_none() && !logger.is_due())
    }

    fn service_mut(&mut self, role: Role) -> Option<&mut Service> {
        match role {
            Role::Service => Some(&mut self.service),
            Role::Logger => Some(&mut self.family.logger_mut()?.service),
        }
    }

    fn publish_all(&mut self) {
        for role in ROLES {
            self.family.publish(&mut self.service, role);
        }
    }

    fn wait(&self) {
        let service = (!self.family.only_logger_left()).then_some(&self.service);
        let logger = self.family.logger().map(|logger| &logger.service);
        let services = [service, logger].into_iter().flatten();
        let mut deadline = self.next_retry();
        let controls = services.filter_map(|service| {
            let (control, recheck) = service.command_source();
            let next = service.machine.next_deadline();
            deadline = deadline.into_iter().chain(next).chain(recheck).min();
            control
        });
        let children = std::iter::once(self.children.as_fd());
        let descriptors = ReadList::new(children.chain(controls).chain(self.family.descriptors()));
        descriptors.wait(deadline);
    }

    /// The next attempt after a failure: to reap children, or to write a record.
    fn next_retry(&self) -> Option<Instant> {
        let logger = self.family.logger().map(|logger| &logger.service);
        let services = [&self.service].into_iter().chain(logger);
        let records = services.filter_map(Service::next_retry);
        let family = self.family.next_retry();
        let retries = records.chain(family).chain(self.reaper.next_deadline());
        retries.min()
    }

    /// Skips the scripts that are due and missing.
    fn skip_missing(&mut self) {
        let machine = &mut self.service.machine;
        while let Some(script) = machine.optional_script(Moment::now()) {
            match self.family.has_script(script) {
                Ok(true) => break,
                Ok(false) => machine.record_missing(script, Moment::now()),
                Err(_) => {
                    machine.postpone_start(script, RETRY_INTERVAL, Moment::now());
                    break;
                }
            }
        }
    }

    fn start_if_due(&mut self, role: Role) {
        self.skip_missing();
        let Some(service) = self.service_mut(role) else {
            return;
        };
        let script = match service.machine.next_start() {
            Some((moment, script)) if moment <= Instant::now() => script,
            Some(_) | None => return,
        };
        let launched = self.family.launch(&mut self.service, role, script);
        let now = Moment::now();
        if let Some(service) = self.service_mut(role) {
            match launched {
                Ok(pid) => service.machine.record_start(script, pid, now),
                Err(delay) => service.machine.postpone_start(script, delay, now),
            }
        }
        // The next program to be started may read the files.
        self.family.publish(&mut self.service, role);
        if let Ok(pid) = launched {
            self.family.on_start(script, pid);
        }
    }

    /// Reaps one exited child.
    fn next_exit(&mut self) -> Option<(Pid, ExitStatus)> {
        let logger = self.family.logger().map(|logger| &logger.service);
        let has_child = |service: &Service| service.machine.child_pid().is_some();
        let has_children = || has_child(&self.service) || logger.is_some_and(has_child);
        self.reaper.reap(has_children)
    }

    /// As in the original programs, each exit and most commands write the record,
    /// and an error is reported each time. While the record is written without an
    /// error, it is written before the next wait at the latest.
    fn record_event(&mut self, role: Role) {
        let has_failed = self.service_mut(role).is_some_and(Service::record_event);
        if has_failed {
            self.family.publish(&mut self.service, role);
        }
    }

    fn reap(&mut self) {
        while let Some((pid, status)) = self.next_exit() {
            let script = self.service.machine.script_of(pid);
            // The service may have written this before its exit.
            self.family.read_notification(&mut self.service);
            let now = Moment::now();
            for role in ROLES {
                let runs = |service: &mut Service| service.machine.run_pid() == Some(pid);
                let has_finish =
                    self.service_mut(role).is_some_and(runs) && self.family.has_finish(role);
                let Some(service) = self.service_mut(role) else {
                    continue;
                };
                if service.machine.child_pid() == Some(pid) {
                    service.machine.record_exit(pid, status, has_finish, now);
                    self.record_event(role);
                }
            }
            if let Some(report) = self.service.machine.record_check_exit(pid, status, now) {
                self.family.on_check(&mut self.service, report);
                match report.event {
                    CheckEvent::Ok | CheckEvent::Failing => {}
                    CheckEvent::Stop => signal_process(report.run, Signal::SIGTERM),
                }
            }
            self.skip_missing();
            if let Some(script) = script {
                let exit = RunExit { pid, status };
                self.family.on_exit(&mut self.service, script, exit, now);
            }
        }
    }

    /// Runs the commands in `control`, and then those of signals.
    fn run_commands(&mut self, role: Role) {
        let signaled = match role {
            Role::Service => self.family.take_exit_signals(&mut self.service),
            Role::Logger => &[],
        };
        if role == Role::Service && self.family.only_logger_left() {
            return;
        }
        let Some(service) = self.service_mut(role) else {
            return;
        };
        let mut buffer = [0; MAX_COMMAND_BYTES];
        let bytes = service.read_commands(&mut buffer);
        let ruleset = service.machine.ruleset();
        let target = |command| {
            if command == Command::Continue {
                SignalTarget::ProcessGroup
            } else {
                SignalTarget::Process
            }
        };
        let signaled = signaled.iter().map(|&command| (command, target(command)));
        let commands = || decode(ruleset, bytes).chain(signaled.clone());
        self.family.before_commands(&mut self.service, commands());
        for (command, target) in commands() {
            self.run_command(role, command, target);
        }
    }

    fn run_command(&mut self, role: Role, command: Command, target: SignalTarget) {
        let Some(service) = self.service_mut(role) else {
            return;
        };
        for step in service.machine.apply_command(command, Moment::now()) {
            let signal = match step {
                CommandStep::Signal(signal) => Some(signal),
                CommandStep::Program { letter, otherwise } => {
                    let done = self.family.run_control_program(&mut self.service, letter);
                    otherwise.filter(|_| !done)
                }
            };
            let Some(service) = self.service_mut(role) else {
                return;
            };
            if let (Some(pid), Some(signal)) = (service.machine.child_pid(), signal) {
                send(pid, target, signal);
                service.machine.record_signal(signal, Moment::now());
            }
        }
        if writes_record(command) {
            self.record_event(role);
        }
        self.start_if_due(role);
    }
}

/// Whether 0.76 and runit write the record after a command.
fn writes_record(command: Command) -> bool {
    match command {
        Command::Up
        | Command::Down
        | Command::Once
        | Command::Exit
        | Command::Pause
        | Command::Continue => true,
        Command::Terminate | Command::Kill | Command::Send(_) | Command::Target(_) => false,
    }
}

fn send(pid: Pid, target: SignalTarget, signal: Signal) {
    match target {
        SignalTarget::Process => signal_process(pid, signal),
        SignalTarget::ProcessGroup => signal_group(pid, signal),
    }
}
