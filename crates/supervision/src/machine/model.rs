//! Models of the machine. Each model computes the state of a service from the
//! manual pages and in another form. Tests apply the same events to the machine
//! and to a model, and compare all that the drivers read.
//!
//! The machine has no event for a written record: a driver writes a record
//! whenever the views of the machine differ from the last record.

mod exhaustive;
mod extended;
mod plain;
mod random;

use std::fmt::Debug;

use daemontools_core::state::StateFile;

use super::view::number_of;
use super::*;

/// A time in milliseconds since the beginning.
type Time = u64;

const RUN: Pid = Pid::from_raw(7);
const FINISH: Pid = Pid::from_raw(9);
const CHECK: Pid = Pid::from_raw(11);
const START: Pid = Pid::from_raw(13);
const STOP: Pid = Pid::from_raw(15);

/// The letters of all commands.
const LETTERS: &[u8] = b"udoxpchaitkq12w+=";

/// The letters that runsv ignores.
const NOT_OF_RUNSV: &[u8] = b"w+=";

/// Up to this time before a deadline, every moment counts. Earlier ones are equal,
/// except for the last second.
const DISTANT: Time = 6000;

/// The wait statuses of exits: the exit codes 0, 3 and 125, which is the code of
/// a failed service, and the signals HUP, KILL and SEGV.
const EXITS: [i32; 6] = [0, 3 << 8, 125 << 8, 1, 9, 11];

const CHECK_EXITS: [i32; 3] = [0, 1 << 8, 9];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// A letter, and whether programs in `control` replace its signals.
    Command(u8, bool),
    /// `run`, `finish`, `start` or `stop` exits with this wait status. The flag:
    /// whether the service has a `finish`.
    Exit(i32, bool),
    /// A `check` exits with this wait status.
    CheckExit(i32),
    /// The service reports its readiness.
    Ready,
    /// supervise -e receives a signal that ends it with the current run.
    ExitAfterRun,
    /// runsv ends its logger.
    RequestExit,
    /// Time passes.
    Wait(Time),
    /// The next script could not be started.
    FailStart,
    /// The loop of the driver sends the KILLs that are due.
    Kill,
    /// The loop of the driver starts the script that is due.
    Start,
    /// The loop of the driver skips a script that is due and missing.
    Skip,
}

impl Event {
    /// Whether the driver causes the event, as the effect of others.
    fn is_internal(self) -> bool {
        match self {
            Event::Kill | Event::Start | Event::Skip => true,
            Event::Command(..)
            | Event::Exit(..)
            | Event::CheckExit(_)
            | Event::Ready
            | Event::ExitAfterRun
            | Event::RequestExit
            | Event::Wait(_)
            | Event::FailStart => false,
        }
    }
}

/// All that drivers and readers see of a service.
#[expect(clippy::struct_excessive_bools, reason = "they vary independently")]
#[derive(Clone, Debug, PartialEq)]
struct View {
    next_start: Option<(Time, Script)>,
    next_deadline: Option<Time>,
    optional_script: Option<Script>,
    child: Option<Pid>,
    run: Option<Pid>,
    should_exit: bool,
    exit_requested: bool,
    is_stopping: bool,
    want: Want,
    paused: bool,
    got_term: bool,
    since: Time,
    /// Of supervise -e.
    file: Option<FileView>,
    /// The state in the record of runsv.
    record_state: Option<ServiceState>,
}

use daemontools_core::state::{CheckResult, ServiceState};

/// The file `state`, with times since the beginning.
#[derive(Clone, Debug, PartialEq)]
struct FileView {
    state: ServiceState,
    ready_since: Option<Time>,
    restarts: u64,
    last_exit: Option<ExitStatus>,
    next_start: Option<Time>,
    check: Option<CheckResult>,
}

/// A key of a state: two states with the same key have the same future.
type Key = Vec<u8>;

/// Adds a time that only counts from now on, and of which the part behind the
/// limit does not count. The unit is a second.
fn push_time(key: &mut Key, time: Time, limit: Time) {
    let time = time.min(limit);
    assert_eq!(time % 1000, 0, "exhaustive tests use whole seconds");
    key.push((time / 1000).try_into().unwrap());
}

/// Adds a deadline. An expired deadline is due now.
fn push_deadline(key: &mut Key, deadline: Option<Time>, now: Time) {
    match deadline {
        Some(deadline) => push_time(key, deadline.saturating_sub(now), 250_000),
        None => key.push(255),
    }
}

/// Adds a number of failures, of which those beyond the limit do not count.
fn push_failures(key: &mut Key, failures: u64, config: Option<CheckConfig>) {
    let limit = config.map_or(0, |config| config.failures.max(1));
    key.push(failures.min(limit).try_into().unwrap());
}

fn milliseconds(time: Duration) -> Time {
    time.as_millis().try_into().unwrap()
}

