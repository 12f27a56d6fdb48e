//! Random events under supervise -e, compared with a model that computes each
//! state of service-directory(5) from all earlier events.

use daemontools_core::state::ServiceState;

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
        let next = [self.kill, effect, Some(now + 500 * random.u64(..5))];
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
            b'p' => self.paused = self.state == ModelState::Up,
            b'c' => self.paused = false,
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
        let event = match random.u8(..10) {
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
        let expired = model.kill.take_if(|moment| *moment <= now);
        assert_eq!(
            machine.take_expired_kill(at(now)).is_some(),
            expired.is_some(),
            "{events:#?} {model:?}"
        );
        if let Some((moment, finish @ Script::Finish(_))) = machine.next_start() {
            assert_eq!(moment, at(now).instant);
            pid += 1;
            machine.record_start(finish, Pid::from_raw(pid), at(now));
        }
        let due = match model.state {
            ModelState::Due(due) if !model.should_exit() => Some(due),
            _ => None,
        };
        let expected = (
            due.map(|due| at(due).instant),
            model.service_state(),
            (model.want, model.paused, model.state == ModelState::Up),
            model.should_exit(),
        );
        let status = machine.report().status;
        let actual = (
            machine.next_start().map(|(moment, _)| moment),
            machine.state_file().state,
            (status.want, status.paused, status.pid.is_some()),
            machine.should_exit(),
        );
        assert_eq!(actual, expected, "{events:#?} {model:?}");
        let next = due.into_iter().chain(model.kill).min();
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
            machine.record_start(Script::Run, Pid::from_raw(pid), at(now));
            (model.state, model.started, model.ready, model.start_pending) =
                (ModelState::Up, Some(now), false, false);
            (model.paused, model.signals) = (false, Vec::new());
            events.push(format!("{now}: started"));
        }
    }
}

#[test]
fn random_events_match_service_directory_5() {
    let mut random = fastrand::Rng::with_seed(1);
    (0..5000).for_each(|_| run_random_events(&mut random));
}
