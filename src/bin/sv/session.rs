//! One run of sv: it sends the command to all services, and then waits until
//! each one has completed it.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::time::{Duration, Instant};

use daemontools::client::{
    StatusError, WhenFull, is_normally_up, read_runsv_status, send_commands,
};
use daemontools::supervise_dir::IN_SERVICE;
use daemontools_core::label::Label;
use daemontools_core::names;
use daemontools_core::runsv::{LENGTH, RunsvStatus};
use nix::errno::Errno;
use nix::unistd::chdir;
use supervision::change_watcher::ChangeWatcher;
use unix::cwd::Origin;

use super::check::run_check;
use super::command::{Completion, SvAction, SvCommand};
use super::status_line::SvStatusLine;

/// The interval between two reads of a service that cannot be watched. The last
/// read is that much later than the timeout.
const POLL_INTERVAL: Duration = Duration::from_millis(420);

/// The result for one service.
#[derive(Debug)]
pub(crate) enum ServiceOutcome {
    /// The status of the service and of its logger, for the command `status`.
    Status(Description, Option<LoggerStatus>),
    /// The command is complete.
    Done(Description),
    /// The timeout has expired. A `force-` command has sent `kill`.
    TimedOut(Description),
    /// The service cannot be controlled.
    Failed(ServiceError),
}

/// A status line; an error if stat(2) of the file `down` fails.
pub(crate) type Description = Result<SvStatusLine, Errno>;

/// The status of a logger.
#[derive(Debug)]
pub(crate) enum LoggerStatus {
    /// The directory `log` cannot be entered.
    Chdir(Errno),
    /// The status of the logger.
    Known(Description),
    /// The status cannot be read; the last record that was read.
    Unknown(StatusError, Description),
}

/// An error in the control of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceError {
    /// The directory cannot be entered.
    Chdir(Errno),
    /// The client of runsv failed.
    Client(StatusError),
}

impl<E: Into<StatusError>> From<E> for ServiceOutcome {
    fn from(error: E) -> Self {
        ServiceOutcome::Failed(ServiceError::Client(error.into()))
    }
}

/// An error that ends sv.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OriginError {
    /// Opening the current directory.
    Open(Errno),
    /// Returning to the current directory.
    Return(Errno),
}

/// The directory in which sv finds services by name.
#[derive(Debug)]
pub(crate) struct Services {
    origin: Origin,
    directory: CString,
}

impl Services {
    /// Relative paths start at the current directory. Errors:
    /// [`OriginError::Open`].
    pub(crate) fn in_directory(directory: &[u8]) -> Result<Self, OriginError> {
        Ok(Services {
            origin: Origin::open().map_err(OriginError::Open)?,
            directory: to_cstring(directory),
        })
    }

    fn enter(&self, service: &[u8]) -> Result<(), Errno> {
        let is_path =
            service.starts_with(b".") || service.starts_with(b"/") || service.ends_with(b"/");
        if !is_path {
            chdir(self.directory.as_c_str())?;
        }
        chdir(to_cstring(service).as_c_str())
    }
}

fn to_cstring(bytes: &[u8]) -> CString {
    // Arguments and the environment contain no NUL.
    CString::new(bytes).unwrap_or_default()
}

/// Sends the command to each service, and waits until each one has completed
/// it, at most for `timeout`. Default: no wait. `report` gets the outcome of
/// each service as soon as it is known, with the service's directory as current
/// directory; there is none for a service that is not waited for. Errors:
/// [`OriginError::Return`].
pub(crate) fn control<'n>(
    command: SvCommand,
    services: &Services,
    names: &[&'n [u8]],
    timeout: Option<Duration>,
    report: &mut dyn FnMut(&'n [u8], ServiceOutcome),
) -> Result<(), OriginError> {
    let mut session = Session {
        command,
        sent: Label::now(),
        started: Instant::now(),
        before: BTreeMap::new(),
        record: [0; LENGTH],
        watcher: ChangeWatcher::default(),
        must_poll: false,
    };
    let mut waiting = names.to_vec();
    let mut run_step =
        |session: &mut Session,
         waiting: &mut Vec<&'n [u8]>,
         step: fn(&mut Session, &[u8]) -> Option<ServiceOutcome>| {
            for name in std::mem::take(waiting) {
                let outcome = match services.enter(name) {
                    Ok(()) => step(session, name),
                    Err(error) => Some(ServiceOutcome::Failed(ServiceError::Chdir(error))),
                };
                match outcome {
                    Some(outcome) => report(name, outcome),
                    None => waiting.push(name),
                }
                services.origin.enter().map_err(OriginError::Return)?;
            }
            Ok(())
        };
    run_step(&mut session, &mut waiting, Session::send)?;
    let Some(timeout) = timeout else {
        return Ok(());
    };
    let deadline = Instant::now().checked_add(timeout.saturating_add(POLL_INTERVAL));
    while !waiting.is_empty() {
        session.must_poll = false;
        run_step(&mut session, &mut waiting, Session::check)?;
        let now = Instant::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return run_step(&mut session, &mut waiting, |session, _| {
                Some(session.give_up())
            });
        }
        let next_poll = session.must_poll.then(|| now + POLL_INTERVAL);
        if !waiting.is_empty() {
            let deadlines = next_poll.into_iter().chain(deadline);
            session.watcher.wait(deadlines.min());
        }
    }
    Ok(())
}

