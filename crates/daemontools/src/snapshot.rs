//! A snapshot of a service: the content of its supervise directory
//! at one moment.

use std::num::NonZeroI32;

use daemontools_core::label::Label;
use daemontools_core::runsv::{self, RunsvStatus};
use daemontools_core::state::{ServiceState, StateFile};
use daemontools_core::status::{Status, Want};
use nix::errno::Errno;

use crate::client::{ClientError, StatusError, probe, read_state_file, read_status};
use crate::supervise_dir::SuperviseDir;

/// The state of a service as its supervise directory shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceSnapshot {
    /// Whether supervise, or runsv, runs.
    pub supervised: bool,
    /// The status record; None if there is none.
    pub record: Option<StatusRecord>,
}

/// A status record, with the state file that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatusRecord {
    /// The first 18 bytes of the record.
    pub status: Status,
    /// Whether runsv's `finish` runs or starts soon.
    finishes: bool,
    /// The state file of supervise -e.
    pub state_file: Option<StateFile>,
}

impl StatusRecord {
    /// Decodes a record; None if it is too short. The state file counts only if
    /// it is not older than the record.
    #[must_use]
    pub fn decode(record: &[u8], state_file: Option<StateFile>) -> Option<Self> {
        let report = RunsvStatus::decode(record);
        let status = Status::decode(record)?;
        Some(StatusRecord {
            status,
            finishes: report.is_some_and(|report| report.state == Some(ServiceState::Finish)),
            state_file: state_file.filter(|state| state.belongs_to(&status)),
        })
    }

    /// The state of the service. Without a state file, a service that is down
    /// and wanted up counts as delayed, and one that is up as not reporting
    /// readiness.
    #[must_use]
    pub fn state(&self) -> ServiceState {
        if let Some(state_file) = self.state_file {
            return state_file.state;
        }
        match self.status.pid {
            _ if self.finishes => ServiceState::Finish,
            Some(_) => ServiceState::Up,
            None if self.status.want == Want::Up => ServiceState::Delay,
            None => ServiceState::Down,
        }
    }
}

impl ServiceSnapshot {
    /// A snapshot of these parts.
    #[must_use]
    pub fn new(supervised: bool, record: Option<StatusRecord>) -> Self {
        ServiceSnapshot { supervised, record }
    }

    /// Reads the service, and never blocks.
    ///
    /// # Errors
    /// As open(2) and read(2), except for files that do not exist; a record that
    /// is too short.
    pub fn read(dir: &SuperviseDir) -> Result<Self, StatusError> {
        let is_missing = |error: ClientError| matches!(error.errno, Errno::ENOENT | Errno::ENOTDIR);
        let supervised = match probe(dir) {
            Ok(_) => true,
            Err(error) if error.is_not_running() || is_missing(error) => false,
            Err(error) => return Err(error.into()),
        };
        // supervise renames `state` first, so `state` is read last: see
        // daemontools_core::state.
        let mut record = [0; runsv::LENGTH];
        let record = match read_status(dir, &mut record) {
            Ok(record) => {
                let record = StatusRecord::decode(record, read_state_file(dir)?);
                Some(record.ok_or(StatusError::Format)?)
            }
            Err(error) if is_missing(error) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(ServiceSnapshot { supervised, record })
    }

    /// The state in the record, which may be stale without a running supervise. None
    /// without a record.
    #[must_use]
    pub fn state(&self) -> Option<ServiceState> {
        self.record.map(|record| record.state())
    }

    /// The process and its start; no process in the state `started`. A record
    /// without a running supervise may be stale.
    pub(super) fn start(&self) -> Option<(Option<NonZeroI32>, Label)> {
        let record = self.record.filter(|_| self.supervised)?;
        match (record.status.pid, record.state(), record.state_file) {
            (Some(pid), _, _) => Some((Some(pid), record.status.since)),
            (None, ServiceState::Started, Some(state)) => Some((None, state.since?)),
            (None, _, _) => None,
        }
    }

    /// Whether the service is up under a running supervise.
    ///
    /// supervise writes `state` before the record; in between, the service is
    /// neither up nor down, as svstat shows the record alone.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state().is_some_and(ServiceState::is_up) && self.start().is_some()
    }

    /// Whether the service does not run; its `finish` may.
    #[must_use]
    pub fn is_down(&self) -> bool {
        let Some(record) = self.record else {
            return true;
        };
        match record.status.pid {
            None => !record.state().is_up(),
            // runsv records the PID of `finish`.
            Some(_) => self.supervised && record.state() == ServiceState::Finish,
        }
    }

    /// Whether the service is down, and none of its scripts runs.
    pub(super) fn is_finished(&self) -> bool {
        self.is_down() && !self.state().is_some_and(ServiceState::runs_script)
    }

    /// The time of a permanent failure. The time in the record may be that of an
    /// earlier state: supervise writes the state file first.
    pub(super) fn failure(&self) -> Option<Label> {
        let record = self.record?;
        let has_failed = record.status.pid.is_none() && record.state() == ServiceState::Failed;
        record.state_file.filter(|_| has_failed)?.since
    }

    /// Whether the service is up, and has reported readiness or never does. A
    /// failing `check` withdraws the readiness.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let state_file = self.record.and_then(|record| record.state_file);
        self.is_up()
            && self.state() != Some(ServiceState::Starting)
            && !state_file.is_some_and(|state| state.fails_check())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;
    use crate::supervise_dir::IN_SERVICE;
    use testkit::service_files::{Supervised, in_directory, write, write_status};

    #[test]
    fn missing_files_are_a_service_that_never_ran() {
        in_directory(|| {
            let nothing = ServiceSnapshot {
                supervised: false,
                record: None,
            };
            assert_eq!(ServiceSnapshot::read(&IN_SERVICE), Ok(nothing));
            // A file in place of the directory.
            write("supervise", b"");
            assert_eq!(ServiceSnapshot::read(&IN_SERVICE), Ok(nothing));
            std::fs::remove_file("supervise").unwrap();
            let supervised = Supervised::new(".");
            let snapshot = ServiceSnapshot::read(&IN_SERVICE).unwrap();
            assert_eq!((snapshot.supervised, snapshot.record), (true, None));
            write_status(".", 7, Want::Up);
            let snapshot = ServiceSnapshot::read(&IN_SERVICE).unwrap();
            assert!(snapshot.is_up() && !snapshot.is_down());
            drop(supervised);
            let snapshot = ServiceSnapshot::read(&IN_SERVICE).unwrap();
            assert!(!snapshot.supervised && snapshot.record.is_some());
        });
    }

    #[test]
    fn other_errors_and_short_records_are_reported() {
        in_directory(|| {
            let _supervised = Supervised::new(".");
            write("supervise/status", b"short");
            let short = ServiceSnapshot::read(&IN_SERVICE);
            assert_eq!(short, Err(StatusError::Format));
            for (name, operation, errno) in [
                ("status", Operation::Read, Errno::EISDIR),
                ("ok", Operation::Open, Errno::EISDIR),
            ] {
                let path = format!("supervise/{name}");
                std::fs::remove_file(&path).unwrap();
                std::fs::create_dir(&path).unwrap();
                let Err(StatusError::Client(error)) = ServiceSnapshot::read(&IN_SERVICE) else {
                    panic!("{name}");
                };
                assert_eq!((error.operation, error.errno), (operation, errno));
            }
        });
    }
}
