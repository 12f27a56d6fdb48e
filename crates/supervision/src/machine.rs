//! The life of one service as a state machine without I/O: events and the time
//! go in; the steps of a command, and the next start, come out.
//!
//! All families of programs share the machine. Where they differ, a match on
//! the [`Ruleset`] decides.

mod restart;

use std::time::{Duration, Instant};

use daemontools_core::control::Command;
use daemontools_core::label::Label;
use daemontools_core::runsv::RunsvStatus;
use daemontools_core::state::{ServiceState, StateFile};
use daemontools_core::status::{Status, Want};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use unix::wait::ExitStatus;

use crate::role::Role;

use restart::RestartHistory;
pub use restart::{Backoff, RestartConfig, RestartLimit};

/// The least time between two starts of a service.
const MIN_RESTART_INTERVAL: Duration = Duration::from_secs(1);

/// The exit code by which `finish` declares that the service has failed, as in
/// s6.
const PERMANENT_FAILURE: i32 = 125;

/// The rules of a family of programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruleset {
    /// supervise.
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
    #[must_use]
    pub fn decode(self, byte: u8) -> Option<Command> {
        match self {
            Ruleset::Supervise | Ruleset::Extended => Command::from_byte(byte),
            Ruleset::Runsv(_) => Command::from_byte_for_runsv(byte),
        }
    }

    /// The time between two attempts to fork.
    fn fork_retry_interval(self) -> Duration {
        match self {
            Ruleset::Supervise | Ruleset::Extended => Duration::from_secs(60),
            Ruleset::Runsv(_) => Duration::from_secs(5),
        }
    }
}

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Monotonic, for deadlines: setting the system's clock does not shift
    /// them.
    pub instant: Instant,
    /// The system's clock, for status records.
    pub label: Label,
}

impl Moment {
    /// The current time.
    #[must_use]
    pub fn now() -> Self {
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

/// A program to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// `run`.
    Run,
    /// `finish`, after this exit of `run`.
    Finish(RunExit),
}

/// The exit of a `run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunExit {
    /// The process.
    pub pid: Pid,
    /// Its exit status.
    pub status: ExitStatus,
}

/// A step of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandStep {
    /// Sends a signal to the service.
    Signal(Signal),
    /// Runs the program `control/LETTER`. Unless there is one and it exits 0,
    /// sends the signal, if any.
    Program {
        /// The name of the program.
        letter: u8,
        /// The signal that the program replaces.
        otherwise: Option<Signal>,
    },
}

/// The steps of a command, in order.
pub type CommandSteps = std::iter::Flatten<std::array::IntoIter<Option<CommandStep>, 3>>;

const NO_STEPS: [Option<CommandStep>; 3] = [None; 3];

#[derive(Clone, Copy, Debug)]
enum RunState {
    /// Not running; the next start needs a command.
    Down,
    /// Not running; the start is due at this moment.
    Delayed(Moment),
    /// `run` runs.
    Up(Run),
    /// `run` has exited, `finish` has not.
    Finish {
        step: FinishStep,
        /// Whether a command to start the service came since.
        start_pending: bool,
    },
    /// Failed; the next start needs a command.
    Failed,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    pid: Pid,
    readiness: Readiness,
    /// Whether TERM was sent.
    got_term: bool,
    /// The moment of KILL.
    kill_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Readiness {
    /// The service does not report its readiness.
    Unused,
    Pending,
    ReadySince(Label),
}

#[derive(Clone, Copy, Debug)]
enum FinishStep {
    Due(Instant, RunExit),
    Running {
        pid: Pid,
        /// The moment of KILL.
        kill_at: Option<Instant>,
        /// After `k`, runsv can exit before `finish` does.
        given_up: bool,
    },
}

/// One service under supervision.
#[derive(Debug)]
pub struct Machine {
    ruleset: Ruleset,
    state: RunState,
    want: Want,
    exit_requested: bool,
    paused: bool,
    /// The last start of `run`.
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
    #[must_use]
    pub fn new(ruleset: Ruleset, want: Want, now: Moment) -> Self {
        let state = match want {
            Want::Up => RunState::Delayed(now),
            Want::Down | Want::Once => RunState::Down,
        };
        Machine {
            ruleset,
            state,
            want,
            exit_requested: false,
            paused: false,
            last_start: None,
            not_before: now.instant,
            since: now.label,
            config: RestartConfig::default(),
            history: RestartHistory::default(),
            starts: 0,
            last_exit: None,
        }
    }

