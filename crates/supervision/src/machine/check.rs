//! The checks of a service under supervise -e: when `check` runs, and the effect
//! of its result. Source: service-directory(5).

use std::time::{Duration, Instant};

use daemontools_core::state::CheckResult;
use nix::unistd::Pid;
use unix::wait::ExitStatus;

use super::{ChildProcess, Delayed, Down, Failed, Finish, Machine, Moment, Run, StartStop, Up};

/// The settings of `check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CheckConfig {
    /// The time from the start of the service, or from the end of a check, to
    /// the next check.
    pub interval: Duration,
    /// The time from the start of a check to KILL. Default: no KILL.
    pub timeout: Option<Duration>,
    /// The number of failures in a row that stop the service. 0 disables the
    /// limit.
    pub failures: u64,
    /// Whether the first success makes the service ready.
    pub reports_readiness: bool,
}

/// The event of a check, for `notify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckEvent {
    /// The first success, or the first one after a failure.
    Ok,
    /// The first failure, or the first one after a success.
    Failing,
    /// The last failure that `check-failures` allows. The service has to stop.
    Stop,
}

/// An event of the checks of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CheckReport {
    pub event: CheckEvent,
    /// The process of `run`.
    pub run: Pid,
    /// The number of failures since the last success.
    pub failures: u64,
}

/// The checks of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checks {
    config: CheckConfig,
    phase: Phase,
    /// Since the last success.
    pub(super) failures: u64,
    pub(super) result: Option<CheckResult>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The next check is due at this moment.
    Waiting(Instant),
    /// The result of the running check counts.
    Running,
    /// The service is paused.
    Paused,
    /// A signal to exit was sent.
    Over,
}

impl Checks {
    pub(super) fn new(config: CheckConfig, now: Moment) -> Self {
        Checks {
            config,
            phase: Phase::Waiting(now.instant + config.interval),
            failures: 0,
            result: None,
        }
    }

    /// A number for the phase, and the moment of the next check.
    #[cfg(test)]
    pub(super) fn phase(&self) -> (u8, Option<Instant>) {
        match self.phase {
            Phase::Waiting(moment) => (0, Some(moment)),
            Phase::Running => (1, None),
            Phase::Paused => (2, None),
            Phase::Over => (3, None),
        }
    }

    fn schedule(&mut self, now: Moment) {
        self.phase = Phase::Waiting(now.instant + self.config.interval);
    }

    /// Records a result. Returns the event, if any.
    fn record(&mut self, status: ExitStatus, now: Moment) -> Option<CheckEvent> {
        self.schedule(now);
        let has_failed = status.code() != Some(0);
        let has_changed = self.result.map(CheckResult::is_failure) != Some(has_failed);
        if !has_failed {
            self.failures = 0;
            self.result = Some(CheckResult::Ok);
            return has_changed.then_some(CheckEvent::Ok);
        }
        self.failures = self.failures.saturating_add(1);
        if self.config.failures == 0 {
            self.result = Some(CheckResult::Failing);
        } else {
            self.result = Some(CheckResult::Failures(self.failures));
            if self.failures >= self.config.failures {
                self.phase = Phase::Over;
                return Some(CheckEvent::Stop);
            }
        }
        has_changed.then_some(CheckEvent::Failing)
    }
}

impl Machine {
    /// The moment of the next check. None while the process of an earlier one
    /// lives.
    pub(super) fn next_check(&self, run: &Run) -> Option<Instant> {
        match (run.checks?.phase, self.check) {
            (Phase::Waiting(moment), None) => Some(moment),
            (Phase::Waiting(_), Some(_)) | (Phase::Running | Phase::Paused | Phase::Over, _) => {
                None
            }
        }
    }

    pub(super) fn record_check_start(&mut self, pid: Pid, now: Moment) {
        if let Some(checks) = self.checks_mut() {
            let timeout = checks.config.timeout;
            checks.phase = Phase::Running;
            let kill_at = timeout.map(|time| now.instant + time);
            self.check = Some(ChildProcess { pid, kill_at });
        }
    }

    /// The caller could not start `check`. The next attempt comes after the
    /// interval, and no result counts.
    pub(super) fn record_failed_check(&mut self, now: Moment) {
        if let Some(checks) = self.checks_mut() {
            checks.schedule(now);
        }
    }

    /// A `check` has exited. Returns the event for the caller: after
    /// [`CheckEvent::Stop`], it sends TERM to the run. Other processes are
    /// ignored, and so is the result of a cancelled check.
    pub(crate) fn record_check_exit(
        &mut self,
        pid: Pid,
        status: ExitStatus,
        now: Moment,
    ) -> Option<CheckReport> {
        self.check.take_if(|check| check.pid == pid)?;
        let kill_timeout = self.config.kill_timeout;
        let Up(run) = &mut self.state else {
            return None;
        };
        let checks = run.checks.as_mut()?;
        match checks.phase {
            Phase::Running => {}
            Phase::Waiting(_) | Phase::Paused | Phase::Over => return None,
        }
        let event = checks.record(status, now);
        let report = event.map(|event| CheckReport {
            event,
            run: run.child.pid,
            failures: checks.failures,
        });
        if event == Some(CheckEvent::Stop) {
            let kill_at = kill_timeout.map(|time| now.instant + time);
            run.child.kill_at = run.child.kill_at.or(kill_at);
        }
        if checks.result == Some(CheckResult::Ok) && checks.config.reports_readiness {
            self.record_readiness(now);
        }
        report
    }

    /// The service is paused: no check could succeed.
    pub(super) fn pause_checks(&mut self, now: Moment) {
        self.leave_check(Phase::Paused, now);
    }

    /// The service continues. The next check comes after the interval.
    pub(super) fn resume_checks(&mut self, now: Moment) {
        if let Some(checks) = self.checks_mut() {
            match checks.phase {
                Phase::Paused => checks.schedule(now),
                Phase::Waiting(_) | Phase::Running | Phase::Over => {}
            }
        }
    }

    /// The service stops: no further check starts during this run. A failure in
    /// a shutdown would send a second TERM.
    pub(super) fn end_checks(&mut self, now: Moment) {
        self.leave_check(Phase::Over, now);
    }

    /// A running check is killed at once: its result no longer counts.
    fn leave_check(&mut self, phase: Phase, now: Moment) {
        let Some(checks) = self.checks_mut() else {
            return;
        };
        let was_running = match checks.phase {
            Phase::Running => true,
            Phase::Waiting(_) | Phase::Paused => false,
            Phase::Over => return,
        };
        checks.phase = phase;
        if let Some(check) = self.check.as_mut().filter(|_| was_running) {
            check.kill_at = Some(now.instant);
        }
    }

    fn checks_mut(&mut self) -> Option<&mut Checks> {
        match &mut self.state {
            Up(run) => run.checks.as_mut(),
            Down | Delayed(_) | Finish(..) | StartStop(_) | Failed => None,
        }
    }
}
