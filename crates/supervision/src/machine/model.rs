//! Random lives under supervise -e, compared with a model that computes each
//! state of service-directory(5) from all earlier events.

use super::*;

/// A time in milliseconds since the beginning.
type Time = u64;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    Down,
    Due(Time),
    Up,
    Cleaning,
    Failed,
}

#[derive(Debug)]
struct Event {
    at: Time,
    lived: Time,
    was_ready: bool,
    wanted_up: bool,
}

/// The state by service-directory(5).
#[expect(clippy::struct_excessive_bools, reason = "they vary independently")]
#[derive(Debug)]
struct Model {
    config: RestartConfig,
    is: Is,
    want: Want,
    leaving: bool,
    paused: bool,
    ready: bool,
    kill: Option<Time>,
    started: Option<Time>,
    /// The deaths since the last command to start.
    deaths: Vec<Event>,
    once_more: bool,
}

fn milliseconds(time: Duration) -> Time {
    time.as_millis().try_into().unwrap()
}

impl Model {
    fn new(config: RestartConfig) -> Self {
        Model {
            config,
            is: Is::Due(0),
            want: Want::Up,
            leaving: false,
            paused: false,
            ready: false,
            kill: None,
            started: None,
            deaths: Vec::new(),
            once_more: false,
        }
    }

    /// A start comes no sooner than a second after the last start, nor than
    /// the delay after a death.
    fn start(&mut self, now: Time) {
        let mut due = now.max(self.started.map_or(0, |started| started + 1000));
        if let (Some(backoff), Some(last)) = (self.config.backoff, self.deaths.last()) {
            let (first, longest) = (milliseconds(backoff.first), milliseconds(backoff.longest));
            let mut delay = 0;
            for death in &self.deaths {
                let anew = delay == 0 || death.was_ready || death.lived > longest;
                delay = if anew { first } else { longest.min(2 * delay) };
            }
            due = due.max(last.at + delay);
        }
        self.is = Is::Due(due);
    }

    /// `finish` has ended, or there was none.
    fn settle(&mut self, now: Time) {
        let too_many = self.config.limit.is_some_and(|limit| {
            let recent = |death: &&Event| {
                let last = self.deaths.last().map_or(0, |last| last.at);
                death.wanted_up && last - death.at <= milliseconds(limit.interval)
            };
            self.deaths.iter().filter(recent).count() > limit.count
        });
        self.is = Is::Down;
        match self.want {
            Want::Up if too_many => self.fail(),
            Want::Up => self.start(now),
            Want::Once if self.once_more => self.start(now),
            Want::Once | Want::Down => {}
        }
    }

    fn fail(&mut self) {
        (self.is, self.want) = (Is::Failed, Want::Down);
    }

    fn died(&mut self, end: ExitStatus, finish: bool, now: Time) {
        (self.kill, self.paused) = (None, false);
        match (self.is, self.started) {
            (Is::Up, Some(started)) => {
                self.deaths.push(Event {
                    at: now,
                    lived: now - started,
                    was_ready: self.ready,
                    wanted_up: self.want == Want::Up,
                });
                if finish {
                    self.is = Is::Cleaning;
                    let time = self.config.finish_timeout;
                    self.kill = time.map(|time| now + milliseconds(time));
                } else {
                    self.settle(now);
                }
            }
            _ if end.code() == Some(125) && self.want != Want::Down => self.fail(),
            _ => self.settle(now),
        }
    }

    fn command(&mut self, letter: u8, now: Time) {
        match letter {
            b'u' | b'o' => {
                self.want = if letter == b'u' { Want::Up } else { Want::Once };
                self.deaths.clear();
                match self.is {
                    Is::Up => self.kill = None,
                    Is::Cleaning => self.once_more = letter == b'o',
                    Is::Down | Is::Due(_) | Is::Failed => self.start(now),
                }
            }
            b'd' => {
                (self.want, self.once_more, self.paused) = (Want::Down, false, false);
                match (self.is, self.config.kill_timeout) {
                    (Is::Due(_), _) => self.is = Is::Down,
                    (Is::Up, Some(time)) => {
                        self.kill = self.kill.or(Some(now + milliseconds(time)));
                    }
                    _ => {}
                }
            }
            b'x' => {
                self.leaving = true;
                // A service that was stopped gets no second signal.
                if self.config.exit_implies_down && self.want != Want::Down {
                    self.command(b'd', now);
                }
            }
            b'p' => self.paused = self.is == Is::Up,
            b'c' => self.paused = false,
            _ => {}
        }
    }

