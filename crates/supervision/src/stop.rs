//! How a service is stopped for good, its supervise with it, and its logger
//! after it. Time goes in, and what to do comes out.
//!
//! A supervise is asked to end its service. If the service outlives its time
//! limit, supervise is told to kill it. If that does not help either, or if
//! supervise cannot be told at all, both are killed. Nobody waits longer than
//! that, whatever the system may do to a process that cannot be killed.
//!
//! The logger has its turn when the service's supervise has ended: it is asked
//! to end when it has read all that there is. To ask a supervise -e to exit may
//! stop a logger at once, if it has files that say so; such a logger is first
//! asked not to come back when it has ended.

use std::time::{Duration, Instant};

use daemontools_core::snapshot::ServiceSnapshot;
use daemontools_core::state::ServiceState;
use daemontools_core::status::Want;

/// How long a service may take that says nothing else.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long anybody may take who was killed.
const GRACE: Duration = Duration::from_secs(5);

/// After this time it is tried again to tell a supervise: it may have been
/// started only now, or have more to read than it can.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// How often a logger that ended with something left to read is started again.
const RETURNS: u8 = 3;

/// What is to be done about a supervise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask it to end its service, or to wait for the end of its logger.
    Ask,
    /// See to it that the logger comes to its end, and see whether it has.
    Await,
    /// Tell it to kill what it runs.
    Kill,
    /// Kill it, and what it runs.
    Force,
    /// Do not wait for it.
    Abandon,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is to be asked for the first time.
    New { since: Instant },
    /// It could not be asked. That is to be tried at `next`, and until then.
    Asking { next: Instant, until: Instant },
    /// It was asked, and may take until then, or for ever. Its logger is looked
    /// at again at `next`, if it is awaited.
    Asked {
        next: Option<Instant>,
        until: Option<Instant>,
    },
    /// It is to be told to kill at `next`, and until then.
    Killing { next: Instant, until: Instant },
    /// It was told to kill, and may take until then.
    Killed { until: Instant },
    /// It is to be killed.
    Forcing { since: Instant },
    /// It was killed, and may take until then.
    Forced { until: Instant },
    /// It is not waited for.
    Abandoned,
}

/// What came of asking or telling a supervise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It could not be told.
    Deaf,
    /// It was told.
    Heard,
    /// Its logger has yet to come to its end.
    Later,
}

/// The end of one supervise, once it is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    limit: Option<Duration>,
    /// Whether a logger has to end before its supervise is asked.
    awaited: bool,
    /// Whether there is no more patience.
    pressed: bool,
    state: State,
}

impl Departure {
    /// It is to end, and may take this time; None: any.
    #[must_use]
    pub fn new(limit: Option<Duration>, now: Instant) -> Self {
        Departure {
            limit,
            awaited: false,
            pressed: false,
            state: State::New { since: now },
        }
    }

    /// As [`Departure::new`], of a supervise that is asked only once its logger
    /// has ended.
    #[must_use]
    pub fn after_its_logger(limit: Option<Duration>, now: Instant) -> Self {
        Departure {
            awaited: true,
            ..Departure::new(limit, now)
        }
    }

    /// What is to be done now. `cleans_up` is asked when the time is over:
    /// whether the service has ended, and `finish` cleans up after it. That has
    /// a limit of its own, for who has patience.
    pub fn step(&mut self, now: Instant, cleans_up: impl FnOnce() -> bool) -> Option<Step> {
        match self.state {
            State::New { .. } => Some(self.ask()),
            State::Asking { until, .. } | State::Killing { until, .. } if until <= now => {
                Some(self.force(now))
            }
            State::Asked {
                until: Some(until), ..
            } if until <= now => {
                if cleans_up() {
                    let until = Some(now + GRACE);
                    self.state = State::Asked { next: None, until };
                    return None;
                }
                self.kill(now);
                Some(Step::Kill)
            }
            State::Asking { next, .. }
            | State::Asked {
                next: Some(next), ..
            } if next <= now => Some(self.ask()),
            State::Killing { next, .. } if next <= now => Some(Step::Kill),
            State::Killed { until } if until <= now => {
                if !self.pressed && cleans_up() {
                    let until = now + GRACE;
                    self.state = State::Killed { until };
                    return None;
                }
                Some(self.force(now))
            }
            State::Forcing { .. } => Some(self.force(now)),
            State::Forced { until } if until <= now => {
                self.state = State::Abandoned;
                Some(Step::Abandon)
            }
            State::Asking { .. }
            | State::Asked { .. }
            | State::Killing { .. }
            | State::Killed { .. }
            | State::Forced { .. }
            | State::Abandoned => None,
        }
    }

