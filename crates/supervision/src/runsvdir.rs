//! runsvdir: it keeps a runsv running for each service of a directory, and
//! stops the runsv of a removed service.
//!
//! As process 1, it stops all services before it exits.
//!
//! Every `SCAN_INTERVAL` runsvdir compares the directory with its last state,
//! and reads the directory if the two differ. Between scans it starts new
//! symbolic links, as svscan does.

mod stop;

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use cli::title::ScrollingTitle;
use daemontools_core::label::Label;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::{chdir, read, write};
use unix::cwd::Origin;
use unix::file;
use unix::poll::wait_readable_of;
use unix::process::signal_process;
use unix::signals::SignalPipe;

use self::stop::stop_all;
use crate::Role;
use crate::extended::ConfigWarning;
use crate::scan::{SCAN_INTERVAL, Scanner, watch_names};
use crate::scan_warning::ScanWarning;
use crate::spawn::SpawnConfig;
use crate::table::DirectoryId;
use unix::watch::Watcher;

/// An operation of runsvdir that failed. The next scan repeats the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunsvdirWarning<'a> {
    /// stat(2) of the directory.
    Stat(Errno),
    /// Entering the directory.
    Enter(Errno),
    /// Recording a requested scan, at this time.
    Record(Label),
    /// An operation on one service, or reading the directory.
    Scan(ScanWarning<'a>, Errno),
    /// Process 1: `timeout-kill` of a service or its logger counts as absent.
    StopTimeout(&'a CStr, Role, ConfigWarning),
    /// Process 1: a second signal kills the services and loggers that still run.
    Forced,
}

/// The signals that runsvdir handles.
#[derive(Debug)]
pub struct Signals {
    /// SIGCHLD.
    pub children: SignalPipe,
    /// SIGTERM: exit, and leave the services running. Process 1 stops them first.
    pub terminate: SignalPipe,
    /// SIGHUP: send SIGTERM to each runsv and exit. Process 1 stops the services
    /// first.
    pub hang_up: SignalPipe,
    /// SIGINT, for process 1 alone, which handles it as SIGTERM.
    pub interrupt: Option<SignalPipe>,
    /// SIGALRM: scan at once.
    pub rescan: SignalPipe,
}

/// The cause of the exit of runsvdir.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunsvdirExit {
    /// SIGTERM, or SIGINT as process 1.
    Terminated,
    /// SIGHUP.
    HungUp,
}

/// The log of error messages in the process title.
#[derive(Debug)]
pub struct TitleLog {
    /// The read end of the standard error pipe, non-blocking.
    pub pipe: OwnedFd,
    /// The title that shows the messages.
    pub title: ScrollingTitle<'static>,
}

/// The interval between two dots in the title. The dots displace old messages.
const DOT_INTERVAL: Duration = Duration::from_secs(15 * 60);

/// The scan interval until the first scan succeeds, and after a scan that added
/// or removed a service or could not start a runsv. As in runit: a service whose
/// last runsv still ends starts soon.
const SHORT_INTERVAL: Duration = Duration::from_secs(1);

/// The file that receives the time of a requested scan.
const RESCAN_RECORD: &CStr = c"./.forced-rescan";

