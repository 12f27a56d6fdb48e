//! What svps shows: a row for each service, as a table or as JSON.

mod json;
mod table;

pub use json::json;
pub use table::{escape_for_terminal, table};

use crate::label::Label;
use crate::snapshot::{Record, ServiceSnapshot};
use crate::state::{ServiceState, StateFile};

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What is in memory and not of a file.
    pub private: u64,
    /// All that is in memory.
    pub resident: u64,
}

/// A service, or the logger of the one in the row before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The name in the directory that svscan looks at; that of the service for
    /// its logger too.
    pub name: Vec<u8>,
    /// Whether it is the logger.
    pub logger: bool,
    /// What was seen; None if it could not be looked at.
    pub snapshot: Option<ServiceSnapshot>,
    /// The memory of its process.
    pub memory: Option<Memory>,
}

/// What a service is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    /// It cannot be told.
    Unknown,
    /// Nobody looks after it.
    Unsupervised,
    /// It was stopped by `p`.
    Paused,
    /// What supervise tells.
    At(ServiceState),
}

impl Condition {
    fn word(self) -> &'static str {
        match self {
            Condition::Unknown => "unknown",
            Condition::Unsupervised => "unsupervised",
            Condition::Paused => "paused",
            Condition::At(ServiceState::Down) => "down",
            Condition::At(ServiceState::Starting) => "starting",
            Condition::At(ServiceState::Up) => "up",
            Condition::At(ServiceState::Ready) => "ready",
            Condition::At(ServiceState::Finish) => "finish",
            Condition::At(ServiceState::Delay) => "restarting",
            Condition::At(ServiceState::Failed) => "failed",
        }
    }
}

impl Row {
    /// The process, as long as somebody knows that it is the service's.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        let pid = self.current()?.status.pid;
        pid.map(nix::unistd::Pid::as_raw)
    }

    fn condition(&self) -> Condition {
        match self.snapshot {
            Some(snapshot) if !snapshot.supervised => Condition::Unsupervised,
            Some(ServiceSnapshot {
                record: Some(record),
                ..
            }) => {
                if record.status.paused {
                    Condition::Paused
                } else {
                    Condition::At(record.state())
                }
            }
            Some(_) | None => Condition::Unknown,
        }
    }

    /// The last record, be it that of a supervise that has ended.
    fn record(&self) -> Option<Record> {
        self.snapshot?.record
    }

    /// The record of a supervise that runs.
    fn current(&self) -> Option<Record> {
        self.snapshot.filter(|snapshot| snapshot.supervised)?.record
    }

    /// What supervise -e tells besides.
    fn state(&self) -> Option<StateFile> {
        self.record()?.state_file
    }

    /// Whole seconds since the last change of the pid.
    fn seconds(&self, now: Label) -> Option<u64> {
        Some(now.seconds_since(self.current()?.status.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const NOW: i64 = 1_000_000_000;

    pub(super) fn row(name: &[u8], logger: bool, age: i64, pid: i32, want: u8, state: &str) -> Row {
        let since = Label::from_unix(NOW - age, 0);
        let record = [&since.pack()[..], &pid.to_le_bytes(), &[0, want]].concat();
        let label = String::from_utf8(since.text().to_vec()).unwrap();
        let state = format!("since={label}\n{state}");
        let record = Record::read(&record, Some(state.as_bytes()));
        let memory = (pid != 0).then_some(Memory {
            private: 4096 * 13,
            resident: 20 << 20,
        });
        Row {
            name: name.to_owned(),
            logger,
            snapshot: Some(ServiceSnapshot {
                supervised: true,
                record,
            }),
            memory,
        }
    }

    #[test]
    fn what_nobody_looks_after_is_not_known_to_run() {
        let mut row = row(b"gone", false, 5, 9, b'u', "state=ready\n");
        assert_eq!((row.condition().word(), row.pid()), ("ready", Some(9)));
        row.snapshot = row.snapshot.map(|snapshot| ServiceSnapshot {
            supervised: false,
            ..snapshot
        });
        assert_eq!((row.condition().word(), row.pid()), ("unsupervised", None));
        assert_eq!(row.seconds(Label::from_unix(NOW, 0)), None);
        row.snapshot = None;
        assert_eq!(row.condition().word(), "unknown");
    }
}
