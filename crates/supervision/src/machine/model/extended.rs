//! The model of supervise -e, which computes each state of service-directory(5)
//! from all earlier events.

use daemontools_core::state::{CheckResult, ServiceState};

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum ModelState {
    Down,
    Due(Time),
    Up,
    FinishDue(Time),
    Finish,
    Failed,
    Start,
    /// `start` has exited 0.
    StartDone(Time),
    Started,
    StopDue(Time),
    Stop,
}

/// Whether `stop` has to run, and whether `start` has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Prepared {
    No,
    Yes,
    Failed,
}

#[derive(Clone, Debug)]
struct PastExit {
    at: Time,
    uptime: Time,
    was_ready: bool,
    counts: bool,
}

/// The state by service-directory(5).
#[expect(clippy::struct_excessive_bools, reason = "they vary independently")]
#[derive(Clone, Debug)]
pub(super) struct Extended {
    config: RestartConfig,
    state: ModelState,
    want: Want,
    exit_requested: bool,
    paused: bool,
    ready: bool,
    kill: Option<Time>,
    started: Option<Time>,
    /// The end of the pause after a failed fork; a command to start ends it.
    pause: Time,
    /// The exits since the last command to start.
    exits: Vec<PastExit>,
    /// The signals that the commands of this run have sent, and when the process
    /// received them.
    signals: Vec<(Signal, Time)>,
    start_pending: bool,
    prepared: Prepared,
    /// Whether `d` came while `start` ran.
    interrupted: bool,
    /// Whether the service had failed before `stop`.
    stop_of_failed: bool,
    check: ModelCheck,
    since: Time,
    ready_since: Option<Time>,
    starts: u64,
    last_exit: Option<ExitStatus>,
    /// The exit that `finish` receives.
    last_run_exit: Option<ExitStatus>,
}

/// The checks by service-directory(5).
#[derive(Clone, Debug, Default)]
struct ModelCheck {
    process: Option<CheckProcess>,
    /// The end of the interval.
    due: Option<Time>,
    paused: bool,
    /// Whether a signal to exit was sent to this run.
    over: bool,
    failures: u64,
    result: Option<CheckResult>,
}

#[derive(Clone, Debug)]
struct CheckProcess {
    kill: Option<Time>,
    counts: bool,
}

impl ModelCheck {
    /// Kills the running check.
    fn cancel(&mut self, now: Time) {
        self.due = None;
        if let Some(process) = self.process.as_mut().filter(|process| process.counts) {
            (process.kill, process.counts) = (Some(now), false);
        }
    }

    fn end(&mut self, now: Time) {
        (self.over, self.paused) = (true, false);
        self.cancel(now);
    }

    /// The moment of the next check.
    fn next(&self) -> Option<Time> {
        self.due.filter(|_| self.process.is_none())
    }

    fn kill(&self) -> Option<Time> {
        self.process.as_ref().and_then(|process| process.kill)
    }
}

impl Extended {
    pub(super) fn new(config: RestartConfig, want: Want) -> Self {
        Extended {
            config,
            state: match want {
                Want::Up => ModelState::Due(0),
                Want::Down | Want::Once => ModelState::Down,
            },
            want,
            exit_requested: false,
            paused: false,
            ready: false,
            kill: None,
            started: None,
            pause: 0,
            exits: Vec::new(),
            signals: Vec::new(),
            start_pending: false,
            prepared: Prepared::No,
            interrupted: false,
            stop_of_failed: false,
            check: ModelCheck::default(),
            since: 0,
            ready_since: None,
            starts: 0,
            last_exit: None,
            last_run_exit: None,
        }
    }

    /// A start comes no sooner than a second after the last start, nor than
    /// the delay after an exit, unless that exit was requested.
    fn schedule_start(&mut self, now: Time) {
        let mut due = now.max(self.pause);
        due = due.max(self.started.map_or(0, |started| started + 1000));
        if let (delay, true) = self.delay() {
            due = due.max(self.exits.last().map_or(0, |last| last.at) + delay);
        }
        self.state = ModelState::Due(due);
    }

    /// `stop` is due, if anything ran before.
    fn begin_stop(&mut self, now: Time) -> bool {
        if self.prepared == Prepared::No {
            return false;
        }
        self.stop_of_failed = self.state == ModelState::Failed;
        self.state = ModelState::StopDue(now);
        true
    }

