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

    /// `finish` has ended, or there was none.
    fn record_down(&mut self, now: Time) {
        let too_many = self.config.limit.is_some_and(|limit| {
            let recent = |exit: &&PastExit| {
                let last = self.exits.last().map_or(0, |last| last.at);
                exit.counts && last - exit.at <= milliseconds(limit.interval)
            };
            self.exits.iter().filter(recent).count() > limit.count
        });
        self.state = ModelState::Down;
        match self.want {
            Want::Up if too_many => self.fail(),
            Want::Up => self.schedule_start(now),
            Want::Once if self.start_pending => self.schedule_start(now),
            Want::Once | Want::Down => {}
        }
    }

    fn fail(&mut self) {
        (self.state, self.want) = (ModelState::Failed, Want::Down);
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
                    ModelState::Finish => self.start_pending = letter == b'o',
                    ModelState::Down | ModelState::Due(_) | ModelState::Failed => {
                        self.schedule_start(now);
                    }
                }
            }
            b'd' => {
                (self.want, self.start_pending, self.paused) = (Want::Down, false, false);
                match (self.state, self.config.kill_timeout) {
                    (ModelState::Due(_), _) => self.state = ModelState::Down,
                    (ModelState::Up, Some(time)) => {
                        self.kill = self.kill.or(Some(now + milliseconds(time)));
                    }
                    _ => {}
                }
            }
            b'x' => {
                self.exit_requested = true;
                // A service that was stopped gets no second signal.
                if self.config.exit_implies_down && self.want != Want::Down {
                    self.command(b'd', now);
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
        self.exit_requested && !matches!(self.state, ModelState::Up | ModelState::Finish)
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
        }
    }
}