    fn ask(&self) -> Step {
        if self.awaited { Step::Await } else { Step::Ask }
    }

    fn kill(&mut self, now: Instant) {
        let until = now + GRACE;
        self.state = State::Killing { next: now, until };
    }

    fn force(&mut self, now: Instant) -> Step {
        let until = now + GRACE;
        self.state = State::Forced { until };
        Step::Force
    }

    /// It was tried to ask or tell it, and this came of it.
    pub fn told(&mut self, answer: Answer, now: Instant) {
        let next = now + BETWEEN_TRIES;
        let until_limit = self.limit.and_then(|limit| now.checked_add(limit));
        self.state = match (self.state, answer) {
            (State::New { .. }, Answer::Deaf) => {
                // However patient it is, being told takes no time.
                let until = now + self.limit.unwrap_or(PATIENCE).min(PATIENCE);
                State::Asking { next, until }
            }
            (State::Asking { until, .. }, Answer::Deaf) => State::Asking { next, until },
            (State::New { .. } | State::Asking { .. }, Answer::Heard) => State::Asked {
                next: None,
                until: until_limit,
            },
            (State::New { .. } | State::Asking { .. }, Answer::Later) => State::Asked {
                next: Some(next),
                until: until_limit,
            },
            (State::Asked { until, .. }, Answer::Deaf | Answer::Later) => State::Asked {
                next: Some(next),
                until,
            },
            (State::Asked { until, .. }, Answer::Heard) => State::Asked { next: None, until },
            (State::Killing { until, .. }, Answer::Heard) => State::Killed { until },
            (State::Killing { until, .. }, Answer::Deaf | Answer::Later) => {
                State::Killing { next, until }
            }
            (
                State::Killed { .. }
                | State::Forcing { .. }
                | State::Forced { .. }
                | State::Abandoned,
                _,
            ) => self.state,
        };
    }

    /// There is no more patience.
    pub fn press(&mut self, now: Instant) {
        self.pressed = true;
        match self.state {
            State::New { .. } | State::Asking { .. } | State::Asked { .. } => self.kill(now),
            State::Killing { .. } | State::Killed { .. } => {
                self.state = State::Forcing { since: now };
            }
            State::Forcing { .. } | State::Forced { .. } | State::Abandoned => {}
        }
    }

    /// Whether it was only asked so far.
    #[must_use]
    pub fn is_gentle(&self) -> bool {
        match self.state {
            State::New { .. } | State::Asking { .. } | State::Asked { .. } => true,
            State::Killing { .. }
            | State::Killed { .. }
            | State::Forcing { .. }
            | State::Forced { .. }
            | State::Abandoned => false,
        }
    }

    /// When there may be something to do.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        match self.state {
            State::Asking { next, until } | State::Killing { next, until } => Some(next.min(until)),
            State::Asked { next, until } => next.into_iter().chain(until).min(),
            State::Killed { until } | State::Forced { until } => Some(until),
            State::New { since } | State::Forcing { since } => Some(since),
            State::Abandoned => None,
        }
    }
}

/// What is to be known of a service that is to end, and of its logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long the service may take; None: for ever.
    pub service: Option<Duration>,
    /// How long its logger may.
    pub logger: Option<Duration>,
    /// Whether the logger is stopped by asking its supervise to exit.
    pub exit_stops_logger: bool,
}

/// Whose turn it is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The service's. Its logger is kept running.
    Service(Departure),
    /// Its logger's.
    Logger(Departure),
}

/// The end of a service and its logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Farewell {
    pub(crate) turn: Turn,
    terms: Terms,
    returns: u8,
}

impl Farewell {
    pub(crate) fn new(terms: Terms, now: Instant) -> Self {
        Farewell {
            turn: Turn::Service(Departure::new(terms.service, now)),
            terms,
            returns: RETURNS,
        }
    }

    /// The service has ended: its logger is next.
    pub(crate) fn turn_to_logger(&mut self, now: Instant) {
        let limit = self.terms.logger;
        let pressed = self.departure().pressed;
        let mut departure = if self.terms.exit_stops_logger {
            Departure::after_its_logger(limit, now)
        } else {
            Departure::new(limit, now)
        };
        if pressed {
            departure.press(now);
        }
        self.turn = Turn::Logger(departure);
    }

    /// Whether a logger that has ended is to be started again, since there is
    /// something left to read.
    pub(crate) fn takes_back(&mut self, now: Instant) -> bool {
        let gentle = match self.turn {
            Turn::Service(_) => return false,
            Turn::Logger(departure) => departure.is_gentle(),
        };
        let Some(returns) = self.returns.checked_sub(1).filter(|_| gentle) else {
            return false;
        };
        self.returns = returns;
        self.turn_to_logger(now);
        true
    }