    /// The next script, if it is due and may be missing.
    fn optional_script(&self, now: Time) -> Option<Script> {
        match self.state {
            ModelState::Due(due) if due <= now && !self.exit_requested => {
                (self.prepared != Prepared::Yes).then_some(Script::Start)
            }
            ModelState::StartDone(due) if due <= now => Some(Script::Run),
            ModelState::StopDue(due) if due <= now => Some(Script::Stop),
            _ => None,
        }
    }

    fn record_missing(&mut self, script: Script, now: Time) {
        match script {
            Script::Start => self.prepared = Prepared::Yes,
            Script::Run => (self.state, self.since) = (ModelState::Started, now),
            Script::Stop if self.stop_of_failed && !self.start_pending => {
                self.state = ModelState::Failed;
            }
            Script::Stop => {
                self.prepared = Prepared::No;
                self.record_down(now);
            }
            Script::Finish(_) | Script::Check => panic!(),
        }
    }

    /// The last script has ended.
    fn record_down(&mut self, now: Time) {
        let again = match self.want {
            Want::Up => true,
            Want::Once => self.start_pending,
            Want::Down => false,
        };
        self.state = ModelState::Down;
        if (self.exit_requested || !again) && self.begin_stop(now) {
            return;
        }
        let limit = self.config.limit;
        let too_many = limit.is_some_and(|limit| self.recent_exits().count() > limit.count);
        match self.want {
            Want::Up if too_many => self.fail(),
            Want::Up => self.schedule_start(now),
            Want::Once if self.start_pending => self.schedule_start(now),
            Want::Once | Want::Down => {}
        }
    }

    fn fail(&mut self) {
        (self.state, self.want) = (ModelState::Failed, Want::Down);
        if self.prepared == Prepared::Yes {
            self.prepared = Prepared::Failed;
        }
    }

    fn interval(&self) -> Option<Time> {
        self.config.check.map(|check| milliseconds(check.interval))
    }

    /// `check` has exited. Returns the event.
    fn record_check(&mut self, status: ExitStatus, now: Time) -> Option<CheckEvent> {
        let process = self.check.process.take()?;
        let config = self.config.check.filter(|_| process.counts)?;
        self.check.due = self.interval().map(|interval| now + interval);
        let has_failed = self.check.failures > 0;
        if status.code() == Some(0) {
            let event = (has_failed || self.check.result.is_none()).then_some(CheckEvent::Ok);
            (self.check.failures, self.check.result) = (0, Some(CheckResult::Ok));
            if config.reports_readiness {
                self.report_readiness(now);
            }
            return event;
        }
        self.check.failures += 1;
        if config.failures == 0 {
            self.check.result = Some(CheckResult::Failing);
        } else {
            self.check.result = Some(CheckResult::Failures(self.check.failures));
            if self.check.failures == config.failures {
                let time = self.config.kill_timeout;
                self.kill = self.kill.or(time.map(|time| now + milliseconds(time)));
                self.check.end(now);
                return Some(CheckEvent::Stop);
            }
        }
        (!has_failed).then_some(CheckEvent::Failing)
    }

    fn report_readiness(&mut self, now: Time) {
        if self.state == ModelState::Up && self.config.expects_readiness && !self.ready {
            (self.ready, self.ready_since) = (true, Some(now));
        }
    }

    fn is_requested(&self, status: ExitStatus, now: Time) -> bool {
        self.signals.iter().any(|&(signal, received)| {
            let killed_by = status.signal().map(i32::from);
            self.is_definite(signal)
                || self.is_ambiguous(signal)
                    && (killed_by == Some(signal as i32)
                        || status.code() == Some(0)
                        || now - received <= 5000)
        })
    }

