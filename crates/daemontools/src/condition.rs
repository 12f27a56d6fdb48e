//! The conditions for which svwait waits.

use crate::snapshot::ServiceSnapshot;

/// A condition of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitCondition {
    /// The service runs.
    Up,
    /// The service runs and is ready.
    UpAndReady,
    /// The service does not run.
    Down,
    /// Neither the service nor its `finish` runs.
    DownAndFinished,
    /// The service was started after the first snapshot.
    Restarted,
    /// The service was started after the first snapshot and is ready.
    RestartedAndReady,
    /// supervise has exited.
    Gone,
}

impl WaitCondition {
    /// Whether the condition holds. `first` is the first snapshot, `last` the
    /// one before `now`.
    ///
    /// Without a running supervise, a record of a service that is down is still
    /// true, since only supervise starts the service; a record of a process may
    /// be stale. A service with a new process was down in between, even if no
    /// snapshot shows it.
    #[must_use]
    pub fn holds(
        self,
        first: &ServiceSnapshot,
        last: &ServiceSnapshot,
        now: &ServiceSnapshot,
    ) -> bool {
        // A service that was down already has not ended since.
        let runs_again = now.is_up() && last.supervised && now.start() != last.start();
        let was_restarted = now.is_up() && now.start() != first.start();
        match self {
            WaitCondition::Up => now.is_up(),
            WaitCondition::UpAndReady => now.is_ready(),
            WaitCondition::Down => now.is_down() || (runs_again && !last.is_down()),
            WaitCondition::DownAndFinished => {
                now.is_finished() || (runs_again && !last.is_finished())
            }
            WaitCondition::Restarted => was_restarted,
            WaitCondition::RestartedAndReady => was_restarted && now.is_ready(),
            WaitCondition::Gone => !now.supervised,
        }
    }

