//! All sequences of events in the shutdown of one supervise, compared with the
//! rules of the module, which a history of the events and actions decides.

use std::collections::HashSet;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Event {
    /// Time passes until the next action, or for this time.
    Deadline,
    Wait(Duration),
    /// The action that is due, with this delivery of a command, or with this state
    /// of `finish`.
    Act(Delivery, bool),
    Escalate,
}

const DELIVERIES: [Delivery; 3] = [Delivery::Failed, Delivery::Sent, Delivery::Signaled];

/// The events that decide the next action. Times are those since the beginning.
#[expect(clippy::struct_excessive_bools, reason = "they vary independently")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct History {
    /// The first failure of the exit command before the first success.
    exit_failed: Option<Duration>,
    /// The end of the stop timeout, or of its extension by `finish`.
    exit_ends: Option<Duration>,
    is_exit_sent: bool,
    /// The next attempt of a command.
    retry: Option<Duration>,
    /// The time at which the kill command was due, or `finish` extended its time.
    kill_due: Option<Duration>,
    is_kill_sent: bool,
    sigkill_due: Option<Duration>,
    killed: Option<Duration>,
    is_given_up: bool,
    forced: bool,
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    stop: SupervisorStop,
    history: History,
    now: Duration,
}

fn begin(timeout: Option<Duration>, start: Instant) -> Trial {
    Trial {
        stop: SupervisorStop::new(timeout, start),
        history: History {
            exit_failed: None,
            exit_ends: None,
            is_exit_sent: false,
            retry: Some(Duration::ZERO),
            kill_due: None,
            is_kill_sent: false,
            sigkill_due: None,
            killed: None,
            is_given_up: false,
            forced: false,
        },
        now: Duration::ZERO,
    }
}

impl Trial {
    /// The action by the rules.
    fn expected(&self) -> Option<StopAction> {
        let (history, now) = (&self.history, self.now);
        let is_over = |time: Option<Duration>| time.is_some_and(|time| time <= now);
        if history.is_given_up {
            return None;
        }
        if let Some(killed) = history.killed {
            return is_over(Some(killed + KILL_TIMEOUT)).then_some(StopAction::GiveUp);
        }
        if is_over(history.sigkill_due) {
            return Some(StopAction::KillSupervisor);
        }
        if let Some(due) = history.kill_due {
            return match (is_over(Some(due + KILL_TIMEOUT)), history.is_kill_sent) {
                (true, true) if !history.forced => Some(StopAction::CheckFinish),
                (true, _) => Some(StopAction::KillSupervisor),
                (false, false) if is_over(history.retry) => Some(StopAction::SendKill),
                (false, _) => None,
            };
        }
        match (is_over(history.exit_ends), history.is_exit_sent) {
            (true, true) => Some(StopAction::CheckFinish),
            (true, false) => Some(StopAction::KillSupervisor),
            (false, _) => is_over(history.retry).then_some(StopAction::SendExit),
        }
    }

    /// The next moment of an action by the rules.
    fn next(&self) -> Option<Duration> {
        let history = &self.history;
        let times = if history.is_given_up {
            [None, None]
        } else if let Some(killed) = history.killed {
            [Some(killed + KILL_TIMEOUT), None]
        } else if history.sigkill_due.is_some() {
            [history.sigkill_due, None]
        } else if let Some(due) = history.kill_due {
            let retry = history.retry.filter(|_| !history.is_kill_sent);
            [Some(due + KILL_TIMEOUT), retry]
        } else {
            [history.exit_ends, history.retry]
        };
        times.into_iter().flatten().min()
    }

    fn deliver(&mut self, action: StopAction, delivery: Delivery) {
        let (history, now) = (&mut self.history, self.now);
        history.retry = match delivery {
            Delivery::Failed => Some(now + RETRY_INTERVAL),
            Delivery::Sent => None,
            Delivery::Signaled => Some(now + RESEND_INTERVAL),
        };
        let is_sent = delivery != Delivery::Failed;
        if action == StopAction::SendKill {
            history.is_kill_sent |= is_sent;
        } else if history.is_exit_sent {
        } else if is_sent {
            history.is_exit_sent = true;
            history.exit_ends = self.stop.timeout.map(|timeout| now + timeout);
        } else if history.exit_failed.is_none() {
            history.exit_failed = Some(now);
            let limit = self.stop.timeout.unwrap_or(DEFAULT_STOP_TIMEOUT);
            history.exit_ends = Some(now + limit.min(DEFAULT_STOP_TIMEOUT));
        }
    }

    fn check_finish(&mut self, runs: bool) {
        let (history, now) = (&mut self.history, self.now);
        match (history.kill_due, runs) {
            (None, true) => history.exit_ends = Some(now + KILL_TIMEOUT),
            (Some(_), true) => history.kill_due = Some(now),
            (None, false) => (history.kill_due, history.retry) = (Some(now), Some(now)),
            (Some(_), false) => history.sigkill_due = Some(now),
        }
    }

