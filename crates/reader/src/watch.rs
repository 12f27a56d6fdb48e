//! Notification of changes in log directories, and in the directories where log
//! directories appear.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use daemontools_core::label::Label;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use unix::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor, is_silent};
use unix::poll::wait_for_events;

use crate::log_files::FilePlace;

/// The pause between two looks where inotify does not work.
const POLL_PAUSE: Duration = Duration::from_secs(2);

/// A log directory in the watcher, a number that the caller chooses.
pub type LogId = usize;

/// The changes since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The log directories with new lines or names.
    pub logs: BTreeSet<LogId>,
    /// Events were lost; any log directory may have changed.
    pub any_log: bool,
    /// A directory appeared, disappeared or was moved where log directories are
    /// looked for.
    pub places: bool,
}

/// Watches log directories and the directories above.
#[derive(Debug)]
pub struct LogWatcher {
    /// Appended lines, and all changes of names. Events of several log
    /// directories do not coalesce; therefore, this queue overflows while the
    /// reader is blocked, and then stands for any change.
    changes: Queue,
    /// New names alone: they show the order of the old files, also of files that
    /// were removed before the reader listed them. A rotation causes two to five events, and
    /// the default queue of the kernel has 16384. Readers share the queue with the
    /// watcher.
    names: Rc<RefCell<Names>>,
    /// When the caller has to look without an event, if it has to.
    next_look: Option<Instant>,
}

/// The labels of the old files that appear in a log directory, in order.
#[derive(Clone, Debug)]
pub struct NameFeed {
    id: LogId,
    names: Rc<RefCell<Names>>,
}

/// The names in the queue, and the names for readers that have not taken them.
#[derive(Debug)]
struct Names {
    queue: Queue,
    /// The labels, and whether events were lost before them.
    pending: HashMap<LogId, (Vec<Label>, bool)>,
}

impl NameFeed {
    /// The labels since the last call, in the order of their names, and whether
    /// they are complete. A label is repeated if svlogd's processor gives it to a
    /// second name.
    pub fn take(&self) -> (Vec<Label>, bool) {
        // No other call is active: none calls another one.
        let Ok(mut names) = self.names.try_borrow_mut() else {
            return (Vec::new(), false);
        };
        names.read();
        let (labels, has_lost) = names.pending.remove(&self.id).unwrap_or_default();
        (labels, !has_lost && names.queue.is_complete)
    }
}

impl Names {
    /// Reads all events in the queue.
    fn read(&mut self) {
        for event in self.queue.take() {
            if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                for id in self
                    .queue
                    .watched
                    .values()
                    .flat_map(|watched| &watched.logs)
                {
                    self.pending.entry(*id).or_default().1 = true;
                }
            }
            let name = event.name.as_deref().map(OsStr::as_bytes);
            let label = name.and_then(FilePlace::of_name).and_then(FilePlace::label);
            if let (Some(label), Some(watched)) = (label, self.queue.watched.get(&event.wd)) {
                for id in &watched.logs {
                    self.pending.entry(*id).or_default().0.push(label);
                }
            }
        }
    }
}

#[derive(Debug)]
struct Queue {
    /// None: inotify is not available.
    inotify: Option<Inotify>,
    watched: HashMap<WatchDescriptor, Watched>,
    is_complete: bool,
}

#[derive(Debug, Default)]
struct Watched {
    logs: BTreeSet<LogId>,
    is_place: bool,
}

/// `IN_MASK_ADD`, which nix lacks: keeps the events of an existing watch.
const MASK_ADD: AddWatchFlags = AddWatchFlags::from_bits_retain(0x2000_0000);
/// Events in a place: another directory below it. A log directory may be a place
/// as well, and keeps the events of both.
const PLACES: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR)
    .union(MASK_ADD);
/// Events in a log directory: also appended lines.
const LOGS: AddWatchFlags = PLACES.union(AddWatchFlags::IN_MODIFY);
const NAMES: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_ONLYDIR);

impl Queue {
    fn new() -> Self {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
        Queue {
            is_complete: inotify.is_some(),
            inotify,
            watched: HashMap::new(),
        }
    }

