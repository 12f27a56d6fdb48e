//! Notification of changes by inotify, instead of repeated reads.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use daemontools_core::names;
use nix::NixPath;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use nix::unistd::read;
use unix::descriptors::DescriptorLimit;
use unix::memory;
use unix::poll::wait_for_events;

use super::probe;
use crate::supervise_dir::IN_SERVICE;

/// An inotify descriptor, non-blocking and close-on-exec, with its watches.
///
/// The close of a descriptor with watches, and so the exit of the process, waits for
/// a grace period of the kernel, often 15 ms or more. [`Watcher::clear`] some
/// milliseconds before saves this time.
#[derive(Debug)]
pub(crate) struct Watcher {
    inotify: Inotify,
    /// Sorted.
    watches: Vec<WatchDescriptor>,
}

impl Watcher {
    /// Errors: as `inotify_init1`(2).
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Watcher {
            inotify: Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?,
            watches: Vec::new(),
        })
    }

    /// Adds a watch on a path, or changes the existing one. Errors: as
    /// `inotify_add_watch`(2), also ENOMEM for the list of watches.
    pub(crate) fn add<P: NixPath + ?Sized>(
        &mut self,
        path: &P,
        events: AddWatchFlags,
    ) -> Result<WatchDescriptor, Errno> {
        memory::try_reserve(&mut self.watches, 1)?;
        let watch = self.inotify.add_watch(path, events)?;
        if let Err(index) = self.watches.binary_search(&watch) {
            self.watches.insert(index, watch);
        }
        Ok(watch)
    }

    /// Removes all events from the queue, without memory. Calls `visit` with the name
    /// in each event; the name is empty if the event has none.
    pub(crate) fn visit_events(&mut self, mut visit: impl FnMut(&CStr)) {
        let mut buffer = [0; EVENT_BUFFER];
        while let Ok(length @ 1..) = read(&self.inotify, &mut buffer) {
            let mut events = buffer.get(..length).unwrap_or_default();
            while let Some((watch, mask, name, rest)) = split_event(events) {
                self.drop_ignored(watch, mask);
                visit(name);
                events = rest;
            }
        }
    }

    /// Forgets a watch that the kernel has removed.
    fn drop_ignored(&mut self, watch: i32, mask: AddWatchFlags) {
        if mask.contains(AddWatchFlags::IN_IGNORED) {
            let by_number = |watch: &WatchDescriptor| watch.as_raw();
            if let Ok(index) = self.watches.binary_search_by_key(&watch, by_number) {
                self.watches.remove(index);
            }
        }
    }

    /// Removes all events from the queue.
    pub(crate) fn take_events(&mut self) -> Vec<InotifyEvent> {
        let read = || self.inotify.read_events().ok();
        let events: Vec<_> = std::iter::from_fn(read).flatten().collect();
        for event in &events {
            self.drop_ignored(event.wd.as_raw(), event.mask);
        }
        events
    }

    /// Removes all watches, without a wait.
    pub(crate) fn clear(&mut self) {
        for watch in self.watches.drain(..) {
            // Fails for a removed file, whose watch is gone.
            let _ = self.inotify.rm_watch(watch);
        }
    }
}

/// The size of a buffer for events, in bytes. The largest event has 272.
const EVENT_BUFFER: usize = 4096;

/// The watch, the events and the name of the first `struct inotify_event`, and the
/// events after it.
fn split_event(events: &[u8]) -> Option<(i32, AddWatchFlags, &CStr, &[u8])> {
    let (&watch, rest) = events.split_first_chunk()?;
    let (&mask, rest) = rest.split_first_chunk()?;
    let (_cookie, rest) = rest.split_first_chunk::<4>()?;
    let (&length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_ne_bytes(length)).ok()?;
    let (name, rest) = rest.split_at_checked(length)?;
    let name = CStr::from_bytes_until_nul(name).unwrap_or_default();
    let mask = AddWatchFlags::from_bits_retain(u32::from_ne_bytes(mask));
    Some((i32::from_ne_bytes(watch), mask, name, rest))
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

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
    use std::os::fd::AsRawFd;

    use daemontools_core::status::Want;

    use super::*;
    use crate::testing::{Supervised, in_directory, write_status};

    /// The number of watches in the kernel.
    fn kernel_watches(watcher: &Watcher) -> usize {
        let descriptor = watcher.as_fd().as_raw_fd();
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).unwrap();
        info.lines()
            .filter(|line| line.starts_with("inotify wd:"))
            .count()
    }

    #[test]
    fn clear_removes_the_remaining_watches() {
        let dir = tempfile::tempdir().unwrap();
        let removed = dir.path().join("removed");
        std::fs::create_dir(&removed).unwrap();
        let created = AddWatchFlags::IN_CREATE;
        let mut watcher = Watcher::new().unwrap();
        let first = watcher.add(dir.path(), created).unwrap();
        assert_eq!(watcher.add(dir.path(), created), Ok(first));
        watcher.add(&removed, created).unwrap();
        watcher.add(&std::env::temp_dir(), created).unwrap();
        assert_eq!((kernel_watches(&watcher), watcher.watches.len()), (3, 3));
        std::fs::remove_dir(&removed).unwrap();
        watcher.visit_events(|_| ());
        assert_eq!((kernel_watches(&watcher), watcher.watches.len()), (2, 2));
        watcher.clear();
        assert_eq!((kernel_watches(&watcher), watcher.watches.len()), (0, 0));
        watcher.clear();
    }

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