/// A model of a family of programs. Times are those of the call.
trait Model: Clone + Debug {
    /// The steps of the command.
    fn command(&mut self, letter: u8, now: Time) -> Vec<CommandStep>;
    /// A signal of a command was sent.
    fn receive(&mut self, signal: Signal, now: Time);
    fn record_exit(&mut self, status: ExitStatus, finish: bool, now: Time);
    fn start(&mut self, script: Script, now: Time);
    fn fail_start(&mut self, script: Script, now: Time);
    /// The KILLs that are due.
    fn take_kills(&mut self, now: Time) -> Vec<(Pid, SignalTarget)>;
    /// The events without a method of their own.
    fn apply(&mut self, event: Event, now: Time) -> Option<CheckReport>;
    fn view(&self, now: Time) -> View;
    fn push_key(&self, key: &mut Key, now: Time);
}

/// The machine and its model, with the same events.
#[derive(Clone, Debug)]
struct Pair<M> {
    machine: Machine,
    model: M,
    beginning: Moment,
    now: Time,
}

/// Compares a result of the machine with that of the model.
fn same<T: PartialEq + Debug>(name: &str, machine: &T, model: &T) -> Result<(), String> {
    if machine == model {
        Ok(())
    } else {
        Err(format!("{name}\nmachine: {machine:?}\nmodel:   {model:?}"))
    }
}

impl<M: Model> Pair<M> {
    fn new(ruleset: Ruleset, want: Want, config: RestartConfig, model: M) -> Self {
        let beginning = Moment::now();
        let mut machine = Machine::new(ruleset, want, beginning);
        machine.set_config(config);
        Pair {
            machine,
            model,
            beginning,
            now: 0,
        }
    }

    fn moment(&self) -> Moment {
        self.beginning.after(Duration::from_millis(self.now))
    }

    fn time(&self, instant: Instant) -> Time {
        milliseconds(instant - self.beginning.instant)
    }

    /// The time of a label. Labels have no difference in nanoseconds.
    fn time_of(&self, label: Label) -> Time {
        let first = self.beginning.label;
        let seconds = label.seconds_since(first) * 1000;
        let nanoseconds = i64::from(label.nanoseconds()) - i64::from(first.nanoseconds());
        let sum = i64::try_from(seconds).unwrap() + nanoseconds / 1_000_000;
        sum.try_into().unwrap()
    }

    /// The events that can come now.
    fn events(&self, waits: &[Time]) -> Vec<Event> {
        let mut events = Vec::new();
        let view = self.machine_view();
        let is_due = view.next_start.is_some_and(|(due, _)| due <= self.now);
        let has_programs = self.machine.ruleset() == Ruleset::Runsv(Role::Service);
        let is_runsv = matches!(self.machine.ruleset(), Ruleset::Runsv(_));
        for &letter in LETTERS {
            if !(is_runsv && NOT_OF_RUNSV.contains(&letter)) {
                events.push(Event::Command(letter, false));
                if has_programs && view.run.is_some() {
                    events.push(Event::Command(letter, true));
                }
            }
        }
        if view.child.is_some() {
            let may_have_finish = match self.machine.ruleset() {
                Ruleset::Supervise | Ruleset::Runsv(Role::Logger) => false,
                Ruleset::Extended | Ruleset::Runsv(Role::Service) => view.run.is_some(),
            };
            events.extend(EXITS.map(|status| Event::Exit(status, false)));
            if may_have_finish {
                events.extend(EXITS.map(|status| Event::Exit(status, true)));
            }
        }
        match self.machine.ruleset() {
            Ruleset::Extended => {
                events.extend([Event::Ready, Event::ExitAfterRun]);
                if self.machine.check.is_some() {
                    events.extend(CHECK_EXITS.map(Event::CheckExit));
                }
            }
            Ruleset::Runsv(Role::Logger) => events.push(Event::RequestExit),
            Ruleset::Supervise | Ruleset::Runsv(Role::Service) => {}
        }
        match view.optional_script {
            Some(_) => events.extend([Event::Skip, Event::Start, Event::FailStart]),
            None if is_due => events.extend([Event::Start, Event::FailStart]),
            None => {}
        }
        match view.next_deadline {
            Some(deadline) if deadline <= self.now => {
                if !is_due {
                    events.push(Event::Kill);
                }
            }
            Some(deadline) => {
                let left = deadline - self.now;
                events.push(Event::Wait(left));
                if left > DISTANT {
                    events.push(Event::Wait(left - 1000));
                } else {
                    let waits = waits.iter().filter(|wait| **wait != left);
                    events.extend(waits.map(|wait| Event::Wait(*wait)));
                }
            }
            None => events.extend(waits.iter().map(|wait| Event::Wait(*wait))),
        }
        events
    }

