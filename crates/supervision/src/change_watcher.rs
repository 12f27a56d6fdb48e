//! Notification of changes by inotify, instead of repeated reads.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use daemontools::client::probe;
use daemontools::supervise_dir::IN_SERVICE;
use daemontools_core::names;
use nix::poll::{PollFd, PollFlags};
use unix::descriptors::DescriptorLimit;
use unix::inotify::AddWatchFlags;
use unix::poll::wait_for_events;
use unix::watch::Watcher;

/// Reports changes of any number of services of runsv: a new status record, and
/// the exit of runsv.
#[derive(Debug)]
pub struct ChangeWatcher {
    /// The number of waits before the first watch. Most commands are complete by
    /// then, and sv exits without the delay of [`Watcher`].
    short_waits: u32,
    /// None: inotify is not available for all services.
    records: Option<Watcher>,
    /// The FIFO `ok` of each service.
    oks: Vec<OwnedFd>,
    /// The maximum length of `oks`.
    max_oks: usize,
    /// Whether `oks` lacks a service.
    is_full: bool,
}

/// The number of descriptors that `oks` leaves to the rest of the program.
const SPARE: u64 = 16;

/// The value of `short_waits` at first, and the duration of the first short wait.
/// Each one is twice as long as the one before: 15 ms together.
const SHORT_WAITS: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(1);

/// Watches no service.
impl Default for ChangeWatcher {
    fn default() -> Self {
        ChangeWatcher {
            short_waits: SHORT_WAITS,
            records: Watcher::new().ok(),
            oks: Vec::new(),
            max_oks: DescriptorLimit::read().soft_limit().map_or(0, |limit| {
                usize::try_from(limit.saturating_sub(SPARE)).unwrap_or(usize::MAX)
            }),
            is_full: false,
        }
    }
}

impl ChangeWatcher {
    /// Adds the service in the current directory.
    pub fn add(&mut self) {
        if self.short_waits == 0 {
            let records = self.records.take();
            self.records = records.and_then(|mut records| {
                let renamed = AddWatchFlags::IN_MOVED_TO;
                records.add(names::SUPERVISE, renamed).ok()?;
                Some(records)
            });
        }
        if self.oks.len() < self.max_oks {
            self.oks.extend(probe(&IN_SERVICE));
        } else {
            self.is_full = true;
        }
    }

    /// Whether [`ChangeWatcher::wait`] returns at every change. Otherwise the
    /// system ran out of descriptors or watches, and the caller has to poll.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.records.is_some() && !self.is_full
    }

    /// Blocks until a change or the deadline, or for a short time at first. The
    /// caller then adds the services anew.
    pub fn wait(&mut self, mut deadline: Option<Instant>) {
        if let Some(left) = self.short_waits.checked_sub(1) {
            let end = Instant::now() + FIRST_WAIT * (1 << (SHORT_WAITS - self.short_waits));
            deadline = Some(deadline.map_or(end, |deadline| deadline.min(end)));
            self.short_waits = left;
        }
        let records = self.records.iter();
        let mut descriptors: Vec<_> = records
            .map(|records| PollFd::new(records.as_fd(), PollFlags::POLLIN))
            .collect();
        // poll(2) reports POLLERR for a FIFO that lost its last reader.
        let oks = self.oks.iter();
        descriptors.extend(oks.map(|ok| PollFd::new(ok.as_fd(), PollFlags::empty())));
        wait_for_events(&mut descriptors, deadline);
        self.oks.clear();
        self.is_full = false;
        self.records.as_mut().map(Watcher::take_events);
    }
}

#[cfg(test)]
mod tests {
    use daemontools_core::status::Want;
    use testkit::kernel_watches;

    use super::*;
    use crate::testing::{Supervised, in_directory, write_status};

    /// Waits without a limit in time, after the short waits.
    fn wait_until_change(watcher: &mut ChangeWatcher) {
        watcher.wait(Some(Instant::now() + Duration::from_secs(3600)));
    }

    #[test]
    fn short_waits_precede_the_first_watch() {
        in_directory(|| {
            let _supervised = Supervised::new(".");
            let mut watcher = ChangeWatcher::default();
            for milliseconds in [1, 2, 4, 8] {
                watcher.add();
                assert!(watcher.is_complete());
                assert_eq!(kernel_watches(watcher.records.as_ref().unwrap()), 0);
                let start = Instant::now();
                wait_until_change(&mut watcher);
                let waited = start.elapsed();
                assert!(waited >= Duration::from_millis(milliseconds), "{waited:?}");
                assert!(waited < Duration::from_secs(60), "{waited:?}");
            }
            watcher.add();
            assert_eq!(kernel_watches(watcher.records.as_ref().unwrap()), 1);
            write_status(".", 7, Want::Up);
            wait_until_change(&mut watcher);
            // A deadline ends a wait.
            watcher.add();
            watcher.wait(Some(Instant::now()));
        });
    }

    #[test]
    fn exit_of_runsv_ends_a_wait() {
        in_directory(|| {
            let supervised = Supervised::new(".");
            let mut watcher = ChangeWatcher {
                short_waits: 0,
                ..ChangeWatcher::default()
            };
            watcher.add();
            drop(supervised);
            wait_until_change(&mut watcher);
        });
    }

    #[test]
    fn watcher_without_room_or_inotify_is_incomplete() {
        in_directory(|| {
            let _supervised = Supervised::new(".");
            let mut watcher = ChangeWatcher {
                max_oks: 1,
                ..ChangeWatcher::default()
            };
            watcher.add();
            assert!(watcher.is_complete());
            watcher.add();
            assert!(!watcher.is_complete());
            watcher.wait(Some(Instant::now()));
            watcher.add();
            assert!(watcher.is_complete());
            let mut blind = ChangeWatcher {
                short_waits: 0,
                ..ChangeWatcher::default()
            };
            std::fs::rename("supervise", "elsewhere").unwrap();
            blind.add();
            assert!(!blind.is_complete());
        });
    }
}
