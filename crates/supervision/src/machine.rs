//! One service as a state machine without I/O: events and the time
//! go in; the steps of a command, and the next start, come out.
//!
//! The families of programs share the machine. Where they differ, a match on the
//! [`Ruleset`] decides.

mod check;
mod command;
mod exit_request;
mod restart;
mod script;
mod start_stop;
mod view;

use std::time::{Duration, Instant};

use daemontools_core::control::{Command, SignalTarget};
use daemontools_core::label::Label;
use daemontools_core::status::Want;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use unix::wait::ExitStatus;

use crate::Role;

use check::Checks;
pub(crate) use check::{CheckConfig, CheckEvent, CheckReport};
pub(crate) use command::CommandStep;
use exit_request::ExitRequest;
pub(crate) use restart::{Backoff, RestartConfig, RestartLimit};
use restart::{ExitFacts, RestartHistory};
pub(crate) use script::Script;
use start_stop::{Outside, Preparation};

/// The least time between two starts of a service.
const MIN_RESTART_INTERVAL: Duration = Duration::from_secs(1);

/// The exit code of `finish` for a service that has failed, as in s6.
const PERMANENT_FAILURE: i32 = 125;

/// The rules of a family of programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ruleset {
    Supervise,
    /// supervise -e: `finish` runs after `run`, the service has a
    /// [`RestartConfig`], and may be ready or have failed.
    Extended,
    /// runsv: `finish` runs after `run`, programs in `control` replace signals,
    /// and `x` stops the service first. The logger has neither of the programs,
    /// and ignores `x`.
    Runsv(Role),
}

impl Ruleset {
    /// Decodes a byte of `control`; None if the family ignores it.
    pub(crate) fn decode(self, byte: u8) -> Option<Command> {
        match self {
            Ruleset::Supervise | Ruleset::Extended => Command::from_byte(byte),
            Ruleset::Runsv(_) => Command::from_byte_for_runsv(byte),
        }
    }

    /// The time between two attempts to fork.
    pub(crate) fn fork_retry_interval(self) -> Duration {
        match self {
            Ruleset::Supervise | Ruleset::Extended => Duration::from_secs(60),
            Ruleset::Runsv(_) => Duration::from_secs(5),
        }
    }
}

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Monotonic, for deadlines: setting the system's clock does not shift
    /// them.
    pub instant: Instant,
    /// The system's clock, for status records.
    pub label: Label,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Moment {
            instant: Instant::now(),
            label: Label::now(),
        }
    }

    fn after(self, duration: Duration) -> Self {
        Moment {
            instant: self.instant + duration,
            label: self.label.after(duration),
        }
    }
}

/// The exit of a `run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunExit {
    pub pid: Pid,
    pub status: ExitStatus,
}

#[allow(clippy::large_enum_variant, reason = "a machine has one state")]
#[derive(Clone, Copy, Debug)]
enum RunState {
    /// Not running; the next start needs a command.
    Down,
    /// Not running; the start is due at this moment.
    Delayed(Moment),
    /// `run` runs.
    Up(Run),
    /// `run` has exited, `finish` has not. The flag: whether a command to start
    /// the service came since.
    Finish(Cleanup, bool),
    /// `start` or `stop` runs or is due, or `start` stands for `run`.
    StartStop(Outside),
    /// Failed; the next start needs a command.
    Failed,
}

use RunState::{Delayed, Down, Failed, Finish, StartStop, Up};

#[derive(Clone, Copy, Debug)]
struct ChildProcess {
    pid: Pid,
    /// The moment of KILL.
    kill_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    child: ChildProcess,
    readiness: Readiness,
    /// Whether TERM was sent.
    got_term: bool,
    exit_request: ExitRequest,
    /// None: the service has no check.
    checks: Option<Checks>,
}

#[derive(Clone, Copy, Debug)]
enum Readiness {
    /// The service does not report its readiness.
    Unused,
    Pending,
    ReadySince(Label),
}

