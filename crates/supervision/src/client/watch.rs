//! Notification of changes by inotify, instead of repeated reads.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use daemontools_core::names;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};
use unix::descriptors::DescriptorLimit;
use unix::poll::wait_for_events;

use super::probe;
use crate::supervise_dir::IN_SERVICE;

/// An inotify descriptor, non-blocking and close-on-exec.
pub(crate) fn new_inotify() -> Result<Inotify, Errno> {
    Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
}

/// Removes all events from the queue.
pub(crate) fn take_events(inotify: &Inotify) -> Vec<InotifyEvent> {
    let read = || inotify.read_events().ok();
    std::iter::from_fn(read).flatten().collect()
}

/// Reports changes of any number of services of runsv: a new status record, and
/// the exit of runsv.
#[derive(Debug)]
pub struct ChangeWatcher {
    /// None: inotify is not available for all services.
    records: Option<Inotify>,
    /// The FIFO `ok` of each service.
    oks: Vec<OwnedFd>,
    /// The maximum length of `oks`.
    max_oks: usize,
    /// Whether `oks` lacks a service.
    is_full: bool,
}

/// The number of descriptors that `oks` leaves to the rest of the program.
const SPARE: u64 = 16;

/// Watches no service.
impl Default for ChangeWatcher {
    fn default() -> Self {
        ChangeWatcher {
            records: new_inotify().ok(),
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
        let records = self.records.take();
        self.records = records.filter(|records| {
            let renamed = AddWatchFlags::IN_MOVED_TO;
            records.add_watch(names::SUPERVISE, renamed).is_ok()
        });
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

    /// Blocks until a change or the deadline. The caller then adds the services
    /// anew.
    pub fn wait(&mut self, deadline: Option<Instant>) {
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
        self.records.as_ref().map(take_events);
    }
}