/// Keeps the services of `directory` running until a signal requests the exit.
/// `report` receives warnings.
///
/// # Errors
/// The current directory could not be opened.
pub fn runsvdir(
    directory: &CStr,
    sessions: bool,
    signals: &Signals,
    mut log: Option<TitleLog>,
    report: impl Fn(RunsvdirWarning),
) -> Result<RunsvdirExit, Errno> {
    let config = SpawnConfig {
        program: c"runsv",
        option: None,
        loggers: false,
        sessions,
    };
    let report_scan =
        |warning: ScanWarning<'_>, error| report(RunsvdirWarning::Scan(warning, error));
    let mut scanner = Scanner::new(config, &signals.children, &report_scan);
    let mut scan_dir = ScanDir {
        name: directory,
        origin: Origin::open()?,
        state: None,
        watched: None,
        new_names: None,
    };
    let mut next_dot = Instant::now();
    let mut next_scan = Instant::now();
    let mut interval = SHORT_INTERVAL;
    let mut forced = false;
    loop {
        if forced || next_scan <= Instant::now() {
            let result = scan_dir.run_inside(|scan_dir, state| {
                scan_dir.scan(&mut scanner, state, forced);
                if forced {
                    record_rescan(&report);
                }
            });
            match result {
                Ok(()) => interval = SCAN_INTERVAL,
                Err(warning) => report(warning),
            }
            next_scan = Instant::now() + interval;
        }
        if scanner.take_unsettled() {
            next_scan = next_scan.min(Instant::now() + SHORT_INTERVAL);
        }
        if let Some(log) = &mut log {
            if next_dot <= Instant::now() {
                log.title.push(b".");
                next_dot += DOT_INTERVAL;
            }
            log.update();
        }
        let new_names = scan_dir.new_names.as_ref().map(AsFd::as_fd);
        let log_pipe = log.as_ref().map(|log| log.pipe.as_fd());
        let descriptors = signals.descriptors().chain(new_names).chain(log_pipe);
        let reap = scanner.reaper.next_deadline();
        wait_readable_of(descriptors, reap.into_iter().chain([next_scan]).min());
        if let Some(exit) = signals.take_exit() {
            match (&signals.interrupt, exit) {
                (Some(_), _) => {
                    let new_names = scan_dir.new_names.take();
                    let children = &signals.children;
                    stop_all(&mut scanner, &scan_dir, new_names, children, log, &report);
                }
                (None, RunsvdirExit::HungUp) => {
                    for runsv in scanner.table.pids() {
                        signal_process(runsv, Signal::SIGTERM);
                    }
                }
                (None, RunsvdirExit::Terminated) => {}
            }
            return Ok(exit);
        }
        forced = signals.rescan.drain();
        signals.children.drain();
        scanner.reap_children();
        let entered = scan_dir.run_inside(|scan_dir, _| {
            scanner.replace();
            scanner.add_new_links(scan_dir.new_names.as_mut());
        });
        if entered.is_err() {
            // The next scan reports the error. Until then the watch would only
            // wake the loop.
            scan_dir.unwatch();
        }
    }
}

impl Signals {
    fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let signals = [&self.children, &self.terminate, &self.hang_up, &self.rescan];
        let signals = signals.into_iter().chain(&self.interrupt);
        signals.map(AsFd::as_fd)
    }

    /// The exit that a signal has requested since the last call.
    fn take_exit(&self) -> Option<RunsvdirExit> {
        let hung_up = self.hang_up.drain();
        let terminated = self.terminate.drain();
        let interrupted = self.interrupt.as_ref().is_some_and(SignalPipe::drain);
        let exit = (terminated || interrupted).then_some(RunsvdirExit::Terminated);
        if hung_up {
            Some(RunsvdirExit::HungUp)
        } else {
            exit
        }
    }
}

/// Records a requested scan of the current directory.
fn record_rescan(report: impl Fn(RunsvdirWarning)) {
    let now = Label::now();
    let record = file::open_truncate(RESCAN_RECORD, 0o644);
    if record.and_then(|file| write(&file, &now.text())).is_err() {
        report(RunsvdirWarning::Record(now));
    }
}

impl TitleLog {
    /// Shows new messages.
    fn update(&mut self) {
        let mut bytes = [0; 256];
        while let Ok(length @ 1..) = read(&self.pipe, &mut bytes) {
            self.title.push(bytes.get(..length).unwrap_or_default());
        }
    }
}

/// The state of the directory: its ID and its modification time in seconds and
/// nanoseconds.
type ScanDirState = (DirectoryId, i64, i64);

/// The directory of the services. Its name may be a symbolic link whose target
/// changes.
struct ScanDir<'a> {
    name: &'a CStr,
    origin: Origin,
    /// The state at the last scan. None if the directory may have changed since.
    state: Option<ScanDirState>,
    /// The directory that `new_names` watches.
    watched: Option<DirectoryId>,
    new_names: Option<Watcher>,
}

