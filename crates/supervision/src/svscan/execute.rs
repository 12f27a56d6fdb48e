//! Carries out the shutdown of services: gathers the facts that
//! [`ServiceShutdown`] needs, and performs its actions.

use std::time::{Duration, Instant};

use daemontools::ServiceSnapshot;
use daemontools::client::{WhenFull, probe, read_status, send_commands};
use daemontools::supervise_dir::SuperviseDir;
use daemontools_core::state::ServiceState;
use daemontools_core::status::{LENGTH, Status};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use unix::process::signal_process;

use super::{Mode, ScanLoop, SvscanWarning};
use crate::Role;
use crate::directory::is_removed;
use crate::extended::config::exit_implies_down;
use crate::pipe::Pipe;
use crate::scan::names_directory;
use crate::scan_warning::ScanWarning;
use crate::shutdown::{
    DEFAULT_STOP_TIMEOUT, Delivery, ServiceFacts, ServiceShutdown, ShutdownAction, StopAction,
    StopConfig,
};
use crate::stop_service::{
    ForeignSupervisor, enter_as, enter_by_name, kill_supervisor, stop_timeout,
};
use crate::table::DirectoryId;

/// The time after which a supervise handles signals, even if no path leads to its
/// FIFOs.
const MAX_START_TIME: Duration = Duration::from_secs(5);

