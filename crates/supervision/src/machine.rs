//! The life of one service as a state machine: events and the time go in,
//! what to do about them and when to start what come out.
//!
//! There is one machine and a [`Policy`] for each family of programs. Where
//! the families differ, a match on the policy decides, so that a policy more
//! is asked for in each of these places by the compiler.

use std::time::{Duration, Instant};

use daemontools_core::control::Command;
use daemontools_core::label::Label;
use daemontools_core::runsv::{Activity, Report};
use daemontools_core::status::{Status, Want};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use unix::wait::End;

/// A service that has only just been started is not started again sooner than
/// after this time.
const BETWEEN_STARTS: Duration = Duration::from_secs(1);

/// By which rules a service lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Those of supervise.
    Supervise,
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
            Policy::Supervise => Command::from_byte(byte),
            Policy::Runsv | Policy::RunsvLogger => Command::from_byte_for_runsv(byte),
        }
    }

    /// Whether programs in `control` are asked.
    #[must_use]
    pub fn has_control_programs(self) -> bool {
        match self {
            Policy::Runsv => true,
            Policy::Supervise | Policy::RunsvLogger => false,
        }
    }

    /// Whether `finish` is run after `run`.
    #[must_use]
    pub fn has_finish(self) -> bool {
        match self {
            Policy::Runsv => true,
            Policy::Supervise | Policy::RunsvLogger => false,
        }
    }

    /// How long to wait when there could be no process.
    fn after_failed_fork(self) -> Duration {
        match self {
            Policy::Supervise => Duration::from_secs(60),
            Policy::Runsv | Policy::RunsvLogger => Duration::from_secs(5),
        }
    }
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
    /// What cleans up after it, told how it ended.
    Finish(End),
}

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
    FinishDue(Instant, End),
    /// `finish` runs. Who gives up on it can exit without waiting for it.
    Finishing { pid: Pid, given_up: bool },
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
        }
    }

    /// The rules it lives by.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// What to tell those who ask.
    #[must_use]
    pub fn report(&self) -> Report {
        let activity = match self.state {
            State::Down | State::Due(_) => Activity::Down,
            State::Up(_) => Activity::Run,
            State::FinishDue(..) | State::Finishing { .. } => Activity::Finish,
        };
        Report {
            status: Status {
                since: self.since,
                pid: self.pid(),
                paused: self.paused,
                want: self.want,
            },
            got_term: self.got_term,
            activity,
        }
    }

    /// The process that runs, if one does.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        match self.state {
            State::Up(pid) | State::Finishing { pid, .. } => Some(pid),
            State::Down | State::Due(_) | State::FinishDue(..) => None,
        }
    }

    /// What is to be started, and when.
    #[must_use]
    pub fn next_start(&self) -> Option<(Instant, Start)> {
        match self.state {
            State::Due(moment) if !self.is_over() => Some((moment, Start::Run)),
            State::FinishDue(moment, end) => Some((moment, Start::Finish(end))),
            State::Due(_) | State::Down | State::Up(_) | State::Finishing { .. } => None,
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
                State::Down | State::Due(_) => true,
                State::Finishing { given_up, .. } => given_up,
                State::Up(_) | State::FinishDue(..) => false,
            }
    }

    /// Obeys a command; returns what is to be done about it.
    pub fn command(&mut self, command: Command, now: Moment) -> Steps {
        let steps = match self.policy {
            Policy::Supervise => self.obey_as_supervise(command, now),
            Policy::Runsv | Policy::RunsvLogger => self.obey_as_runsv(command, now),
        };
        let steps = match self.state {
            State::Up(_) => steps,
            State::Down | State::Due(_) | State::FinishDue(..) | State::Finishing { .. } => {
                [None; 3]
            }
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
                self.start_soon(now);
                [None; 3]
            }
            Command::Once => {
                self.want = Want::Once;
                self.start_soon(now);
                [None; 3]
            }
            Command::Down => {
                self.want = Want::Down;
                self.paused = false;
                self.start_never();
                [send(Signal::SIGTERM), send(Signal::SIGCONT), None]
            }
            Command::Exit => {
                self.leaving = true;
                [None; 3]
            }
            Command::Pause => {
                self.paused = self.pid().is_some();
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
            Command::Reach(_) => [None; 3],
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
            Command::Reach(_) => [None; 3],
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
            }
            State::Down | State::Due(_) | State::Up(_) | State::Finishing { .. } => {
                self.state = State::Up(pid);
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
            State::FinishDue(_, end) => State::FinishDue(later, end),
            State::Down | State::Due(_) | State::Up(_) | State::Finishing { .. } => {
                self.not_before = later;
                State::Due(later)
            }
        };
    }

    /// A process ended; if it is the service's, the service is down, or
    /// `finish`, if it is there, cleans up.
    pub fn died(&mut self, process: Pid, end: End, finish_is_there: bool, now: Moment) {
        match self.state {
            State::Up(pid) if pid == process => {
                self.got_term = false;
                if self.policy.has_finish() && finish_is_there {
                    self.state = State::FinishDue(now.instant, end);
                } else {
                    self.went_down(now);
                }
            }
            State::Finishing { pid, .. } if pid == process => self.went_down(now),
            State::Up(_)
            | State::Finishing { .. }
            | State::Down
            | State::Due(_)
            | State::FinishDue(..) => {}
        }
    }

    fn went_down(&mut self, now: Moment) {
        self.state = State::Down;
        self.since = now.label;
        match self.policy {
            Policy::Supervise => self.paused = false,
            Policy::Runsv | Policy::RunsvLogger => {
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
            Want::Up => self.start_soon(now),
            Want::Down | Want::Once => {}
        }
    }

    fn start_soon(&mut self, now: Moment) {
        match self.state {
            State::Down => self.state = State::Due(self.not_before.max(now.instant)),
            State::Due(_) | State::Up(_) | State::FinishDue(..) | State::Finishing { .. } => {}
        }
    }

    fn start_never(&mut self) {
        match self.state {
            State::Due(_) => self.state = State::Down,
            State::Down | State::Up(_) | State::FinishDue(..) | State::Finishing { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: Pid = Pid::from_raw(7);
    const FINISH: Pid = Pid::from_raw(9);
    const ENDED: End = End::from_raw(0);

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
        let killed = End::from_raw(9);
        machine.died(SERVICE, killed, true, now);
        assert_eq!(
            machine.next_start(),
            Some((now.instant, Start::Finish(killed)))
        );
        machine.started(FINISH, now);
        assert_eq!(machine.report().activity, Activity::Finish);
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
