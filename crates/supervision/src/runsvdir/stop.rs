//! The shutdown of process 1: each runsv receives SIGTERM, stops its service, then
//! its logger at the end of the pipe, and exits.
//!
//! [`ServiceShutdown`] decides. Its role follows the service, not the runsv: the
//! logger has a timeout of its own from the end of the service on.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use daemontools::client::{WhenFull, send_commands};
use daemontools::supervise_dir::IN_SERVICE;
use daemontools::{ServiceSnapshot, StatusRecord};
use daemontools_core::names;
use daemontools_core::state::ServiceState;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, chdir};
use unix::poll::wait_readable_of;
use unix::process::{self, signal_process};
use unix::signals::{BlockedSignals, Sender, SignalPipe};
use unix::watch::Watcher;

use super::{RunsvdirWarning, ScanDir, TitleLog};
use crate::Role;
use crate::scan::Scanner;
use crate::scan_warning::ScanWarning;
use crate::shutdown::{
    DEFAULT_STOP_TIMEOUT, Delivery, ServiceFacts, ServiceShutdown, ShutdownAction, StopAction,
    StopConfig,
};
use crate::stop_service::{
    ForeignSupervisor, enter_as, enter_by_name, kill_supervisor, stop_timeout,
};
use crate::table::DirectoryId;

/// The interval between two reads of `status` after a kill command. Only `status`
/// shows that the service has ended, while its runsv waits for the logger.
const KILL_CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Stops all services, and waits until each runsv has exited or was killed.
/// `children` reports SIGCHLD. New names are ignored.
///
/// A second signal kills the services that still run. Signals from the PID namespace
/// change nothing: a `finish` that ends the container sends one for each service.
pub(super) fn stop_all(
    scanner: &mut Scanner,
    scan_dir: &ScanDir,
    mut new_names: Option<Watcher>,
    children: &SignalPipe,
    mut log: Option<TitleLog>,
    report: &dyn Fn(RunsvdirWarning),
) {
    let exit_signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
    let signals = BlockedSignals::block(&exit_signals).ok();
    let mut shutdown = Shutdown {
        scanner,
        scan_dir,
        report,
        stops: BTreeMap::new(),
        foreign: Vec::new(),
        forced: false,
    };
    shutdown.begin();
    while !shutdown.is_done() {
        // Early, so that the close of the descriptor does not delay the exit.
        new_names.iter_mut().for_each(Watcher::clear);
        if let Some(log) = &mut log {
            log.update();
        }
        let foreign = shutdown.foreign.iter();
        let descriptors = std::iter::once(children.as_fd())
            .chain(signals.as_ref().map(AsFd::as_fd))
            .chain(log.as_ref().map(|log| log.pipe.as_fd()))
            .chain(foreign.map(|supervisor| supervisor.ok.as_fd()));
        wait_readable_of(descriptors, shutdown.next_deadline());
        while let Some((_, sender)) = signals.as_ref().and_then(BlockedSignals::take_with_sender) {
            match sender {
                Sender::Kernel | Sender::Outside => shutdown.escalate(),
                Sender::Process => {}
            }
        }
        children.drain();
        // No runsv is replaced.
        shutdown.scanner.reap_children();
    }
    if let Some(log) = &mut log {
        log.update();
    }
}

struct Shutdown<'a, 'b> {
    scanner: &'a mut Scanner<'b>,
    scan_dir: &'a ScanDir<'a>,
    report: &'a dyn Fn(RunsvdirWarning),
    stops: BTreeMap<Pid, RunsvStop>,
    /// Each runsv of a service in the directory that is no child of this process.
    foreign: Vec<ForeignSupervisor>,
    /// Whether a second signal has arrived.
    forced: bool,
}

/// The service of a runsv.
#[derive(Clone, Debug)]
struct ServicePlace {
    directory: DirectoryId,
    /// The name in the last scan.
    name: CString,
}

/// The shutdown of one runsv.
struct RunsvStop {
    place: ServicePlace,
    shutdown: ServiceShutdown,
    progress: Progress,
    /// When to look for the end of a killed service.
    next_check: Option<Instant>,
}