    /// Applies an event; false if the event is none.
    fn apply(&mut self, event: Event, start: Instant) -> bool {
        match event {
            Event::Deadline => match self.next().filter(|next| *next > self.now) {
                Some(next) => self.now = next,
                None => return false,
            },
            // No driver leaves an action undone.
            Event::Wait(_) if self.expected().is_some() => return false,
            Event::Wait(time) => self.now += time,
            Event::Act(delivery, finish_runs) => {
                let now = start + self.now;
                let expected = self.expected();
                assert_eq!(self.stop.next_action(now), expected, "{self:?}");
                let Some(action) = expected else {
                    return false;
                };
                match action {
                    StopAction::SendExit | StopAction::SendKill => {
                        self.stop.on_delivery(delivery, now);
                        self.deliver(action, delivery);
                    }
                    StopAction::CheckFinish => {
                        self.stop.on_finish_check(finish_runs, now);
                        self.check_finish(finish_runs);
                    }
                    StopAction::KillSupervisor => self.history.killed = Some(self.now),
                    StopAction::GiveUp => self.history.is_given_up = true,
                }
            }
            Event::Escalate => {
                self.stop.escalate(start + self.now);
                self.history.forced = true;
                let history = &mut self.history;
                if history.killed.is_some() || history.sigkill_due.is_some() {
                } else if history.kill_due.is_some() {
                    history.sigkill_due = Some(self.now);
                } else {
                    (history.kill_due, history.retry) = (Some(self.now), Some(self.now));
                }
            }
        }
        let history = &self.history;
        let next = self.next().map(|next| start + next);
        assert_eq!(self.stop.next_deadline(), next, "{self:?}");
        let has_begun = history.is_exit_sent || history.exit_failed.is_some();
        let is_graceful = [history.kill_due, history.sigkill_due, history.killed] == [None; 3];
        let is_first = is_graceful && !has_begun;
        assert_eq!(self.stop.is_first_attempt(), is_first, "{self:?}");
        assert_eq!(self.stop.is_graceful(), is_graceful, "{self:?}");
        true
    }

    /// Equal keys have the same future: times count from now on.
    fn key(&self, start: Instant) -> (History, u8, [Option<Duration>; 2]) {
        let relative = |time: Option<Duration>| time.map(|time| time.saturating_sub(self.now));
        let mut history = self.history;
        // A later phase ends an earlier one.
        let has_sigkill = history.sigkill_due.is_some() || history.killed.is_some();
        if history.kill_due.is_some() || has_sigkill {
            (history.exit_failed, history.exit_ends) = (None, None);
            history.is_exit_sent = false;
        }
        if has_sigkill {
            (history.kill_due, history.retry) = (None, None);
            history.is_kill_sent = false;
        }
        for deadline in [
            &mut history.exit_ends,
            &mut history.retry,
            &mut history.sigkill_due,
        ] {
            *deadline = relative(*deadline);
        }
        // The ends of these intervals count, and not when they began.
        let ends = |time: Option<Duration>| relative(time.map(|time| time + KILL_TIMEOUT));
        history.kill_due = ends(history.kill_due);
        history.killed = ends(history.killed);
        history.exit_failed = history.exit_failed.map(|_| Duration::ZERO);
        let state = match self.stop.state {
            StopState::SendingExit { .. } => 0,
            StopState::ExitSent { .. } => 1,
            StopState::SendingKill { .. } => 2,
            StopState::KillSent { .. } => 3,
            StopState::KillDue { .. } => 4,
            StopState::Killed { .. } => 5,
            StopState::GivenUp => 6,
        };
        let (retry, deadline) = self.stop.times();
        let times = [retry, deadline].map(|time| relative(time.map(|time| time - start)));
        (history, state, times)
    }
}

#[expect(clippy::print_stdout, reason = "the numbers of a test")]
#[test]
fn all_events_of_a_stop_match_the_rules() {
    let start = Instant::now();
    let mut events = vec![
        Event::Deadline,
        Event::Wait(Duration::from_millis(2500)),
        Event::Escalate,
    ];
    for delivery in DELIVERIES {
        events.extend([true, false].map(|runs| Event::Act(delivery, runs)));
    }
    let (mut states, mut transitions) = (0, 0);
    for timeout in [Some(0), Some(300), Some(3000), Some(20_000), None] {
        let mut trials = vec![begin(timeout.map(Duration::from_millis), start)];
        let mut known = HashSet::new();
        while let Some(trial) = trials.pop() {
            if !known.insert(trial.key(start)) {
                continue;
            }
            for event in &events {
                let mut next = trial;
                if next.apply(*event, start) {
                    transitions += 1;
                    trials.push(next);
                }
            }
        }
        states += known.len();
    }
    println!(
        "shutdown: {states} states, {transitions} transitions; {:.1} s",
        start.elapsed().as_secs_f64()
    );
}