#[derive(Clone, Copy, Debug)]
enum Cleanup {
    Due(Instant, RunExit),
    Running(ChildProcess),
    /// As [`Cleanup::Running`]; after `k`, runsv exits without waiting.
    GivenUp(ChildProcess),
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Machine {
    ruleset: Ruleset,
    state: RunState,
    preparation: Preparation,
    /// The process of `check`. It may outlive its run by a moment.
    check: Option<ChildProcess>,
    want: Want,
    exit_requested: bool,
    paused: bool,
    last_start: Option<Instant>,
    /// The earliest moment of the next start.
    not_before: Instant,
    /// The moment in the status record.
    since: Label,
    config: RestartConfig,
    history: RestartHistory,
    starts: u64,
    last_exit: Option<ExitStatus>,
}

impl Machine {
    /// A service that is down. If `want` is up, its start is due at once.
    pub(crate) fn new(ruleset: Ruleset, want: Want, now: Moment) -> Self {
        let state = match want {
            Want::Up => Delayed(now),
            Want::Down | Want::Once => Down,
        };
        Machine {
            ruleset,
            state,
            preparation: Preparation::Absent,
            check: None,
            want,
            exit_requested: false,
            paused: false,
            last_start: None,
            not_before: now.instant,
            since: now.label,
            config: RestartConfig::default(),
            history: RestartHistory::new(ruleset),
            starts: 0,
            last_exit: None,
        }
    }

    pub(crate) fn set_config(&mut self, config: RestartConfig) {
        self.config = config;
    }

    pub(crate) fn ruleset(&self) -> Ruleset {
        self.ruleset
    }

    pub(crate) fn run_pid(&self) -> Option<Pid> {
        match self.state {
            Up(run) => Some(run.child.pid),
            Down | Delayed(_) | Finish(..) | StartStop(_) | Failed => None,
        }
    }

    /// The process of `run`, `finish`, `start` or `stop`, if one of them runs.
    pub(crate) fn child_pid(&self) -> Option<Pid> {
        self.child().map(|child| child.pid)
    }

    fn child(&self) -> Option<ChildProcess> {
        match self.state {
            Up(run) => Some(run.child),
            Finish(Cleanup::Running(child) | Cleanup::GivenUp(child), _) => Some(child),
            StartStop(outside) => outside.child(),
            Finish(Cleanup::Due(..), _) | Down | Delayed(_) | Failed => None,
        }
    }

    /// The next moment of a start or of a KILL.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let start = self.next_start().map(|(moment, _)| moment);
        let children = self.child().into_iter().chain(self.check);
        let kills = children.filter_map(|child| child.kill_at);
        start.into_iter().chain(kills).min()
    }

    /// A process whose timeout has expired, and the target of its KILL, once.
    pub(crate) fn take_expired_kill(&mut self, now: Moment) -> Option<(Pid, SignalTarget)> {
        let has_expired = |moment: &mut Instant| *moment <= now.instant;
        if let Some(check) = &mut self.check {
            if check.kill_at.take_if(has_expired).is_some() {
                return Some((check.pid, SignalTarget::ProcessGroup));
            }
        }
        let (child, target) = match &mut self.state {
            Up(run) => (&mut run.child, SignalTarget::Process),
            Finish(Cleanup::Running(child) | Cleanup::GivenUp(child), _) => {
                (child, SignalTarget::Process)
            }
            StartStop(outside) => (outside.child_mut()?, SignalTarget::ProcessGroup),
            Finish(Cleanup::Due(..), _) | Down | Delayed(_) | Failed => return None,
        };
        child.kill_at.take_if(has_expired)?;
        Some((child.pid, target))
    }

    /// Whether supervision ends when the service is down.
    pub(crate) fn exit_requested(&self) -> bool {
        self.exit_requested
    }

    /// Whether supervision ends now.
    pub(crate) fn should_exit(&self) -> bool {
        match self.state {
            Down | Delayed(_) | Failed | Finish(Cleanup::GivenUp(_), _) => self.exit_requested,
            Up(_) | Finish(Cleanup::Due(..) | Cleanup::Running(_), _) | StartStop(_) => false,
        }
    }

    /// Whether commands have stopped the service and requested the exit.
    pub(crate) fn is_stopping(&self) -> bool {
        self.exit_requested && self.want == Want::Down
    }

    /// Supervision ends with the current run, which no command stops.
    pub(crate) fn request_exit_after_run(&mut self, now: Moment) {
        self.exit_requested = true;
        self.leave_outside(false, now);
    }

    /// Supervision ends with the current run.
    pub(crate) fn request_exit(&mut self) {
        (self.want, self.exit_requested) = (Want::Down, true);
    }