    /// Replaces the settings.
    pub fn set_config(&mut self, config: RestartConfig) {
        self.config = config;
    }

    /// The rules of its family.
    #[must_use]
    pub fn ruleset(&self) -> Ruleset {
        self.ruleset
    }

    /// The content of the status record.
    #[must_use]
    pub fn report(&self) -> RunsvStatus {
        let state = match self.state {
            RunState::Down | RunState::Delayed(_) | RunState::Failed => ServiceState::Down,
            RunState::Up(_) => ServiceState::Up,
            RunState::Finish { .. } => ServiceState::Finish,
        };
        let pid = match self.ruleset {
            Ruleset::Supervise | Ruleset::Extended => self.run_pid(),
            Ruleset::Runsv(_) => self.child_pid(),
        };
        RunsvStatus {
            status: Status {
                since: self.since,
                pid,
                paused: self.paused,
                want: self.want,
            },
            got_term: match self.state {
                RunState::Up(run) => run.got_term,
                RunState::Down
                | RunState::Delayed(_)
                | RunState::Finish { .. }
                | RunState::Failed => false,
            },
            state: Some(state),
        }
    }

    /// The content of the file `state` of supervise -e.
    #[must_use]
    pub fn state_file(&self) -> StateFile {
        let (mut ready_since, mut next_start) = (None, None);
        let state = match self.state {
            RunState::Down => ServiceState::Down,
            RunState::Delayed(moment) => {
                next_start = Some(moment.label);
                ServiceState::Delay
            }
            RunState::Up(run) => match run.readiness {
                Readiness::Unused => ServiceState::Up,
                Readiness::Pending => ServiceState::Starting,
                Readiness::ReadySince(label) => {
                    ready_since = Some(label);
                    ServiceState::Ready
                }
            },
            RunState::Finish { .. } => ServiceState::Finish,
            RunState::Failed => ServiceState::Failed,
        };
        let code = self.last_exit.and_then(ExitStatus::code);
        StateFile {
            state,
            pid: self.run_pid(),
            since: Some(self.since),
            ready_since,
            restarts: Some(self.starts.saturating_sub(1)),
            exit_code: code.and_then(|code| u8::try_from(code).ok()),
            signal: self.last_exit.and_then(ExitStatus::signal),
            next_start,
        }
    }

    /// The process of `run`, if it runs.
    #[must_use]
    pub fn run_pid(&self) -> Option<Pid> {
        match self.state {
            RunState::Up(run) => Some(run.pid),
            RunState::Down | RunState::Delayed(_) | RunState::Finish { .. } | RunState::Failed => {
                None
            }
        }
    }

    /// The process of `run` or of `finish`, if either runs.
    #[must_use]
    pub fn child_pid(&self) -> Option<Pid> {
        self.child().map(|(pid, _)| pid)
    }

    /// That process and the moment of its KILL.
    fn child(&self) -> Option<(Pid, Option<Instant>)> {
        match self.state {
            RunState::Up(Run { pid, kill_at, .. })
            | RunState::Finish {
                step: FinishStep::Running { pid, kill_at, .. },
                ..
            } => Some((pid, kill_at)),
            RunState::Finish {
                step: FinishStep::Due(..),
                ..
            }
            | RunState::Down
            | RunState::Delayed(_)
            | RunState::Failed => None,
        }
    }

    /// The next moment of a start or of a KILL.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let start = self.next_start().map(|(moment, _)| moment);
        let kill = self.child().and_then(|(_, kill_at)| kill_at);
        start.into_iter().chain(kill).min()
    }

    /// The process whose timeout has expired, once.
    pub fn take_expired_kill(&mut self, now: Moment) -> Option<Pid> {
        match &mut self.state {
            RunState::Up(Run { pid, kill_at, .. })
            | RunState::Finish {
                step: FinishStep::Running { pid, kill_at, .. },
                ..
            } => kill_at
                .take_if(|moment| *moment <= now.instant)
                .map(|_| *pid),
            RunState::Finish {
                step: FinishStep::Due(..),
                ..
            }
            | RunState::Down
            | RunState::Delayed(_)
            | RunState::Failed => None,
        }
    }

