//! Random events under supervise -e, compared with a model that computes each
//! state of service-directory(5) from all earlier events.

use daemontools_core::state::{CheckResult, ServiceState};

use super::*;

/// A time in milliseconds since the beginning.
type Time = u64;

#[derive(Clone, Copy, Debug, PartialEq)]
enum ModelState {
    Down,
    Due(Time),
    Up,
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

#[derive(Debug)]
struct PastExit {
    at: Time,
    uptime: Time,
    was_ready: bool,
    counts: bool,
}

/// The state by service-directory(5).
#[expect(clippy::struct_excessive_bools, reason = "they vary independently")]
#[derive(Debug)]
struct Model {
    config: RestartConfig,
    state: ModelState,
    want: Want,
    exit_requested: bool,
    paused: bool,
    ready: bool,
    kill: Option<Time>,
    started: Option<Time>,
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
}

/// The checks by service-directory(5).
#[derive(Debug, Default)]
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

#[derive(Debug)]
struct CheckProcess {
    pid: Pid,
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

fn milliseconds(time: Duration) -> Time {
    time.as_millis().try_into().unwrap()
}

impl Model {
    fn new(config: RestartConfig) -> Self {
        Model {
            config,
            state: ModelState::Due(0),
            want: Want::Up,
            exit_requested: false,
            paused: false,
            ready: false,
            kill: None,
            started: None,
            exits: Vec::new(),
            signals: Vec::new(),
            start_pending: false,
            prepared: Prepared::No,
            interrupted: false,
            stop_of_failed: false,
            check: ModelCheck::default(),
        }
    }

