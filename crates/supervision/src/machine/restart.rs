//! When a service under supervise -e starts again: its settings, and the
//! exits that they count. Source: service-directory(5).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

/// The settings of a service. By default, a service behaves as under plain
/// supervise; only [`Ruleset::Extended`](super::Ruleset) sets others.
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
    /// Whether the command `x` also stops the service.
    pub exit_implies_down: bool,
    /// Whether the service reports its readiness.
    pub expects_readiness: bool,
}

impl Default for RestartConfig {
    fn default() -> Self {
        RestartConfig {
            backoff: None,
            limit: None,
            down_signal: Signal::SIGTERM,
            kill_timeout: None,
            finish_timeout: None,
            exit_implies_down: false,
            expects_readiness: false,
        }
    }
}

/// The delays between exits and starts, which double with each exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub first: Duration,
    /// The longest delay. After a run that was ready, or longer than this, the
    /// delay is the first one again.
    pub longest: Duration,
}

/// More than `count` exits within `interval` are a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RestartLimit {
    pub count: usize,
    pub interval: Duration,
}

/// The exits since the last command to start the service.
#[derive(Debug, Default)]
pub(super) struct RestartHistory {
    /// The delay after the last exit.
    delay: Option<Duration>,
    /// The exits within the interval of the limit, the last one at the end.
    exits: VecDeque<Instant>,
}

impl RestartHistory {
    /// Counts an exit. `uptime` is the length of the run; returns the delay
    /// before the next start.
    pub(super) fn record_exit(
        &mut self,
        config: &RestartConfig,
        was_ready: bool,
        uptime: Option<Duration>,
        now: Instant,
    ) -> Option<Duration> {
        match config.limit {
            Some(RestartLimit { interval, .. }) => {
                self.exits
                    .retain(|exit| now.saturating_duration_since(*exit) <= interval);
                self.exits.push_back(now);
            }
            None => self.exits.clear(),
        }
        self.delay = config.backoff.map(|Backoff { first, longest }| {
            let resets_delay = was_ready || uptime > Some(longest);
            match self.delay {
                // The first delay of the settings may have grown meanwhile.
                Some(last) if !resets_delay => longest.min(first.max(last * 2)),
                Some(_) | None => first,
            }
        });
        self.delay
    }

    /// Whether the service has exited more often than its limit allows.
    pub(super) fn exceeds(&self, limit: Option<RestartLimit>) -> bool {
        limit.is_some_and(|RestartLimit { count, .. }| self.exits.len() > count)
    }
}
