//! Carries out the shutdown of services: gathers the facts that
//! [`ServiceShutdown`] needs, and performs its actions.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::time::{Duration, Instant};

use daemontools_core::state::ServiceState;
use daemontools_core::status::Want;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::directory::ScanRoot;
use super::foreign::ForeignSupervisor;
use crate::client::tell;
use crate::extended::{exit_implies_down, kill_timeout};
use crate::pipe::Pipe;
use crate::role::Role;
use crate::scan::{ScanWarning, Scanner, names_directory};
use crate::shutdown::{
    DEFAULT_STOP_TIMEOUT, Delivery, ServiceFacts, ServiceShutdown, ShutdownAction, StopAction,
    StopConfig,
};
use crate::snapshot;
use crate::table::{DirectoryId, ServiceTable};
use unix::process::{children, signal_group, signal_process};

/// The services that are shutting down.
#[derive(Debug)]
pub(super) struct Shutdowns<'a> {
    pub(super) root: ScanRoot<'a>,
    services: BTreeMap<DirectoryId, ServiceShutdown>,
    pub(super) foreign: Vec<ForeignSupervisor>,
    /// Whether a second stop request has come. Warnings are then unnecessary.
    forced: bool,
}

impl<'a> Shutdowns<'a> {
    pub(super) fn new(root: ScanRoot<'a>) -> Self {
        Shutdowns {
            root,
            services: BTreeMap::new(),
            foreign: Vec::new(),
            forced: false,
        }
    }

    pub(super) fn contains(&self, directory: DirectoryId) -> bool {
        self.services.contains_key(&directory)
    }

    /// The time of the next action, unless a process exits first.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let services = self.services.values();
        let foreign = self.foreign.iter();
        services
            .filter_map(ServiceShutdown::next_deadline)
            .chain(foreign.filter_map(|supervisor| supervisor.deadline))
            .min()
    }

    /// Begins the shutdown of a service and its logger. `extended`: under
    /// `supervise -e`.
    pub(super) fn begin(
        &mut self,
        table: &mut ServiceTable<Pipe>,
        directory: DirectoryId,
        extended: bool,
    ) {
        let timeout = |role| {
            let timeout = self.root.inside(table, directory, role, stop_timeout);
            timeout.unwrap_or(Some(DEFAULT_STOP_TIMEOUT))
        };
        let exit_stops = || {
            let exit_stops = self
                .root
                .inside(table, directory, Role::Logger, exit_implies_down);
            exit_stops == Some(true)
        };
        let config = StopConfig {
            service: timeout(Role::Service),
            logger: timeout(Role::Logger),
            exit_stops_logger: extended && exit_stops(),
        };
        self.stop_foreign(table, directory, Role::Service, config.service);
        // Without the command, the logger exits at the end of the pipe: only the
        // service of a foreign supervise writes to that pipe.
        if !config.exit_stops_logger {
            self.stop_foreign(table, directory, Role::Logger, config.logger);
        }
        let now = Instant::now();
        let shutdown = self.services.entry(directory);
        let shutdown = shutdown.or_insert_with(|| ServiceShutdown::new(config, now));
        table.set_keep_running(directory, shutdown.keep_running());
    }

    /// Stops the supervise of a role if it is no child of svscan.
    fn stop_foreign(
        &mut self,
        table: &ServiceTable<Pipe>,
        directory: DirectoryId,
        role: Role,
        timeout: Option<Duration>,
    ) {
        if table.pid(directory, role).is_none() {
            let stop = || ForeignSupervisor::stop(exit_command(role), timeout);
            let foreign = self.root.inside(table, directory, role, stop);
            self.foreign.extend(foreign.flatten());
        }
    }

    /// Skips the current timeout of each service, and the rest of the time for
    /// foreign supervises.
    pub(super) fn escalate(&mut self) {
        self.forced = true;
        let now = Instant::now();
        for shutdown in self.services.values_mut() {
            shutdown.escalate(now);
        }
        self.foreign.clear();
    }

    /// Starts missing loggers as long as their services run.
    pub(super) fn start_missing_loggers(&self, scanner: &mut Scanner) {
        for &directory in self.services.keys() {
            if let Some(name) = scanner.table.name(directory).map(CStr::to_owned) {
                scanner.start_missing(directory, &name);
            }
        }
    }

    /// Performs the actions that are due. With `may_return`, a service that is
    /// in the scan directory again after its shutdown is started.
    pub(super) fn run_shutdown(&mut self, scanner: &mut Scanner, may_return: bool) {
        self.foreign.retain(|supervisor| !supervisor.is_done());
        let directories: Vec<_> = self.services.keys().copied().collect();
        for directory in directories {
            while let Some(action) = self.next_action(&mut scanner.table, directory) {
                let name = scanner.table.name(directory).map(CStr::to_owned);
                let present = |name: &CStr| names_directory(name, directory);
                match action {
                    ShutdownAction::Stop(role, action) => {
                        self.stop(scanner, directory, role, action);
                    }
                    ShutdownAction::StartLogger => {
                        if let Some(name) = name.filter(|name| present(name)) {
                            scanner.start(directory, Role::Logger, &name);
                        }
                    }
                    ShutdownAction::Forget => {
                        self.services.remove(&directory);
                        scanner.table.remove(directory);
                        if let Some(name) = name.filter(|name| may_return && present(name)) {
                            scanner.add_service(directory, &name);
                        }
                    }
                }
            }
        }
    }

    fn next_action(
        &mut self,
        table: &mut ServiceTable<Pipe>,
        directory: DirectoryId,
    ) -> Option<ShutdownAction> {
        let shutdown = self.services.get_mut(&directory)?;
        let service_runs = table.pid(directory, Role::Service).is_some();
        let logger_runs = table.pid(directory, Role::Logger).is_some();
        let pipe = table.pipe(directory);
        let facts = ServiceFacts {
            service_runs,
            logger_runs,
            pipe_unread: !service_runs && !logger_runs && pipe.is_some_and(Pipe::is_unread),
        };
        let action = shutdown.next_action(facts, Instant::now());
        table.set_keep_running(directory, shutdown.keep_running());
        action
    }

    /// Performs an action on the supervise of a role.
    fn stop(
        &mut self,
        scanner: &mut Scanner,
        directory: DirectoryId,
        role: Role,
        action: StopAction,
    ) {
        let table = &mut scanner.table;
        match action {
            StopAction::SendExit => {
                self.command(table, directory, role, || send_command(exit_command(role)));
            }
            StopAction::WaitLogger => {
                self.command(table, directory, role, wait_logger);
            }
            StopAction::SendKill => {
                let send = || send_command(kill_command(role));
                if self.command(table, directory, role, send) == Delivery::Sent {
                    self.warn(scanner, directory, role);
                }
            }
            StopAction::CheckFinish => {
                let finish_runs = self.root.inside(table, directory, role, finish_runs);
                if let Some(shutdown) = self.services.get_mut(&directory) {
                    shutdown.on_finish_check(finish_runs == Some(true), Instant::now());
                }
            }
            StopAction::KillSupervisor => {
                self.warn(scanner, directory, role);
                if let Some(supervisor) = scanner.table.pid(directory, role) {
                    kill_supervisor(supervisor);
                }
            }
            StopAction::GiveUp => table.give_up(directory, role),
        }
    }

    /// Runs `send` in the directory of a role and passes on its result.
    fn command(
        &mut self,
        table: &mut ServiceTable<Pipe>,
        directory: DirectoryId,
        role: Role,
        send: impl FnOnce() -> Delivery,
    ) -> Delivery {
        if let Some(supervisor) = table.pid(directory, role) {
            // A stopped supervise reads no commands.
            signal_process(supervisor, Signal::SIGCONT);
        }
        let delivery = self.root.inside(table, directory, role, send);
        let delivery = delivery.unwrap_or(Delivery::Failed);
        if let Some(shutdown) = self.services.get_mut(&directory) {
            shutdown.on_delivery(delivery, Instant::now());
        }
        if role == Role::Logger {
            // A logger that reaches the end of the pipe before the command
            // would be started again.
            table.change_pipe(directory, Pipe::close_for_writing);
        }
        delivery
    }

    /// Warns of a role that exceeded its timeout, unless stopping is forced.
    fn warn(&self, scanner: &Scanner, directory: DirectoryId, role: Role) {
        if let Some(name) = scanner.table.name(directory).filter(|_| !self.forced) {
            (scanner.report)(ScanWarning::Stop(name, role), Errno::ETIMEDOUT);
        }
    }
}