    /// The service reported that it is ready.
    pub fn record_readiness(&mut self, now: Moment) {
        match &mut self.state {
            RunState::Up(run) => match run.readiness {
                Readiness::Pending => run.readiness = Readiness::ReadySince(now.label),
                Readiness::Unused | Readiness::ReadySince(_) => {}
            },
            RunState::Down | RunState::Delayed(_) | RunState::Finish { .. } | RunState::Failed => {}
        }
    }

    /// The next start and its moment.
    #[must_use]
    pub fn next_start(&self) -> Option<(Instant, Start)> {
        match self.state {
            RunState::Delayed(_) if self.exit_requested => None,
            RunState::Delayed(moment) => Some((moment.instant, Start::Run)),
            RunState::Finish {
                step: FinishStep::Due(moment, exit),
                ..
            } => Some((moment, Start::Finish(exit))),
            RunState::Finish {
                step: FinishStep::Running { .. },
                ..
            }
            | RunState::Down
            | RunState::Up(_)
            | RunState::Failed => None,
        }
    }

    /// Whether supervision ends when the service is down.
    #[must_use]
    pub fn exit_requested(&self) -> bool {
        self.exit_requested
    }

    /// Whether supervision ends now.
    #[must_use]
    pub fn should_exit(&self) -> bool {
        self.exit_requested
            && match self.state {
                RunState::Down | RunState::Delayed(_) | RunState::Failed => true,
                RunState::Finish {
                    step: FinishStep::Running { given_up, .. },
                    ..
                } => given_up,
                RunState::Finish {
                    step: FinishStep::Due(..),
                    ..
                }
                | RunState::Up(_) => false,
            }
    }

    /// Supervision ends with the current run.
    pub fn request_exit(&mut self) {
        (self.want, self.exit_requested) = (Want::Down, true);
    }

    /// Changes the state as a command asks; returns the steps that the caller
    /// takes. There are none unless `run` runs.
    pub fn command(&mut self, command: Command, now: Moment) -> CommandSteps {
        let steps = match self.ruleset {
            Ruleset::Supervise | Ruleset::Extended => self.obey_as_supervise(command, now),
            Ruleset::Runsv(role) => self.obey_as_runsv(role, command, now),
        };
        let steps = match self.state {
            RunState::Up(_) => steps,
            RunState::Down | RunState::Delayed(_) | RunState::Finish { .. } | RunState::Failed => {
                NO_STEPS
            }
        };
        steps.into_iter().flatten()
    }

    fn obey_as_supervise(&mut self, command: Command, now: Moment) -> [Option<CommandStep>; 3] {
        let send = |signal| Some(CommandStep::Signal(signal));
        match command {
            Command::Up => {
                self.start_on_command(Want::Up, now);
                NO_STEPS
            }
            Command::Once => {
                self.start_on_command(Want::Once, now);
                NO_STEPS
            }
            Command::Exit => {
                self.exit_requested = true;
                if self.config.exit_implies_down && self.want != Want::Down {
                    self.obey_as_supervise(Command::Down, now)
                } else {
                    NO_STEPS
                }
            }
            Command::Down => {
                (self.want, self.paused) = (Want::Down, false);
                match &mut self.state {
                    RunState::Delayed(_) => self.state = RunState::Down,
                    RunState::Up(run) => {
                        let timeout = self.config.kill_timeout.map(|time| now.instant + time);
                        run.kill_at = run.kill_at.or(timeout);
                    }
                    RunState::Finish { start_pending, .. } => *start_pending = false,
                    RunState::Down | RunState::Failed => {}
                }
                [send(self.config.down_signal), send(Signal::SIGCONT), None]
            }
            Command::Pause => {
                self.paused = self.run_pid().is_some();
                [send(Signal::SIGSTOP), None, None]
            }
            Command::Continue => {
                self.paused = false;
                [send(Signal::SIGCONT), None, None]
            }
            Command::Terminate => [send(Signal::SIGTERM), None, None],
            Command::Kill => [send(Signal::SIGKILL), None, None],
            Command::Send(signal) => [send(signal), None, None],
            // The caller, which sends the signals, keeps their target.
            Command::Target(_) => NO_STEPS,
        }
    }

