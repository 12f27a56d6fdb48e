//! The life of one service as a state machine: events and the time go in,
//! what to do about them and when to start what come out.
//!
//! There is one machine and a [`Policy`] for each family of programs. Where
//! the families differ, a match on the policy decides, so that a policy more
//! is asked for in each of these places by the compiler.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use daemontools_core::control::Command;
use daemontools_core::label::Label;
use daemontools_core::runsv::RunsvStatus;
use daemontools_core::state::{ServiceState, StateFile};
use daemontools_core::status::{Status, Want};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use unix::wait::ExitStatus;

/// A service that has only just been started is not started again sooner than
/// after this time.
const BETWEEN_STARTS: Duration = Duration::from_secs(1);

/// By which rules a service lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Those of supervise.
    Supervise,
    /// Those of supervise -e: the service's own [`Terms`] hold, `finish`
    /// cleans up after `run`, and a service may be ready, or fail for good.
    Extended,
    /// Those of runsv: `finish` cleans up after `run`, programs in `control`
    /// may stand in for signals, and `x` stops the service first.
    Runsv,
    /// Those of runsv for its logger: neither `finish` nor `control`, and `x`
    /// is not for it.
    RunsvLogger,
}

impl Policy {
    /// The command that a byte stands for, if it stands for one.
    #[must_use]
    pub fn command(self, byte: u8) -> Option<Command> {
        match self {
            Policy::Supervise | Policy::Extended => Command::from_byte(byte),
            Policy::Runsv | Policy::RunsvLogger => Command::from_byte_for_runsv(byte),
        }
    }

    /// Whether programs in `control` are asked.
    #[must_use]
    pub fn has_control_programs(self) -> bool {
        match self {
            Policy::Runsv => true,
            Policy::Supervise | Policy::Extended | Policy::RunsvLogger => false,
        }
    }

    /// Whether `finish` is run after `run`.
    #[must_use]
    pub fn has_finish(self) -> bool {
        match self {
            Policy::Extended | Policy::Runsv => true,
            Policy::Supervise | Policy::RunsvLogger => false,
        }
    }

    /// How long to wait when there could be no process.
    fn after_failed_fork(self) -> Duration {
        match self {
            Policy::Supervise | Policy::Extended => Duration::from_secs(60),
            Policy::Runsv | Policy::RunsvLogger => Duration::from_secs(5),
        }
    }
}

/// What a service asks for, which only [`Policy::Extended`] listens to. By
/// default it asks for nothing, and lives as under supervise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The time between a death and the next start; None: no sooner than one
    /// second after the last start.
    pub backoff: Option<Backoff>,
    /// How many deaths are too many.
    pub limit: Option<Limit>,
    /// What stops the service.
    pub down_signal: Signal,
    /// How long after that it is killed.
    pub kill_after: Option<Duration>,
    /// How long `finish` may take before it is killed.
    pub finish_within: Option<Duration>,
    /// Whether the command to exit stops the service too.
    pub exit_stops: bool,
    /// Whether the service says when it is ready.
    pub announces: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Terms {
            backoff: None,
            limit: None,
            down_signal: Signal::SIGTERM,
            kill_after: None,
            finish_within: None,
            exit_stops: false,
            announces: false,
        }
    }
}

/// The times between deaths and starts, which double with each death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first one.
    pub first: Duration,
    /// The longest one. A service that was ready, or lived longer than this,
    /// begins with the first one again.
    pub longest: Duration,
}

/// How many deaths are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// So many are not.
    pub count: usize,
    /// Those that are not longer ago count.
    pub interval: Duration,
}

/// A moment, on the clock that waits are measured by and on the one that
/// status records show.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For waits; no change of the system's clock disturbs it.
    pub instant: Instant,
    /// For the status record.
    pub label: Label,
}

impl Moment {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Moment {
            instant: Instant::now(),
            label: Label::now(),
        }
    }
}

/// What is to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The service.
    Run,
    /// What cleans up after it.
    Finish(Death),
}

/// What `finish` is told of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// The process that it was.
    pub pid: Pid,
    /// How it ended.
    pub end: ExitStatus,
}

/// By exiting with this code, `finish` says that the service has failed for
/// good.
const FAILED_FOR_GOOD: i32 = 125;

/// A step in obeying a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The program in `control` that is asked first: if it says that it has
    /// done it, there is nothing left to do.
    pub program: Option<u8>,
    /// The signal that the service gets.
    pub signal: Option<Signal>,
}

/// The steps in obeying a command, in their order.
pub type Steps = std::iter::Flatten<std::array::IntoIter<Option<Step>, 3>>;

/// What the service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It does not run, and will not until it is told to.
    Down,
    /// It does not run, and is to be started at this moment.
    Due(Instant),
    /// It runs.
    Up(Pid),
    /// It has ended in this way, and `finish` is to be started at this moment.
    FinishDue(Instant, Death),
    /// `finish` runs. Who gives up on it can exit without waiting for it.
    Finishing { pid: Pid, given_up: bool },
    /// It has failed for good: it does not run, and will not until it is told
    /// to.
    Failed,
}

