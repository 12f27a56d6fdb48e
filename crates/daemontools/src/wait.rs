//! The wait of svwait for any number of services.
//!
//! inotify reports each change: supervise renames each new status record into
//! `supervise`, and closes the FIFO `ok` when it exits, even if a successor opens
//! the FIFO at once. Each watch is added before the snapshot, so that no change
//! in between is lost.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use daemontools_core::names;
use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::unistd::{AccessFlags, access, fchdir};
use unix::appearance::{Watched, watch_path};
use unix::cwd::open_directory;
use unix::descriptors::DescriptorLimit;
use unix::file::descriptor_status;
use unix::inotify::{AddWatchFlags, WatchDescriptor};
use unix::poll::wait_readable;
use unix::watch::Watcher;

use super::ServiceSnapshot;
use super::condition::WaitCondition;
use crate::supervise_dir::{SuperviseDir, SuperviseDirRule};

/// The number of services that have to reach the condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitMode {
    /// All services, not necessarily at the same time.
    All,
    /// One service.
    One,
}

/// The end of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitOutcome<'a> {
    /// The services reached the condition.
    Reached,
    /// The deadline passed.
    TimedOut,
    /// The condition is out of reach: the service of this directory has failed
    /// during the wait.
    Failed(&'a CStr),
    /// The condition is out of reach: the supervise of this directory has
    /// exited, or the directory was removed.
    Unreachable(&'a CStr),
}

/// An error that prevents the wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitError<'a> {
    /// `inotify_init1`(2).
    Inotify(Errno),
    /// Entering the directory.
    Chdir(&'a CStr, Errno),
    /// The directory has neither `run` nor `supervise`.
    NoService(&'a CStr),
    /// `inotify_add_watch`(2).
    Watch(&'a CStr, Errno),
    /// getcwd(3).
    Path(&'a CStr, Errno),
    /// Reading the snapshot: the file, as in messages, and the errno. None: bad
    /// format.
    Read(Vec<u8>, Option<Errno>),
}

/// A wait for the services in some directories. Changes the current directory.
#[derive(Debug)]
pub struct ServiceWait<'a> {
    services: Vec<Option<PendingService<'a>>>,
    watches: Watches,
    /// The services to check.
    dirty: Vec<usize>,
    condition: WaitCondition,
    mode: WaitMode,
}

impl<'a> ServiceWait<'a> {
    /// Opens the directories, and raises the soft limit on descriptors.
    ///
    /// # Errors
    /// A directory that cannot be entered, or a lack of inotify descriptors.
    pub fn open(
        rule: SuperviseDirRule,
        directories: &[&'a CStr],
        condition: WaitCondition,
        mode: WaitMode,
    ) -> Result<Self, WaitError<'a>> {
        // Each service needs a descriptor.
        DescriptorLimit::read().raise();
        let services = directories
            .iter()
            .map(|name| PendingService::open(rule, name).map(Some));
        let services = services.collect::<Result<Vec<_>, _>>()?;
        Ok(ServiceWait {
            dirty: (0..services.len()).collect(),
            services,
            watches: Watches::new().map_err(WaitError::Inotify)?,
            condition,
            mode,
        })
    }

    /// Adds the watches and reads the first snapshots. Starts, exits and failures
    /// count from now on; a state counts in [`ServiceWait::finish`].
    ///
    /// # Errors
    /// A directory that is no service, or that cannot be watched or read.
    pub fn observe(&mut self) -> Result<(), WaitError<'a>> {
        for (index, service) in self.services.iter_mut().flatten().enumerate() {
            service.watch(&mut self.watches, index)?;
            service.read()?;
        }
        Ok(())
    }

    /// Blocks until `other` can be read, or until the deadline; a signal or a
    /// change of a service may end the call earlier. Notes the exits of
    /// supervises.
    pub fn note_exits(&mut self, other: BorrowedFd<'_>, deadline: Option<Instant>) {
        self.watches.wait(Some(other), deadline);
        for index in self.watches.take_dirty(&mut self.services) {
            if let Some(Some(service)) = self.services.get_mut(index) {
                // `finish` repeats a failed call.
                let _ = service.watch(&mut self.watches, index);
            }
        }
    }

    /// Waits until the services reach the condition, or until the deadline.
    ///
    /// # Errors
    /// A directory that is no service, or that cannot be watched or read.
    pub fn finish(mut self, deadline: Option<Instant>) -> Result<WaitOutcome<'a>, WaitError<'a>> {
        let mut last_loss = None;
        loop {
            for index in std::mem::take(&mut self.dirty) {
                let Some(slot) = self.services.get_mut(index) else {
                    continue;
                };
                let Some(service) = slot else { continue };
                service.watch(&mut self.watches, index)?;
                let loss = match service.check(self.condition)? {
                    Progress::Waiting => continue,
                    Progress::Reached => None,
                    Progress::Failed => Some(WaitOutcome::Failed(service.name)),
                    Progress::Unreachable => Some(WaitOutcome::Unreachable(service.name)),
                };
                match (loss, self.mode) {
                    (None, WaitMode::All) => {}
                    (None, WaitMode::One) => return Ok(WaitOutcome::Reached),
                    (Some(loss), WaitMode::All) => return Ok(loss),
                    (Some(loss), WaitMode::One) => last_loss = Some(loss),
                }
                *slot = None;
            }
            if self.services.iter().all(Option::is_none) {
                return Ok(last_loss.unwrap_or(WaitOutcome::Reached));
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(WaitOutcome::TimedOut);
            }
            self.watches.wait(None, deadline);
            self.dirty = self.watches.take_dirty(&mut self.services);
        }
    }
}

/// The event on `ok` when supervise exits.
const OK_CLOSED: AddWatchFlags = AddWatchFlags::IN_CLOSE_NOWRITE;

/// The events on a directory when an entry, or the directory itself, appears or
/// disappears.
pub(super) const ENTRIES: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR);

/// The watches, each with the indices of its services.
#[derive(Debug)]
pub(super) struct Watches {
    /// None: the system has no notification, and all services are read again every
    /// [`LOOK_INTERVAL`].
    pub(super) watcher: Option<Watcher>,
    services: HashMap<WatchDescriptor, Vec<usize>>,
}

/// The interval between two looks at the services without notification.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

impl Watches {
    /// Adds a watch on a path, or extends an existing one; whether the path
    /// exists.
    pub(super) fn add<P: NixPath + ?Sized>(
        &mut self,
        path: &P,
        events: AddWatchFlags,
        service: usize,
    ) -> Result<bool, Errno> {
        let Some(watcher) = &mut self.watcher else {
            return Ok(access(path, AccessFlags::F_OK).is_ok());
        };
        match watcher.add(path, events) {
            Ok(watch) => {
                let services = self.services.entry(watch).or_default();
                if !services.contains(&service) {
                    services.push(service);
                }
                Ok(true)
            }
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// No watches. Errors: as `inotify_init1`(2).
    pub(super) fn new() -> Result<Self, Errno> {
        let watcher = match Watcher::new() {
            Err(Errno::EOPNOTSUPP) => None,
            watcher => Some(watcher?),
        };
        Ok(Watches {
            watcher,
            services: HashMap::new(),
        })
    }

    /// Blocks until a change, until `other` can be read, or until the deadline.
    fn wait(&self, other: Option<BorrowedFd<'_>>, deadline: Option<Instant>) {
        let watcher = self.watcher.as_ref().map(AsFd::as_fd);
        let look = watcher.is_none().then(|| Instant::now() + LOOK_INTERVAL);
        let descriptors: Vec<_> = watcher.into_iter().chain(other).collect();
        wait_readable(&descriptors, look.into_iter().chain(deadline).min());
    }

    /// The indices of services with events since the last call. None: the kernel
    /// dropped events.
    pub(super) fn take_indices(&mut self) -> Option<Vec<usize>> {
        let mut indices = Vec::new();
        let watcher = self.watcher.as_mut();
        for event in watcher.map(Watcher::take_events).unwrap_or_default() {
            match self.services.get(&event.wd) {
                Some(of_watch) => indices.extend(of_watch),
                None if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) => return None,
                None => {}
            }
        }
        indices.sort_unstable();
        indices.dedup();
        Some(indices)
    }

    /// The indices of services with events since the last call. Marks those whose
    /// supervise has exited.
    fn take_dirty(&mut self, services: &mut [Option<PendingService<'_>>]) -> Vec<usize> {
        let Some(watcher) = &mut self.watcher else {
            return (0..services.len()).collect();
        };
        let mut dirty = Vec::new();
        for event in watcher.take_events() {
            match self.services.get(&event.wd) {
                Some(indices) => {
                    dirty.extend(indices);
                    for &index in indices {
                        if let Some(Some(service)) = services.get_mut(index) {
                            service.exited |= event.mask.contains(OK_CLOSED);
                        }
                    }
                }
                // The kernel dropped events.
                None if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) => {
                    dirty.extend(0..services.len());
                }
                None => {}
            }
        }
        dirty.sort_unstable();
        dirty.dedup();
        dirty
    }
}

/// A service that has not reached the condition.
#[derive(Debug)]
struct PendingService<'a> {
    name: &'a CStr,
    directory: OwnedFd,
    rule: SuperviseDirRule,
    /// The supervise directory, once the service was entered. It stays if the
    /// service is renamed.
    files: Option<SuperviseDir>,
    /// The first and the last snapshot.
    before: Option<(ServiceSnapshot, ServiceSnapshot)>,
    /// Whether a supervise has exited. A successor may run.
    exited: bool,
}

/// The result of a check.
enum Progress {
    Reached,
    Failed,
    Unreachable,
    Waiting,
}

impl<'a> PendingService<'a> {
    fn open(rule: SuperviseDirRule, name: &'a CStr) -> Result<Self, WaitError<'a>> {
        let directory =
            open_directory(AT_FDCWD, name).map_err(|error| WaitError::Chdir(name, error))?;
        Ok(PendingService {
            name,
            directory,
            rule,
            files: None,
            before: None,
            exited: false,
        })
    }

    /// Enters the directory, and returns the supervise directory.
    fn enter(&mut self) -> Result<SuperviseDir, WaitError<'a>> {
        fchdir(&self.directory).map_err(|error| WaitError::Chdir(self.name, error))?;
        if let Some(files) = &self.files {
            return Ok(files.clone());
        }
        let files = self.rule.of_current();
        let files = files.map_err(|error| WaitError::Path(self.name, error))?;
        self.files = Some(files.clone());
        Ok(files)
    }

    /// Enters the directory and adds watches for the service of this index.
    fn watch(&mut self, watches: &mut Watches, index: usize) -> Result<(), WaitError<'a>> {
        let files = self.enter()?;
        watch_service(watches, &files, index).map_err(|error| WaitError::Watch(self.name, error))
    }

    /// Enters the directory and reads the service: the first, the last and the new
    /// snapshot.
    fn read(&mut self) -> Result<[ServiceSnapshot; 3], WaitError<'a>> {
        let files = self.enter()?;
        let mut now = ServiceSnapshot::read(&files).map_err(|error| {
            let (file, errno) = error.file();
            WaitError::Read(files.display(self.name, file), errno)
        })?;
        if self.before.is_none() && !now.supervised && !is_service(&files) {
            return Err(WaitError::NoService(self.name));
        }
        now.supervised &= !self.exited;
        let (first, last) = self.before.unwrap_or((now, now));
        self.before = Some((first, now));
        Ok([first, last, now])
    }

    /// Reads and checks the service.
    fn check(&mut self, condition: WaitCondition) -> Result<Progress, WaitError<'a>> {
        let [first, last, now] = self.read()?;
        let exited = self.exited || (last.supervised && !now.supervised);
        let removed =
            descriptor_status(self.directory.as_fd()).is_ok_and(|status| status.nlink() == 0);
        Ok(if condition.holds(&first, &last, &now) {
            Progress::Reached
        } else if condition.has_failed(&first, &now) {
            Progress::Failed
        } else if exited || removed {
            Progress::Unreachable
        } else {
            Progress::Waiting
        })
    }
}