impl ScanDir<'_> {
    /// Runs `action` in the directory.
    fn run_inside(
        &mut self,
        action: impl FnOnce(&mut Self, ScanDirState),
    ) -> Result<(), RunsvdirWarning<'static>> {
        let status = file::status(self.name).map_err(RunsvdirWarning::Stat)?;
        chdir(self.name).map_err(RunsvdirWarning::Enter)?;
        let directory = DirectoryId::of(&status);
        action(self, (directory, status.mtime(), status.mtime_nsec()));
        self.origin.enter().map_err(RunsvdirWarning::Enter)
    }

    /// Watches the current directory, unless it is watched already.
    fn watch(&mut self, directory: DirectoryId) {
        // The last attempt may have failed for want of memory. The kernel drops the watch
        // of a removed directory, whose inode the present one may have.
        if self.watched != Some(directory) || self.new_names.as_ref().is_none_or(Watcher::is_empty)
        {
            self.new_names = watch_names();
            self.watched = Some(directory);
        }
    }

    fn unwatch(&mut self) {
        (self.new_names, self.watched) = (None, None);
    }

    /// Scans the directory, which is the current one, if it has changed or if
    /// the scan is forced. Otherwise starts missing processes.
    fn scan(&mut self, scanner: &mut Scanner, state: ScanDirState, forced: bool) {
        let (directory, ..) = state;
        self.watch(directory);
        if !must_read(self.state, state, forced) {
            scanner.start_all_missing();
            return;
        }
        if scanner.scan() {
            scanner.remove_unseen(|runsv| signal_process(runsv, Signal::SIGTERM));
        }
        self.state = state_after_read(state, Label::now().unix(), scanner.is_short());
    }
}

/// Whether a scan reads the directory. Otherwise the scan only starts missing
/// processes. `last` is the state at the last scan.
fn must_read(last: Option<ScanDirState>, state: ScanDirState, forced: bool) -> bool {
    forced || last != Some(state)
}

/// The state that the next scan compares with, after a scan that read the directory at
/// the Unix time `now`. None if the next scan reads the directory in any case: memory
/// was short, or a second change within one tick of the file system may follow, which
/// leaves the modification time as it is.
fn state_after_read(state: ScanDirState, now: i64, is_short: bool) -> Option<ScanDirState> {
    let (_, modified, _) = state;
    let settled = modified.saturating_add(1) < now;
    (settled && !is_short).then_some(state)
}

#[cfg(test)]
mod tests {
    use std::env::set_current_dir;

    use super::*;
    use crate::testing::{in_directory, write};

    const DIRECTORY: DirectoryId = DirectoryId(1, 2);
    const OTHER: DirectoryId = DirectoryId(1, 3);

    #[test]
    fn watch_follows_the_directory_and_is_kept() {
        in_directory(|| {
            let mut scan_dir = ScanDir {
                name: c".",
                origin: Origin::open().unwrap(),
                state: None,
                watched: None,
                new_names: None,
            };
            // The third directory has the inode of the second one.
            for (name, directory) in [("a", DIRECTORY), ("b", OTHER), ("c", OTHER)] {
                std::fs::create_dir(name).unwrap();
                set_current_dir(name).unwrap();
                scan_dir.watch(directory);
                write("new", b"");
                scan_dir.watch(directory);
                let mut events = || scan_dir.new_names.as_mut().unwrap().take_events();
                assert_eq!(events().len(), 1, "{name}");
                set_current_dir("..").unwrap();
                std::fs::remove_dir_all(name).unwrap();
                events();
            }
        });
    }

    #[test]
    fn changed_or_forced_scan_reads_the_directory() {
        let state = (DIRECTORY, 10, 5);
        assert!(!must_read(Some(state), state, false));
        assert!(must_read(Some(state), state, true));
        assert!(must_read(None, state, false));
        for last in [(OTHER, 10, 5), (DIRECTORY, 9, 5), (DIRECTORY, 10, 6)] {
            assert!(must_read(Some(last), state, false), "{last:?}");
        }
    }

    #[test]
    fn state_counts_once_two_seconds_have_begun() {
        let state = (DIRECTORY, 10, 999_999_999);
        for (now, is_kept) in [(9, false), (10, false), (11, false), (12, true), (13, true)] {
            let kept = is_kept.then_some(state);
            assert_eq!(state_after_read(state, now, false), kept, "{now}");
            assert_eq!(state_after_read(state, now, true), None, "{now}");
        }
        let last = (DIRECTORY, i64::MAX, 0);
        assert_eq!(state_after_read(last, i64::MAX, false), None);
    }
}