    /// Whether a signal to exit was sent.
    fn is_definite(&self, signal: Signal) -> bool {
        let exits = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGKILL];
        exits.contains(&signal) || signal == self.config.down_signal
    }

    /// Whether services use the signal for an exit, or for other purposes.
    fn is_ambiguous(&self, signal: Signal) -> bool {
        ![Signal::SIGSTOP, Signal::SIGCONT].contains(&signal) && !self.is_definite(signal)
    }

    /// The signal of a letter.
    fn signal(&self, letter: u8) -> Vec<CommandStep> {
        let signal = match letter {
            b'p' => Signal::SIGSTOP,
            b'c' => Signal::SIGCONT,
            b'h' => Signal::SIGHUP,
            b'a' => Signal::SIGALRM,
            b'i' => Signal::SIGINT,
            b't' => Signal::SIGTERM,
            b'k' => Signal::SIGKILL,
            b'q' => Signal::SIGQUIT,
            b'1' => Signal::SIGUSR1,
            b'2' => Signal::SIGUSR2,
            b'w' => Signal::SIGWINCH,
            b'd' => {
                // `down-signal` is for `run`.
                let stop = match self.state {
                    ModelState::Start => Signal::SIGTERM,
                    _ => self.config.down_signal,
                };
                return [stop, Signal::SIGCONT].map(CommandStep::Signal).into();
            }
            _ => return Vec::new(),
        };
        vec![CommandStep::Signal(signal)]
    }

    /// `u`, `o`, `d` and `x` start `finish` and `stop` at once after a failed fork.
    fn end_fork_pause(&mut self, now: Time) {
        if let ModelState::FinishDue(due) | ModelState::StopDue(due) = &mut self.state {
            *due = now.min(*due);
        }
    }

    fn change(&mut self, letter: u8, now: Time) {
        match letter {
            b'u' | b'o' => {
                self.want = if letter == b'u' { Want::Up } else { Want::Once };
                self.exits.clear();
                self.pause = 0;
                self.end_fork_pause(now);
                if let ModelState::StartDone(due) = &mut self.state {
                    *due = now.min(*due);
                }
                match self.state {
                    ModelState::Up => self.kill = None,
                    ModelState::FinishDue(_)
                    | ModelState::Finish
                    | ModelState::Start
                    | ModelState::StopDue(_)
                    | ModelState::Stop => self.start_pending = true,
                    ModelState::StartDone(_) | ModelState::Started => {}
                    ModelState::Down | ModelState::Due(_) | ModelState::Failed => {
                        self.schedule_start(now);
                    }
                }
            }
            b'd' => {
                (self.want, self.paused) = (Want::Down, false);
                self.end_fork_pause(now);
                let kill = self.config.kill_timeout;
                let kill = kill.map(|time| now + milliseconds(time));
                match self.state {
                    ModelState::Due(_) if self.prepared == Prepared::No => {
                        self.state = ModelState::Down;
                    }
                    ModelState::Up => self.kill = self.kill.or(kill),
                    ModelState::Start => {
                        (self.interrupted, self.start_pending) = (true, false);
                        self.kill = self.kill.into_iter().chain(kill).min();
                    }
                    ModelState::Started => {
                        (self.since, self.start_pending) = (now, false);
                        self.begin_stop(now);
                    }
                    ModelState::Due(_) | ModelState::StartDone(_) | ModelState::Failed => {
                        self.start_pending = false;
                        self.begin_stop(now);
                    }
                    ModelState::Down
                    | ModelState::FinishDue(_)
                    | ModelState::Finish
                    | ModelState::StopDue(_)
                    | ModelState::Stop => {}
                }
            }
            b'x' => {
                self.exit_requested = true;
                self.end_fork_pause(now);
                // A service that was stopped gets no second signal.
                if self.config.exit_implies_down && self.want != Want::Down {
                    self.change(b'd', now);
                } else {
                    self.exit_after_run(now);
                }
            }
            b'p' => {
                self.paused = self.state == ModelState::Up;
                let has_checks = self.paused && !self.check.over && self.config.check.is_some();
                if has_checks {
                    self.check.paused = true;
                    self.check.cancel(now);
                }
            }
            b'c' => {
                self.paused = false;
                if self.state == ModelState::Up && std::mem::take(&mut self.check.paused) {
                    self.check.due = self.interval().map(|interval| now + interval);
                }
            }
            _ => {}
        }
    }

    /// Supervision ends with the current run.
    fn exit_after_run(&mut self, now: Time) {
        self.exit_requested = true;
        if matches!(
            self.state,
            ModelState::Due(_) | ModelState::StartDone(_) | ModelState::Failed
        ) {
            // The next supervise starts a service that waited for its start.
            self.start_pending = matches!(self.state, ModelState::Due(_));
            self.begin_stop(now);
        }
    }

    fn should_exit(&self) -> bool {
        let exits = [ModelState::Down, ModelState::Failed];
        let is_down = exits.contains(&self.state) || matches!(self.state, ModelState::Due(_));
        self.exit_requested && is_down
    }

    fn service_state(&self) -> ServiceState {
        match self.state {
            ModelState::Down => ServiceState::Down,
            ModelState::Due(_) => ServiceState::Delay,
            ModelState::Up if self.ready => ServiceState::Ready,
            ModelState::Up if self.config.expects_readiness => ServiceState::Starting,
            ModelState::Up => ServiceState::Up,
            ModelState::FinishDue(_) | ModelState::Finish => ServiceState::Finish,
            ModelState::Failed => ServiceState::Failed,
            ModelState::Start | ModelState::StartDone(_) => ServiceState::Start,
            ModelState::Started => ServiceState::Started,
            ModelState::StopDue(_) | ModelState::Stop => ServiceState::Stop,
        }
    }

    fn next_start(&self) -> Option<(Time, Script)> {
        match self.state {
            ModelState::Due(_) if self.exit_requested => None,
            ModelState::Due(due) if self.prepared == Prepared::Yes => Some((due, Script::Run)),
            ModelState::Due(due) => Some((due, Script::Start)),
            ModelState::Up => self.check.next().map(|due| (due, Script::Check)),
            ModelState::FinishDue(due) => {
                let (pid, status) = (RUN, self.last_run_exit.unwrap());
                Some((due, Script::Finish(RunExit { pid, status })))
            }
            ModelState::StartDone(due) => Some((due, Script::Run)),
            ModelState::StopDue(due) => Some((due, Script::Stop)),
            ModelState::Down
            | ModelState::Finish
            | ModelState::Failed
            | ModelState::Start
            | ModelState::Started
            | ModelState::Stop => None,
        }
    }

    /// The process, and the target of its KILL.
    fn child(&self) -> Option<(Pid, SignalTarget)> {
        match self.state {
            ModelState::Up => Some((RUN, SignalTarget::Process)),
            ModelState::Finish => Some((FINISH, SignalTarget::Process)),
            ModelState::Start => Some((START, SignalTarget::ProcessGroup)),
            ModelState::Stop => Some((STOP, SignalTarget::ProcessGroup)),
            ModelState::Down
            | ModelState::Due(_)
            | ModelState::FinishDue(_)
            | ModelState::Failed
            | ModelState::StartDone(_)
            | ModelState::Started
            | ModelState::StopDue(_) => None,
        }
    }

    /// The delay after the exits, and whether the last one has a delay.
    fn delay(&self) -> (Time, bool) {
        let (Some(backoff), Some(last)) = (self.config.backoff, self.exits.last()) else {
            return (0, false);
        };
        let (first, longest) = (milliseconds(backoff.first), milliseconds(backoff.longest));
        let mut delay = 0;
        for exit in &self.exits {
            if exit.was_ready || exit.uptime > longest {
                delay = 0;
            }
            if exit.counts {
                delay = (2 * delay).clamp(first, longest);
            }
        }
        (delay, last.counts)
    }

    /// The exits that count for the limit.
    fn recent_exits(&self) -> impl Iterator<Item = Time> {
        let interval = self
            .config
            .limit
            .map_or(0, |limit| milliseconds(limit.interval));
        let last = self.exits.last().map_or(0, |last| last.at);
        let recent = move |exit: &&PastExit| exit.counts && last - exit.at <= interval;
        self.exits.iter().filter(recent).map(|exit| exit.at)
    }
}

