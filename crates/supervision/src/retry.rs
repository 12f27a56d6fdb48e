//! Operations that have failed and are due again: the writing of records, and the
//! reaping of children. Only [`Reaper`] does I/O.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::Pid;
use unix::wait::{ExitStatus, reap};

/// The time from a failure to the next attempt. Five seconds are the limit; the
/// rest is left for a busy machine.
pub(crate) const RETRY_INTERVAL: Duration = Duration::from_secs(3);

/// The moment of the next attempt after a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retry(Option<Instant>);

impl Retry {
    /// The operation has failed.
    pub(crate) fn schedule(&mut self, now: Instant) {
        self.0 = Some(now + RETRY_INTERVAL);
    }

    /// The operation has succeeded, or cannot succeed.
    pub(crate) fn cancel(&mut self) {
        self.0 = None;
    }

    pub(crate) fn is_due(self, now: Instant) -> bool {
        self.0.is_some_and(|due| due <= now)
    }

    /// The next attempt. None: no operation is pending.
    pub(crate) fn next_deadline(self) -> Option<Instant> {
        self.0
    }
}

/// The cause of an attempt to write a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// An event. As in 0.76 and runit, the program reports an error.
    Event,
    /// An earlier attempt failed and was reported.
    Retry,
}

/// The result of an attempt to write a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteResult {
    Written,
    /// The attempt is repeated.
    Failed,
    /// Only an event repeats the attempt: the directory was removed.
    Lost,
}

/// A record in one or more files: the content on disk, and the content that could
/// not be written.
#[derive(Debug)]
pub(crate) struct Record<C> {
    /// None: unknown. A failed attempt may have replaced the first of the files.
    written: Option<C>,
    failed: Option<C>,
    retry: Retry,
}

impl<C: PartialEq> Record<C> {
    pub(crate) fn new() -> Self {
        Record {
            written: None,
            failed: None,
            retry: Retry::default(),
        }
    }

    /// The cause to write this content now. None: the disk has it, or the retry is
    /// not due.
    pub(crate) fn next_attempt(&self, content: &C, now: Instant) -> Option<Attempt> {
        if self.written.as_ref() == Some(content) {
            None
        } else if self.failed.as_ref() == Some(content) {
            self.retry.is_due(now).then_some(Attempt::Retry)
        } else {
            Some(Attempt::Event)
        }
    }

    pub(crate) fn record_attempt(&mut self, content: C, result: WriteResult, now: Instant) {
        match result {
            WriteResult::Written => {
                (self.written, self.failed) = (Some(content), None);
                self.retry.cancel();
            }
            WriteResult::Failed => {
                (self.written, self.failed) = (None, Some(content));
                self.retry.schedule(now);
            }
            WriteResult::Lost => {
                (self.written, self.failed) = (None, Some(content));
                self.retry.cancel();
            }
        }
    }

    /// Records an event that may leave the content as it is. Returns whether an
    /// attempt is due: the last one failed.
    pub(crate) fn record_event(&mut self) -> bool {
        self.failed.take().is_some()
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.retry.next_deadline()
    }
}

/// Reaps children, and repeats a wait4(2) that fails.
#[derive(Debug, Default)]
pub struct Reaper(Retry);

impl Reaper {
    /// Reaps one exited child. None: no child has exited, or wait4(2) has failed.
    /// `has_children` is called after ECHILD, which contradicts known children.
    pub fn reap(&mut self, has_children: impl FnOnce() -> bool) -> Option<(Pid, ExitStatus)> {
        let reaped = match reap() {
            Err(Errno::ECHILD) if !has_children() => Ok(None),
            reaped => reaped,
        };
        match reaped {
            Ok(_) => self.0.cancel(),
            Err(_) => self.0.schedule(Instant::now()),
        }
        reaped.ok().flatten()
    }

    /// The next attempt after a failure.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.0.next_deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn content_is_written_once() {
        let now = Instant::now();
        let mut record = Record::new();
        assert_eq!(record.next_attempt(&1, now), Some(Attempt::Event));
        record.record_attempt(1, WriteResult::Written, now);
        assert_eq!(record.next_attempt(&1, now + 100 * SECOND), None);
        assert_eq!(record.next_deadline(), None);
        assert!(!record.record_event());
        assert_eq!(record.next_attempt(&1, now), None);
        assert_eq!(record.next_attempt(&2, now), Some(Attempt::Event));
    }

    #[test]
    fn failure_is_retried_within_five_seconds() {
        let mut now = Instant::now();
        let mut record = Record::new();
        record.record_attempt(1, WriteResult::Failed, now);
        for _ in 0..10 {
            let due = record.next_deadline().unwrap();
            assert!(due > now && due < now + 5 * SECOND);
            assert_eq!(record.next_attempt(&1, now + 2 * SECOND), None);
            assert_eq!(record.next_attempt(&1, due), Some(Attempt::Retry));
            now = due;
            record.record_attempt(1, WriteResult::Failed, now);
        }
        // A new content does not wait.
        assert_eq!(record.next_attempt(&2, now), Some(Attempt::Event));
        record.record_attempt(2, WriteResult::Written, now);
        assert_eq!(record.next_deadline(), None);
    }

    #[test]
    fn old_content_after_a_failure_is_written() {
        // The failed attempt may have replaced one of the files.
        let now = Instant::now();
        let mut record = Record::new();
        record.record_attempt(1, WriteResult::Written, now);
        record.record_attempt(2, WriteResult::Failed, now);
        assert_eq!(record.next_attempt(&1, now), Some(Attempt::Event));
    }

    #[test]
    fn event_repeats_a_failed_attempt() {
        let now = Instant::now();
        for (result, has_deadline) in [(WriteResult::Failed, true), (WriteResult::Lost, false)] {
            let mut record = Record::new();
            record.record_attempt(1, result, now);
            assert_eq!(record.next_deadline().is_some(), has_deadline);
            assert_eq!(record.next_attempt(&1, now), None);
            assert!(record.record_event());
            assert_eq!(record.next_attempt(&1, now), Some(Attempt::Event));
        }
    }

    #[test]
    fn children_that_cannot_be_reaped_are_retried() {
        // The tests of this crate have no children: wait4(2) returns ECHILD.
        let mut reaper = Reaper::default();
        assert_eq!(reaper.reap(|| false), None);
        assert_eq!(reaper.next_deadline(), None);
        let before = Instant::now();
        assert_eq!(reaper.reap(|| true), None);
        let due = reaper.next_deadline().unwrap();
        assert!(due > before && due < Instant::now() + 5 * SECOND);
        assert_eq!(reaper.reap(|| false), None);
        assert_eq!(reaper.next_deadline(), None);
    }
}