fn any_config(random: &mut fastrand::Rng) -> RestartConfig {
    let mut maybe = |times: &[Time]| random.choice(times).map(|&ms| Duration::from_millis(ms));
    let first = maybe(&[1000, 1500, 4000]).unwrap();
    let longest = maybe(&[4000, 9000]).unwrap();
    let interval = maybe(&[500, 3000, 20_000]).unwrap();
    let (kill, finish) = (maybe(&[0, 700, 5000]), maybe(&[0, 900, 5000]));
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

/// Runs a sequence of random events.
fn run_random_events(random: &mut fastrand::Rng) {
    let beginning = Moment::now();
    let at = |time| Moment {
        instant: beginning.instant + Duration::from_millis(time),
        ..beginning
    };
    let config = any_config(random);
    let mut machine = Machine::new(Ruleset::Extended, Want::Up, beginning);
    machine.set_config(config);
    let mut model = Model::new(config);
    let mut events = Vec::new();
    let (mut now, mut pid) = (0, 1);
    for _ in 0..60 {
        let event = match random.u8(..12) {
            10.. => {
                let raw = *random.choice(&[0, 0, 1 << 8, 9]).unwrap();
                let process = model.check.process.as_ref().map(|process| process.pid);
                let status = ExitStatus::from_raw(raw);
                let expected = model.record_check(status, now);
                let process = process.unwrap_or(Pid::from_raw(-1));
                let report = machine.record_check_exit(process, status, at(now));
                assert_eq!(report.map(|report| report.event), expected, "{events:#?}");
                if let Some(report) = report {
                    assert_eq!(Some(report.run), machine.run_pid());
                    assert_eq!(report.failures, model.check.failures);
                }
                format!("check exit status {raw}")
            }
            0..4 => {
                now = model.later(now, random);
                "time passes".to_owned()
            }
            4..7 if machine.child_pid().is_some() => {
                let raw = *random.choice(&[0, 3 << 8, 125 << 8, 9, 1, 3]).unwrap();
                let (status, finish) = (ExitStatus::from_raw(raw), random.bool());
                let child = machine.child_pid().unwrap();
                machine.record_exit(child, status, finish, at(now));
                model.record_exit(status, finish, now);
                format!("exit status {raw}, finish {finish}")
            }
            7 => {
                machine.record_readiness(at(now));
                model.ready |= model.state == ModelState::Up && config.expects_readiness;
                "ready".to_owned()
            }
            _ => {
                let letter = *random.choice(b"uuoodpcctkxhhhhq12").unwrap();
                let runs = model.state == ModelState::Up;
                let sends_stop = letter == b'd'
                    || letter == b'x' && config.exit_implies_down && model.want != Want::Down;
                let command = Command::from_byte(letter).unwrap();
                let steps: Vec<_> = machine.apply_command(command, at(now)).collect();
                assert!(runs || steps.is_empty());
                for step in &steps {
                    let CommandStep::Signal(signal) = *step else {
                        panic!("{step:?}");
                    };
                    machine.record_signal(signal, at(now));
                    model.receive(signal, now);
                }
                let stop = [config.down_signal, Signal::SIGCONT].map(CommandStep::Signal);
                assert_eq!(steps.starts_with(&stop), runs && sends_stop);
                model.command(letter, now);
                format!("command {}", char::from(letter))
            }
        };
        events.push(format!("{now}: {event}"));
        // The actions of supervise.
        let check = model.check.process.as_mut();
        let check = check.and_then(|process| {
            Some((process.kill.take_if(|moment| *moment <= now)?, process.pid))
        });
        let check = check.map(|(_, pid)| (pid, SignalTarget::ProcessGroup));
        let expired = model.kill.take_if(|moment| *moment <= now);
        let expired = expired.and(machine.child_pid());
        let expired = expired.map(|pid| (pid, SignalTarget::Process));
        let killed = std::iter::from_fn(|| machine.take_expired_kill(at(now)));
        let killed: Vec<_> = killed.collect();
        let expected: Vec<_> = check.into_iter().chain(expired).collect();
        assert_eq!(killed, expected, "{events:#?} {model:?}");
        if let Some((moment, finish @ Script::Finish(_))) = machine.next_start() {
            assert_eq!(moment, at(now).instant);
            pid += 1;
            machine.record_start(finish, Pid::from_raw(pid), at(now));
        }
        let due = match model.state {
            ModelState::Due(due) if !model.should_exit() => Some(due),
            ModelState::Up => model.check.next(),
            _ => None,
        };
        let expected = (
            due.map(|due| at(due).instant),
            model.service_state(),
            model.check.result.filter(|_| model.state == ModelState::Up),
            (model.want, model.paused, model.state == ModelState::Up),
            model.should_exit(),
        );
        let status = machine.report().status;
        let actual = (
            machine.next_start().map(|(moment, _)| moment),
            machine.state_file().state,
            machine.state_file().check,
            (status.want, status.paused, status.pid.is_some()),
            machine.should_exit(),
        );
        assert_eq!(actual, expected, "{events:#?} {model:?}");
        let kills = model.kill.into_iter().chain(model.check.kill());
        let next = due.into_iter().chain(kills).min();
        assert_eq!(
            machine.next_deadline(),
            next.map(|next| at(next).instant),
            "{events:#?} {model:?}"
        );
        if model.should_exit() {
            return;
        }
        if due.is_some_and(|due| due <= now) {
            pid += 1;
            let process = Pid::from_raw(pid);
            let (_, script) = machine.next_start().unwrap();
            match script {
                Script::Run => model.start(now),
                Script::Check if random.u8(..8) == 0 => {
                    machine.record_failed_start(script, at(now));
                    model.check.due = model.interval().map(|interval| now + interval);
                    continue;
                }
                Script::Check => {
                    let timeout = config.check.unwrap().timeout;
                    model.check.due = None;
                    model.check.process = Some(CheckProcess {
                        pid: process,
                        kill: timeout.map(|time| now + milliseconds(time)),
                        counts: true,
                    });
                }
                Script::Finish(_) => panic!(),
            }
            machine.record_start(script, process, at(now));
            events.push(format!("{now}: started {script:?}"));
        }
    }
}

#[test]
fn random_events_match_service_directory_5() {
    let mut random = fastrand::Rng::with_seed(1);
    (0..5000).for_each(|_| run_random_events(&mut random));
}