struct Session {
    command: SvCommand,
    /// The time of the command.
    sent: Label,
    started: Instant,
    /// The status of each service before the command.
    before: BTreeMap<Vec<u8>, RunsvStatus>,
    /// The last record that was read. A service whose record cannot be read
    /// shows this one, as in runit.
    record: [u8; LENGTH],
    watcher: ChangeWatcher,
    /// Whether the watcher may miss a change.
    must_poll: bool,
}

/// Each method uses the service in the current directory. Without an outcome,
/// sv waits.
impl Session {
    fn send(&mut self, name: &[u8]) -> Option<ServiceOutcome> {
        if self.command.action == SvAction::Check {
            return None;
        }
        let report = match read_runsv_status(&mut self.record) {
            Ok(report) => report,
            Err(error) => return Some(error.into()),
        };
        self.before.insert(name.to_owned(), report);
        let letters = self.command.action.letters(&report);
        match self.command.action {
            SvAction::Status => Some(ServiceOutcome::Status(
                describe(report),
                self.logger(report),
            )),
            SvAction::Check => None,
            SvAction::Send(_) if letters.is_empty() => None,
            SvAction::Send(_) => send_commands(&IN_SERVICE, letters, WhenFull::Fail)
                .err()
                .map(ServiceOutcome::from),
        }
    }

    /// The status of the logger, if the service has one. `service` is the
    /// status of the service.
    fn logger(&mut self, service: RunsvStatus) -> Option<LoggerStatus> {
        match chdir(names::LOG) {
            Ok(()) => {}
            Err(Errno::ENOENT) => return None,
            Err(error) => return Some(LoggerStatus::Chdir(error)),
        }
        Some(match read_runsv_status(&mut self.record) {
            Ok(report) => LoggerStatus::Known(describe(report)),
            Err(error) => {
                let last = RunsvStatus::decode(&self.record).unwrap_or(service);
                LoggerStatus::Unknown(error, describe(last))
            }
        })
    }

    fn check(&mut self, name: &[u8]) -> Option<ServiceOutcome> {
        // The watch precedes the read, so that no change in between is lost.
        self.watcher.add();
        let report = match read_runsv_status(&mut self.record) {
            Ok(report) => report,
            Err(error) => return Some(error.into()),
        };
        if self.is_too_early(name, &report) {
            self.must_poll = true;
            return None;
        }
        let done = match self.command.action.completion(&report, self.sent) {
            Completion::Pending => {
                self.must_poll |= !self.watcher.is_complete();
                false
            }
            Completion::Complete => true,
            Completion::IfAvailable => {
                let available = run_check(name);
                self.must_poll |= !available;
                available
            }
        };
        done.then(|| ServiceOutcome::Done(describe(report)))
    }

    /// Whether runsv may not have read the command yet. As whole seconds count,
    /// a service that was started in the second of a restart command would look
    /// restarted.
    fn is_too_early(&self, name: &[u8], report: &RunsvStatus) -> bool {
        report.status.pid.is_some()
            && self.command.action.stops_process()
            && self.before.get(name) == Some(report)
            && self.started.elapsed() < POLL_INTERVAL
    }

    fn give_up(&mut self) -> ServiceOutcome {
        match read_runsv_status(&mut self.record) {
            Ok(report) => {
                if self.command.kills {
                    // The outcome is the same if this fails, as in runit.
                    let _ = send_commands(&IN_SERVICE, b"k", WhenFull::Fail);
                }
                ServiceOutcome::TimedOut(describe(report))
            }
            Err(error) => error.into(),
        }
    }
}

fn describe(report: RunsvStatus) -> Description {
    Ok(SvStatusLine {
        report,
        normally_up: is_normally_up(&IN_SERVICE)
            .map_err(|error| Errno::from_raw(error.raw_os_error()))?,
        now: Label::now(),
    })
}
