//! A row of svps: a service or a logger.

use std::num::NonZeroI32;

use cli::display::{Charset, escape};
use cli::errno::errno_message;
use cli::text;
use daemontools::{ServiceSnapshot, StatusRecord};
use daemontools_core::label::Label;
use daemontools_core::state::{CheckResult, ServiceState};
use daemontools_core::status::Want;
use nix::errno::Errno;

use super::details::Details;

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident memory without shared and file pages.
    pub(crate) private: u64,
    /// Resident memory.
    pub(crate) resident: u64,
}

/// A file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnreadableFile {
    /// The file as in messages, relative to the scan directory.
    pub(crate) name: Vec<u8>,
    /// The errno; None: bad format.
    pub(crate) errno: Option<Errno>,
}

impl UnreadableFile {
    /// The message, with the escapes of a charset.
    pub(crate) fn message(&self, charset: Charset) -> Vec<u8> {
        let cause = self.errno.map_or("bad format", errno_message);
        text!["unable to read ", escape(&self.name, charset), ": ", cause]
    }
}

/// A service, or the logger of the service in the row before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The name of the service in the scan directory, for its logger too.
    pub(crate) name: Vec<u8>,
    /// Whether the row shows the logger.
    pub(crate) logger: bool,
    /// The snapshot, or the file that prevents it.
    pub(crate) snapshot: Result<ServiceSnapshot, UnreadableFile>,
    /// The memory of the process.
    pub(crate) memory: Option<Memory>,
    /// None: not read.
    pub(crate) details: Option<Details>,
}

/// The degree to which a row stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Normal,
    Warning,
    Critical,
}

/// A service that is up for fewer seconds may exit and restart in a loop.
const MIN_UPTIME: u64 = 10;

/// The words of [`Row::state`] for a service with a known state.
pub(crate) const STATES: [&str; 11] = [
    "down",
    "starting",
    "up",
    "ready",
    "failing",
    "paused",
    "finish",
    "restarting",
    "failed",
    "started",
    "stopping",
];