    fn obey_as_runsv(
        &mut self,
        role: Role,
        command: Command,
        now: Moment,
    ) -> [Option<CommandStep>; 3] {
        let send = |signal| {
            Some(match (role, command.letter()) {
                (Role::Service, Some(letter)) => CommandStep::Program {
                    letter,
                    otherwise: Some(signal),
                },
                (Role::Service, None) | (Role::Logger, _) => CommandStep::Signal(signal),
            })
        };
        match command {
            Command::Up => {
                (self.want, self.exit_requested) = (Want::Up, false);
                self.schedule_start(now);
                NO_STEPS
            }
            Command::Once => {
                (self.want, self.exit_requested) = (Want::Down, false);
                self.schedule_start(now);
                NO_STEPS
            }
            Command::Down => {
                (self.want, self.exit_requested) = (Want::Down, false);
                self.cancel_start();
                self.steps_to_stop(role)
            }
            Command::Exit => match role {
                Role::Service => {
                    self.request_exit();
                    self.cancel_start();
                    self.steps_to_stop(role)
                }
                Role::Logger => NO_STEPS,
            },
            Command::Terminate => self.steps_to_stop(role),
            Command::Kill => {
                if let RunState::Finish {
                    step: FinishStep::Running { given_up, .. },
                    ..
                } = &mut self.state
                {
                    *given_up = true;
                }
                [send(Signal::SIGKILL), None, None]
            }
            Command::Pause => {
                self.paused = true;
                [send(Signal::SIGSTOP), None, None]
            }
            Command::Continue => {
                self.paused = false;
                [send(Signal::SIGCONT), None, None]
            }
            Command::Send(signal) => [send(signal), None, None],
            Command::Target(_) => NO_STEPS,
        }
    }

    /// How runsv stops a service: TERM and, unless it is wanted up, CONT and
    /// the program for `d` or `x`.
    fn steps_to_stop(&self, role: Role) -> [Option<CommandStep>; 3] {
        let step = |letter, otherwise| match role {
            Role::Service => Some(CommandStep::Program { letter, otherwise }),
            Role::Logger => otherwise.map(CommandStep::Signal),
        };
        let terminate = step(b't', Some(Signal::SIGTERM));
        let letter = match self.want {
            Want::Up => return [terminate, None, None],
            Want::Down | Want::Once if self.exit_requested => b'x',
            Want::Down | Want::Once => b'd',
        };
        let continued = Some(CommandStep::Signal(Signal::SIGCONT));
        [terminate, continued, step(letter, None)]
    }

    /// The caller has sent a signal.
    pub fn record_signal(&mut self, signal: Signal) {
        if let RunState::Up(run) = &mut self.state {
            run.got_term |= signal == Signal::SIGTERM;
        }
    }

    /// The caller has started [`Machine::next_start`] as this process.
    pub fn record_start(&mut self, pid: Pid, now: Moment) {
        self.paused = false;
        self.state = match self.state {
            RunState::Finish { start_pending, .. } => RunState::Finish {
                step: FinishStep::Running {
                    pid,
                    kill_at: self.config.finish_timeout.map(|time| now.instant + time),
                    given_up: false,
                },
                start_pending,
            },
            RunState::Down | RunState::Delayed(_) | RunState::Up(_) | RunState::Failed => {
                self.starts += 1;
                self.since = now.label;
                self.last_start = Some(now.instant);
                self.not_before = now.instant + MIN_RESTART_INTERVAL;
                RunState::Up(Run {
                    pid,
                    readiness: if self.config.expects_readiness {
                        Readiness::Pending
                    } else {
                        Readiness::Unused
                    },
                    got_term: false,
                    kill_at: None,
                })
            }
        };
    }

    /// The caller could not fork for [`Machine::next_start`]; the next attempt
    /// comes later.
    pub fn record_failed_fork(&mut self, now: Moment) {
        let retry = now.after(self.ruleset.fork_retry_interval());
        match &mut self.state {
            RunState::Finish {
                step: FinishStep::Due(moment, _),
                ..
            } => *moment = retry.instant,
            RunState::Finish {
                step: FinishStep::Running { .. },
                ..
            }
            | RunState::Down
            | RunState::Delayed(_)
            | RunState::Up(_)
            | RunState::Failed => {
                self.not_before = retry.instant;
                self.state = RunState::Delayed(retry);
            }
        }
    }