impl Model for Extended {
    fn command(&mut self, letter: u8, now: Time) -> Vec<CommandStep> {
        let sends = match (letter, self.state) {
            // No command ends `stop`.
            (b'd' | b'x', ModelState::Stop) => false,
            (_, ModelState::Up | ModelState::Start | ModelState::Stop) => true,
            _ => false,
        };
        let implied = self.config.exit_implies_down && self.want != Want::Down;
        let sent_by = if letter == b'x' && implied {
            b'd'
        } else {
            letter
        };
        let steps = self.signal(sent_by);
        self.change(letter, now);
        if sends { steps } else { Vec::new() }
    }

    /// A signal reaches the process. CONT delivers the pending ones.
    fn receive(&mut self, signal: Signal, now: Time) {
        if self.state != ModelState::Up {
            return;
        }
        if signal == Signal::SIGCONT {
            for (_, received) in &mut self.signals {
                *received = now;
            }
        }
        self.signals.push((signal, now));
        if self.is_definite(signal) {
            self.check.end(now);
        }
    }

    fn record_exit(&mut self, status: ExitStatus, finish: bool, now: Time) {
        self.kill = None;
        match (self.state, self.started) {
            (ModelState::Up, Some(started)) => {
                (self.since, self.paused, self.last_exit) = (now, false, Some(status));
                self.last_run_exit = Some(status);
                self.check.cancel(now);
                self.exits.push(PastExit {
                    at: now,
                    uptime: now - started,
                    was_ready: self.ready,
                    counts: !self.is_requested(status, now),
                });
                if finish {
                    self.state = ModelState::FinishDue(now);
                } else {
                    self.record_down(now);
                }
            }
            (ModelState::Start, _) => {
                self.since = now;
                if self.interrupted || self.want == Want::Down || self.exit_requested {
                    self.begin_stop(now);
                } else if status.code() == Some(0) {
                    (self.state, self.prepared) = (ModelState::StartDone(now), Prepared::Yes);
                } else {
                    self.last_exit = Some(status);
                    self.fail();
                }
            }
            (ModelState::Stop, _) => {
                self.prepared = Prepared::No;
                self.record_down(now);
            }
            _ if status.code() == Some(125) && self.want != Want::Down => self.fail(),
            _ => self.record_down(now),
        }
    }