impl Row {
    /// The process; None without a running supervise, since the record may be
    /// stale.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.current()?.status.pid.map(NonZeroI32::get)
    }

    /// The state in the words of svps, and its severity.
    pub(crate) fn state(&self, now: Label) -> (&'static str, Severity) {
        let record = match self.snapshot {
            Ok(snapshot) if !snapshot.supervised => return ("unsupervised", Severity::Critical),
            Ok(snapshot) => snapshot.record,
            Err(_) => None,
        };
        let Some(record) = record else {
            return ("unknown", Severity::Critical);
        };
        if record.status.paused {
            return ("paused", Severity::Warning);
        }
        if self.check().is_some_and(CheckResult::is_failure) {
            return ("failing", Severity::Critical);
        }
        let up = if self.may_flap(now, MIN_UPTIME) {
            Severity::Warning
        } else {
            Severity::Normal
        };
        match record.state() {
            ServiceState::Down => ("down", Severity::Normal),
            ServiceState::Starting | ServiceState::Start => ("starting", Severity::Warning),
            ServiceState::Up => ("up", up),
            ServiceState::Ready => ("ready", up),
            ServiceState::Finish => ("finish", Severity::Warning),
            ServiceState::Delay => ("restarting", Severity::Critical),
            ServiceState::Failed => ("failed", Severity::Critical),
            ServiceState::Started => ("started", Severity::Normal),
            ServiceState::Stop => ("stopping", Severity::Warning),
        }
    }

    /// Whether the last change of the pid is less than `min_uptime` seconds old,
    /// and the run may not be the first. Only supervise -e records restarts.
    pub(crate) fn may_flap(&self, now: Label, min_uptime: u64) -> bool {
        let state_file = self.current().and_then(|record| record.state_file);
        let restarts = state_file.and_then(|state| state.restarts);
        let is_young = self.seconds(now).is_some_and(|age| age < min_uptime);
        // The first start is no restart.
        is_young && restarts != Some(0)
    }

    /// The snapshot, if it could be read.
    pub(crate) fn known(&self) -> Option<ServiceSnapshot> {
        self.snapshot.as_ref().ok().copied()
    }

    /// The record, even if its supervise has exited.
    pub(crate) fn record(&self) -> Option<StatusRecord> {
        self.known()?.record
    }

    /// The result of the last `check` of the service.
    pub(crate) fn check(&self) -> Option<CheckResult> {
        self.current()?.state_file?.check
    }

    /// The record of a running supervise.
    pub(crate) fn current(&self) -> Option<StatusRecord> {
        self.known().filter(|snapshot| snapshot.supervised)?.record
    }

    /// Whether the service is up; None without a running supervise.
    pub(crate) fn is_up(&self) -> Option<bool> {
        Some(self.current()?.state().is_up())
    }

    /// The wanted state; None without a running supervise.
    pub(crate) fn want(&self) -> Option<Want> {
        Some(self.current()?.status.want)
    }

    /// Whole seconds since the last change of the pid.
    pub(crate) fn seconds(&self, now: Label) -> Option<u64> {
        Some(now.seconds_since(self.current()?.status.since))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use daemontools::StatusRecord;
    use daemontools_core::state::StateFile;

    pub(crate) const NOW: i64 = 1_000_000_000;

    pub(crate) fn row(name: &[u8], logger: bool, age: i64, pid: i32, want: u8, state: &str) -> Row {
        let since = Label::from_unix(NOW - age, 0);
        let record = [&since.pack()[..], &pid.to_le_bytes(), &[0, want]].concat();
        let label = String::from_utf8(since.text().to_vec()).unwrap();
        let state = format!("since={label}\n{state}");
        let record = StatusRecord::decode(&record, StateFile::read(state.as_bytes()));
        let memory = (pid != 0).then_some(Memory {
            private: 4096 * 13,
            resident: 20 << 20,
        });
        Row {
            name: name.to_owned(),
            logger,
            snapshot: Ok(ServiceSnapshot::new(true, record)),
            memory,
            details: None,
        }
    }

    fn severity(age: i64, state: &str) -> Severity {
        let row = row(b"s", false, age, 7, b'u', state);
        row.state(Label::from_unix(NOW, 0)).1
    }

    #[test]
    fn pid_without_supervise_is_unknown() {
        let now = Label::from_unix(NOW, 0);
        let mut row = row(b"gone", false, 5, 9, b'u', "state=ready\n");
        assert_eq!((row.state(now).0, row.pid()), ("ready", Some(9)));
        row.snapshot = row
            .snapshot
            .map(|snapshot| ServiceSnapshot::new(false, snapshot.record));
        assert_eq!((row.state(now).0, row.pid()), ("unsupervised", None));
        assert_eq!(row.seconds(now), None);
        row.snapshot = Err(UnreadableFile {
            name: b"gone".to_vec(),
            errno: None,
        });
        assert_eq!(row.state(now).0, "unknown");
    }

    #[test]
    fn restart_and_failure_raise_severity() {
        assert_eq!(severity(3, "state=up\nrestarts=0\n"), Severity::Normal);
        assert_eq!(severity(3, "state=up\nrestarts=1\n"), Severity::Warning);
        assert_eq!(severity(13, "state=up\nrestarts=1\n"), Severity::Normal);
        assert_eq!(severity(13, "state=failed\n"), Severity::Critical);
    }

    #[test]
    fn failing_check_is_critical() {
        for (state, shown) in [
            ("state=ready\ncheck=ok\n", ("ready", Severity::Normal)),
            ("state=ready\ncheck=2\n", ("failing", Severity::Critical)),
            (
                "state=starting\ncheck=failing\n",
                ("failing", Severity::Critical),
            ),
        ] {
            let row = row(b"s", false, 13, 7, b'u', state);
            assert_eq!(row.state(Label::from_unix(NOW, 0)), shown);
        }
    }
}