/// The progress of a runsv in its shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// SIGTERM is due.
    Running,
    /// SIGTERM was sent. The service may still run.
    Signaled,
    /// The service has ended. The logger reads the rest of the pipe.
    ServiceEnded,
    /// runsv cannot be killed.
    GivenUp,
}

/// Whether the time of a check has come.
fn is_due(check: Option<Instant>, now: Instant) -> bool {
    check.is_some_and(|check| check <= now)
}

/// The progress after a check of a killed service, and the time of the next check.
/// `ended`: whether the check has seen the end of the service.
fn after_check(progress: Progress, ended: bool, now: Instant) -> (Progress, Option<Instant>) {
    match (progress, ended) {
        (Progress::Signaled, true) => (Progress::ServiceEnded, None),
        (Progress::Signaled, false) => (progress, Some(now + KILL_CHECK_INTERVAL)),
        (Progress::Running | Progress::ServiceEnded | Progress::GivenUp, _) => (progress, None),
    }
}

impl Shutdown<'_, '_> {
    fn begin(&mut self) {
        let table = &self.scanner.table;
        let mut started = Vec::new();
        let mut missing = Vec::new();
        for (directory, name) in table.services() {
            let name = name.to_owned();
            let place = ServicePlace { directory, name };
            match table.pid(directory, Role::Service) {
                Some(pid) => started.push((pid, place, Progress::Running)),
                None => missing.push(place),
            }
        }
        // The scan that removed a service has sent SIGTERM to its runsv.
        let mut occupied = BTreeSet::new();
        for (pid, directory, name) in table.removed() {
            let name = name.to_owned();
            occupied.insert(directory);
            let place = ServicePlace { directory, name };
            started.push((pid, place, Progress::Signaled));
        }
        for (pid, place, progress) in started {
            let config = self.stop_config(Some(pid), &place);
            let shutdown = ServiceShutdown::new(config, Instant::now());
            let stop = RunsvStop {
                place,
                shutdown,
                progress,
                next_check: None,
            };
            self.stops.insert(pid, stop);
        }
        missing.retain(|place| !occupied.contains(&place.directory));
        for place in missing {
            self.stop_foreign(&place);
        }
    }

    fn stop_config(&self, runsv: Option<Pid>, place: &ServicePlace) -> StopConfig {
        let timeout = |role| {
            let warn = |warning| {
                (self.report)(RunsvdirWarning::StopTimeout(&place.name, role, warning));
            };
            let timeout = self.run_inside(runsv, place, role, || stop_timeout(warn));
            timeout.unwrap_or(Some(DEFAULT_STOP_TIMEOUT))
        };
        StopConfig {
            service: timeout(Role::Service),
            logger: timeout(Role::Logger),
        }
    }

    fn stop_foreign(&mut self, place: &ServicePlace) {
        let config = self.stop_config(None, place);
        let timeout = config.service.zip(config.logger);
        let timeout = timeout.map(|(service, logger)| service.saturating_add(logger));
        let stop = || ForeignSupervisor::stop(&IN_SERVICE, b"x", timeout);
        let foreign = self.run_inside(None, place, Role::Service, stop);
        if let Some(foreign) = foreign.flatten() {
            self.foreign.push(foreign);
            self.send_command(None, place, Role::Logger, b"c");
        }
    }

    /// Performs the actions that are due. Returns whether no runsv is left.
    fn is_done(&mut self) -> bool {
        self.foreign.retain(|supervisor| !supervisor.is_done());
        let pids: Vec<_> = self.stops.keys().copied().collect();
        for pid in pids {
            self.check_killed(pid);
            while let Some(action) = self.next_action(pid) {
                match action {
                    ShutdownAction::Stop(role, action) => self.perform(pid, role, action),
                    // runsv alone starts the logger.
                    ShutdownAction::StartLogger | ShutdownAction::Forget => {
                        self.stops.remove(&pid);
                    }
                }
            }
        }
        self.stops.is_empty() && self.foreign.is_empty()
    }

