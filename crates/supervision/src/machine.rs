//! The life of one service as a state machine: events and the time go in,
//! signals to send and the moment of the next start come out.

use std::time::{Duration, Instant};

use daemontools_core::control::Command;
use daemontools_core::label::Label;
use daemontools_core::status::{Status, Want};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// A service is started no sooner than this after its last start.
const BETWEEN_STARTS: Duration = Duration::from_secs(1);

/// How long to wait when there could be no process for the service.
const AFTER_FAILED_FORK: Duration = Duration::from_secs(60);

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

/// What the service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It does not run, and will not until it is told to.
    Down,
    /// It does not run, and is to be started at this moment.
    Due(Instant),
    /// It runs.
    Up { pid: Pid, paused: bool },
}

/// One service under supervision.
#[derive(Debug)]
pub struct Machine {
    state: State,
    want: Want,
    /// Whether supervision ends when the service is down.
    leaving: bool,
    /// The earliest moment of the next start.
    not_before: Instant,
    /// The last change of the pid.
    since: Label,
}

impl Machine {
    /// A service that is down, to be started at once if it is wanted up.
    #[must_use]
    pub fn new(want: Want, now: Moment) -> Self {
        let state = match want {
            Want::Up => State::Due(now.instant),
            Want::Down | Want::Once => State::Down,
        };
        Machine {
            state,
            want,
            leaving: false,
            not_before: now.instant,
            since: now.label,
        }
    }

    /// What to tell those who read the status record.
    #[must_use]
    pub fn status(&self) -> Status {
        let (pid, paused) = match self.state {
            State::Down | State::Due(_) => (None, false),
            State::Up { pid, paused } => (Some(pid), paused),
        };
        Status {
            since: self.since,
            pid,
            paused,
            want: self.want,
        }
    }