    pub(crate) fn departure(&mut self) -> &mut Departure {
        match &mut self.turn {
            Turn::Service(departure) | Turn::Logger(departure) => departure,
        }
    }

    pub(crate) fn press(&mut self, now: Instant) {
        self.departure().press(now);
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        match self.turn {
            Turn::Service(departure) | Turn::Logger(departure) => departure.next(),
        }
    }
}

/// The exit code with which an essential service ends the others; None if it
/// runs, or may run again: if it has neither failed for good nor come to the
/// end of a run that was to be the only one. 128 is added to the number of a
/// signal.
#[must_use]
pub fn last_word(snapshot: &ServiceSnapshot) -> Option<u8> {
    // What is told by a supervise that has ended is told of another time.
    let record = snapshot.record.filter(|_| snapshot.supervised)?;
    let state = record.state_file?;
    let has_ended = match (state.state, record.status.want) {
        (ServiceState::Failed, _) | (ServiceState::Down, Want::Once) => true,
        (ServiceState::Down, Want::Up | Want::Down)
        | (
            ServiceState::Starting
            | ServiceState::Up
            | ServiceState::Ready
            | ServiceState::Finish
            | ServiceState::Delay,
            _,
        ) => false,
    };
    let by_signal = state.signal.map(|signal| signal.saturating_add(128));
    has_ended.then_some(by_signal.or(state.exit_code).unwrap_or(111))
}

#[cfg(test)]
mod tests {
    use super::*;
    use daemontools_core::label::Label;
    use daemontools_core::snapshot::Record;

    const LIMIT: Duration = Duration::from_secs(3);

    fn departure() -> (Departure, Instant) {
        let now = Instant::now();
        (Departure::new(Some(LIMIT), now), now)
    }

    /// The step that is due, of a service that does not clean up.
    fn step(departure: &mut Departure, now: Instant) -> Option<Step> {
        departure.step(now, || false)
    }

    #[test]
    fn who_is_told_has_its_time_and_is_killed_then() {
        let (mut it, now) = departure();
        assert_eq!(step(&mut it, now), Some(Step::Ask));
        it.told(Answer::Heard, now);
        assert_eq!((step(&mut it, now), it.next()), (None, Some(now + LIMIT)));
        assert!(it.is_gentle());
        let late = now + LIMIT;
        assert_eq!(step(&mut it, late), Some(Step::Kill));
        assert!(!it.is_gentle());
        it.told(Answer::Heard, late);
        assert_eq!(it.next(), Some(late + GRACE));
        assert_eq!(step(&mut it, late), None);
        assert_eq!(step(&mut it, late + GRACE), Some(Step::Force));
        assert_eq!(step(&mut it, late + GRACE), None);
        assert_eq!(step(&mut it, late + 2 * GRACE), Some(Step::Abandon));
        assert_eq!((step(&mut it, late + 3 * GRACE), it.next()), (None, None));
    }

    #[test]
    fn who_has_hardly_any_time_is_asked_all_the_same() {
        let now = Instant::now();
        let mut it = Departure::new(Some(Duration::from_millis(1)), now);
        let later = now + LIMIT;
        assert_eq!(step(&mut it, later), Some(Step::Ask));
        it.told(Answer::Deaf, later);
        assert_eq!(step(&mut it, later), None);
        assert_eq!(step(&mut it, later + LIMIT), Some(Step::Force));
    }

    #[test]
    fn who_cannot_be_told_is_tried_again_and_then_killed() {
        let (mut it, now) = departure();
        let mut moment = now;
        while moment < now + LIMIT {
            assert_eq!(step(&mut it, moment), Some(Step::Ask));
            it.told(Answer::Deaf, moment);
            assert_eq!(step(&mut it, moment), None);
            moment = it.next().unwrap();
        }
        assert_eq!(step(&mut it, moment), Some(Step::Force));
    }

    #[test]
    fn who_may_take_for_ever_is_waited_for_once_it_is_told() {
        let now = Instant::now();
        let mut it = Departure::new(None, now);
        it.told(Answer::Heard, now);
        assert_eq!(it.next(), None);
        assert_eq!(step(&mut it, now + 1000 * PATIENCE), None);
        for limit in [None, Some(Duration::MAX)] {
            let mut it = Departure::new(limit, now);
            it.told(Answer::Deaf, now);
            assert_eq!(step(&mut it, now + PATIENCE), Some(Step::Force));
        }
        let mut it = Departure::new(Some(Duration::MAX), now);
        it.told(Answer::Heard, now);
        assert_eq!(it.next(), None);
    }