/// Watches the supervise directory and the FIFO in it. While one of them is
/// missing, watches the directories in which it may appear, or from which the
/// service may be removed.
pub(super) fn watch_service(
    watches: &mut Watches,
    files: &SuperviseDir,
    index: usize,
) -> Result<(), Errno> {
    let (supervise, ok) = (files.path(names::SUPERVISE), files.path(names::OK));
    let watch_both = |watches: &mut Watches| {
        Ok(watches.add(&*supervise, ENTRIES, index)? && watches.add(&*ok, OK_CLOSED, index)?)
    };
    if watch_both(watches)? {
        return Ok(());
    }
    watches.add(c".", ENTRIES, index)?;
    // A removed directory reports its removal only after the last process has
    // left it, which this process does not. The parent may be unreadable.
    let _ = watches.add(c"..", ENTRIES, index);
    watch_path(&supervise, |watched| match watched {
        Watched::Path(_) => watch_both(watches),
        Watched::Above(directory) => match watches.add(directory, ENTRIES, index) {
            Err(Errno::EACCES) => Ok(false),
            result => result,
        },
    })
}

/// Whether supervise ran, or can run, in the current directory.
fn is_service(files: &SuperviseDir) -> bool {
    [&*files.path(names::RUN), &*files.path(names::SUPERVISE)]
        .iter()
        .any(|path| access(*path, AccessFlags::F_OK).is_ok())
}