    /// Applies an event to both, and compares them.
    fn apply(&mut self, event: Event) -> Result<(), String> {
        if let Event::Wait(time) = event {
            self.now += time;
        }
        let (now, moment) = (self.now, self.moment());
        match event {
            Event::Command(letter, replaces) => self.command(letter, replaces)?,
            Event::Exit(raw, finish) => {
                let (child, status) = (self.machine.child_pid(), ExitStatus::from_raw(raw));
                let child = child.ok_or("no process exits")?;
                self.machine.record_exit(STRANGER, status, finish, moment);
                self.machine.record_exit(child, status, finish, moment);
                self.model.record_exit(status, finish, now);
            }
            Event::CheckExit(raw) => {
                let status = ExitStatus::from_raw(raw);
                let report = self.machine.record_check_exit(STRANGER, status, moment);
                same("check of another process", &report, &None)?;
                let report = self.machine.record_check_exit(CHECK, status, moment);
                same("check", &report, &self.model.apply(event, now))?;
            }
            Event::Ready => {
                self.machine.record_readiness(moment);
                self.model.apply(event, now);
            }
            Event::ExitAfterRun => {
                self.machine.request_exit_after_run(moment);
                self.model.apply(event, now);
            }
            Event::RequestExit => {
                self.machine.request_exit();
                self.model.apply(event, now);
            }
            Event::Wait(_) => {}
            Event::Kill => {
                let kills = std::iter::from_fn(|| self.machine.take_expired_kill(moment));
                same("KILL", &kills.collect(), &self.model.take_kills(now))?;
            }
            Event::Start => {
                let (_, script) = self.machine.next_start().ok_or("nothing starts")?;
                let pid = match script {
                    Script::Run => RUN,
                    Script::Finish(_) => FINISH,
                    Script::Check => CHECK,
                    Script::Start => START,
                    Script::Stop => STOP,
                };
                self.machine.record_start(script, pid, moment);
                self.model.start(script, now);
            }
            Event::FailStart => {
                let (_, script) = self.machine.next_start().ok_or("nothing starts")?;
                self.machine.record_failed_start(script, moment);
                self.model.fail_start(script, now);
            }
            Event::Skip => {
                let script = self.machine.optional_script(moment);
                let script = script.ok_or("nothing is skipped")?;
                self.machine.record_missing(script, moment);
                self.model.apply(event, now);
            }
        }
        self.compare()
    }

    fn command(&mut self, letter: u8, replaces: bool) -> Result<(), String> {
        let (now, moment) = (self.now, self.moment());
        let command = self.machine.ruleset().decode(letter).ok_or("no command")?;
        let steps: Vec<_> = self.machine.apply_command(command, moment).collect();
        same("steps", &steps, &self.model.command(letter, now))?;
        for step in steps {
            let signal = match step {
                CommandStep::Signal(signal) => Some(signal),
                CommandStep::Program { otherwise, .. } => otherwise.filter(|_| !replaces),
            };
            if let Some(signal) = signal {
                self.machine.record_signal(signal, moment);
                self.model.receive(signal, now);
            }
        }
        Ok(())
    }

    fn machine_view(&self) -> View {
        let machine = &self.machine;
        let (report, moment) = (machine.report(), self.moment());
        let StateFile {
            state,
            pid,
            since,
            ready_since,
            restarts,
            exit_code,
            signal,
            next_start,
            check,
        } = machine.state_file();
        let is_extended = machine.ruleset() == Ruleset::Extended;
        let is_runsv = matches!(machine.ruleset(), Ruleset::Runsv(_));
        let file = FileView {
            state,
            ready_since: ready_since.map(|label| self.time_of(label)),
            restarts: restarts.unwrap_or(u64::MAX),
            last_exit: match (exit_code, signal) {
                (Some(code), None) => Some(ExitStatus::from_raw(i32::from(code) << 8)),
                (None, Some(signal)) => Some(ExitStatus::from_raw(i32::from(signal))),
                (None, None) => None,
                (Some(_), Some(_)) => panic!("an exit code and a signal"),
            },
            next_start: next_start.map(|label| self.time_of(label)),
            check,
        };
        let number = |process: Option<Pid>| process.and_then(number_of);
        let run = number(machine.run_pid());
        assert_eq!((pid, since), (run, Some(report.status.since)));
        let record_pid = if is_runsv {
            machine.child_pid()
        } else {
            machine.run_pid()
        };
        assert_eq!(report.status.pid, number(record_pid));
        View {
            next_start: machine
                .next_start()
                .map(|(due, script)| (self.time(due), script)),
            next_deadline: machine.next_deadline().map(|due| self.time(due)),
            optional_script: machine.optional_script(moment),
            child: machine.child_pid(),
            run: machine.run_pid(),
            should_exit: machine.should_exit(),
            exit_requested: machine.exit_requested(),
            is_stopping: machine.is_stopping(),
            want: report.status.want,
            paused: report.status.paused,
            got_term: report.got_term,
            since: self.time_of(report.status.since),
            file: is_extended.then_some(file),
            record_state: report.state.filter(|_| is_runsv),
        }
    }

    fn compare(&self) -> Result<(), String> {
        same("view", &self.machine_view(), &self.model.view(self.now))?;
        for pid in [RUN, FINISH, START, STOP] {
            let script = match pid {
                RUN => Script::Run,
                START => Script::Start,
                _ => Script::Stop,
            };
            let runs = self.machine.child_pid() == Some(pid) && pid != FINISH;
            let script = runs.then_some(script);
            same("script of process", &self.machine.script_of(pid), &script)?;
        }
        Ok(())
    }
}

/// A process of another program.
const STRANGER: Pid = Pid::from_raw(99);