    /// A start comes no sooner than a second after the last start, nor than
    /// the delay after an exit, unless that exit was requested.
    fn schedule_start(&mut self, now: Time) {
        let mut due = now.max(self.started.map_or(0, |started| started + 1000));
        if let (Some(backoff), Some(last)) = (self.config.backoff, self.exits.last()) {
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
            if last.counts {
                due = due.max(last.at + delay);
            }
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
            Script::Run => self.state = ModelState::Started,
            Script::Stop if self.stop_of_failed => self.state = ModelState::Failed,
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
        let too_many = self.config.limit.is_some_and(|limit| {
            let recent = |exit: &&PastExit| {
                let last = self.exits.last().map_or(0, |last| last.at);
                exit.counts && last - exit.at <= milliseconds(limit.interval)
            };
            self.exits.iter().filter(recent).count() > limit.count
        });
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

    /// A later time, sometimes that of the next KILL or of the last effect of a
    /// signal. The steps make equal times likely, at which a limit or a delay
    /// just applies.
    fn later(&self, now: Time, random: &mut fastrand::Rng) -> Time {
        let effect = self.signals.last().map(|(_, received)| received + 5000);
        let effect = effect.map(|last| last + random.u64(..2));
        let check = self.check.next().or(self.check.kill());
        let next = [self.kill, effect, check, Some(now + 500 * random.u64(..5))];
        random.choice(next).flatten().unwrap_or(now).max(now)
    }

    /// A signal reaches the process. CONT delivers the pending ones.
    fn receive(&mut self, signal: Signal, now: Time) {
        if signal == Signal::SIGCONT {
            for (_, received) in &mut self.signals {
                *received = now;
            }
        }
        self.signals.push((signal, now));
        let exits = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGKILL];
        if exits.contains(&signal) || signal == self.config.down_signal {
            self.check.end(now);
        }
    }

    /// `run` was started.
    fn start(&mut self, now: Time) {
        (self.state, self.started, self.ready) = (ModelState::Up, Some(now), false);
        (self.start_pending, self.paused) = (false, false);
        self.prepared = Prepared::Yes;
        self.signals.clear();
        self.check = ModelCheck {
            process: self.check.process.take(),
            due: self.interval().map(|interval| now + interval),
            ..ModelCheck::default()
        };
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
            self.ready |= config.reports_readiness && self.config.expects_readiness;
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

    fn is_requested(&self, status: ExitStatus, now: Time) -> bool {
        self.signals.iter().any(|&(signal, received)| match signal {
            Signal::SIGSTOP | Signal::SIGCONT => signal == self.config.down_signal,
            Signal::SIGTERM | Signal::SIGINT | Signal::SIGKILL => true,
            signal if signal == self.config.down_signal => true,
            signal => {
                let killed_by = status.signal().map(i32::from);
                killed_by == Some(signal as i32)
                    || status.code() == Some(0)
                    || now - received <= 5000
            }
        })
    }

    fn record_exit(&mut self, status: ExitStatus, finish: bool, now: Time) {
        (self.kill, self.paused) = (None, false);
        match (self.state, self.started) {
            (ModelState::Up, Some(started)) => {
                self.check.cancel(now);
                self.exits.push(PastExit {
                    at: now,
                    uptime: now - started,
                    was_ready: self.ready,
                    counts: !self.is_requested(status, now),
                });
                if finish {
                    self.state = ModelState::Finish;
                    let time = self.config.finish_timeout;
                    self.kill = time.map(|time| now + milliseconds(time));
                } else {
                    self.record_down(now);
                }
            }
            (ModelState::Start, _) => {
                if self.interrupted || self.want == Want::Down || self.exit_requested {
                    self.begin_stop(now);
                } else if status.code() == Some(0) {
                    (self.state, self.prepared) = (ModelState::StartDone(now), Prepared::Yes);
                } else {
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

    fn command(&mut self, letter: u8, now: Time) {
        match letter {
            b'u' | b'o' => {
                self.want = if letter == b'u' { Want::Up } else { Want::Once };
                self.exits.clear();
                match self.state {
                    ModelState::Up => self.kill = None,
                    ModelState::Finish
                    | ModelState::Start
                    | ModelState::StopDue(_)
                    | ModelState::Stop => self.start_pending = letter == b'o',
                    ModelState::StartDone(_) | ModelState::Started => {}
                    ModelState::Down | ModelState::Due(_) | ModelState::Failed => {
                        self.schedule_start(now);
                    }
                }
            }
            b'd' => {
                (self.want, self.start_pending, self.paused) = (Want::Down, false, false);
                let kill = self.config.kill_timeout;
                let kill = kill.map(|time| now + milliseconds(time));
                match self.state {
                    ModelState::Due(_) if self.prepared == Prepared::No => {
                        self.state = ModelState::Down;
                    }
                    ModelState::Up => self.kill = self.kill.or(kill),
                    ModelState::Start => {
                        self.interrupted = true;
                        self.kill = self.kill.into_iter().chain(kill).min();
                    }
                    ModelState::Due(_)
                    | ModelState::StartDone(_)
                    | ModelState::Started
                    | ModelState::Failed => {
                        self.begin_stop(now);
                    }
                    _ => {}
                }
            }
            b'x' => {
                self.exit_requested = true;
                // A service that was stopped gets no second signal.
                if self.config.exit_implies_down && self.want != Want::Down {
                    self.command(b'd', now);
                } else if matches!(
                    self.state,
                    ModelState::Due(_) | ModelState::StartDone(_) | ModelState::Failed
                ) {
                    self.start_pending = matches!(self.state, ModelState::Due(_));
                    self.begin_stop(now);
                }
            }
            b'p' => {
                self.paused = self.state == ModelState::Up;
                self.check.paused = self.paused && !self.check.over && self.config.check.is_some();
                if self.check.paused {
                    self.check.cancel(now);
                }
            }
            b'c' => {
                self.paused = false;
                if std::mem::take(&mut self.check.paused) {
                    self.check.due = self.interval().map(|interval| now + interval);
                }
            }
            _ => {}
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
            ModelState::Finish => ServiceState::Finish,
            ModelState::Failed => ServiceState::Failed,
            ModelState::Start | ModelState::StartDone(_) => ServiceState::Start,
            ModelState::Started => ServiceState::Started,
            ModelState::StopDue(_) | ModelState::Stop => ServiceState::Stop,
        }
    }
}

fn any_config(random: &mut fastrand::Rng) -> RestartConfig {
    let mut maybe = |times: &[Time]| random.choice(times).map(|&ms| Duration::from_millis(ms));
    let first = maybe(&[1000, 1500, 4000]).unwrap();
    let longest = maybe(&[4000, 9000]).unwrap();
    let interval = maybe(&[500, 3000, 20_000]).unwrap();
    let (kill, finish) = (maybe(&[0, 700, 5000]), maybe(&[0, 900, 5000]));
    let start = maybe(&[0, 600, 5000]);
    let (check, check_timeout) = (maybe(&[1, 500, 2000]), maybe(&[0, 300, 1000]));
    let limit = RestartLimit {
        count: random.usize(1..4),
        interval,
    };
    RestartConfig {
        backoff: random.bool().then_some(Backoff { first, longest }),
        limit: random.bool().then_some(limit),
        kill_timeout: kill.filter(|time| !time.is_zero()),
        finish_timeout: finish.filter(|time| !time.is_zero()),
        start_timeout: start.filter(|time| !time.is_zero()),
        down_signal: *random.choice(&[Signal::SIGTERM, Signal::SIGINT]).unwrap(),
        exit_implies_down: random.bool(),
        expects_readiness: random.bool(),
        check: random.bool().then_some(CheckConfig {
            interval: check.unwrap(),
            timeout: check_timeout.filter(|time| !time.is_zero()),
            failures: random.u64(..4),
            reports_readiness: random.bool(),
        }),
    }
}

/// The machine and the model, with the same events.
struct Trial<'a> {
    random: &'a mut fastrand::Rng,
    config: RestartConfig,
    machine: Machine,
    model: Model,
    beginning: Moment,
    now: Time,
    /// The last process.
    pid: i32,
    events: Vec<String>,
}

impl<'a> Trial<'a> {
    fn new(random: &'a mut fastrand::Rng) -> Self {
        let beginning = Moment::now();
        let config = any_config(random);
        let mut machine = Machine::new(Ruleset::Extended, Want::Up, beginning);
        machine.set_config(config);
        Trial {
            random,
            config,
            machine,
            model: Model::new(config),
            beginning,
            now: 0,
            pid: 1,
            events: Vec::new(),
        }
    }

    fn at(&self, time: Time) -> Moment {
        Moment {
            instant: self.beginning.instant + Duration::from_millis(time),
            ..self.beginning
        }
    }

    fn moment(&self) -> Moment {
        self.at(self.now)
    }

    /// Runs a sequence of random events.
    fn run(mut self) {
        for _ in 0..60 {
            let event = self.random_event();
            self.events.push(format!("{}: {event}", self.now));
            // The actions of supervise.
            self.compare_kills();
            self.skip_missing();
            self.start_cleanup();
            let due = self.compare();
            if self.model.should_exit() {
                break;
            }
            if due.is_some_and(|due| due <= self.now) {
                self.start_script();
            }
        }
    }

    fn random_event(&mut self) -> String {
        match self.random.u8(..12) {
            0..4 => {
                self.now = self.model.later(self.now, self.random);
                "time passes".to_owned()
            }
            4..7 if self.machine.child_pid().is_some() => {
                let raw = *self.random.choice(&[0, 3 << 8, 125 << 8, 9, 1, 3]).unwrap();
                let (status, finish) = (ExitStatus::from_raw(raw), self.random.bool());
                let (child, moment) = (self.machine.child_pid().unwrap(), self.moment());
                self.machine.record_exit(child, status, finish, moment);
                self.model.record_exit(status, finish, self.now);
                format!("exit status {raw}, finish {finish}")
            }
            7 => {
                self.machine.record_readiness(self.moment());
                self.model.ready |=
                    self.model.state == ModelState::Up && self.config.expects_readiness;
                "ready".to_owned()
            }
            8..10 => self.check_exits(),
            _ => self.command(),
        }
    }

    fn check_exits(&mut self) -> String {
        let raw = *self.random.choice(&[0, 0, 1 << 8, 9]).unwrap();
        let process = self.model.check.process.as_ref();
        let process = process.map_or(Pid::from_raw(-1), |process| process.pid);
        let (status, moment) = (ExitStatus::from_raw(raw), self.moment());
        let expected = self.model.record_check(status, self.now);
        let report = self.machine.record_check_exit(process, status, moment);
        let event = report.map(|report| report.event);
        assert_eq!(event, expected, "{:#?}", self.events);
        if let Some(report) = report {
            assert_eq!(Some(report.run), self.machine.run_pid());
            assert_eq!(report.failures, self.model.check.failures);
        }
        format!("check exit status {raw}")
    }

    fn command(&mut self) -> String {
        let moment = self.moment();
        let model = &mut self.model;
        let letter = *self.random.choice(b"uuoodpcctkxhhhhq12").unwrap();
        let runs = matches!(model.state, ModelState::Up | ModelState::Start);
        let down_signal = match model.state {
            ModelState::Start => Signal::SIGTERM,
            _ => self.config.down_signal,
        };
        // `stop` receives all signals but these.
        let reaches_stop = model.state == ModelState::Stop && !b"dx".contains(&letter);
        let sends_stop = letter == b'd'
            || letter == b'x' && self.config.exit_implies_down && model.want != Want::Down;
        let command = Command::from_byte(letter).unwrap();
        let steps: Vec<_> = self.machine.apply_command(command, moment).collect();
        assert!(runs || reaches_stop || steps.is_empty());
        for step in &steps {
            let CommandStep::Signal(signal) = *step else {
                panic!("{step:?}");
            };
            self.machine.record_signal(signal, moment);
            if model.state == ModelState::Up {
                model.receive(signal, self.now);
            }
        }
        let stop = [down_signal, Signal::SIGCONT].map(CommandStep::Signal);
        assert_eq!(steps.starts_with(&stop), runs && sends_stop);
        model.command(letter, self.now);
        format!("command {}", char::from(letter))
    }

    fn compare_kills(&mut self) {
        let (now, moment) = (self.now, self.moment());
        let has_expired = |kill: &mut Time| *kill <= now;
        let check = self.model.check.process.as_mut().and_then(|process| {
            process.kill.take_if(has_expired)?;
            Some((process.pid, SignalTarget::ProcessGroup))
        });
        let target = match self.model.state {
            ModelState::Start => SignalTarget::ProcessGroup,
            _ => SignalTarget::Process,
        };
        let child = self.model.kill.take_if(has_expired);
        let child = child.and(self.machine.child_pid());
        let child = child.map(|pid| (pid, target));
        let killed = std::iter::from_fn(|| self.machine.take_expired_kill(moment));
        let killed: Vec<_> = killed.collect();
        let expected: Vec<_> = check.into_iter().chain(child).collect();
        assert_eq!(killed, expected, "{:#?} {:?}", self.events, self.model);
    }

    fn skip_missing(&mut self) {
        let moment = self.moment();
        let choices = [&[][..], &[Script::Start, Script::Stop], &[Script::Run]];
        let missing = self.random.choice(choices).unwrap();
        loop {
            let script = self.machine.optional_script(moment);
            let expected = self.model.optional_script(self.now);
            assert_eq!(script, expected, "{:#?} {:?}", self.events, self.model);
            let Some(script) = script.filter(|script| missing.contains(script)) else {
                break;
            };
            self.machine.record_missing(script, moment);
            self.model.record_missing(script, self.now);
        }
    }

    /// Starts the scripts that follow at once.
    fn start_cleanup(&mut self) {
        let moment = self.moment();
        let Some((due, script)) = self.machine.next_start() else {
            return;
        };
        match script {
            Script::Finish(_) => {}
            Script::Stop => (self.model.state, self.model.paused) = (ModelState::Stop, false),
            Script::Run | Script::Check | Script::Start => return,
        }
        assert_eq!(due, moment.instant);
        self.pid += 1;
        self.machine
            .record_start(script, Pid::from_raw(self.pid), moment);
    }

    /// Compares all that supervise reads; returns the moment of the next start.
    fn compare(&self) -> Option<Time> {
        let (machine, model) = (&self.machine, &self.model);
        let due = match model.state {
            ModelState::Due(due) if !model.should_exit() => Some(due),
            ModelState::Up => model.check.next(),
            ModelState::StartDone(due) => Some(due),
            _ => None,
        };
        let is_up = model.state == ModelState::Up;
        let want = match model.state {
            ModelState::Started => Want::Once,
            _ => model.want,
        };
        let kills = model.kill.into_iter().chain(model.check.kill());
        let next = due.into_iter().chain(kills).min();
        let expected = (
            due.map(|due| self.at(due).instant),
            next.map(|next| self.at(next).instant),
            model.service_state(),
            model.check.result.filter(|_| is_up),
            (want, model.paused, is_up),
            model.should_exit(),
        );
        let (status, file) = (machine.report().status, machine.state_file());
        let actual = (
            machine.next_start().map(|(moment, _)| moment),
            machine.next_deadline(),
            file.state,
            file.check,
            (status.want, status.paused, status.pid.is_some()),
            machine.should_exit(),
        );
        assert_eq!(actual, expected, "{:#?} {model:?}", self.events);
        due
    }

    fn start_script(&mut self) {
        let (now, moment) = (self.now, self.moment());
        let model = &mut self.model;
        self.pid += 1;
        let process = Pid::from_raw(self.pid);
        let (_, script) = self.machine.next_start().unwrap();
        match script {
            Script::Run => model.start(now),
            Script::Check if self.random.u8(..8) == 0 => {
                self.machine.record_failed_start(script, moment);
                model.check.due = model.interval().map(|interval| now + interval);
                return;
            }
            Script::Check => {
                let timeout = self.config.check.unwrap().timeout;
                model.check.due = None;
                model.check.process = Some(CheckProcess {
                    pid: process,
                    kill: timeout.map(|time| now + milliseconds(time)),
                    counts: true,
                });
            }
            Script::Start => {
                (model.state, model.paused) = (ModelState::Start, false);
                (model.interrupted, model.start_pending) = (false, false);
                model.prepared = Prepared::Failed;
                let time = self.config.start_timeout;
                model.kill = time.map(|time| now + milliseconds(time));
            }
            Script::Finish(_) | Script::Stop => panic!(),
        }
        self.machine.record_start(script, process, moment);
        self.events.push(format!("{now}: started {script:?}"));
    }
}

#[test]
fn random_events_match_service_directory_5() {
    let mut random = fastrand::Rng::with_seed(1);
    (0..5000).for_each(|_| Trial::new(&mut random).run());
}