impl ScanLoop<'_> {
    /// Begins the shutdown of a service and its logger, once.
    pub(super) fn begin_shutdown(&mut self, directory: DirectoryId) {
        if self.scanner.table.shutdown(directory).is_some() {
            return;
        }
        let warn = |role, warning| match (self.mode, self.scanner.table.name(directory)) {
            (Mode::Plain, Some(name)) => {
                (self.report)(SvscanWarning::StopTimeout(name, role, warning));
            }
            // supervise -e has reported the file.
            (Mode::Extended, _) | (_, None) => {}
        };
        let timeout = |role| stop_timeout(|warning| warn(role, warning));
        let service = self.run_inside(directory, Role::Service, || timeout(Role::Service));
        let logger = self.run_inside(directory, Role::Logger, || {
            let exit_stops_logger = match self.mode {
                Mode::Plain => false,
                Mode::Extended => exit_implies_down(),
            };
            (timeout(Role::Logger), exit_stops_logger)
        });
        let (logger, exit_stops_logger) = logger.unzip();
        let config = StopConfig {
            service: service.unwrap_or(Some(DEFAULT_STOP_TIMEOUT)),
            logger: logger.unwrap_or(Some(DEFAULT_STOP_TIMEOUT)),
        };
        self.stop_foreign(directory, Role::Service, config.service);
        // A foreign logger exits without a command, at the end of its pipe: only
        // the foreign service writes to that pipe.
        if exit_stops_logger != Some(true) {
            self.stop_foreign(directory, Role::Logger, config.logger);
        }
        let shutdown = ServiceShutdown::new(config, Instant::now());
        self.scanner.table.begin_shutdown(directory, shutdown);
        self.keep_moved(directory);
    }

    /// Stops the supervise of a role if it is no child of svscan.
    fn stop_foreign(&mut self, directory: DirectoryId, role: Role, timeout: Option<Duration>) {
        if self.scanner.table.pid(directory, role).is_none() {
            let stop = |files: &_| ForeignSupervisor::stop(files, exit_command(role), timeout);
            let foreign = self.use_files(directory, role, stop);
            self.foreign.extend(foreign.flatten());
        }
    }

    /// Performs the actions that are due.
    pub(super) fn run_shutdown(&mut self) {
        self.foreign.retain(|supervisor| !supervisor.is_done());
        self.visit_directories(Self::advance_shutdown);
    }

    /// Performs the actions that are due for a service and its logger.
    pub(super) fn advance_shutdown(&mut self, directory: DirectoryId) {
        while let Some(action) = self.next_action(directory) {
            match action {
                ShutdownAction::Stop(role, action) => self.perform(directory, role, action),
                ShutdownAction::StartLogger => {
                    let name = self.scanner.table.name(directory);
                    if name.is_some_and(|name| names_directory(name, directory)) {
                        self.scanner.start(directory, Role::Logger);
                    } else if let Some(path) = self.moved_path(directory) {
                        self.scanner.start_at(directory, Role::Logger, path);
                    }
                }
                ShutdownAction::Forget => {
                    self.moved.remove(directory);
                    let name = self.scanner.table.forget(directory);
                    // The service may be in the scan directory again.
                    let name = name.filter(|name| {
                        self.exit_reason.is_none() && names_directory(name, directory)
                    });
                    if let Some(name) = name {
                        self.scanner.add_service(directory, &name);
                    }
                }
            }
        }
    }

    fn next_action(&mut self, directory: DirectoryId) -> Option<ShutdownAction> {
        let table = &mut self.scanner.table;
        table.shutdown(directory)?;
        let service_runs = table.pid(directory, Role::Service).is_some();
        let logger_runs = table.pid(directory, Role::Logger).is_some();
        let pipe = table.pipe(directory);
        let facts = ServiceFacts {
            service_runs,
            logger_runs,
            pipe_unread: !service_runs && !logger_runs && pipe.is_some_and(Pipe::has_unread_data),
        };
        let shutdown = table.shutdown_mut(directory)?;
        let action = shutdown.next_action(facts, Instant::now());
        let keep = shutdown.keep_running();
        table.set_keep_running(directory, keep);
        action
    }

    /// Performs an action on the supervise of a role.
    fn perform(&mut self, directory: DirectoryId, role: Role, action: StopAction) {
        match action {
            StopAction::SendExit => self.send_exit(directory, role),
            StopAction::SendKill => {
                let delivery = self.send_command(directory, role, kill_command(role));
                self.on_delivery(directory, delivery);
                if delivery == Delivery::Sent {
                    self.warn_timeout(directory, role);
                }
            }
            StopAction::CheckFinish => {
                let finish_runs = self.use_files(directory, role, finish_runs) == Some(true);
                if let Some(shutdown) = self.scanner.table.shutdown_mut(directory) {
                    shutdown.stop.on_finish_check(finish_runs, Instant::now());
                }
            }
            StopAction::KillSupervisor => {
                self.warn_timeout(directory, role);
                if let Some(supervisor) = self.scanner.table.pid(directory, role) {
                    kill_supervisor(supervisor);
                }
            }
            StopAction::GiveUp => self.scanner.table.give_up(directory, role),
        }
    }

    /// Sends the exit command to the supervise of a role.
    fn send_exit(&mut self, directory: DirectoryId, role: Role) {
        self.keep_moved(directory);
        let supervisor = self.scanner.table.pid(directory, role);
        let shutdown = self.scanner.table.shutdown(directory);
        let is_first = shutdown.is_some_and(|shutdown| shutdown.stop.is_first_attempt());
        let delivery = match (self.mode, supervisor) {
            (Mode::Extended, Some(_)) if self.is_starting(directory, role) => Delivery::Failed,
            // Supervise may run in a directory that no path leads to.
            (Mode::Extended, Some(supervisor)) => {
                signal_process(supervisor, exit_signal(role));
                signal_process(supervisor, Signal::SIGCONT);
                Delivery::Signaled
            }
            (Mode::Plain, _) | (Mode::Extended, None) => {
                self.send_command(directory, role, exit_command(role))
            }
        };
        self.on_delivery(directory, delivery);
        match role {
            Role::Service => {
                if self.scanner.table.pid(directory, Role::Logger).is_some()
                    && self.must_continue_logger(directory, is_first)
                {
                    self.send_command(directory, Role::Logger, b"c");
                }
            }
            // Only after the command: a logger that reaches the end of the pipe
            // earlier would be started again.
            Role::Logger => {
                let table = &mut self.scanner.table;
                table.change_pipe(directory, Pipe::close_write_end);
            }
        }
    }

    fn must_continue_logger(&self, directory: DirectoryId, is_first: bool) -> bool {
        let pipe = self.scanner.table.pipe(directory);
        let facts = LoggerFacts {
            is_first,
            pipe_unread: pipe.is_some_and(Pipe::has_unread_data),
            paused: self.use_files(directory, Role::Logger, is_paused),
        };
        facts.must_continue(self.mode)
    }

    /// Whether the supervise of a logger may not handle signals yet. A signal
    /// would kill it, and the logger would not read the pipe. The supervise of a
    /// service may be killed before its first start. In a removed directory, no
    /// supervise completes its start.
    fn is_starting(&self, directory: DirectoryId, role: Role) -> bool {
        let table = &self.scanner.table;
        let uptime = table.uptime(directory, role, Instant::now());
        role == Role::Logger
            && uptime.is_some_and(|uptime| uptime < MAX_START_TIME)
            && self.use_files(directory, role, |files| {
                probe(files).is_err() && !is_removed()
            }) == Some(true)
    }

    fn on_delivery(&mut self, directory: DirectoryId, delivery: Delivery) {
        if let Some(shutdown) = self.scanner.table.shutdown_mut(directory) {
            shutdown.stop.on_delivery(delivery, Instant::now());
        }
    }

    /// Writes a command to the `control` of a role.
    fn send_command(&self, directory: DirectoryId, role: Role, command: &[u8]) -> Delivery {
        if let Some(supervisor) = self.scanner.table.pid(directory, role) {
            // A stopped supervise reads no commands.
            signal_process(supervisor, Signal::SIGCONT);
        }
        let send = |files: &_| send_commands(files, command, WhenFull::Fail).is_ok();
        match self.use_files(directory, role, send) {
            Some(true) => Delivery::Sent,
            Some(false) | None => Delivery::Failed,
        }
    }

    /// Runs `action` in the directory of a role, which is found by the name of the
    /// service or by the working directory of its supervise. None if neither
    /// leads there.
    pub(super) fn run_inside<T>(
        &self,
        directory: DirectoryId,
        role: Role,
        action: impl FnOnce() -> T,
    ) -> Option<T> {
        let root = &self.signals?.root;
        let table = &self.scanner.table;
        let supervisor = table.pid(directory, role);
        let entered = enter_by_name(table.name(directory)?, directory, role)
            || supervisor.is_some_and(|supervisor| enter_as(supervisor, directory, role));
        let result = entered.then(action);
        // Entering an open directory needs no lookup.
        let _ = root.enter();
        result
    }

    /// Calls `action` with the supervise directory of a role, as
    /// [`ScanLoop::run_inside`].
    pub(super) fn use_files<T>(
        &self,
        directory: DirectoryId,
        role: Role,
        action: impl FnOnce(&SuperviseDir) -> T,
    ) -> Option<T> {
        let act = || Some(action(&self.rule.of_current().ok()?));
        self.run_inside(directory, role, act).flatten()
    }

    /// Warns of a role that exceeded its timeout, unless the user forced the stop.
    fn warn_timeout(&self, directory: DirectoryId, role: Role) {
        let name = self.scanner.table.name(directory);
        if let Some(name) = name.filter(|_| self.interrupts < 2) {
            (self.scanner.report)(ScanWarning::Stop(name, role), Errno::ETIMEDOUT);
        }
    }
}

