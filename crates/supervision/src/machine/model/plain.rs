//! The models of supervise and of runsv, from supervise(8) and runsv(8).

use daemontools_core::state::ServiceState;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum PlainState {
    Down,
    Due(Time),
    Up,
    FinishDue(Time, RunExit),
    Finish,
}

/// A service of supervise or runsv, or a logger of runsv.
#[expect(clippy::struct_excessive_bools, reason = "they vary independently")]
#[derive(Clone, Debug)]
pub(super) struct Plain {
    ruleset: Ruleset,
    state: PlainState,
    want: Want,
    exit_requested: bool,
    paused: bool,
    got_term: bool,
    /// Whether `k` came since `finish` was started.
    gave_up: bool,
    started: Option<Time>,
    /// The end of the pause after a short run or a failed fork.
    pause: Time,
    since: Time,
}

impl Plain {
    pub(super) fn new(ruleset: Ruleset, want: Want) -> Self {
        Plain {
            ruleset,
            state: match want {
                Want::Up => PlainState::Due(0),
                Want::Down | Want::Once => PlainState::Down,
            },
            want,
            exit_requested: false,
            paused: false,
            got_term: false,
            gave_up: false,
            started: None,
            pause: 0,
            since: 0,
        }
    }

    fn is_runsv(&self) -> bool {
        self.ruleset != Ruleset::Supervise
    }

    fn is_logger(&self) -> bool {
        self.ruleset == Ruleset::Runsv(Role::Logger)
    }

    fn runs(&self) -> bool {
        self.state == PlainState::Up
    }

    /// supervise: no sooner than a second after the last start. runsv: no sooner
    /// than a second after the end of a run that took less than a second.
    fn schedule_start(&mut self, now: Time) {
        if self.state == PlainState::Down {
            let started = self.started.filter(|_| !self.is_runsv());
            let earliest = started.map_or(0, |started| started + 1000);
            self.state = PlainState::Due(now.max(earliest).max(self.pause));
        }
    }

    fn cancel_start(&mut self) {
        if let PlainState::Due(_) = self.state {
            self.state = PlainState::Down;
        }
    }

    fn record_down(&mut self, now: Time) {
        (self.state, self.since) = (PlainState::Down, now);
        if self.is_runsv() {
            let is_short = self.started.is_some_and(|started| now < started + 1000);
            self.pause = if is_short { now + 1000 } else { now };
        } else {
            self.paused = false;
        }
        if self.want == Want::Up {
            self.schedule_start(now);
        }
    }

    /// A signal, which a program in `control` may replace.
    fn signal(&self, letter: u8, signal: Signal) -> CommandStep {
        match self.ruleset {
            Ruleset::Runsv(Role::Service) => CommandStep::Program {
                letter,
                otherwise: Some(signal),
            },
            Ruleset::Runsv(Role::Logger) | Ruleset::Supervise | Ruleset::Extended => {
                CommandStep::Signal(signal)
            }
        }
    }

    /// TERM and CONT, and then the program of a letter.
    fn stop(&self, letter: u8) -> Vec<CommandStep> {
        let mut steps = vec![
            self.signal(b't', Signal::SIGTERM),
            CommandStep::Signal(Signal::SIGCONT),
        ];
        if self.ruleset == Ruleset::Runsv(Role::Service) {
            steps.push(CommandStep::Program {
                letter,
                otherwise: None,
            });
        }
        steps
    }

    fn supervise_command(&mut self, letter: u8, now: Time) -> Vec<CommandStep> {
        match letter {
            b'u' | b'o' => {
                self.want = if letter == b'u' { Want::Up } else { Want::Once };
                self.schedule_start(now);
                Vec::new()
            }
            b'd' => {
                (self.want, self.paused) = (Want::Down, false);
                self.cancel_start();
                self.stop(b'd')
            }
            b'x' => {
                self.exit_requested = true;
                Vec::new()
            }
            b'p' => {
                self.paused = self.runs();
                vec![self.signal(letter, Signal::SIGSTOP)]
            }
            b'c' => {
                self.paused = false;
                vec![self.signal(letter, Signal::SIGCONT)]
            }
            _ => self.other_signal(letter),
        }
    }

    fn other_signal(&self, letter: u8) -> Vec<CommandStep> {
        let signal = match letter {
            b'h' => Signal::SIGHUP,
            b'a' => Signal::SIGALRM,
            b'i' => Signal::SIGINT,
            b't' => Signal::SIGTERM,
            b'k' => Signal::SIGKILL,
            b'q' => Signal::SIGQUIT,
            b'1' => Signal::SIGUSR1,
            b'2' => Signal::SIGUSR2,
            b'w' => Signal::SIGWINCH,
            _ => return Vec::new(),
        };
        vec![self.signal(letter, signal)]
    }