    /// The process that runs, if one does.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.status().pid
    }

    /// When the service is to be started, if it is to be.
    #[must_use]
    pub fn start_due(&self) -> Option<Instant> {
        match self.state {
            State::Due(moment) if !self.is_over() => Some(moment),
            State::Due(_) | State::Down | State::Up { .. } => None,
        }
    }

    /// Whether supervision is to end now.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.leaving && self.pid().is_none()
    }

    /// Obeys a command; returns the signals that the service is to get.
    #[must_use]
    pub fn command(&mut self, command: Command, now: Moment) -> &'static [Signal] {
        let signals: &[Signal] = match command {
            Command::Up => {
                self.want = Want::Up;
                self.start_soon(now);
                &[]
            }
            Command::Once => {
                self.want = Want::Once;
                self.start_soon(now);
                &[]
            }
            Command::Down => {
                self.want = Want::Down;
                self.set_paused(false);
                match self.state {
                    State::Down | State::Due(_) => self.state = State::Down,
                    State::Up { .. } => {}
                }
                &[Signal::SIGTERM, Signal::SIGCONT]
            }
            Command::Exit => {
                self.leaving = true;
                &[]
            }
            Command::Pause => {
                self.set_paused(true);
                &[Signal::SIGSTOP]
            }
            Command::Continue => {
                self.set_paused(false);
                &[Signal::SIGCONT]
            }
            Command::Send(signal) => signal,
        };
        match self.state {
            State::Down | State::Due(_) => &[],
            State::Up { .. } => signals,
        }
    }

    /// The service was started, as this process.
    pub fn started(&mut self, pid: Pid, now: Moment) {
        self.state = State::Up { pid, paused: false };
        self.since = now.label;
        self.not_before = now.instant + BETWEEN_STARTS;
    }

    /// There could be no process for the service: it is tried again later.
    pub fn not_started(&mut self, now: Moment) {
        self.not_before = now.instant + AFTER_FAILED_FORK;
        self.state = State::Due(self.not_before);
    }

    /// A process ended; if it is the service's, the service is down.
    pub fn died(&mut self, process: Pid, now: Moment) {
        match self.state {
            State::Up { pid, .. } if pid == process => {
                self.state = State::Down;
                self.since = now.label;
                match self.want {
                    Want::Up => self.start_soon(now),
                    Want::Down | Want::Once => {}
                }
            }
            State::Up { .. } | State::Down | State::Due(_) => {}
        }
    }

    fn start_soon(&mut self, now: Moment) {
        match self.state {
            State::Down => self.state = State::Due(self.not_before.max(now.instant)),
            State::Due(_) | State::Up { .. } => {}
        }
    }

    fn set_paused(&mut self, to: bool) {
        match &mut self.state {
            State::Up { paused, .. } => *paused = to,
            State::Down | State::Due(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: Pid = Pid::from_raw(7);

    /// A moment some time after the first one.
    fn after(first: Moment, milliseconds: u64) -> Moment {
        let instant = first.instant + Duration::from_millis(milliseconds);
        Moment { instant, ..first }
    }

    /// A service that was started at the returned moment.
    fn up() -> (Machine, Moment) {
        let now = Moment::now();
        let mut machine = Machine::new(Want::Up, now);
        assert_eq!(machine.start_due(), Some(now.instant));
        machine.started(SERVICE, now);
        (machine, now)
    }

    #[test]
    fn a_service_that_is_not_wanted_up_waits_for_a_command() {
        let now = Moment::now();
        let mut machine = Machine::new(Want::Down, now);
        assert_eq!(machine.start_due(), None);
        assert!(machine.command(Command::Up, now).is_empty());
        assert_eq!(machine.start_due(), Some(now.instant));
    }

    #[test]
    fn a_restart_comes_one_second_after_the_last_start() {
        let (mut machine, now) = up();
        machine.died(SERVICE, after(now, 300));
        assert_eq!(machine.start_due(), Some(after(now, 1000).instant));
        machine.started(SERVICE, after(now, 1000));
        machine.died(SERVICE, after(now, 5000));
        assert_eq!(machine.start_due(), Some(after(now, 5000).instant));
    }

    #[test]
    fn down_cancels_a_start_that_is_due() {
        let (mut machine, now) = up();
        machine.died(SERVICE, now);
        assert!(machine.command(Command::Down, now).is_empty());
        assert_eq!(machine.start_due(), None);
        // Told up again, it still keeps its distance from the last start.
        let _ = machine.command(Command::Once, now);
        assert_eq!(machine.start_due(), Some(after(now, 1000).instant));
    }

    #[test]
    fn down_sends_term_and_then_cont() {
        let (mut machine, now) = up();
        let _ = machine.command(Command::Pause, now);
        assert!(machine.status().paused);
        let signals = machine.command(Command::Down, now);
        assert_eq!(signals, [Signal::SIGTERM, Signal::SIGCONT]);
        assert!(!machine.status().paused);
        machine.died(SERVICE, now);
        assert_eq!(machine.start_due(), None);
    }

    #[test]
    fn exit_waits_for_the_service_to_end_and_prevents_its_restart() {
        let (mut machine, now) = up();
        assert!(machine.command(Command::Exit, now).is_empty());
        assert!(!machine.is_over());
        machine.died(SERVICE, now);
        assert!(machine.is_over());
        assert_eq!(machine.start_due(), None);
    }

    #[test]
    fn the_death_of_another_process_changes_nothing() {
        let (mut machine, now) = up();
        machine.died(Pid::from_raw(8), now);
        assert_eq!(machine.pid(), Some(SERVICE));
    }

    #[test]
    fn a_failed_fork_is_tried_again_after_a_minute() {
        let now = Moment::now();
        let mut machine = Machine::new(Want::Up, now);
        machine.not_started(now);
        assert_eq!(machine.start_due(), Some(after(now, 60_000).instant));
        let _ = machine.command(Command::Down, now);
        assert_eq!(machine.start_due(), None);
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
            machine.died(SERVICE, died);
            assert_eq!(machine.status().since, label);
            assert_eq!(machine.start_due(), Some(after(start, 1000).instant));
            machine.started(SERVICE, Moment { label, ..start });
        }
    }
}
