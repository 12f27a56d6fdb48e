//! What there is to see of a service, whoever supervises it, and whether that
//! is what somebody waits for.

use nix::unistd::Pid;

use crate::label::Label;
use crate::runsv::{self, Report};
use crate::state::{ServiceState, StateFile};
use crate::status::{Status, Want};

/// What is in `supervise/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceSnapshot {
    /// Whether supervise, or runsv, runs.
    pub supervised: bool,
    /// The record; None if there is none.
    pub record: Option<Record>,
}

/// A status record, with what else is told of the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record of 18 bytes.
    pub status: Status,
    /// Whether runsv's `finish` runs, or is about to.
    finishes: bool,
    /// What supervise -e tells.
    pub state_file: Option<StateFile>,
}

impl Record {
    /// Reads `status` and, if there is one, `state`. None if the record is too
    /// short.
    #[must_use]
    pub fn read(status: &[u8], state: Option<&[u8]>) -> Option<Self> {
        let finishes =
            Report::decode(status).is_some_and(|report| report.state == Some(ServiceState::Finish));
        let status = Status::decode(status)?;
        let state = state.and_then(StateFile::read);
        Some(Record {
            status,
            finishes,
            state_file: state.filter(|state| state.belongs_to(&status)),
        })
    }

    /// The longest record that is of use, in bytes.
    pub const LONGEST: usize = runsv::LENGTH;

    /// What the service does. Without `state`, a service that is down and
    /// wanted up is to be started soon, and one that is up never says that it
    /// is ready.
    #[must_use]
    pub fn state(&self) -> ServiceState {
        if let Some(state) = self.state_file {
            return state.state;
        }
        match (self.status.pid, self.status.want) {
            _ if self.finishes => ServiceState::Finish,
            (Some(_), _) => ServiceState::Up,
            (None, Want::Up) => ServiceState::Delay,
            (None, Want::Down | Want::Once) => ServiceState::Down,
        }
    }
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitCondition {
    /// The service runs.
    Up,
    /// It runs, and is ready.
    UpAndReady,
    /// It does not run.
    Down,
    /// It does not run, nor does its `finish`.
    DownAndFinished,
    /// It was started after the first look.
    Restarted,
    /// The same, and it is ready.
    RestartedAndReady,
    /// supervise has ended.
    Gone,
}

impl WaitCondition {
    /// Whether the condition is reached, `first` and `last` being what was seen at
    /// first, and before `now`.
    ///
    /// A service whose supervise does not run is down if its last record says
    /// so, or if there is none: nobody could have started it since. What such
    /// a record says of a process is no longer known to be so. One that runs
    /// again was down, be it for too short a time to be seen.
    #[must_use]
    pub fn is_reached(
        self,
        first: &ServiceSnapshot,
        last: &ServiceSnapshot,
        now: &ServiceSnapshot,
    ) -> bool {
        let runs_again = now.is_up() && last.supervised && now.start() != last.start();
        let was_restarted = now.is_up() && now.start() != first.start();
        match self {
            WaitCondition::Up => now.is_up(),
            WaitCondition::UpAndReady => now.is_up() && now.is_ready(),
            WaitCondition::Down => now.is_down() || runs_again,
            WaitCondition::DownAndFinished => {
                (now.is_down() && now.state() != Some(ServiceState::Finish)) || runs_again
            }
            WaitCondition::Restarted => was_restarted,
            WaitCondition::RestartedAndReady => was_restarted && now.is_ready(),
            WaitCondition::Gone => !now.supervised,
        }
    }
}

impl ServiceSnapshot {
    fn state(&self) -> Option<ServiceState> {
        self.record.map(|record| record.state())
    }

    /// The process that somebody looks after, and when it was started.
    fn start(&self) -> Option<(Pid, Label)> {
        let status = self.record.filter(|_| self.supervised)?.status;
        Some((status.pid?, status.since))
    }

    /// `state` may be a moment ahead of the record; then the service is neither
    /// up nor down, until svstat would say so too.
    fn is_up(&self) -> bool {
        self.state().is_some_and(ServiceState::runs) && self.start().is_some()
    }

    fn is_down(&self) -> bool {
        let Some(record) = self.record else {
            return true;
        };
        match record.status.pid {
            None => !record.state().runs(),
            // That of `finish`, for runsv.
            Some(_) => self.supervised && record.state() == ServiceState::Finish,
        }
    }