    /// The service has reported that it is ready.
    pub(crate) fn record_readiness(&mut self, now: Moment) {
        if let Up(Run { readiness, .. }) = &mut self.state {
            match readiness {
                Readiness::Pending => *readiness = Readiness::ReadySince(now.label),
                Readiness::Unused | Readiness::ReadySince(_) => {}
            }
        }
    }

    /// The caller has sent a signal of a command.
    pub(crate) fn record_signal(&mut self, signal: Signal, now: Moment) {
        if let Up(run) = &mut self.state {
            run.got_term |= signal == Signal::SIGTERM;
            let down_signal = self.config.down_signal;
            run.exit_request = run.exit_request.after(signal, down_signal, now.instant);
            match run.exit_request {
                ExitRequest::Definite => self.end_checks(now),
                ExitRequest::Absent | ExitRequest::Signals { .. } => {}
            }
        }
    }

    /// A process has exited. If it was `run`, `has_finish` decides whether
    /// `finish` is started; other processes are ignored.
    pub(crate) fn record_exit(
        &mut self,
        pid: Pid,
        status: ExitStatus,
        has_finish: bool,
        now: Moment,
    ) {
        if self.child_pid() != Some(pid) {
            return;
        }
        match self.state {
            Up(run) => {
                self.end_checks(now);
                self.last_exit = Some(status);
                match self.ruleset {
                    Ruleset::Extended => self.delay_restart(&run, status, now),
                    Ruleset::Supervise | Ruleset::Runsv(_) => {}
                }
                if has_finish {
                    let exit = RunExit { pid, status };
                    self.state = Finish(Cleanup::Due(now.instant, exit), false);
                } else {
                    self.record_down(false, now);
                }
            }
            Finish(_, start_pending) => {
                let may_fail = match self.ruleset {
                    // A service that a command stops has not failed.
                    Ruleset::Extended => self.want != Want::Down,
                    Ruleset::Supervise | Ruleset::Runsv(_) => false,
                };
                if may_fail && status.code() == Some(PERMANENT_FAILURE) {
                    self.fail();
                } else {
                    self.record_down(start_pending, now);
                }
            }
            StartStop(outside) => self.record_outside_exit(outside, status, now),
            Down | Delayed(_) | Failed => {}
        }
    }

    fn delay_restart(&mut self, run: &Run, status: ExitStatus, now: Moment) {
        (self.since, self.paused) = (now.label, false);
        let exit = ExitFacts {
            was_ready: match run.readiness {
                Readiness::ReadySince(_) => true,
                Readiness::Unused | Readiness::Pending => false,
            },
            uptime: self.last_start.map(|start| now.instant - start),
            requested: run.exit_request.covers(status, now.instant),
        };
        let delay = self.history.record_exit(&self.config, exit, now.instant);
        if let Some(delay) = delay {
            self.not_before = self.not_before.max(now.instant + delay);
        }
    }

    fn fail(&mut self) {
        (self.state, self.want) = (Failed, Want::Down);
        if self.preparation == Preparation::Done {
            self.preparation = Preparation::Failed;
        }
    }

    /// The last script of the service has exited.
    fn record_down(&mut self, start_pending: bool, now: Moment) {
        self.state = Down;
        let starts_again = match self.want {
            Want::Up => true,
            Want::Once => start_pending,
            Want::Down => false,
        };
        if (self.exit_requested || !starts_again) && self.begin_stop(start_pending, now) {
            return;
        }
        match self.ruleset {
            Ruleset::Supervise => (self.since, self.paused) = (now.label, false),
            // The record counts from the exit of `run`.
            Ruleset::Extended => {}
            Ruleset::Runsv(_) => {
                self.since = now.label;
                // After a short run, runsv waits from now on, not from the
                // last start.
                let earliest = self.last_start.map(|start| start + MIN_RESTART_INTERVAL);
                self.not_before = now.instant;
                if earliest > Some(now.instant) {
                    self.not_before += MIN_RESTART_INTERVAL;
                }
            }
        }
        match self.want {
            Want::Up if self.history.exceeds(self.config.limit) => self.fail(),
            Want::Up => self.schedule_start(now),
            Want::Once if start_pending => self.schedule_start(now),
            Want::Down | Want::Once => {}
        }
    }

    fn schedule_start(&mut self, now: Moment) {
        match self.state {
            Down => {
                let delay = self.not_before.saturating_duration_since(now.instant);
                self.state = Delayed(now.after(delay));
            }
            Delayed(_) | Up(_) | Finish(..) | StartStop(_) | Failed => {}
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