    /// Watches a directory. A directory with several names has one watch.
    fn add(&mut self, path: &Path, events: AddWatchFlags) -> Option<&mut Watched> {
        let added = self.inotify.as_ref()?.add_watch(path, events);
        match added {
            Ok(descriptor) => Some(self.watched.entry(descriptor).or_default()),
            // The directory above is watched until it exists.
            Err(Errno::ENOENT | Errno::ENOTDIR) => None,
            Err(_) => {
                self.is_complete = false;
                None
            }
        }
    }

    /// All events in the queue.
    fn take(&mut self) -> Vec<InotifyEvent> {
        let inotify = self.inotify.as_ref();
        let read = || inotify?.read_events().ok();
        std::iter::from_fn(read).flatten().collect()
    }

    fn forget(&mut self, id: LogId) {
        let inotify = self.inotify.as_ref();
        self.watched.retain(|descriptor, watched| {
            let was_log = watched.logs.remove(&id);
            let is_unused = was_log && watched.logs.is_empty() && !watched.is_place;
            if is_unused {
                // The kernel has removed the watch of a removed directory.
                let _ = inotify.map(|inotify| inotify.rm_watch(*descriptor));
            }
            !is_unused
        });
    }
}

/// Watches nothing.
impl Default for LogWatcher {
    fn default() -> Self {
        LogWatcher {
            changes: Queue::new(),
            names: Rc::new(RefCell::new(Names {
                queue: Queue::new(),
                pending: HashMap::new(),
            })),
            next_look: None,
        }
    }
}

impl LogWatcher {
    /// Watches a log directory. The caller looks at the directory afterwards;
    /// otherwise a change before the watch would be missed.
    ///
    /// The caller repeats the call if another directory has taken the path.
    pub fn watch_log(&mut self, id: LogId, path: &Path) {
        self.poll_if_silent(path);
        let mut names = self.names.try_borrow_mut();
        let names = names.as_mut().map(|names| (&mut names.queue, NAMES));
        for (queue, events) in names.into_iter().chain([(&mut self.changes, LOGS)]) {
            if let Some(watched) = queue.add(path, events) {
                watched.logs.insert(id);
            }
        }
    }

    /// Ends the watch of a log directory.
    pub fn forget_log(&mut self, id: LogId) {
        self.changes.forget(id);
        if let Ok(mut names) = self.names.try_borrow_mut() {
            names.queue.forget(id);
            names.pending.remove(&id);
        }
    }

    /// Watches a directory where log directories appear.
    pub fn watch_place(&mut self, path: &Path) {
        self.poll_if_silent(path);
        if let Some(watched) = self.changes.add(path, PLACES) {
            watched.is_place = true;
        }
    }

    fn poll_if_silent(&mut self, path: &Path) {
        self.changes.is_complete &= !is_silent(path);
    }

    /// Whether each change causes an event. Otherwise [`LogWatcher::wait`] also
    /// returns every two seconds.
    pub fn is_complete(&self) -> bool {
        self.changes.is_complete
    }

    /// The labels of the old files that appear in a log directory from now on.
    pub fn feed(&self, id: LogId) -> NameFeed {
        let names = Rc::clone(&self.names);
        NameFeed { id, names }
    }

    /// Blocks until a change, until the deadline if there is one, or until the
    /// reader of `output` has closed it. The caller then calls
    /// [`LogWatcher::take`].
    ///
    /// Returns whether `output` still has a reader.
    pub fn wait(&mut self, output: BorrowedFd<'_>, deadline: Option<Instant>) -> bool {
        if !self.is_complete() {
            self.next_look = Some(Instant::now() + POLL_PAUSE);
        }
        // poll(2) reports POLLERR for a pipe without a reader.
        let mut descriptors = vec![PollFd::new(output, PollFlags::empty())];
        if let Some(inotify) = &self.changes.inotify {
            descriptors.push(PollFd::new(inotify.as_fd(), PollFlags::POLLIN));
        }
        let deadline = self.next_look.into_iter().chain(deadline).min();
        wait_for_events(&mut descriptors, deadline);
        let closed = descriptors.first().and_then(PollFd::revents);
        closed.is_none_or(|events| events.is_empty())
    }

