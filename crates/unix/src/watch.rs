//! An inotify descriptor with its watches.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use crate::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use nix::NixPath;
use nix::errno::Errno;
use nix::unistd::read;

use crate::memory;

/// An inotify descriptor, non-blocking and close-on-exec, with its watches.
///
/// The close of a descriptor with watches, and so the exit of the process, waits for
/// a grace period of the kernel, often 15 ms or more. [`Watcher::clear`] some
/// milliseconds before saves this time.
#[derive(Debug)]
pub struct Watcher {
    inotify: Inotify,
    /// Sorted.
    watches: Vec<WatchDescriptor>,
}

impl Watcher {
    /// Errors: as `inotify_init1`(2).
    pub fn new() -> Result<Self, Errno> {
        Ok(Watcher {
            inotify: Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?,
            watches: Vec::new(),
        })
    }

    /// Adds a watch on a path, or changes the existing one. Errors: as
    /// `inotify_add_watch`(2), also ENOMEM for the list of watches.
    pub fn add<P: NixPath + ?Sized>(
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
    pub fn visit_events(&mut self, mut visit: impl FnMut(&CStr)) {
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
    pub fn take_events(&mut self) -> Vec<InotifyEvent> {
        let read = || self.inotify.read_events().ok();
        let events: Vec<_> = std::iter::from_fn(read).flatten().collect();
        for event in &events {
            self.drop_ignored(event.wd.as_raw(), event.mask);
        }
        events
    }

    /// Whether the kernel has removed all watches, as far as the events that were read
    /// report this.
    pub fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// Removes all watches, without a wait.
    pub fn clear(&mut self) {
        for watch in self.watches.drain(..) {
            // Fails for a removed file, whose watch is gone.
            let _ = self.inotify.rm_watch(watch);
        }
    }
}

/// The size of a buffer for events on the stack, in bytes. The largest event has 272.
const EVENT_BUFFER: usize = 1024;

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

#[cfg(test)]
mod tests {
    use testkit::kernel_watches;

    use super::*;

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
}