    /// Whether the service has failed permanently since the first snapshot, and
    /// thus cannot reach the condition. An earlier failure does not count, as in
    /// s6: a command may start the service during the wait.
    #[must_use]
    pub fn has_failed(self, first: &ServiceSnapshot, now: &ServiceSnapshot) -> bool {
        match self {
            WaitCondition::Up
            | WaitCondition::UpAndReady
            | WaitCondition::Restarted
            | WaitCondition::RestartedAndReady => {
                now.failure().is_some() && now.failure() != first.failure()
            }
            WaitCondition::Down | WaitCondition::DownAndFinished | WaitCondition::Gone => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StatusRecord;
    use WaitCondition::{
        Down, DownAndFinished, Gone, Restarted, RestartedAndReady, Up, UpAndReady,
    };
    use daemontools_core::label::Label;
    use daemontools_core::state::{ServiceState, StateFile};

    /// A snapshot of a service that changed at this second.
    fn snapshot(seconds: i64, pid: i32, more: [u8; 4], state: Option<&str>) -> ServiceSnapshot {
        let label = Label::from_unix(seconds, 0);
        let pid = pid.to_le_bytes();
        let record = [&label.pack()[..], &pid, &more].concat();
        let since = String::from_utf8(label.text().to_vec()).unwrap();
        let state = state.map(|state| format!("state={state}\nsince={since}\n").into_bytes());
        ServiceSnapshot {
            supervised: true,
            record: StatusRecord::decode(&record, state.as_deref().and_then(StateFile::read)),
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

    /// Checks that exactly these conditions hold in `now`.
    #[track_caller]
    fn check(first: &ServiceSnapshot, now: &ServiceSnapshot, conditions: &[WaitCondition]) {
        check_after(first, first, now, conditions);
    }

    #[track_caller]
    fn check_after(
        first: &ServiceSnapshot,
        last: &ServiceSnapshot,
        now: &ServiceSnapshot,
        conditions: &[WaitCondition],
    ) {
        let states = [Up, UpAndReady, Down, DownAndFinished];
        let changes = [Restarted, RestartedAndReady, Gone];
        let all = states.into_iter().chain(changes);
        let reached = all.filter(|condition| condition.holds(first, last, now));
        assert_eq!(reached.collect::<Vec<_>>(), conditions);
    }

    #[test]
    fn record_alone_shows_up_and_down() {
        let (up, down) = (snapshot(1, 7, UP, None), snapshot(2, 0, DOWN, None));
        check(&up, &up, &[Up, UpAndReady]);
        check(&up, &down, &[Down, DownAndFinished]);
    }

    #[test]
    fn start_after_first_snapshot_is_restart() {
        let up = [Up, UpAndReady];
        let restarted = [Restarted, RestartedAndReady];
        let down = [Down, DownAndFinished];
        let first = snapshot(1, 7, UP, None);
        let again = [&up[..], &down, &restarted].concat();
        check(&first, &snapshot(3, 8, UP, None), &again);
        check(&first, &snapshot(3, 7, UP, None), &again);
        let now = snapshot(3, 8, UP, None);
        let started = [&up[..], &restarted].concat();
        check_after(&first, &now, &now, &started);
        check(&unsupervised(first), &first, &started);
        check(&snapshot(2, 0, DOWN, None), &now, &started);
        check(&first, &first, &up);
    }

    #[test]
    fn state_file_shows_readiness_and_finish() {
        let at = |pid, state| snapshot(1, pid, UP, Some(state));
        let first = at(7, "up");
        check(&first, &at(7, "starting"), &[Up]);
        check(&first, &at(7, "ready"), &[Up, UpAndReady]);
        check(&first, &at(0, "finish"), &[Down]);
        for state in ["down", "failed", "delay"] {
            check(&first, &at(0, state), &[Down, DownAndFinished]);
            // supervise has not renamed the record yet.
            check(&first, &at(7, state), &[]);
        }
        check(&first, &at(0, "ready"), &[]);
        assert!(at(7, "ready").is_ready() && !at(0, "down").is_ready());
        let restarted = snapshot(2, 8, UP, Some("starting"));
        check_after(&first, &restarted, &restarted, &[Up, Restarted]);
    }

    #[test]
    fn service_without_process_is_up_while_started() {
        let at = |seconds, state| snapshot(seconds, 0, [0, 0, 0, 0], Some(state));
        let (started, again) = (at(1, "started"), at(3, "started"));
        check(&started, &started, &[Up, UpAndReady]);
        check_after(
            &started,
            &again,
            &again,
            &[Up, UpAndReady, Restarted, RestartedAndReady],
        );
        for state in ["start", "stop"] {
            check(&started, &at(2, state), &[Down]);
        }
        check(&started, &unsupervised(started), &[Gone]);
    }

    #[test]
    fn failed_check_is_not_ready() {
        let at = |state| snapshot(1, 7, UP, Some(state));
        let first = at("ready");
        check(&first, &at("ready\ncheck=ok"), &[Up, UpAndReady]);
        check(&first, &at("ready\ncheck=failing"), &[Up]);
        check(&first, &at("ready\ncheck=2"), &[Up]);
    }

    #[test]
    fn failure_counts_after_first_snapshot() {
        let at = |seconds, pid, state| snapshot(seconds, pid, UP, Some(state));
        let (up, failed, again) = (at(1, 7, "up"), at(2, 0, "failed"), at(3, 0, "failed"));
        for condition in [Up, UpAndReady, Restarted, RestartedAndReady] {
            assert!(condition.has_failed(&up, &failed));
            assert!(condition.has_failed(&up, &unsupervised(failed)));
            assert!(condition.has_failed(&failed, &again));
            assert!(!condition.has_failed(&failed, &failed));
            assert!(!condition.has_failed(&unsupervised(failed), &failed));
            assert!(!condition.has_failed(&up, &at(2, 0, "delay")));
            // supervise has not renamed the record yet.
            assert!(!condition.has_failed(&up, &at(1, 7, "failed")));
            let mut earlier = at(1, 0, "start");
            earlier.record.as_mut().unwrap().state_file = failed.record.unwrap().state_file;
            assert!(condition.has_failed(&up, &earlier));
            assert!(!condition.has_failed(&earlier, &failed));
        }
        for condition in [Down, DownAndFinished, Gone] {
            assert!(!condition.has_failed(&up, &failed));
        }
    }

    #[test]
    fn state_file_older_than_record_is_ignored() {
        let old = snapshot(4, 7, UP, Some("starting"))
            .record
            .unwrap()
            .state_file;
        let record = [
            &Label::from_unix(5, 0).pack()[..],
            &7_i32.to_le_bytes(),
            b"\0u",
        ]
        .concat();
        let record = StatusRecord::decode(&record, old).unwrap();
        assert!(old.is_some() && record.state_file.is_none());
        assert_eq!(record.state(), ServiceState::Up);
    }

    #[test]
    fn finish_of_runsv_counts_as_down() {
        // At first, the process of `finish` does not exist yet.
        for pid in [0, 7] {
            let finish = snapshot(1, pid, [0, b'd', 0, 2], None);
            check(&finish, &finish, &[Down]);
        }
    }

    #[test]
    fn without_supervise_only_down_records_count() {
        let (up, down) = (snapshot(1, 7, UP, None), snapshot(2, 0, UP, None));
        check(&up, &unsupervised(up), &[Gone]);
        let gone = [Down, DownAndFinished, Gone];
        check(&up, &unsupervised(down), &gone);
        let never = ServiceSnapshot {
            supervised: false,
            record: None,
        };
        check(&never, &never, &gone);
    }
}