/// A run that was asked for alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Once {
    /// There was one, or it is due.
    Had,
    /// It is to come when `finish` has ended.
    Owed,
}

impl State {
    /// Where a service is when it is told to run once.
    fn once(self) -> Once {
        match self {
            State::FinishDue(..) | State::Finishing { .. } => Once::Owed,
            State::Down | State::Due(_) | State::Up(_) | State::Failed => Once::Had,
        }
    }
}

/// Whether the service has said that it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    /// It never says so.
    Unsaid,
    /// It has yet to say so.
    Awaited,
    /// It said so at this moment.
    Since(Label),
}

/// One service under supervision.
#[derive(Debug)]
pub struct Machine {
    policy: Policy,
    state: State,
    want: Want,
    /// Whether supervision ends when the service is down.
    leaving: bool,
    /// Whether the service was told to pause.
    paused: bool,
    /// Whether what runs was sent TERM.
    got_term: bool,
    /// The last start of the service.
    started: Option<Instant>,
    /// The earliest moment of the next start.
    not_before: Instant,
    /// The moment that the status record tells.
    since: Label,
    /// The moment that tells when a start is due.
    next_start: Label,
    terms: Terms,
    readiness: Readiness,
    /// The moment when what runs is killed.
    kill_at: Option<Instant>,
    /// The time that was waited, or is, after the last death.
    delay: Option<Duration>,
    /// The deaths that count for the limit, the last one at the end.
    deaths: VecDeque<Instant>,
    once: Once,
    starts: u64,
    last_end: Option<ExitStatus>,
}

impl Machine {
    /// A service that is down, to be started at once if it is wanted up.
    #[must_use]
    pub fn new(policy: Policy, want: Want, now: Moment) -> Self {
        let state = match want {
            Want::Up => State::Due(now.instant),
            Want::Down | Want::Once => State::Down,
        };
        Machine {
            policy,
            state,
            want,
            leaving: false,
            paused: false,
            got_term: false,
            started: None,
            not_before: now.instant,
            since: now.label,
            next_start: now.label,
            terms: Terms::default(),
            readiness: Readiness::Unsaid,
            kill_at: None,
            delay: None,
            deaths: VecDeque::new(),
            once: Once::Had,
            starts: 0,
            last_end: None,
        }
    }

    /// From now on the service asks for this.
    pub fn set_terms(&mut self, terms: Terms) {
        self.terms = terms;
    }

    /// The rules it lives by.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// What to tell those who ask.
    #[must_use]
    pub fn report(&self) -> RunsvStatus {
        let state = match self.state {
            State::Down | State::Due(_) | State::Failed => ServiceState::Down,
            State::Up(_) => ServiceState::Up,
            State::FinishDue(..) | State::Finishing { .. } => ServiceState::Finish,
        };
        let pid = match self.policy {
            Policy::Extended => self.service(),
            Policy::Supervise | Policy::Runsv | Policy::RunsvLogger => self.pid(),
        };
        RunsvStatus {
            status: Status {
                since: self.since,
                pid,
                paused: self.paused,
                want: self.want,
            },
            got_term: self.got_term,
            state: Some(state),
        }
    }

    /// What supervise -e tells besides.
    #[must_use]
    pub fn state_file(&self) -> StateFile {
        let (state, next_start) = match (self.state, self.readiness) {
            (State::Down, _) => (ServiceState::Down, None),
            (State::Due(_), _) => (ServiceState::Delay, Some(self.next_start)),
            (State::Up(_), Readiness::Unsaid) => (ServiceState::Up, None),
            (State::Up(_), Readiness::Awaited) => (ServiceState::Starting, None),
            (State::Up(_), Readiness::Since(_)) => (ServiceState::Ready, None),
            (State::FinishDue(..) | State::Finishing { .. }, _) => (ServiceState::Finish, None),
            (State::Failed, _) => (ServiceState::Failed, None),
        };
        let code = self.last_end.and_then(ExitStatus::code);
        StateFile {
            state,
            pid: self.service(),
            since: Some(self.since),
            ready_since: match (self.state, self.readiness) {
                (State::Up(_), Readiness::Since(moment)) => Some(moment),
                (_, Readiness::Unsaid | Readiness::Awaited | Readiness::Since(_)) => None,
            },
            restarts: Some(self.starts.saturating_sub(1)),
            exit_code: code.and_then(|code| u8::try_from(code).ok()),
            signal: self.last_end.and_then(ExitStatus::signal),
            next_start,
        }
    }