/// The facts that decide whether a shutdown continues the logger of a service.
#[derive(Clone, Copy, Debug)]
struct LoggerFacts {
    /// Whether the service receives its first exit signal.
    is_first: bool,
    pipe_unread: bool,
    /// Whether the logger is paused. None: unknown.
    paused: Option<bool>,
}

impl LoggerFacts {
    /// A paused logger and a full pipe would block the service. With -e, a running logger
    /// is spared the command, which wakes up its supervise. A process that was stopped
    /// otherwise is continued with the second exit signal.
    fn must_continue(self, mode: Mode) -> bool {
        match mode {
            Mode::Plain => true,
            Mode::Extended => !self.is_first || self.pipe_unread || self.paused != Some(false),
        }
    }
}

/// Whether a service is paused, as far as its record shows it.
fn is_paused(files: &SuperviseDir) -> bool {
    let mut record = [0; LENGTH];
    let record = read_status(files, &mut record).ok();
    record
        .and_then(Status::decode)
        .is_none_or(|status| status.paused)
}

fn finish_runs(files: &SuperviseDir) -> bool {
    let state = |snapshot: ServiceSnapshot| Some(snapshot.record?.state());
    ServiceSnapshot::read(files).is_ok_and(|snapshot| state(snapshot) == Some(ServiceState::Finish))
}

/// The signal that ends a `supervise -e`.
fn exit_signal(role: Role) -> Signal {
    match role {
        Role::Service => Signal::SIGTERM,
        // The logger ends by itself, at the end of the pipe.
        Role::Logger => Signal::SIGHUP,
    }
}

/// A paused logger has to continue. `d` continues a paused service.
fn exit_command(role: Role) -> &'static [u8] {
    match role {
        Role::Service => b"dx",
        Role::Logger => b"cx",
    }
}

/// `+k` kills the process group of the service.
fn kill_command(role: Role) -> &'static [u8] {
    match role {
        Role::Service => b"dx+k",
        Role::Logger => b"x+k",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Supervised, in_directory, write};
    use daemontools::supervise_dir::IN_SERVICE;
    use daemontools_core::label::Label;

    #[test]
    fn logger_is_continued_unless_it_runs_at_the_first_signal() {
        for is_first in [false, true] {
            for pipe_unread in [false, true] {
                for paused in [None, Some(false), Some(true)] {
                    let facts = LoggerFacts {
                        is_first,
                        pipe_unread,
                        paused,
                    };
                    let runs = is_first && !pipe_unread && paused == Some(false);
                    assert_eq!(facts.must_continue(Mode::Extended), !runs, "{facts:?}");
                    assert!(facts.must_continue(Mode::Plain), "{facts:?}");
                }
            }
        }
    }

    #[test]
    fn record_shows_a_paused_service_and_a_finish() {
        in_directory(|| {
            let supervised = Supervised::new(".");
            let since = Label::from_unix(1, 0);
            let record = |paused| {
                let record = [&since.pack()[..], &[1, 0, 0, 0], &[paused, b'u']].concat();
                write("supervise/status", &record);
            };
            let state = |state: &str| {
                let since = String::from_utf8(since.text().to_vec()).unwrap();
                let text = format!("since={since}\nstate={state}\n");
                write("supervise/state", text.as_bytes());
            };
            assert!(is_paused(&IN_SERVICE) && !finish_runs(&IN_SERVICE));
            record(0);
            assert!(!is_paused(&IN_SERVICE));
            record(1);
            assert!(is_paused(&IN_SERVICE));
            for (name, expected) in [("up", false), ("finish", true)] {
                state(name);
                assert_eq!(finish_runs(&IN_SERVICE), expected, "{name}");
            }
            drop(supervised);
        });
    }
}