#[cfg(test)]
mod tests {

    use daemontools_core::status::Want;

    use super::*;
    use testkit::service_files::{Supervised, in_directory, write_status};

    fn open<'a>(
        names: &[&'a CStr],
        condition: WaitCondition,
        mode: WaitMode,
    ) -> Result<ServiceWait<'a>, WaitError<'a>> {
        let mut wait = ServiceWait::open(SuperviseDirRule::InService, names, condition, mode)?;
        wait.observe()?;
        Ok(wait)
    }

    /// The outcome at once, or within a minute.
    fn outcome(wait: ServiceWait<'_>, seconds: u64) -> WaitOutcome<'_> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        wait.finish(Some(deadline)).unwrap()
    }

    /// In two services, of which the first one is up.
    fn with_services(test: impl FnOnce(Supervised, Supervised, &dyn Fn(&str) -> String)) {
        in_directory(|| {
            let services = ["a", "b"].map(Supervised::new);
            write_status("a", 7, Want::Up);
            write_status("b", 0, Want::Down);
            // The wait changes the current directory.
            let root = std::env::current_dir().unwrap();
            let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
            let [a, b] = services;
            test(a, b, &path);
        });
    }

    #[test]
    fn all_services_or_one_reach_the_condition() {
        with_services(|_a, _b, path| {
            let up = WaitCondition::Up;
            let all = open(&[c"a", c"b"], up, WaitMode::All).unwrap();
            assert_eq!(outcome(all, 0), WaitOutcome::TimedOut);
            std::env::set_current_dir(path("")).unwrap();
            let one = open(&[c"a", c"b"], up, WaitMode::One).unwrap();
            assert_eq!(outcome(one, 0), WaitOutcome::Reached);
            std::env::set_current_dir(path("")).unwrap();
            let all = open(&[c"a", c"b"], up, WaitMode::All).unwrap();
            write_status(&path("b"), 8, Want::Up);
            assert_eq!(outcome(all, 60), WaitOutcome::Reached);
        });
    }