    /// The process that runs, if one does.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        match self.state {
            State::Up(pid) | State::Finishing { pid, .. } => Some(pid),
            State::Down | State::Due(_) | State::FinishDue(..) | State::Failed => None,
        }
    }

    /// The process of the service, if it runs.
    #[must_use]
    pub fn service(&self) -> Option<Pid> {
        match self.state {
            State::Up(pid) => Some(pid),
            State::Down
            | State::Due(_)
            | State::FinishDue(..)
            | State::Finishing { .. }
            | State::Failed => None,
        }
    }

    /// The next moment at which there is something to do.
    #[must_use]
    pub fn next_moment(&self) -> Option<Instant> {
        let start = self.next_start().map(|(moment, _)| moment);
        start.into_iter().chain(self.kill_at).min()
    }

    /// What was given time to end, and has not ended by now; it is told once.
    pub fn overdue(&mut self, now: Moment) -> Option<Pid> {
        self.kill_at.take_if(|moment| *moment <= now.instant)?;
        self.pid()
    }

    /// The service says that it is ready.
    pub fn ready(&mut self, now: Moment) {
        if self.readiness == Readiness::Awaited {
            self.readiness = Readiness::Since(now.label);
        }
    }

    /// What is to be started, and when.
    #[must_use]
    pub fn next_start(&self) -> Option<(Instant, Start)> {
        match self.state {
            State::Due(moment) if !self.is_over() => Some((moment, Start::Run)),
            State::FinishDue(moment, death) => Some((moment, Start::Finish(death))),
            State::Due(_)
            | State::Down
            | State::Up(_)
            | State::Finishing { .. }
            | State::Failed => None,
        }
    }

    /// Whether supervision is to end when the service is down.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Whether supervision is to end now.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.leaving
            && match self.state {
                State::Down | State::Due(_) | State::Failed => true,
                State::Finishing { given_up, .. } => given_up,
                State::Up(_) | State::FinishDue(..) => false,
            }
    }

    /// Obeys a command; returns what is to be done about it.
    pub fn command(&mut self, command: Command, now: Moment) -> Steps {
        let steps = match self.policy {
            Policy::Supervise | Policy::Extended => self.obey_as_supervise(command, now),
            Policy::Runsv | Policy::RunsvLogger => self.obey_as_runsv(command, now),
        };
        let steps = match self.state {
            State::Up(_) => steps,
            State::Down
            | State::Due(_)
            | State::FinishDue(..)
            | State::Finishing { .. }
            | State::Failed => [None; 3],
        };
        steps.into_iter().flatten()
    }

    fn obey_as_supervise(&mut self, command: Command, now: Moment) -> [Option<Step>; 3] {
        let send = |signal| {
            Some(Step {
                program: None,
                signal: Some(signal),
            })
        };
        match command {
            Command::Up => {
                self.want = Want::Up;
                self.begin_again(now);
                self.start_soon(now);
                [None; 3]
            }
            Command::Once => {
                self.want = Want::Once;
                self.begin_again(now);
                self.start_soon(now);
                self.once = self.state.once();
                [None; 3]
            }
            Command::Exit if self.terms.exit_stops && self.want != Want::Down => {
                self.leaving = true;
                self.obey_as_supervise(Command::Down, now)
            }
            Command::Exit => {
                self.leaving = true;
                [None; 3]
            }
            Command::Down => {
                self.want = Want::Down;
                (self.paused, self.once) = (false, Once::Had);
                self.start_never();
                if let (Some(_), Some(time)) = (self.service(), self.terms.kill_after) {
                    self.kill_at = self.kill_at.or(Some(now.instant + time));
                }
                [send(self.terms.down_signal), send(Signal::SIGCONT), None]
            }
            Command::Pause => {
                self.paused = self.service().is_some();
                [send(Signal::SIGSTOP), None, None]
            }
            Command::Continue => {
                self.paused = false;
                [send(Signal::SIGCONT), None, None]
            }
            Command::Terminate => [send(Signal::SIGTERM), None, None],
            Command::Kill => [send(Signal::SIGKILL), None, None],
            Command::Send(signal) => [send(signal), None, None],
            // It is for who sends the signals of the commands after it.
            Command::Target(_) => [None; 3],
        }
    }

    fn obey_as_runsv(&mut self, command: Command, now: Moment) -> [Option<Step>; 3] {
        let unless_done = |signal| {
            Some(Step {
                program: command.letter(),
                signal: Some(signal),
            })
        };
        match command {
            Command::Up => {
                (self.want, self.leaving) = (Want::Up, false);
                self.start_soon(now);
                [None; 3]
            }
            Command::Once => {
                (self.want, self.leaving) = (Want::Down, false);
                self.start_soon(now);
                [None; 3]
            }
            Command::Down => {
                (self.want, self.leaving) = (Want::Down, false);
                self.start_never();
                self.steps_to_stop()
            }
            Command::Exit if self.policy == Policy::RunsvLogger => [None; 3],
            Command::Exit => {
                (self.want, self.leaving) = (Want::Down, true);
                self.start_never();
                self.steps_to_stop()
            }
            Command::Terminate => self.steps_to_stop(),
            Command::Kill => {
                if let State::Finishing { given_up, .. } = &mut self.state {
                    *given_up = true;
                }
                [unless_done(Signal::SIGKILL), None, None]
            }
            Command::Pause => {
                self.paused = true;
                [unless_done(Signal::SIGSTOP), None, None]
            }
            Command::Continue => {
                self.paused = false;
                [unless_done(Signal::SIGCONT), None, None]
            }
            Command::Send(signal) => [unless_done(signal), None, None],
            Command::Target(_) => [None; 3],
        }
    }

    /// How runsv stops a service: TERM, and CONT if it is to stay down, after
    /// which a program may do more.
    fn steps_to_stop(&self) -> [Option<Step>; 3] {
        let step = |command: Option<Command>, signal| {
            let program = command.and_then(Command::letter);
            Some(Step { program, signal })
        };
        let terminate = step(Some(Command::Terminate), Some(Signal::SIGTERM));
        let stay_down = match self.want {
            Want::Up => return [terminate, None, None],
            Want::Down | Want::Once if self.leaving => Command::Exit,
            Want::Down | Want::Once => Command::Down,
        };
        [
            terminate,
            step(None, Some(Signal::SIGCONT)),
            step(Some(stay_down), None),
        ]
    }

    /// The service was sent a signal.
    pub fn sent(&mut self, signal: Signal) {
        self.got_term |= signal == Signal::SIGTERM;
    }

    /// Supervision ends when the service does, which is not started again.
    pub fn leave(&mut self) {
        (self.want, self.leaving) = (Want::Down, true);
    }

    /// What was to be started was started, as this process.
    pub fn started(&mut self, pid: Pid, now: Moment) {
        (self.paused, self.got_term) = (false, false);
        match self.state {
            State::FinishDue(..) => {
                let given_up = false;
                self.state = State::Finishing { pid, given_up };
                self.kill_at = self.terms.finish_within.map(|time| now.instant + time);
            }
            State::Down
            | State::Due(_)
            | State::Up(_)
            | State::Finishing { .. }
            | State::Failed => {
                self.state = State::Up(pid);
                self.once = Once::Had;
                self.starts += 1;
                self.readiness = if self.terms.announces {
                    Readiness::Awaited
                } else {
                    Readiness::Unsaid
                };
                self.since = now.label;
                self.started = Some(now.instant);
                self.not_before = now.instant + BETWEEN_STARTS;
            }
        }
    }

    /// There could be no process: it is tried again later.
    pub fn not_started(&mut self, now: Moment) {
        let later = now.instant + self.policy.after_failed_fork();
        self.state = match self.state {
            State::FinishDue(_, death) => State::FinishDue(later, death),
            State::Down
            | State::Due(_)
            | State::Up(_)
            | State::Finishing { .. }
            | State::Failed => {
                self.not_before = later;
                self.next_start = now.label.after(self.policy.after_failed_fork());
                State::Due(later)
            }
        };
    }

    /// A process ended; if it is the service's, the service is down, or
    /// `finish`, if it is there, cleans up.
    pub fn died(&mut self, process: Pid, end: ExitStatus, finish_is_there: bool, now: Moment) {
        match self.state {
            State::Up(pid) if pid == process => {
                (self.got_term, self.kill_at) = (false, None);
                self.last_end = Some(end);
                if self.policy == Policy::Extended {
                    self.mourn(now);
                }
                if self.policy.has_finish() && finish_is_there {
                    self.state = State::FinishDue(now.instant, Death { pid, end });
                } else {
                    self.went_down(now);
                }
            }
            State::Finishing { pid, .. } if pid == process => {
                self.kill_at = None;
                // One that was told to be down has only done so.
                let is_judged = self.policy == Policy::Extended && self.want != Want::Down;
                if is_judged && end.code() == Some(FAILED_FOR_GOOD) {
                    self.fail();
                } else {
                    self.went_down(now);
                }
            }
            State::Up(_)
            | State::Finishing { .. }
            | State::Down
            | State::Due(_)
            | State::FinishDue(..)
            | State::Failed => {}
        }
    }

    /// After a death: counts it, and how long to wait because of it.
    fn mourn(&mut self, now: Moment) {
        (self.since, self.paused) = (now.label, false);
        // Those of a service that is not wanted up are forgotten when it is.
        match self.terms.limit {
            Some(Limit { interval, .. }) => {
                self.deaths
                    .retain(|death| now.instant.saturating_duration_since(*death) <= interval);
                self.deaths.push_back(now.instant);
            }
            None => self.deaths.clear(),
        }
        self.delay = self.terms.backoff.map(|Backoff { first, longest }| {
            let lived = self.started.map(|started| now.instant - started);
            let was_well = match self.readiness {
                Readiness::Since(_) => true,
                Readiness::Unsaid | Readiness::Awaited => lived > Some(longest),
            };
            match self.delay {
                // The file may ask for more than it did.
                Some(last) if !was_well => longest.min(first.max(last * 2)),
                Some(_) | None => first,
            }
        });
        if let Some(delay) = self.delay {
            self.not_before = self.not_before.max(now.instant + delay);
        }
    }

    /// Whether the service has died more often than it may.
    fn died_too_often(&self) -> bool {
        let limit = self.terms.limit;
        limit.is_some_and(|Limit { count, .. }| self.deaths.len() > count)
    }

    fn fail(&mut self) {
        (self.state, self.want) = (State::Failed, Want::Down);
    }

    /// Who is told what to do begins again, whatever it died of.
    fn begin_again(&mut self, now: Moment) {
        match self.policy {
            Policy::Supervise | Policy::Runsv | Policy::RunsvLogger => {}
            Policy::Extended => {
                self.delay = None;
                self.deaths.clear();
                let last = self.started.map(|started| started + BETWEEN_STARTS);
                self.not_before = last.unwrap_or(now.instant);
                match self.state {
                    State::Due(_) | State::Failed => self.state = State::Down,
                    State::Up(_) => self.kill_at = None,
                    State::Down | State::FinishDue(..) | State::Finishing { .. } => {}
                }
            }
        }
    }

    fn went_down(&mut self, now: Moment) {
        self.state = State::Down;
        match self.policy {
            Policy::Supervise => (self.since, self.paused) = (now.label, false),
            // It is down since its death.
            Policy::Extended => {}
            Policy::Runsv | Policy::RunsvLogger => {
                self.since = now.label;
                // It is told how long it ran since its start, and has to wait
                // from now on.
                let short = self
                    .started
                    .is_some_and(|started| now.instant < started + BETWEEN_STARTS);
                self.not_before = if short {
                    now.instant + BETWEEN_STARTS
                } else {
                    now.instant
                };
            }
        }
        match self.want {
            Want::Up if self.died_too_often() => self.fail(),
            Want::Up => self.start_soon(now),
            Want::Once if self.once == Once::Owed => self.start_soon(now),
            Want::Down | Want::Once => {}
        }
    }

    fn start_soon(&mut self, now: Moment) {
        match self.state {
            State::Down => {
                let moment = self.not_before.max(now.instant);
                self.next_start = now.label.after(moment - now.instant);
                self.state = State::Due(moment);
            }
            State::Due(_)
            | State::Up(_)
            | State::FinishDue(..)
            | State::Finishing { .. }
            | State::Failed => {}
        }
    }

    fn start_never(&mut self) {
        match self.state {
            State::Due(_) => self.state = State::Down,
            State::Down
            | State::Up(_)
            | State::FinishDue(..)
            | State::Finishing { .. }
            | State::Failed => {}
        }
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: Pid = Pid::from_raw(7);
    const FINISH: Pid = Pid::from_raw(9);
    const ENDED: ExitStatus = ExitStatus::from_raw(0);

    fn due(machine: &Machine) -> Option<Instant> {
        machine.next_start().map(|(moment, _)| moment)
    }

    /// What a command does, as letters of programs and names of signals.
    fn done(machine: &mut Machine, command: Command, now: Moment) -> String {
        let steps = machine.command(command, now).map(|step| {
            let program = step
                .program
                .map_or(String::new(), |program| char::from(program).to_string());
            step.signal
                .map_or(program.clone(), |signal| format!("{program}{signal}"))
        });
        steps.collect::<Vec<_>>().join(" ")
    }

    /// A moment some time after the first one.
    fn after(first: Moment, milliseconds: u64) -> Moment {
        let instant = first.instant + Duration::from_millis(milliseconds);
        Moment { instant, ..first }
    }

    /// A service that was started at the returned moment.
    fn up() -> (Machine, Moment) {
        let now = Moment::now();
        let mut machine = Machine::new(Policy::Supervise, Want::Up, now);
        assert_eq!(due(&machine), Some(now.instant));
        machine.started(SERVICE, now);
        (machine, now)
    }

    #[test]
    fn a_service_that_is_not_wanted_up_waits_for_a_command() {
        let now = Moment::now();
        let mut machine = Machine::new(Policy::Supervise, Want::Down, now);
        assert_eq!(due(&machine), None);
        assert_eq!(machine.command(Command::Up, now).count(), 0);
        assert_eq!(due(&machine), Some(now.instant));
    }

    #[test]
    fn a_restart_comes_one_second_after_the_last_start() {
        let (mut machine, now) = up();
        machine.died(SERVICE, ENDED, false, after(now, 300));
        assert_eq!(due(&machine), Some(after(now, 1000).instant));
        machine.started(SERVICE, after(now, 1000));
        machine.died(SERVICE, ENDED, false, after(now, 5000));
        assert_eq!(due(&machine), Some(after(now, 5000).instant));
    }

    #[test]
    fn down_cancels_a_start_that_is_due() {
        let (mut machine, now) = up();
        machine.died(SERVICE, ENDED, false, now);
        assert_eq!(machine.command(Command::Down, now).count(), 0);
        assert_eq!(due(&machine), None);
        // Told up again, it still keeps its distance from the last start.
        let _ = machine.command(Command::Once, now);
        assert_eq!(due(&machine), Some(after(now, 1000).instant));
    }

    #[test]
    fn down_sends_term_and_then_cont() {
        let (mut machine, now) = up();
        let _ = machine.command(Command::Pause, now);
        assert!(machine.report().status.paused);
        let signals = machine.command(Command::Down, now).map(|step| step.signal);
        assert!(signals.eq([Some(Signal::SIGTERM), Some(Signal::SIGCONT)]));
        assert!(!machine.report().status.paused);
        machine.died(SERVICE, ENDED, false, now);
        assert_eq!(due(&machine), None);
    }

    #[test]
    fn exit_waits_for_the_service_to_end_and_prevents_its_restart() {
        let (mut machine, now) = up();
        assert_eq!(machine.command(Command::Exit, now).count(), 0);
        assert!(!machine.is_over());
        machine.died(SERVICE, ENDED, false, now);
        assert!(machine.is_over());
        assert_eq!(due(&machine), None);
    }

    #[test]
    fn the_death_of_another_process_changes_nothing() {
        let (mut machine, now) = up();
        machine.died(Pid::from_raw(8), ENDED, false, now);
        assert_eq!(machine.pid(), Some(SERVICE));
    }

    #[test]
    fn a_failed_fork_is_tried_again_after_a_minute() {
        let now = Moment::now();
        let mut machine = Machine::new(Policy::Supervise, Want::Up, now);
        machine.not_started(now);
        assert_eq!(due(&machine), Some(after(now, 60_000).instant));
        let _ = machine.command(Command::Down, now);
        assert_eq!(due(&machine), None);
    }

    /// A service of runsv that was started at the returned moment.
    fn up_under_runsv() -> (Machine, Moment) {
        let now = Moment::now();
        let mut machine = Machine::new(Policy::Runsv, Want::Up, now);
        machine.started(SERVICE, now);
        (machine, now)
    }

    #[test]
    fn runsv_lets_programs_stand_in_for_signals() {
        let (mut machine, now) = up_under_runsv();
        assert_eq!(done(&mut machine, Command::Pause, now), "pSIGSTOP");
        assert_eq!(done(&mut machine, Command::Terminate, now), "tSIGTERM");
        assert_eq!(done(&mut machine, Command::Down, now), "tSIGTERM SIGCONT d");
        assert_eq!(
            done(&mut machine, Command::Terminate, now),
            "tSIGTERM SIGCONT d"
        );
        assert_eq!(done(&mut machine, Command::Exit, now), "tSIGTERM SIGCONT x");
        assert_eq!(done(&mut machine, Command::Once, now), "");
        assert!(!machine.is_leaving());
    }

    #[test]
    fn finish_runs_before_the_service_is_down_and_gets_no_signals() {
        let (mut machine, now) = up_under_runsv();
        let killed = ExitStatus::from_raw(9);
        machine.died(SERVICE, killed, true, now);
        assert_eq!(
            machine.next_start(),
            Some((
                now.instant,
                Start::Finish(Death {
                    pid: SERVICE,
                    end: killed
                })
            ))
        );
        machine.started(FINISH, now);
        assert_eq!(machine.report().state, Some(ServiceState::Finish));
        assert_eq!(done(&mut machine, Command::Down, now), "");
        assert_eq!(due(&machine), None);
        let _ = machine.command(Command::Up, now);
        machine.died(FINISH, ENDED, true, after(now, 300));
        assert_eq!(due(&machine), Some(after(now, 1300).instant));
    }

    #[test]
    fn runsv_waits_a_second_after_a_short_life_alone() {
        let (mut machine, now) = up_under_runsv();
        machine.died(SERVICE, ENDED, false, after(now, 999));
        assert_eq!(due(&machine), Some(after(now, 1999).instant));
        machine.started(SERVICE, after(now, 1999));
        machine.died(SERVICE, ENDED, false, after(now, 2999));
        assert_eq!(due(&machine), Some(after(now, 2999).instant));
    }

    #[test]
    fn who_gives_up_on_finish_need_not_wait_for_it() {
        let (mut machine, now) = up_under_runsv();
        machine.died(SERVICE, ENDED, true, now);
        machine.started(FINISH, now);
        let _ = machine.command(Command::Exit, now);
        assert!(!machine.is_over());
        assert_eq!(done(&mut machine, Command::Kill, now), "");
        assert!(machine.is_over());
    }

    #[test]
    fn a_logger_is_not_told_to_exit() {
        let now = Moment::now();
        let mut machine = Machine::new(Policy::RunsvLogger, Want::Up, now);
        machine.started(SERVICE, now);
        assert_eq!(done(&mut machine, Command::Exit, now), "");
        assert!(!machine.is_leaving());
        machine.leave();
        machine.died(SERVICE, ENDED, true, now);
        assert!(machine.is_over());
    }

    /// A service of supervise -e that asks for this, started at the returned
    /// moment.
    fn up_on(terms: Terms) -> (Machine, Moment) {
        let now = Moment::now();
        let mut machine = Machine::new(Policy::Extended, Want::Up, now);
        machine.set_terms(terms);
        machine.started(SERVICE, now);
        (machine, now)
    }

    fn backoff(first: u64, longest: u64) -> Terms {
        let (first, longest) = (Duration::from_secs(first), Duration::from_secs(longest));
        Terms {
            backoff: Some(Backoff { first, longest }),
            ..Terms::default()
        }
    }

    #[test]
    fn delays_double_until_the_service_was_well() {
        let (mut machine, now) = up_on(backoff(2, 9));
        let mut at = now;
        for (lives, delay) in [(0, 2), (8, 4), (0, 8), (9, 9), (0, 9), (10, 2), (0, 4)] {
            let died = after(at, lives * 1000);
            machine.died(SERVICE, ENDED, false, died);
            at = after(died, delay * 1000);
            assert_eq!(due(&machine), Some(at.instant));
            machine.started(SERVICE, at);
        }
        machine.set_terms(Terms {
            announces: true,
            ..backoff(2, 9)
        });
        machine.died(SERVICE, ENDED, false, at);
        machine.started(SERVICE, at);
        assert_eq!(machine.state_file().state, ServiceState::Starting);
        machine.ready(at);
        assert_eq!(machine.state_file().state, ServiceState::Ready);
        machine.died(SERVICE, ENDED, false, at);
        assert_eq!(due(&machine), Some(after(at, 2000).instant));
        // Told to start, it starts as soon as ever.
        let _ = machine.command(Command::Up, after(at, 500));
        assert_eq!(due(&machine), Some(after(at, 1000).instant));
    }

    #[test]
    fn deaths_that_were_asked_for_do_not_count() {
        let limit = Limit {
            count: 1,
            interval: Duration::from_secs(60),
        };
        let (mut machine, now) = up_on(Terms {
            limit: Some(limit),
            ..Terms::default()
        });
        for _ in 0..3 {
            let _ = machine.command(Command::Down, now);
            machine.died(SERVICE, ENDED, false, now);
            assert_eq!(machine.state_file().state, ServiceState::Down);
            let _ = machine.command(Command::Up, now);
            machine.started(SERVICE, now);
        }
        machine.died(SERVICE, ENDED, false, now);
        assert_eq!(machine.state_file().state, ServiceState::Delay);
        machine.started(SERVICE, now);
        // A minute later the first one is forgotten.
        let later = after(now, 60_001);
        machine.died(SERVICE, ENDED, false, later);
        assert_eq!(machine.state_file().state, ServiceState::Delay);
        machine.started(SERVICE, later);
        machine.died(SERVICE, ENDED, false, later);
        assert_eq!(machine.state_file().state, ServiceState::Failed);
        assert_eq!(machine.report().status.want, Want::Down);
        let _ = machine.command(Command::Once, later);
        assert_eq!(machine.state_file().state, ServiceState::Delay);
    }

    #[test]
    fn a_life_is_told_with_its_moments() {
        let (mut machine, now) = up_on(Terms {
            announces: true,
            ..backoff(2, 9)
        });
        // Each moment has a label of its own.
        let after = |seconds| Moment {
            label: now.label.after(Duration::from_secs(seconds)),
            ..after(now, seconds * 1000)
        };
        machine.ready(after(1));
        // Who says it again was ready before.
        machine.ready(after(2));
        let ready = StateFile {
            state: ServiceState::Ready,
            pid: Some(SERVICE),
            since: Some(now.label),
            ready_since: Some(after(1).label),
            restarts: Some(0),
            exit_code: None,
            signal: None,
            next_start: None,
        };
        assert_eq!(machine.state_file(), ready);
        let _ = machine.command(Command::Pause, after(2));
        machine.died(SERVICE, ExitStatus::from_raw(3 << 8), true, after(3));
        machine.started(FINISH, after(3));
        let finish = StateFile {
            state: ServiceState::Finish,
            pid: None,
            since: Some(after(3).label),
            ready_since: None,
            exit_code: Some(3),
            ..ready
        };
        assert_eq!(machine.state_file(), finish);
        assert_eq!(machine.report().status.since, after(3).label);
        assert!(!machine.report().status.paused);
        machine.died(FINISH, ENDED, true, after(4));
        let delay = StateFile {
            state: ServiceState::Delay,
            next_start: Some(after(5).label),
            ..finish
        };
        assert_eq!(machine.state_file(), delay);
        machine.started(SERVICE, after(5));
        machine.died(SERVICE, ExitStatus::from_raw(9), false, after(15));
        let again = StateFile {
            since: Some(after(15).label),
            restarts: Some(1),
            exit_code: None,
            signal: Some(9),
            next_start: Some(after(17).label),
            ..delay
        };
        assert_eq!(machine.state_file(), again);
    }

    #[test]
    fn deaths_are_counted_when_they_come_however_long_finish_takes() {
        let limit = Some(Limit {
            count: 1,
            interval: Duration::from_secs(3),
        });
        let (mut machine, now) = up_on(Terms {
            limit,
            ..Terms::default()
        });
        for (died, stage) in [(0, ServiceState::Delay), (3000, ServiceState::Failed)] {
            machine.died(SERVICE, ENDED, true, after(now, died));
            machine.started(FINISH, after(now, died));
            machine.died(FINISH, ENDED, true, after(now, died + 3000));
            assert_eq!(machine.state_file().state, stage);
            machine.started(SERVICE, after(now, died + 3000));
        }
    }

    #[test]
    fn a_delay_is_never_shorter_than_what_is_asked_for() {
        let (mut machine, now) = up_on(backoff(1, 9));
        let mut died_on = |terms| {
            machine.set_terms(terms);
            machine.died(SERVICE, ENDED, false, now);
            let moment = due(&machine);
            machine.started(SERVICE, now);
            moment
        };
        let seconds = |number: u64| Some(after(now, number * 1000).instant);
        assert_eq!(died_on(backoff(1, 9)), seconds(1));
        assert_eq!(died_on(backoff(5, 9)), seconds(5));
        assert_eq!(died_on(backoff(5, 9)), seconds(9));
        // Who asks for none for a while begins with the first one.
        assert_eq!(died_on(Terms::default()), seconds(1));
        assert_eq!(died_on(backoff(2, 9)), seconds(2));
    }

    #[test]
    fn what_is_told_during_finish_is_for_the_time_after_it() {
        for (commands, started) in [
            (&[Command::Once][..], true),
            (&[Command::Down, Command::Once], true),
            (&[Command::Once, Command::Down], false),
            (&[Command::Down, Command::Up], true),
            (&[Command::Down], false),
        ] {
            let (mut machine, now) = up_on(Terms::default());
            machine.died(SERVICE, ENDED, true, now);
            machine.started(FINISH, now);
            assert_eq!(done(&mut machine, Command::Pause, now), "");
            assert!(!machine.report().status.paused);
            for command in commands {
                assert_eq!(done(&mut machine, *command, now), "");
            }
            machine.died(FINISH, ENDED, true, after(now, 2000));
            let moment = started.then(|| after(now, 2000).instant);
            assert_eq!(due(&machine), moment, "{commands:?}");
        }
        // Once is once.
        let (mut machine, now) = up_on(Terms::default());
        for _ in 0..2 {
            machine.died(SERVICE, ENDED, true, now);
            machine.started(FINISH, now);
            let _ = machine.command(Command::Once, now);
            machine.died(FINISH, ENDED, true, now);
            machine.started(SERVICE, now);
        }
        machine.died(SERVICE, ENDED, true, now);
        machine.started(FINISH, now);
        machine.died(FINISH, ENDED, true, now);
        assert_eq!(machine.state_file().state, ServiceState::Down);
    }

    #[test]
    fn what_is_overdue_is_told_once() {
        let (mut machine, now) = up_on(Terms {
            down_signal: Signal::SIGINT,
            kill_after: Some(Duration::from_secs(3)),
            finish_within: Some(Duration::from_secs(5)),
            ..Terms::default()
        });
        assert_eq!(done(&mut machine, Command::Down, now), "SIGINT SIGCONT");
        // Told again, it has no more time.
        let _ = machine.command(Command::Down, after(now, 1000));
        assert_eq!(machine.next_moment(), Some(after(now, 3000).instant));
        assert_eq!(machine.overdue(after(now, 2999)), None);
        assert_eq!(machine.overdue(after(now, 3000)), Some(SERVICE));
        assert_eq!(machine.overdue(after(now, 3000)), None);
        machine.died(SERVICE, ENDED, true, now);
        machine.started(FINISH, now);
        assert_eq!((machine.pid(), machine.service()), (Some(FINISH), None));
        assert_eq!(machine.report().status.pid, None);
        // What the service is told leaves finish its time.
        let _ = machine.command(Command::Up, now);
        assert_eq!(machine.overdue(after(now, 5000)), Some(FINISH));
        machine.died(FINISH, ENDED, true, after(now, 5000));
        assert_eq!(due(&machine), Some(after(now, 5000).instant));
    }

    #[test]
    fn finish_may_say_that_all_is_over() {
        let (mut machine, now) = up_on(Terms::default());
        machine.died(SERVICE, ENDED, true, now);
        machine.started(FINISH, now);
        machine.died(FINISH, ExitStatus::from_raw(125 << 8), true, now);
        assert_eq!(machine.state_file().state, ServiceState::Failed);
        assert_eq!(due(&machine), None);
        assert!(!machine.is_over());
        let _ = machine.command(Command::Exit, now);
        assert!(machine.is_over());
    }

    #[test]
    fn who_is_told_to_be_down_has_not_failed() {
        let (mut machine, now) = up_on(Terms::default());
        machine.died(SERVICE, ENDED, true, now);
        machine.started(FINISH, now);
        let _ = machine.command(Command::Down, now);
        machine.died(FINISH, ExitStatus::from_raw(125 << 8), true, now);
        assert_eq!(machine.state_file().state, ServiceState::Down);
    }

    #[test]
    fn an_exit_may_stop_the_service() {
        let (mut machine, now) = up_on(Terms::default());
        assert_eq!(done(&mut machine, Command::Exit, now), "");
        let exit_stops = true;
        let (mut machine, now) = up_on(Terms {
            exit_stops,
            ..Terms::default()
        });
        assert_eq!(done(&mut machine, Command::Exit, now), "SIGTERM SIGCONT");
        // It was told already.
        assert_eq!(done(&mut machine, Command::Exit, now), "");
        machine.died(SERVICE, ENDED, false, now);
        assert!(machine.is_over());
    }

    #[test]
    fn a_clock_that_is_set_changes_the_record_and_no_wait() {
        let (mut machine, start) = up();
        for seconds in [86_400, -172_800, 86_400] {
            // What is waited for is measured on a clock that is never set.
            let label = Label::from_unix(1_000_000_000 + seconds, 0);
            let died = Moment {
                label,
                ..after(start, 300)
            };
            machine.died(SERVICE, ENDED, false, died);
            assert_eq!(machine.report().status.since, label);
            assert_eq!(due(&machine), Some(after(start, 1000).instant));
            machine.started(SERVICE, Moment { label, ..start });
        }
    }
}