    /// A process has exited. If it was `run`, `has_finish` decides whether
    /// `finish` is started; processes of others are ignored.
    pub fn record_exit(&mut self, process: Pid, status: ExitStatus, has_finish: bool, now: Moment) {
        match self.state {
            RunState::Up(run) if run.pid == process => {
                self.last_exit = Some(status);
                match self.ruleset {
                    Ruleset::Extended => self.delay_restart(run.readiness, now),
                    Ruleset::Supervise | Ruleset::Runsv(_) => {}
                }
                if has_finish {
                    let exit = RunExit {
                        pid: process,
                        status,
                    };
                    self.state = RunState::Finish {
                        step: FinishStep::Due(now.instant, exit),
                        start_pending: false,
                    };
                } else {
                    self.record_down(false, now);
                }
            }
            RunState::Finish {
                step: FinishStep::Running { pid, .. },
                start_pending,
            } if pid == process => {
                let failed = match (self.ruleset, self.want) {
                    (Ruleset::Extended, Want::Up | Want::Once) => {
                        status.code() == Some(PERMANENT_FAILURE)
                    }
                    // A service that a command stops has not failed.
                    (Ruleset::Extended, Want::Down)
                    | (Ruleset::Supervise | Ruleset::Runsv(_), _) => false,
                };
                if failed {
                    self.fail();
                } else {
                    self.record_down(start_pending, now);
                }
            }
            RunState::Up(_)
            | RunState::Finish { .. }
            | RunState::Down
            | RunState::Delayed(_)
            | RunState::Failed => {}
        }
    }

    fn delay_restart(&mut self, readiness: Readiness, now: Moment) {
        (self.since, self.paused) = (now.label, false);
        let was_ready = match readiness {
            Readiness::ReadySince(_) => true,
            Readiness::Unused | Readiness::Pending => false,
        };
        let uptime = self.last_start.map(|start| now.instant - start);
        let delay = self
            .history
            .record_exit(&self.config, was_ready, uptime, now.instant);
        if let Some(delay) = delay {
            self.not_before = self.not_before.max(now.instant + delay);
        }
    }

    fn fail(&mut self) {
        (self.state, self.want) = (RunState::Failed, Want::Down);
    }

    /// `finish` has exited, or `run` if there is no `finish`.
    fn record_down(&mut self, start_pending: bool, now: Moment) {
        self.state = RunState::Down;
        match self.ruleset {
            Ruleset::Supervise => (self.since, self.paused) = (now.label, false),
            // The record counts from the exit of `run`.
            Ruleset::Extended => {}
            Ruleset::Runsv(_) => {
                self.since = now.label;
                // After a short run, runsv waits from now on, not from the
                // last start.
                let earliest = self.last_start.map(|start| start + MIN_RESTART_INTERVAL);
                self.not_before = if earliest > Some(now.instant) {
                    now.instant + MIN_RESTART_INTERVAL
                } else {
                    now.instant
                };
            }
        }
        match self.want {
            Want::Up if self.history.exceeds(self.config.limit) => self.fail(),
            Want::Up => self.schedule_start(now),
            Want::Once if start_pending => self.schedule_start(now),
            Want::Down | Want::Once => {}
        }
    }

    fn start_on_command(&mut self, want: Want, now: Moment) {
        self.want = want;
        match self.ruleset {
            Ruleset::Supervise | Ruleset::Runsv(_) => {}
            Ruleset::Extended => self.reset_backoff(now),
        }
        self.schedule_start(now);
        if let RunState::Finish { start_pending, .. } = &mut self.state {
            *start_pending = true;
        }
    }

    /// A command to start forgives all deaths, and cancels a pending KILL.
    fn reset_backoff(&mut self, now: Moment) {
        self.history = RestartHistory::default();
        let earliest = self.last_start.map(|start| start + MIN_RESTART_INTERVAL);
        self.not_before = earliest.unwrap_or(now.instant);
        match &mut self.state {
            RunState::Delayed(_) | RunState::Failed => self.state = RunState::Down,
            RunState::Up(run) => run.kill_at = None,
            RunState::Down | RunState::Finish { .. } => {}
        }
    }

    fn schedule_start(&mut self, now: Moment) {
        match self.state {
            RunState::Down => {
                let delay = self.not_before.saturating_duration_since(now.instant);
                self.state = RunState::Delayed(now.after(delay));
            }
            RunState::Delayed(_) | RunState::Up(_) | RunState::Finish { .. } | RunState::Failed => {
            }
        }
    }

    fn cancel_start(&mut self) {
        match self.state {
            RunState::Delayed(_) => self.state = RunState::Down,
            RunState::Down | RunState::Up(_) | RunState::Finish { .. } | RunState::Failed => {}
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