    fn start(&mut self, script: Script, now: Time) {
        let after = |time: Option<Duration>| time.map(|time| now + milliseconds(time));
        if script == Script::Check {
            self.check.due = None;
            self.check.process = Some(CheckProcess {
                kill: after(self.config.check.and_then(|check| check.timeout)),
                counts: true,
            });
            return;
        }
        self.paused = false;
        match script {
            Script::Run => {
                (self.state, self.started, self.since) = (ModelState::Up, Some(now), now);
                (self.ready, self.ready_since, self.start_pending) = (false, None, false);
                self.prepared = Prepared::Yes;
                self.starts += 1;
                self.signals.clear();
                self.check = ModelCheck {
                    process: self.check.process.take(),
                    due: self.interval().map(|interval| now + interval),
                    ..ModelCheck::default()
                };
            }
            Script::Finish(_) => {
                self.state = ModelState::Finish;
                self.kill = after(self.config.finish_timeout);
            }
            Script::Start => {
                (self.state, self.prepared, self.since) =
                    (ModelState::Start, Prepared::Failed, now);
                (self.interrupted, self.start_pending) = (false, false);
                self.kill = after(self.config.start_timeout);
            }
            Script::Stop => self.state = ModelState::Stop,
            Script::Check => {}
        }
    }

    fn fail_start(&mut self, script: Script, now: Time) {
        let retry = now + 60_000;
        self.state = match (script, self.state) {
            (Script::Check, state) => {
                self.check.due = self.interval().map(|interval| now + interval);
                state
            }
            (Script::Finish(_), _) => ModelState::FinishDue(retry),
            (Script::Stop, _) => ModelState::StopDue(retry),
            (_, ModelState::StartDone(_)) => ModelState::StartDone(retry),
            (Script::Run | Script::Start, _) => {
                self.pause = retry;
                ModelState::Due(retry)
            }
        };
    }

    fn take_kills(&mut self, now: Time) -> Vec<(Pid, SignalTarget)> {
        let has_expired = |kill: &mut Time| *kill <= now;
        let check = self.check.process.as_mut().and_then(|process| {
            process.kill.take_if(has_expired)?;
            Some((CHECK, SignalTarget::ProcessGroup))
        });
        let child = self.kill.take_if(has_expired).and(self.child());
        check.into_iter().chain(child).collect()
    }

    fn apply(&mut self, event: Event, now: Time) -> Option<CheckReport> {
        match event {
            Event::CheckExit(raw) => {
                let event = self.record_check(ExitStatus::from_raw(raw), now)?;
                return Some(CheckReport {
                    event,
                    run: RUN,
                    failures: self.check.failures,
                });
            }
            Event::Ready => self.report_readiness(now),
            Event::ExitAfterRun => self.exit_after_run(now),
            Event::Skip => {
                if let Some(script) = self.optional_script(now) {
                    self.record_missing(script, now);
                }
            }
            _ => {}
        }
        None
    }