    #[test]
    fn new_record_ends_a_wait() {
        with_services(|_a, _b, path| {
            let wait = open(&[c"b"], WaitCondition::Up, WaitMode::All).unwrap();
            let b = path("b");
            let writer = std::thread::spawn(move || {
                // The record of a start that fails, and then that of a start.
                write_status(&b, 0, Want::Up);
                write_status(&b, 8, Want::Up);
            });
            assert_eq!(outcome(wait, 60), WaitOutcome::Reached);
            writer.join().unwrap();
        });
    }

    #[test]
    fn exit_of_supervise_puts_condition_out_of_reach() {
        with_services(|_a, b, path| {
            let wait = open(&[c"b"], WaitCondition::Up, WaitMode::All).unwrap();
            drop(b);
            assert_eq!(outcome(wait, 60), WaitOutcome::Unreachable(c"b"));
            // Without a supervise, one may start.
            std::env::set_current_dir(path("")).unwrap();
            let wait = open(&[c"b"], WaitCondition::Up, WaitMode::All).unwrap();
            assert_eq!(outcome(wait, 0), WaitOutcome::TimedOut);
            std::env::set_current_dir(path("")).unwrap();
            let wait = open(&[c"b"], WaitCondition::Up, WaitMode::All).unwrap();
            let _b = Supervised::new(&path("b"));
            write_status(&path("b"), 8, Want::Up);
            assert_eq!(outcome(wait, 60), WaitOutcome::Reached);
        });
    }

