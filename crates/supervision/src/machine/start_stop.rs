//! The scripts `start` and `stop` of a service under supervise -e, which run once
//! around its runs. Source: daemontools-encore, service-directory(5).

use std::time::Instant;

use daemontools_core::status::Want;
use nix::unistd::Pid;
use unix::wait::ExitStatus;

use super::{ChildProcess, Delayed, Down, Failed, Finish, Machine, Moment, Ruleset};
use super::{Script, StartStop, Up};

/// The states of a service outside its runs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outside {
    /// `start` runs.
    Starting {
        child: ChildProcess,
        /// Whether the command `d` came since.
        interrupted: bool,
        /// Whether a command to start the service came after it.
        start_pending: bool,
    },
    /// `start` has exited 0; `run` starts at this moment.
    Ready(Instant),
    /// `start` has exited 0, and there is no `run`.
    Started,
    /// `stop` starts at this moment.
    StopDue(Instant, StopReason),
    /// `stop` runs.
    Stopping(ChildProcess, StopReason),
}

/// The state before `stop`, and the commands since.
#[derive(Clone, Copy, Debug)]
pub(super) struct StopReason {
    /// Whether the service had failed.
    pub(super) failed: bool,
    /// Whether a command to start the service came since.
    pub(super) start_pending: bool,
}

/// The effect of `start`, which `stop` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preparation {
    /// Neither `start` nor `run` ran since the last `stop`.
    Absent,
    /// `start` has exited 0, or there is none.
    Done,
    /// `start` or the service has failed: `start` runs again before `run`.
    Failed,
}

impl Outside {
    pub(super) fn child(&self) -> Option<ChildProcess> {
        match *self {
            Outside::Starting { child, .. } | Outside::Stopping(child, _) => Some(child),
            Outside::Ready(_) | Outside::Started | Outside::StopDue(..) => None,
        }
    }

    pub(super) fn child_mut(&mut self) -> Option<&mut ChildProcess> {
        match self {
            Outside::Starting { child, .. } | Outside::Stopping(child, _) => Some(child),
            Outside::Ready(_) | Outside::Started | Outside::StopDue(..) => None,
        }
    }

    pub(super) fn next_start(&self) -> Option<(Instant, Script)> {
        match *self {
            Outside::Ready(moment) => Some((moment, Script::Run)),
            Outside::StopDue(moment, _) => Some((moment, Script::Stop)),
            Outside::Starting { .. } | Outside::Started | Outside::Stopping(..) => None,
        }
    }

    /// The script that runs.
    fn script(&self) -> Option<Script> {
        match self {
            Outside::Starting { .. } => Some(Script::Start),
            Outside::Stopping(..) => Some(Script::Stop),
            Outside::Ready(_) | Outside::Started | Outside::StopDue(..) => None,
        }
    }

    /// A command to start the service.
    pub(super) fn record_start_command(&mut self) {
        match self {
            Outside::Starting { start_pending, .. }
            | Outside::StopDue(_, StopReason { start_pending, .. })
            | Outside::Stopping(_, StopReason { start_pending, .. }) => *start_pending = true,
            Outside::Ready(_) | Outside::Started => {}
        }
    }
}

impl Machine {
    /// The script of this process: `run`, `start` or `stop`.
    pub(crate) fn script_of(&self, pid: Pid) -> Option<Script> {
        if self.child_pid() != Some(pid) {
            return None;
        }
        match &self.state {
            Up(_) => Some(Script::Run),
            StartStop(outside) => outside.script(),
            Down | Delayed(_) | Finish(..) | Failed => None,
        }
    }

    /// The script of [`Machine::next_start`], if it is due and may be missing.
    pub(crate) fn optional_script(&self, now: Moment) -> Option<Script> {
        let (moment, script) = self.next_start()?;
        let is_optional = match (script, &self.state) {
            (Script::Start | Script::Stop, _) | (Script::Run, StartStop(_)) => true,
            (Script::Run | Script::Finish(_) | Script::Check, _) => false,
        };
        (is_optional && moment <= now.instant).then_some(script)
    }

