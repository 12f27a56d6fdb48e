//! svscan: it keeps a supervise running for each service of the current
//! directory, and one for its logger.
//!
//! svscan exits only as process 1, or with -e: on a signal, or after the end of
//! an essential service.

mod essential;
mod execute;
mod moved;
mod signals;

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use unix::poll::wait_readable_of;
use unix::signals::SignalPipe;

use self::essential::EssentialWatch;
pub use self::signals::SignalSource;
use crate::Role;
use crate::extended::ConfigWarning;
use crate::scan::{SCAN_INTERVAL, Scanner, watch_names};
use crate::scan_warning::ScanWarning;
use crate::sorted_map::SortedMap;
use crate::spawn::SpawnConfig;
use crate::stop_service::ForeignSupervisor;
use crate::table::DirectoryId;
use daemontools::supervise_dir::SuperviseDirRule;
use unix::watch::Watcher;

/// The mode of svscan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As 0.76.
    Plain,
    /// Option -e: run `supervise -e`, and watch essential services.
    Extended,
}

/// A message of svscan, which continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SvscanWarning<'a> {
    /// An operation failed.
    Scan(ScanWarning<'a>, Errno),
    /// `timeout-kill` of a role counts as absent, in a shutdown without -e.
    StopTimeout(&'a CStr, Role, ConfigWarning),
    /// Interrupts from the terminal speed up the end of all services.
    Escalation(Escalation),
}

/// The effect of a repeated interrupt from the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escalation {
    /// The second interrupt kills the services and loggers that still run.
    KillServices,
    /// The third interrupt also kills each `finish`.
    SkipFinish,
}

/// The cause of the exit of svscan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// A signal requested the exit.
    Requested,
    /// An essential service ended; its exit code.
    Essential(u8),
}

/// Keeps the services of the current directory running, with the supervise
/// directories of `rule`. `children` reports SIGCHLD, and `report` receives
/// warnings. Without `signals`, svscan never returns.
pub fn svscan(
    mode: Mode,
    rule: SuperviseDirRule,
    children: &SignalPipe,
    signals: Option<&SignalSource>,
    report: &dyn Fn(SvscanWarning<'_>),
) -> ExitReason {
    let extended = mode == Mode::Extended;
    let report_scan = |warning: ScanWarning<'_>, error| report(SvscanWarning::Scan(warning, error));
    let config = SpawnConfig {
        program: c"supervise",
        option: extended.then_some(c"-e"),
        loggers: true,
        // SIGINT from the terminal is for svscan alone.
        sessions: extended,
    };
    let scan_loop = ScanLoop {
        mode,
        rule,
        scanner: Scanner::new(config, children, &report_scan),
        new_names: watch_names(),
        report,
        signals,
        essential: extended.then(EssentialWatch::new),
        exit_reason: None,
        interrupts: 0,
        moved: SortedMap::default(),
        foreign: Vec::new(),
    };
    scan_loop.run(children)
}

/// The treatment of a service that was removed from the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnRemoved {
    /// The service keeps running.
    Keep,
    /// The service is stopped.
    Stop,
}

struct ScanLoop<'a> {
    mode: Mode,
    rule: SuperviseDirRule,
    scanner: Scanner<'a>,
    /// Reports new names in the scan directory.
    new_names: Option<Watcher>,
    report: &'a dyn Fn(SvscanWarning<'_>),
    signals: Option<&'a SignalSource>,
    essential: Option<EssentialWatch>,
    /// Set when svscan begins to stop all services.
    exit_reason: Option<ExitReason>,
    /// The number of interrupts from the terminal.
    interrupts: usize,
    /// The directories of services that are shutting down and were renamed.
    moved: SortedMap<DirectoryId, OwnedFd>,
    foreign: Vec<ForeignSupervisor>,
}

impl ScanLoop<'_> {
    fn run(mut self, children: &SignalPipe) -> ExitReason {
        let mut next_scan = Instant::now();
        loop {
            self.handle_signals();
            if next_scan <= Instant::now() {
                self.scan(OnRemoved::Keep);
                next_scan = Instant::now() + SCAN_INTERVAL;
            }
            self.check_essential();
            self.run_shutdown();
            if let Some(reason) = self.exit_reason {
                if self.is_done() {
                    return reason;
                }
            }
            self.wait(children, self.next_deadline(next_scan));
            children.drain();
            self.scanner.reap_children();
            self.scanner.replace();
            if self.exit_reason.is_none() {
                self.scanner.add_new_links(self.new_names.as_mut());
            }
        }
    }

    fn wait(&self, children: &SignalPipe, deadline: Option<Instant>) {
        let signals = self.signals.map(|source| source.signals.as_fd());
        let new_names = self.new_names.as_ref().map(AsFd::as_fd);
        let essential = self.essential.as_ref().and_then(EssentialWatch::as_fd);
        let scans = self.exit_reason.is_none();
        let watches = new_names.into_iter().chain(essential);
        let foreign = self.foreign.iter().map(|supervisor| supervisor.ok.as_fd());
        let descriptors = std::iter::once(children.as_fd())
            .chain(signals)
            .chain(watches.filter(|_| scans))
            .chain(foreign);
        wait_readable_of(descriptors, deadline);
    }

    fn next_deadline(&self, next_scan: Instant) -> Option<Instant> {
        let shutdowns = self.scanner.table.shutdowns();
        let foreign = self.foreign.iter();
        shutdowns
            .filter_map(|shutdown| shutdown.stop.next_deadline())
            .chain(foreign.filter_map(|supervisor| supervisor.deadline))
            .chain(self.scanner.reaper.next_deadline())
            .chain([next_scan])
            .min()
    }

    /// Scans the directory. While all services stop, only starts their loggers.
    fn scan(&mut self, on_removed: OnRemoved) {
        self.visit_directories(|scan_loop, directory| {
            if scan_loop.scanner.table.shutdown(directory).is_some() {
                scan_loop.scanner.start_missing(directory);
            }
        });
        if self.exit_reason.is_some() {
            return;
        }
        if self.new_names.is_none() {
            // The last attempt may have failed for want of memory.
            self.new_names = watch_names();
        }
        if self.scanner.scan() {
            match on_removed {
                OnRemoved::Keep => {}
                OnRemoved::Stop => self.visit_directories(|scan_loop, directory| {
                    if !scan_loop.scanner.table.is_seen(directory) {
                        scan_loop.begin_shutdown(directory);
                    }
                }),
            }
            self.scanner.table.sweep_dead();
        }
        if let Some(essential) = &mut self.essential {
            essential.dirty = true;
        }
    }

    /// Begins the shutdown of all services.
    fn stop_all(&mut self, reason: ExitReason) {
        self.exit_reason = Some(reason);
        // First, so that the close of the descriptors does not delay the exit.
        self.new_names.iter_mut().for_each(Watcher::clear);
        self.essential.iter_mut().for_each(EssentialWatch::clear);
        // One after another: the first services end while the last are being read.
        self.visit_directories(|scan_loop, directory| {
            scan_loop.begin_shutdown(directory);
            scan_loop.advance_shutdown(directory);
        });
    }

    /// Calls `visit` with the directory of each service. `visit` may remove the
    /// service.
    fn visit_directories(&mut self, visit: impl Fn(&mut Self, DirectoryId)) {
        let mut last = None;
        while let Some(directory) = self.scanner.table.next_directory(last) {
            visit(self, directory);
            last = Some(directory);
        }
    }

    fn is_done(&self) -> bool {
        self.scanner.table.count() == 0 && self.foreign.is_empty()
    }
}