    fn should_exit(&self) -> bool {
        self.leaving && !matches!(self.is, Is::Up | Is::Cleaning)
    }

    fn stage(&self) -> ServiceState {
        match self.is {
            Is::Down => ServiceState::Down,
            Is::Due(_) => ServiceState::Delay,
            Is::Up if self.ready => ServiceState::Ready,
            Is::Up if self.config.expects_readiness => ServiceState::Starting,
            Is::Up => ServiceState::Up,
            Is::Cleaning => ServiceState::Finish,
            Is::Failed => ServiceState::Failed,
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

/// Runs a life of random events.
fn live(random: &mut fastrand::Rng) {
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
                // Time passes, sometimes up to the next KILL. The steps make equal
                // times likely, at which a limit or a delay just applies.
                let next = [model.kill, Some(now + 500 * random.u64(..5))];
                now = random.choice(next).flatten().unwrap_or(now).max(now);
                "time passes".to_owned()
            }
            4..7 if machine.child_pid().is_some() => {
                let raw = *random.choice(&[0, 3 << 8, 125 << 8, 9]).unwrap();
                let (status, finish) = (ExitStatus::from_raw(raw), random.bool());
                let child = machine.child_pid().unwrap();
                machine.record_exit(child, status, finish, at(now));
                model.died(status, finish, now);
                format!("died of {raw}, finish {finish}")
            }
            7 => {
                machine.record_readiness(at(now));
                model.ready |= model.is == Is::Up && config.expects_readiness;
                "ready".to_owned()
            }
            _ => {
                let letter = *random.choice(b"uuoodpctkx").unwrap();
                let runs = model.is == Is::Up;
                let asked = letter == b'd'
                    || letter == b'x' && config.exit_implies_down && model.want != Want::Down;
                let command = Command::from_byte(letter).unwrap();
                let steps: Vec<_> = machine.apply_command(command, at(now)).collect();
                assert!(runs || steps.is_empty());
                let stop = [config.down_signal, Signal::SIGCONT].map(CommandStep::Signal);
                assert_eq!(steps.starts_with(&stop), runs && asked);
                model.command(letter, now);
                format!("command {}", char::from(letter))
            }
        };
        events.push(format!("{now}: {event}"));
        // The acts of supervise.
        let expired = model.kill.take_if(|moment| *moment <= now);
        assert_eq!(
            machine.take_expired_kill(at(now)).is_some(),
            expired.is_some(),
            "{events:#?} {model:?}"
        );
        if let Some((moment, Start::Finish(_))) = machine.next_start() {
            assert_eq!(moment, at(now).instant);
            pid += 1;
            machine.record_start(Pid::from_raw(pid), at(now));
        }
        let due = match model.is {
            Is::Due(due) if !model.should_exit() => Some(due),
            _ => None,
        };
        let wanted = (
            due.map(|due| at(due).instant),
            model.stage(),
            (model.want, model.paused, model.is == Is::Up),
            model.should_exit(),
        );
        let status = machine.report().status;
        let is = (
            machine.next_start().map(|(moment, _)| moment),
            machine.state_file().state,
            (status.want, status.paused, status.pid.is_some()),
            machine.should_exit(),
        );
        assert_eq!(is, wanted, "{events:#?} {model:?}");
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
            machine.record_start(Pid::from_raw(pid), at(now));
            (model.is, model.started, model.ready, model.once_more) =
                (Is::Up, Some(now), false, false);
            model.paused = false;
            events.push(format!("{now}: started"));
        }
    }
}

#[test]
fn random_lives_match_service_directory_5() {
    let mut random = fastrand::Rng::with_seed(1);
    (0..5000).for_each(|_| live(&mut random));
}