    /// The script of [`Machine::optional_script`] is missing.
    pub(crate) fn record_missing(&mut self, script: Script, now: Moment) {
        match (script, self.state) {
            (Script::Start, _) => self.preparation = Preparation::Done,
            (Script::Run, StartStop(_)) => {
                self.since = now.label;
                self.state = StartStop(Outside::Started);
            }
            (Script::Stop, StartStop(Outside::StopDue(_, reason))) => {
                if reason.failed && !reason.start_pending {
                    self.state = Failed;
                } else {
                    self.record_stopped(reason, now);
                }
            }
            (Script::Run | Script::Finish(_) | Script::Check | Script::Stop, _) => {}
        }
    }

    /// Whether `start` comes before the next `run`.
    pub(super) fn needs_start(&self) -> bool {
        match (self.ruleset, self.preparation) {
            (Ruleset::Extended, Preparation::Absent | Preparation::Failed) => true,
            (Ruleset::Extended, Preparation::Done)
            | (Ruleset::Supervise | Ruleset::Runsv(_), _) => false,
        }
    }

    pub(super) fn record_start_start(&mut self, pid: Pid, now: Moment) {
        (self.since, self.paused) = (now.label, false);
        self.preparation = Preparation::Failed;
        let kill_at = self.config.start_timeout.map(|time| now.instant + time);
        self.state = StartStop(Outside::Starting {
            child: ChildProcess { pid, kill_at },
            interrupted: false,
            start_pending: false,
        });
    }

    pub(super) fn record_stop_start(&mut self, pid: Pid) {
        self.paused = false;
        if let StartStop(Outside::StopDue(_, reason)) = self.state {
            let child = ChildProcess { pid, kill_at: None };
            self.state = StartStop(Outside::Stopping(child, reason));
        }
    }

    /// `start` or `stop` has exited.
    pub(super) fn record_outside_exit(
        &mut self,
        outside: Outside,
        status: ExitStatus,
        now: Moment,
    ) {
        match outside {
            Outside::Starting {
                interrupted,
                start_pending,
                ..
            } => {
                self.since = now.label;
                if interrupted || self.want == Want::Down || self.exit_requested {
                    self.begin_stop(start_pending, now);
                } else if status.code() == Some(0) {
                    self.preparation = Preparation::Done;
                    self.state = StartStop(Outside::Ready(now.instant));
                } else {
                    self.last_exit = Some(status);
                    self.fail();
                }
            }
            Outside::Stopping(_, reason) => self.record_stopped(reason, now),
            Outside::Ready(_) | Outside::Started | Outside::StopDue(..) => {}
        }
    }

    fn record_stopped(&mut self, reason: StopReason, now: Moment) {
        self.preparation = Preparation::Absent;
        self.record_down(reason.start_pending, now);
    }

    /// Starts `stop` unless it has run since the last `start` and `run`. Returns
    /// whether it starts.
    pub(super) fn begin_stop(&mut self, start_pending: bool, now: Moment) -> bool {
        match (self.ruleset, self.preparation) {
            (Ruleset::Supervise | Ruleset::Runsv(_), _)
            | (Ruleset::Extended, Preparation::Absent) => return false,
            (Ruleset::Extended, Preparation::Done | Preparation::Failed) => {}
        }
        let failed = match self.state {
            Failed => true,
            Down | Delayed(_) | Up(_) | Finish(..) | StartStop(_) => false,
        };
        let reason = StopReason {
            failed,
            start_pending,
        };
        self.state = StartStop(Outside::StopDue(now.instant, reason));
        true
    }

    /// The effect of the commands `d` and `x` on a service that does not run.
    /// Only `d` ends a service that consists of `start`.
    pub(super) fn leave_outside(&mut self, is_down: bool, now: Moment) {
        match &mut self.state {
            StartStop(Outside::Starting {
                interrupted,
                start_pending,
                child,
            }) => {
                if is_down {
                    (*interrupted, *start_pending) = (true, false);
                    let kill_at = self.config.kill_timeout.map(|time| now.instant + time);
                    child.kill_at = child.kill_at.into_iter().chain(kill_at).min();
                }
            }
            StartStop(Outside::Started) => {
                if is_down {
                    self.since = now.label;
                    self.begin_stop(false, now);
                }
            }
            // Without `d`, only the exit of supervise prevents the start.
            Delayed(_) => {
                self.begin_stop(!is_down, now);
            }
            StartStop(Outside::Ready(_)) | Failed => {
                self.begin_stop(false, now);
            }
            StartStop(Outside::StopDue(..) | Outside::Stopping(..)) | Down | Up(_) | Finish(..) => {
            }
        }
    }
}