    /// Looks for the end of a killed service. The timeout of the logger starts then.
    fn check_killed(&mut self, pid: Pid) {
        let Some(stop) = self.stops.get(&pid) else {
            return;
        };
        if is_due(stop.next_check, Instant::now()) {
            let ended = self.service_ended(pid, &stop.place.clone());
            self.update(pid, |stop, now| {
                (stop.progress, stop.next_check) = after_check(stop.progress, ended, now);
            });
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let stops = self.stops.values();
        let foreign = self.foreign.iter();
        stops
            .flat_map(|stop| {
                let deadline = stop.shutdown.stop.next_deadline();
                deadline.into_iter().chain(stop.next_check)
            })
            .chain(foreign.filter_map(|supervisor| supervisor.deadline))
            .chain(self.scanner.reaper.next_deadline())
            .min()
    }

    fn next_action(&mut self, pid: Pid) -> Option<ShutdownAction> {
        let stop = self.stops.get_mut(&pid)?;
        let (service, logger) = match stop.progress {
            Progress::Running | Progress::Signaled => (true, true),
            Progress::ServiceEnded => (false, true),
            Progress::GivenUp => (false, false),
        };
        let runs = self.scanner.table.runs(pid);
        let facts = ServiceFacts {
            service_runs: service && runs,
            logger_runs: logger && runs,
            // runsv reads the pipe to its end before it exits.
            pipe_unread: false,
        };
        stop.shutdown.next_action(facts, Instant::now())
    }

    fn perform(&mut self, pid: Pid, role: Role, action: StopAction) {
        let Some(stop) = self.stops.get(&pid) else {
            return;
        };
        let (place, progress) = (stop.place.clone(), stop.progress);
        match action {
            StopAction::SendExit => {
                let progress = self.send_exit(pid, &place, role, progress);
                self.update(pid, |stop, now| {
                    stop.progress = progress;
                    stop.shutdown.stop.on_delivery(Delivery::Signaled, now);
                });
            }
            StopAction::SendKill => {
                signal_process(pid, Signal::SIGCONT);
                let delivery = self.send_kill(pid, &place, role);
                if delivery == Delivery::Sent {
                    self.warn_timeout(&place, role);
                }
                self.update(pid, |stop, now| {
                    if role == Role::Service {
                        stop.next_check = Some(now);
                    }
                    stop.shutdown.stop.on_delivery(delivery, now);
                });
            }
            StopAction::CheckFinish => {
                let ended = self.service_ended(pid, &place);
                self.update(pid, |stop, now| {
                    if ended {
                        stop.progress = Progress::ServiceEnded;
                    }
                    // runit has no timeout for `finish`: the stop timeout includes
                    // it.
                    stop.shutdown.stop.on_finish_check(false, now);
                });
            }
            StopAction::KillSupervisor => {
                self.warn_timeout(&place, role);
                kill_supervisor(pid);
            }
            StopAction::GiveUp => self.update(pid, |stop, _| stop.progress = Progress::GivenUp),
        }
    }

    fn update(&mut self, pid: Pid, change: impl FnOnce(&mut RunsvStop, Instant)) {
        if let Some(stop) = self.stops.get_mut(&pid) {
            change(stop, Instant::now());
        }
    }

    /// Sends SIGTERM to runsv, once: runsv passes each one to the service. Then
    /// continues runsv and the logger, which may have been stopped since.
    fn send_exit(
        &self,
        pid: Pid,
        place: &ServicePlace,
        role: Role,
        progress: Progress,
    ) -> Progress {
        let progress = match (role, progress) {
            (Role::Service, Progress::Running) => {
                signal_process(pid, Signal::SIGTERM);
                Progress::Signaled
            }
            (Role::Service, Progress::Signaled) if self.service_ended(pid, place) => {
                Progress::ServiceEnded
            }
            (Role::Service | Role::Logger, progress) => progress,
        };
        signal_process(pid, Signal::SIGCONT);
        self.send_command(Some(pid), place, Role::Logger, b"c");
        progress
    }

    /// Sends the kill command. runsv would not kill `finish`, but waits for it.
    fn send_kill(&self, pid: Pid, place: &ServicePlace, role: Role) -> Delivery {
        let record = match role {
            Role::Service => self.record(pid, place),
            Role::Logger => None,
        };
        let finish = record
            .filter(|record| record.state() == ServiceState::Finish)
            .and_then(|record| record.status.pid)
            .map(|finish| Pid::from_raw(finish.get()))
            .filter(|finish| process::children(pid).contains(finish));
        if let Some(finish) = finish {
            signal_process(finish, Signal::SIGKILL);
            return Delivery::Sent;
        }
        self.send_command(Some(pid), place, role, b"k")
    }

    /// Whether the service and its `finish` have ended.
    fn service_ended(&self, pid: Pid, place: &ServicePlace) -> bool {
        let record = self.record(pid, place);
        record.is_some_and(|record| record.status.pid.is_none())
    }

    fn record(&self, pid: Pid, place: &ServicePlace) -> Option<StatusRecord> {
        let read = || ServiceSnapshot::read(&IN_SERVICE).ok()?.record;
        self.run_inside(Some(pid), place, Role::Service, read)
            .flatten()
    }

    /// Writes a command to the `control` of a role.
    fn send_command(
        &self,
        runsv: Option<Pid>,
        place: &ServicePlace,
        role: Role,
        command: &[u8],
    ) -> Delivery {
        let send = || send_commands(&IN_SERVICE, command, WhenFull::Fail).is_ok();
        match self.run_inside(runsv, place, role, send) {
            Some(true) => Delivery::Sent,
            Some(false) | None => Delivery::Failed,
        }
    }

    /// Runs `action` in the directory of a role, which is found by the name of the
    /// service or by the working directory of its runsv. None if neither leads
    /// there.
    fn run_inside<T>(
        &self,
        runsv: Option<Pid>,
        place: &ServicePlace,
        role: Role,
        action: impl FnOnce() -> T,
    ) -> Option<T> {
        let ServicePlace { directory, name } = place;
        let entered = chdir(self.scan_dir.name).is_ok()
            && enter_by_name(name, *directory, Role::Service)
            || runsv.is_some_and(|runsv| enter_as(runsv, *directory, Role::Service));
        let entered = entered
            && match role {
                Role::Service => true,
                Role::Logger => chdir(names::LOG).is_ok(),
            };
        let result = entered.then(action);
        // Entering an open directory needs no lookup.
        let _ = self.scan_dir.origin.enter();
        result
    }

    /// Kills the services that still run, then their loggers.
    fn escalate(&mut self) {
        if !self.forced {
            (self.report)(RunsvdirWarning::Forced);
        }
        self.forced = true;
        for stop in self.stops.values_mut() {
            stop.shutdown.stop.escalate(Instant::now());
        }
        self.foreign.clear();
    }

    /// Warns of a role that exceeded its timeout, unless a signal forced the stop.
    fn warn_timeout(&self, place: &ServicePlace, role: Role) {
        if !self.forced {
            let name: &CStr = &place.name;
            (self.scanner.report)(ScanWarning::Stop(name, role), Errno::ETIMEDOUT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_is_due_from_its_time_on() {
        let now = Instant::now();
        let later = now + Duration::from_nanos(1);
        assert!(!is_due(None, now) && !is_due(Some(later), now));
        assert!(is_due(Some(now), now) && is_due(Some(now), later));
    }

    #[test]
    fn check_is_repeated_until_the_service_ends() {
        let now = Instant::now();
        let next = Some(now + KILL_CHECK_INTERVAL);
        let signaled = |ended| after_check(Progress::Signaled, ended, now);
        assert_eq!(signaled(false), (Progress::Signaled, next));
        assert_eq!(signaled(true), (Progress::ServiceEnded, None));
        for progress in [Progress::Running, Progress::ServiceEnded, Progress::GivenUp] {
            for ended in [false, true] {
                assert_eq!(after_check(progress, ended, now), (progress, None));
            }
        }
    }
}