    #[test]
    fn exit_before_successor_is_noted() {
        with_services(|_a, b, path| {
            let mut wait = open(&[c"b"], WaitCondition::Gone, WaitMode::All).unwrap();
            drop(b);
            let _successor = Supervised::new(&path("b"));
            let (never, _writer) = nix::unistd::pipe().unwrap();
            wait.note_exits(never.as_fd(), None);
            assert_eq!(outcome(wait, 60), WaitOutcome::Reached);
        });
    }

    #[test]
    fn removed_directory_puts_condition_out_of_reach() {
        with_services(|_a, b, path| {
            let wait = open(&[c"b"], WaitCondition::Up, WaitMode::All).unwrap();
            drop(b);
            std::fs::remove_dir_all(path("b")).unwrap();
            assert_eq!(outcome(wait, 60), WaitOutcome::Unreachable(c"b"));
        });
    }

    #[test]
    fn directory_without_service_is_an_error() {
        in_directory(|| {
            let root = std::env::current_dir().unwrap();
            let up = WaitCondition::Up;
            for name in ["empty", "with-run"] {
                std::fs::create_dir(name).unwrap();
            }
            let missing = open(&[c"nope"], up, WaitMode::All).unwrap_err();
            assert_eq!(missing, WaitError::Chdir(c"nope", Errno::ENOENT));
            let empty = open(&[c"empty"], up, WaitMode::All).unwrap_err();
            assert_eq!(empty, WaitError::NoService(c"empty"));
            std::env::set_current_dir(&root).unwrap();
            // A service that never ran may be started.
            std::fs::write("with-run/run", "").unwrap();
            let wait = open(&[c"with-run"], up, WaitMode::All).unwrap();
            assert_eq!(outcome(wait, 0), WaitOutcome::TimedOut);
            std::env::set_current_dir(&root).unwrap();
            std::fs::create_dir("empty/supervise").unwrap();
            let wait = open(&[c"empty"], up, WaitMode::All).unwrap();
            let _supervised = Supervised::new(root.join("empty").to_str().unwrap());
            write_status(root.join("empty").to_str().unwrap(), 7, Want::Up);
            assert_eq!(outcome(wait, 60), WaitOutcome::Reached);
        });
    }
}