    fn runsv_command(&mut self, letter: u8, now: Time) -> Vec<CommandStep> {
        match letter {
            b'u' | b'o' => {
                self.want = if letter == b'u' { Want::Up } else { Want::Down };
                self.exit_requested = false;
                self.schedule_start(now);
                Vec::new()
            }
            b'd' | b'x' => {
                if letter == b'x' && self.is_logger() {
                    return Vec::new();
                }
                (self.want, self.exit_requested) = (Want::Down, letter == b'x');
                self.cancel_start();
                self.stop(letter)
            }
            b't' => match self.want {
                Want::Up => vec![self.signal(b't', Signal::SIGTERM)],
                Want::Down | Want::Once => self.stop(if self.exit_requested { b'x' } else { b'd' }),
            },
            b'p' => {
                self.paused = true;
                vec![self.signal(letter, Signal::SIGSTOP)]
            }
            b'c' => {
                self.paused = false;
                vec![self.signal(letter, Signal::SIGCONT)]
            }
            b'k' => {
                self.gave_up |= self.state == PlainState::Finish;
                self.other_signal(letter)
            }
            _ => self.other_signal(letter),
        }
    }
}

impl Model for Plain {
    fn command(&mut self, letter: u8, now: Time) -> Vec<CommandStep> {
        let steps = if self.is_runsv() {
            self.runsv_command(letter, now)
        } else {
            self.supervise_command(letter, now)
        };
        if self.runs() { steps } else { Vec::new() }
    }

    fn receive(&mut self, signal: Signal, _: Time) {
        self.got_term |= signal == Signal::SIGTERM;
    }

    fn record_exit(&mut self, status: ExitStatus, finish: bool, now: Time) {
        (self.got_term, self.gave_up) = (false, false);
        if self.runs() && finish {
            let exit = RunExit { pid: RUN, status };
            self.state = PlainState::FinishDue(now, exit);
        } else {
            self.record_down(now);
        }
    }

    fn start(&mut self, script: Script, now: Time) {
        self.paused = false;
        if script == Script::Run {
            (self.state, self.started, self.since) = (PlainState::Up, Some(now), now);
        } else {
            self.state = PlainState::Finish;
        }
    }

    fn fail_start(&mut self, script: Script, now: Time) {
        let retry = now + if self.is_runsv() { 5000 } else { 60_000 };
        if let Script::Finish(exit) = script {
            self.state = PlainState::FinishDue(retry, exit);
        } else {
            (self.state, self.pause) = (PlainState::Due(retry), retry);
        }
    }

    fn take_kills(&mut self, _: Time) -> Vec<(Pid, SignalTarget)> {
        Vec::new()
    }

    fn apply(&mut self, event: Event, _: Time) -> Option<CheckReport> {
        if event == Event::RequestExit {
            (self.want, self.exit_requested) = (Want::Down, true);
        }
        None
    }

    fn view(&self, _: Time) -> View {
        let next_start = match self.state {
            PlainState::Due(due) if !self.exit_requested => Some((due, Script::Run)),
            PlainState::FinishDue(due, exit) => Some((due, Script::Finish(exit))),
            PlainState::Due(_) | PlainState::Down | PlainState::Up | PlainState::Finish => None,
        };
        let has_ended = match self.state {
            PlainState::Down | PlainState::Due(_) => true,
            PlainState::Finish => self.gave_up,
            PlainState::Up | PlainState::FinishDue(..) => false,
        };
        let record_state = match self.state {
            PlainState::Down | PlainState::Due(_) => ServiceState::Down,
            PlainState::Up => ServiceState::Up,
            PlainState::FinishDue(..) | PlainState::Finish => ServiceState::Finish,
        };
        let run = self.runs().then_some(RUN);
        let finish = (self.state == PlainState::Finish).then_some(FINISH);
        View {
            next_start,
            next_deadline: next_start.map(|(due, _)| due),
            optional_script: None,
            child: run.or(finish),
            run,
            should_exit: self.exit_requested && has_ended,
            exit_requested: self.exit_requested,
            is_stopping: self.exit_requested && self.want == Want::Down,
            want: self.want,
            paused: self.paused,
            got_term: self.got_term,
            since: self.since,
            file: None,
            record_state: self.is_runsv().then_some(record_state),
        }
    }

    fn push_key(&self, key: &mut Key, now: Time) {
        let (state, due) = match self.state {
            PlainState::Down => (0, None),
            PlainState::Due(due) => (1, Some(due)),
            PlainState::Up => (2, None),
            PlainState::FinishDue(due, _) => (3, Some(due)),
            PlainState::Finish => (4, None),
        };
        key.extend([state, self.want as u8]);
        let flags = [
            self.exit_requested,
            self.paused,
            self.got_term,
            self.gave_up,
        ];
        key.extend(flags.map(u8::from));
        push_deadline(key, due, now);
        push_deadline(key, Some(self.pause), now);
        push_deadline(key, self.started.map(|started| started + 1000), now);
    }
}
