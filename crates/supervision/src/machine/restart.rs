//! When a service under supervise -e starts again: its settings, and the
//! exits that they count. Source: service-directory(5).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{CheckConfig, Ruleset};

/// The settings of a service. By default, a service behaves as under plain
/// supervise; only [`Ruleset::Extended`] sets others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RestartConfig {
    /// The delay between an exit and the next start. Default: no start comes
    /// sooner than one second after the last one.
    pub backoff: Option<Backoff>,
    /// The number of exits after which the service has failed. Default: no
    /// limit.
    pub limit: Option<RestartLimit>,
    /// The signal of the command `d`. Default: TERM.
    pub down_signal: Signal,
    /// The time from that signal to KILL. Default: no KILL.
    pub kill_timeout: Option<Duration>,
    /// The time from the start of `finish` to KILL. Default: no KILL.
    pub finish_timeout: Option<Duration>,
    /// The time from the start of `start` to KILL. Default: no KILL.
    pub start_timeout: Option<Duration>,
    /// Whether the command `x` also stops the service.
    pub exit_implies_down: bool,
    /// Whether the service, or its `check`, reports readiness.
    pub expects_readiness: bool,
    /// The checks of the next run. Default: no checks.
    pub check: Option<CheckConfig>,
}

impl Default for RestartConfig {
    fn default() -> Self {
        RestartConfig {
            backoff: None,
            limit: None,
            down_signal: Signal::SIGTERM,
            kill_timeout: None,
            finish_timeout: None,
            start_timeout: None,
            exit_implies_down: false,
            expects_readiness: false,
            check: None,
        }
    }
}

/// The delays between exits and starts, which double with each counted exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub first: Duration,
    /// The longest delay. After a run that was ready, or longer than this, the
    /// delay is the first one again.
    pub longest: Duration,
}

/// More than `count` counted exits within `interval` are a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RestartLimit {
    pub count: usize,
    pub interval: Duration,
}

/// The number of exits for which there is room from the start.
const FIRST_EXITS: usize = 16;

/// The facts about the exit of a run that decide the next start.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExitFacts {
    /// Whether the run had reported its readiness.
    pub was_ready: bool,
    /// The length of the run.
    pub uptime: Option<Duration>,
    /// Whether a command requested the exit.
    pub requested: bool,
}

/// The exits since the last command to start the service.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct RestartHistory {
    /// The delay after the last counted exit.
    pub(super) delay: Option<Duration>,
    /// The counted exits within the interval of the limit, the last one at the end.
    pub(super) exits: VecDeque<Instant>,
}

impl RestartHistory {
    /// A history without exits.
    pub(super) fn new(ruleset: Ruleset) -> Self {
        let room = match ruleset {
            // Without a limit, no exit is kept.
            Ruleset::Supervise | Ruleset::Runsv(_) => 0,
            Ruleset::Extended => FIRST_EXITS,
        };
        RestartHistory {
            delay: None,
            exits: VecDeque::with_capacity(room),
        }
    }

    /// Forgets all exits.
    pub(super) fn reset(&mut self) {
        self.delay = None;
        self.exits.clear();
    }

    /// Records an exit; returns the delay before the next start, if any. A
    /// requested exit does not count: dinit, too, limits and delays automatic
    /// restarts only.
    pub(super) fn record_exit(
        &mut self,
        config: &RestartConfig,
        exit: ExitFacts,
        now: Instant,
    ) -> Option<Duration> {
        let ExitFacts {
            was_ready,
            uptime,
            requested,
        } = exit;
        match config.backoff {
            Some(Backoff { longest, .. }) if !was_ready && uptime <= Some(longest) => {}
            Some(_) | None => self.delay = None,
        }
        if requested {
            return None;
        }
        match config.limit {
            Some(RestartLimit { count, interval }) => {
                self.exits
                    .retain(|exit| now.saturating_duration_since(*exit) <= interval);
                // More exits than this decide nothing.
                while self.exits.len() > count {
                    self.exits.pop_front();
                }
                if self.exits.len() == self.exits.capacity()
                    && self
                        .exits
                        .try_reserve(count.min(self.exits.len()) + 1)
                        .is_err()
                {
                    // Without memory, a limit counts fewer exits.
                    self.exits.pop_front();
                }
                self.exits.push_back(now);
            }
            None => self.exits.clear(),
        }
        self.delay = config
            .backoff
            .map(|Backoff { first, longest }| match self.delay {
                // The first delay of the settings may have grown meanwhile.
                Some(last) => longest.min(first.max(last * 2)),
                None => first,
            });
        self.delay
    }

    /// Whether the service has exited more often than its limit allows.
    pub(super) fn exceeds(&self, limit: Option<RestartLimit>) -> bool {
        limit.is_some_and(|RestartLimit { count, .. }| self.exits.len() > count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_counts_more_exits_than_the_first_room() {
        let limit = RestartLimit {
            count: 3 * FIRST_EXITS,
            interval: Duration::from_secs(60),
        };
        let config = RestartConfig {
            limit: Some(limit),
            ..RestartConfig::default()
        };
        let exit = ExitFacts {
            was_ready: false,
            uptime: None,
            requested: false,
        };
        let (mut history, now) = (RestartHistory::new(Ruleset::Extended), Instant::now());
        for _ in 0..limit.count {
            history.record_exit(&config, exit, now);
            assert!(!history.exceeds(Some(limit)));
        }
        history.record_exit(&config, exit, now);
        assert!(history.exceeds(Some(limit)));
        // Exits at the end of the interval count, later ones do not.
        history.record_exit(&config, exit, now + limit.interval);
        assert!(history.exceeds(Some(limit)));
        let later = now + limit.interval + Duration::from_nanos(1);
        history.record_exit(&config, exit, later);
        assert!(!history.exceeds(Some(limit)));
    }
}