    fn view(&self, now: Time) -> View {
        let next_start = self.next_start();
        let starts = next_start.map(|(due, _)| due);
        let kills = self.kill.into_iter().chain(self.check.kill());
        let is_up = self.state == ModelState::Up;
        let child = self.child().map(|(pid, _)| pid);
        View {
            next_start,
            next_deadline: starts.into_iter().chain(kills).min(),
            optional_script: self.optional_script(now),
            child,
            run: is_up.then_some(RUN),
            should_exit: self.should_exit(),
            exit_requested: self.exit_requested,
            is_stopping: self.exit_requested && self.want == Want::Down,
            want: match self.state {
                ModelState::Started => Want::Once,
                _ => self.want,
            },
            paused: self.paused,
            got_term: is_up
                && self
                    .signals
                    .iter()
                    .any(|(sent, _)| *sent == Signal::SIGTERM),
            since: self.since,
            file: Some(FileView {
                state: self.service_state(),
                ready_since: self.ready_since.filter(|_| is_up),
                restarts: self.starts.saturating_sub(1),
                last_exit: self.last_exit,
                next_start: match self.state {
                    ModelState::Due(due) => Some(due),
                    _ => None,
                },
                check: self.check.result.filter(|_| is_up),
            }),
            record_state: None,
        }
    }

    fn push_key(&self, key: &mut Key, now: Time) {
        let (state, due) = match self.state {
            ModelState::Down => (0, None),
            ModelState::Due(due) => (1, Some(due)),
            ModelState::Up => (2, None),
            ModelState::FinishDue(due) => (3, Some(due)),
            ModelState::Finish => (4, None),
            ModelState::Failed => (5, None),
            ModelState::Start => (6, None),
            ModelState::StartDone(due) => (7, Some(due)),
            ModelState::Started => (8, None),
            ModelState::StopDue(due) => (9, Some(due)),
            ModelState::Stop => (10, None),
        };
        key.extend([state, self.want as u8, self.prepared as u8]);
        let flags = [
            self.exit_requested,
            self.paused,
            self.start_pending,
            self.interrupted && self.state == ModelState::Start,
            self.stop_of_failed && matches!(self.state, ModelState::StopDue(_)),
        ];
        key.extend(flags.map(u8::from));
        push_deadline(key, due, now);
        push_deadline(key, self.kill, now);
        push_deadline(key, self.check.kill(), now);
        let process = self.check.process.as_ref();
        key.push(process.map_or(2, |process| u8::from(process.counts)));
        self.push_history(key, now);
        if self.state == ModelState::Up {
            self.push_run(key, now);
        }
    }
}

impl Extended {
    fn push_history(&self, key: &mut Key, now: Time) {
        // The length of the run, and the second between two starts.
        let longest = self
            .config
            .backoff
            .map_or(0, |backoff| milliseconds(backoff.longest));
        let age = self.started.map_or(Time::MAX, |started| now - started);
        push_time(key, age, longest.max(1000) + 1000);
        push_deadline(key, Some(self.pause), now);
        let (delay, counts) = self.delay();
        push_time(key, delay, Time::MAX);
        let last = self.exits.last().filter(|_| counts);
        push_deadline(key, last.map(|last| last.at + delay), now);
        if let Some(limit) = self.config.limit {
            let interval = milliseconds(limit.interval);
            for at in self.recent_exits() {
                push_time(key, now - at, interval + 1000);
            }
            key.push(254);
        }
    }

    fn push_run(&self, key: &mut Key, now: Time) {
        let sent = |test: &dyn Fn(Signal) -> bool| {
            let received = self.signals.iter().filter(|(signal, _)| test(*signal));
            received.map(|(_, received)| *received).max()
        };
        let checks = &self.check;
        let flags = [self.ready, checks.paused, checks.over];
        key.extend(flags.map(u8::from));
        key.push(u8::from(
            sent(&|signal| signal == Signal::SIGTERM).is_some(),
        ));
        let is_definite = sent(&|signal| self.is_definite(signal)).is_some();
        key.push(u8::from(is_definite));
        if !is_definite {
            // HUP is the only one of these signals that also ends a run.
            key.push(u8::from(sent(&|signal| signal == Signal::SIGHUP).is_some()));
            let last = sent(&|signal| self.is_ambiguous(signal));
            push_time(
                key,
                last.map_or(255_000, |last| (now - last).min(6000)),
                255_000,
            );
        }
        push_deadline(key, checks.due, now);
        push_failures(key, checks.failures, self.config.check);
        key.push(match checks.result {
            None => 0,
            Some(CheckResult::Ok) => 1,
            Some(CheckResult::Failing) => 2,
            Some(CheckResult::Failures(_)) => 3,
        });
    }
}