    /// The changes since the last call. Does not block.
    pub fn take(&mut self) -> Changes {
        let mut changes = Changes::default();
        if self.next_look.is_some_and(|look| look <= Instant::now()) {
            self.next_look = None;
            changes.any_log = true;
            changes.places = true;
        }
        for event in self.changes.take() {
            if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                changes.any_log = true;
                changes.places = true;
                continue;
            }
            let Some(watched) = self.changes.watched.get(&event.wd) else {
                continue;
            };
            changes.logs.extend(&watched.logs);
            // Another directory may take the path of a moved or removed one.
            let is_moved = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
            let is_appended = event.mask.contains(AddWatchFlags::IN_MODIFY);
            changes.places |= event.mask.intersects(is_moved) || (watched.is_place && !is_appended);
            if event.mask.contains(AddWatchFlags::IN_IGNORED) {
                // The kernel has removed the watch.
                self.changes.watched.remove(&event.wd);
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn written(path: &Path) {
        fs::write(path, b"line\n").unwrap();
    }

    #[test]
    fn changes_name_their_log_directories() {
        let root = tempfile::tempdir().unwrap();
        let log = |name: &str| {
            let path = root.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let (a, b) = (log("a"), log("b"));
        let mut watcher = LogWatcher::default();
        watcher.watch_log(1, &a);
        watcher.watch_log(2, &b);
        watcher.watch_place(root.path());
        watcher.watch_log(3, &root.path().join("missing"));
        assert!(watcher.is_complete());
        assert_eq!(watcher.take(), Changes::default());
        written(&b.join("current"));
        let only_b = Changes {
            logs: [2].into(),
            ..Changes::default()
        };
        assert_eq!(watcher.take(), only_b);
        assert_eq!(watcher.take(), Changes::default());
        written(&a.join("current"));
        fs::rename(a.join("current"), a.join("previous")).unwrap();
        written(&a.join("current"));
        assert_eq!(watcher.take().logs, [1].into());
        log("c");
        assert!(watcher.take().places);
        watcher.forget_log(2);
        written(&b.join("current"));
        assert_eq!(watcher.take(), Changes::default());
        fs::remove_dir_all(&a).unwrap();
        let removed = watcher.take();
        assert!(removed.places && removed.logs == [1].into());
        // A directory of the same name is another one.
        fs::create_dir(&a).unwrap();
        watcher.watch_log(1, &a);
        watcher.take();
        written(&a.join("current"));
        assert_eq!(watcher.take().logs, [1].into());
    }

    #[test]
    fn old_files_are_reported_in_the_order_of_names() {
        let root = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let path = |name: &str| root.path().join(name);
        let name = |label: Label, suffix: &str| {
            let label = String::from_utf8(label.text().to_vec()).unwrap();
            path(&format!("{label}.{suffix}"))
        };
        let mut watcher = LogWatcher::default();
        watcher.watch_log(1, root.path());
        let feed = watcher.feed(1);
        let take = || feed.take();
        let label = |seconds| Label::from_unix(seconds, 0);
        // multilog links, and svlogd renames, here with a processor. The second
        // clock is behind the first one.
        written(&path("previous"));
        fs::hard_link(path("previous"), name(label(20), "s")).unwrap();
        written(&path("current"));
        fs::rename(path("current"), name(label(10), "u")).unwrap();
        written(&name(label(10), "t"));
        fs::remove_file(name(label(20), "s")).unwrap();
        fs::rename(name(label(10), "t"), name(label(10), "s")).unwrap();
        assert_eq!(take(), ([label(20), label(10), label(10)].to_vec(), true));
        assert_eq!(take(), (vec![], true));
        let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        for _ in 0..=most.trim().parse::<u32>().unwrap().min(1 << 20) / 2 {
            fs::rename(name(label(10), "s"), name(label(10), "u")).unwrap();
            fs::rename(name(label(10), "u"), name(label(10), "s")).unwrap();
        }
        assert!(!take().1);
        assert_eq!(take(), (vec![], true));
        assert!(watcher.take().any_log);
    }

    #[test]
    fn closed_output_ends_the_wait() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let root = tempfile::tempdir().unwrap();
        let mut watcher = LogWatcher::default();
        watcher.watch_log(1, root.path());
        written(&root.path().join("current"));
        assert!(watcher.wait(writer.as_fd(), None));
        watcher.take();
        drop(reader);
        assert!(!watcher.wait(writer.as_fd(), None));
    }
}