/// The stop timeout of the service in the current directory. None: no limit.
fn stop_timeout() -> Option<Duration> {
    let timeout = kill_timeout().unwrap_or(DEFAULT_STOP_TIMEOUT);
    Some(timeout).filter(|timeout| !timeout.is_zero())
}

fn finish_runs() -> bool {
    let record = snapshot::read().ok().and_then(|snapshot| snapshot.record);
    record.is_some_and(|record| record.state() == ServiceState::Finish)
}

fn exit_command(role: Role) -> &'static [u8] {
    match role {
        Role::Service => b"dx",
        Role::Logger => b"x",
    }
}

/// The command also kills the process group of the service.
fn kill_command(role: Role) -> &'static [u8] {
    match role {
        Role::Service => b"dx+k",
        Role::Logger => b"x+k",
    }
}

fn send_command(command: &[u8]) -> Delivery {
    match tell(command) {
        Ok(()) => Delivery::Sent,
        Err(_) => Delivery::Failed,
    }
}

/// Prevents restarts of the logger in the current directory, and sends the exit
/// command once the logger has exited.
fn wait_logger() -> Delivery {
    let record = snapshot::read().ok().filter(|snapshot| snapshot.supervised);
    let Some(record) = record.and_then(|snapshot| snapshot.record) else {
        return Delivery::Failed;
    };
    match (record.state(), record.status.want) {
        (ServiceState::Down | ServiceState::Failed, _) => send_command(exit_command(Role::Logger)),
        (_, Want::Once) => Delivery::LoggerRunning,
        (_, Want::Up | Want::Down) => match send_command(b"o") {
            Delivery::Sent => Delivery::LoggerRunning,
            other => other,
        },
    }
}

/// Kills a supervise that does not exit, and its children.
fn kill_supervisor(supervisor: Pid) {
    // A stopped supervise neither reaps a child, whose PID could then belong to
    // another process, nor starts one.
    signal_process(supervisor, Signal::SIGSTOP);
    for child in children(supervisor) {
        signal_group(child, Signal::SIGKILL);
    }
    signal_process(supervisor, Signal::SIGKILL);
}