    #[test]
    fn a_logger_that_an_exit_would_stop_ends_before_its_supervise_is_asked() {
        let now = Instant::now();
        let mut it = Departure::after_its_logger(Some(LIMIT), now);
        let mut moment = now;
        for answer in [Answer::Later, Answer::Later, Answer::Deaf, Answer::Later] {
            assert_eq!(step(&mut it, moment), Some(Step::Await));
            it.told(answer, moment);
            assert_eq!(step(&mut it, moment), None);
            moment = it.next().unwrap();
        }
        let mut late = it;
        assert_eq!(step(&mut it, moment), Some(Step::Await));
        it.told(Answer::Heard, moment);
        assert_eq!(
            (step(&mut it, moment), it.next()),
            (None, Some(now + LIMIT))
        );
        assert_eq!(step(&mut late, now + LIMIT), Some(Step::Kill));
    }

    #[test]
    fn who_cleans_up_is_not_disturbed() {
        let (mut it, now) = departure();
        it.told(Answer::Heard, now);
        let late = now + LIMIT;
        assert_eq!(it.step(late, || true), None);
        assert_eq!(it.next(), Some(late + GRACE));
        assert_eq!(step(&mut it, late + GRACE), Some(Step::Kill));
        it.told(Answer::Heard, late + GRACE);
        assert_eq!(it.step(late + 2 * GRACE, || true), None);
        assert_eq!(step(&mut it, late + 3 * GRACE), Some(Step::Force));
    }

    #[test]
    fn who_cleans_up_has_little_time_when_there_is_no_patience() {
        let (mut it, now) = departure();
        it.told(Answer::Heard, now);
        it.press(now);
        assert_eq!(it.step(now, || true), Some(Step::Kill));
        it.told(Answer::Heard, now);
        assert_eq!(
            (it.step(now, || true), it.next()),
            (None, Some(now + GRACE))
        );
        assert_eq!(it.step(now + GRACE, || true), Some(Step::Force));
    }

    #[test]
    fn each_press_goes_one_step_further() {
        for told in [false, true] {
            let (mut it, now) = departure();
            if told {
                it.told(Answer::Heard, now);
            }
            it.press(now);
            assert_eq!(step(&mut it, now), Some(Step::Kill));
            it.told(if told { Answer::Heard } else { Answer::Deaf }, now);
            it.press(now);
            assert!(it.next().unwrap() <= now);
            assert_eq!(step(&mut it, now), Some(Step::Force));
            it.press(now);
            assert_eq!(step(&mut it, now), None);
        }
    }

    #[test]
    fn a_logger_is_taken_back_a_few_times_unless_it_was_killed() {
        let now = Instant::now();
        let terms = Terms {
            service: None,
            logger: Some(LIMIT),
            exit_stops_logger: false,
        };
        let mut farewell = Farewell::new(terms, now);
        assert!(!farewell.takes_back(now));
        farewell.turn_to_logger(now);
        let taken = (0..10).filter(|_| farewell.takes_back(now));
        assert_eq!(taken.count(), usize::from(RETURNS));

        let mut farewell = Farewell::new(terms, now);
        farewell.press(now);
        farewell.turn_to_logger(now);
        assert!(!farewell.takes_back(now));
        assert_eq!(step(farewell.departure(), now), Some(Step::Kill));
    }

    /// What is seen of a service with this state, and this want.
    fn snapshot(state: &str, want: u8) -> ServiceSnapshot {
        let since = Label::from_unix(1, 0);
        let record = [&since.pack()[..], &[0; 4], &[0, want]].concat();
        let since = String::from_utf8(since.text().to_vec()).unwrap();
        let state = format!("since={since}\nstate={state}\n");
        ServiceSnapshot {
            supervised: true,
            record: Record::read(&record, Some(state.as_bytes())),
        }
    }

    #[test]
    fn the_last_word_is_said_when_no_start_can_follow() {
        for (state, want, code) in [
            ("failed\nexit_code=7\nsignal=", b'd', Some(7)),
            ("failed\nexit_code=\nsignal=9", b'd', Some(137)),
            ("failed\nexit_code=0", b'd', Some(0)),
            ("failed", b'd', Some(111)),
            ("down\nexit_code=3", 0, Some(3)),
            ("down\nexit_code=3", b'd', None),
            ("down\nexit_code=3", b'u', None),
            ("finish\nexit_code=3", 0, None),
            ("delay\nexit_code=3", 0, None),
            ("up\nexit_code=3", 0, None),
            ("nothing", 0, None),
        ] {
            assert_eq!(last_word(&snapshot(state, want)), code, "{state} {want}");
        }
        let left = ServiceSnapshot {
            supervised: false,
            ..snapshot("failed\nexit_code=7", b'd')
        };
        assert_eq!(last_word(&left), None);
    }
}