    /// Whether what is up does not have to say so any more.
    fn is_ready(&self) -> bool {
        self.state() != Some(ServiceState::Starting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen of a service that changed at that second.
    fn snapshot(seconds: i64, pid: i32, more: [u8; 4], state: Option<&str>) -> ServiceSnapshot {
        let label = Label::from_unix(seconds, 0);
        let pid = pid.to_le_bytes();
        let record = [&label.pack()[..], &pid, &more].concat();
        let since = String::from_utf8(label.text().to_vec()).unwrap();
        let state = state.map(|state| format!("state={state}\nsince={since}\n").into_bytes());
        ServiceSnapshot {
            supervised: true,
            record: Record::read(&record, state.as_deref()),
        }
    }

    const UP: [u8; 4] = [0, b'u', 0, 1];
    const DOWN: [u8; 4] = [0, b'd', 0, 0];

    fn unsupervised(snapshot: ServiceSnapshot) -> ServiceSnapshot {
        ServiceSnapshot {
            supervised: false,
            ..snapshot
        }
    }

    /// That these goals, and no others, are reached by what is seen now after
    /// the first look.
    #[track_caller]
    fn reaches(first: &ServiceSnapshot, now: &ServiceSnapshot, goals: &[WaitCondition]) {
        reaches_after(first, first, now, goals);
    }

    #[track_caller]
    fn reaches_after(
        first: &ServiceSnapshot,
        last: &ServiceSnapshot,
        now: &ServiceSnapshot,
        goals: &[WaitCondition],
    ) {
        let all = [
            WaitCondition::Up,
            WaitCondition::UpAndReady,
            WaitCondition::Down,
            WaitCondition::DownAndFinished,
            WaitCondition::Restarted,
            WaitCondition::RestartedAndReady,
            WaitCondition::Gone,
        ];
        let reached = all
            .into_iter()
            .filter(|condition| condition.is_reached(first, last, now));
        assert_eq!(reached.collect::<Vec<_>>(), goals);
    }

    #[test]
    fn a_record_alone_tells_up_and_down() {
        let (up, down) = (snapshot(1, 7, UP, None), snapshot(2, 0, DOWN, None));
        reaches(&up, &up, &[WaitCondition::Up, WaitCondition::UpAndReady]);
        reaches(
            &up,
            &down,
            &[WaitCondition::Down, WaitCondition::DownAndFinished],
        );
    }

    #[test]
    fn a_start_after_the_first_look_is_a_restart() {
        let up = [WaitCondition::Up, WaitCondition::UpAndReady];
        let restarted = [WaitCondition::Restarted, WaitCondition::RestartedAndReady];
        let down = [WaitCondition::Down, WaitCondition::DownAndFinished];
        let first = snapshot(1, 7, UP, None);
        let again = [&up[..], &down, &restarted].concat();
        reaches(&first, &snapshot(3, 8, UP, None), &again);
        reaches(&first, &snapshot(3, 7, UP, None), &again);
        let now = snapshot(3, 8, UP, None);
        let started = [&up[..], &restarted].concat();
        reaches_after(&first, &now, &now, &started);
        reaches(&unsupervised(first), &first, &started);
        reaches(&snapshot(2, 0, DOWN, None), &now, &again);
        reaches(&first, &first, &up);
    }

    #[test]
    fn the_state_tells_whether_it_is_ready_and_cleaned_up() {
        let at = |pid, state| snapshot(1, pid, UP, Some(state));
        let first = at(7, "up");
        reaches(&first, &at(7, "starting"), &[WaitCondition::Up]);
        reaches(
            &first,
            &at(7, "ready"),
            &[WaitCondition::Up, WaitCondition::UpAndReady],
        );
        reaches(&first, &at(0, "finish"), &[WaitCondition::Down]);
        for state in ["down", "failed", "delay"] {
            reaches(
                &first,
                &at(0, state),
                &[WaitCondition::Down, WaitCondition::DownAndFinished],
            );
            // The record is yet to follow.
            reaches(&first, &at(7, state), &[]);
        }
        reaches(&first, &at(0, "ready"), &[]);
        let restarted = snapshot(2, 8, UP, Some("starting"));
        reaches_after(
            &first,
            &restarted,
            &restarted,
            &[WaitCondition::Up, WaitCondition::Restarted],
        );
    }

    #[test]
    fn a_state_of_another_time_tells_nothing() {
        let label = Label::from_unix(5, 0);
        let record = [&label.pack()[..], &7_i32.to_le_bytes(), b"\0u"].concat();
        let old = String::from_utf8(Label::from_unix(4, 0).text().to_vec()).unwrap();
        let state = format!("state=starting\nsince={old}\n");
        let record = Record::read(&record, Some(state.as_bytes())).unwrap();
        assert_eq!(
            (record.state_file, record.state()),
            (None, ServiceState::Up)
        );
    }

    #[test]
    fn the_finish_of_runsv_is_not_the_service() {
        let finish = snapshot(1, 7, [0, b'd', 0, 2], None);
        reaches(&finish, &finish, &[WaitCondition::Down]);
        // Before it has a pid.
        let finish = snapshot(1, 0, [0, b'd', 0, 2], None);
        reaches(&finish, &finish, &[WaitCondition::Down]);
    }

    #[test]
    fn without_supervise_down_is_what_nobody_can_have_changed() {
        let (up, down) = (snapshot(1, 7, UP, None), snapshot(2, 0, UP, None));
        reaches(&up, &unsupervised(up), &[WaitCondition::Gone]);
        let gone = [
            WaitCondition::Down,
            WaitCondition::DownAndFinished,
            WaitCondition::Gone,
        ];
        reaches(&up, &unsupervised(down), &gone);
        let never = ServiceSnapshot {
            supervised: false,
            record: None,
        };
        reaches(&never, &never, &gone);
    }
}
