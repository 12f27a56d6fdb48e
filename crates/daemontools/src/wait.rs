//! The wait of svwait for any number of services.
//!
//! inotify reports each change: supervise renames each new status record into
//! `supervise`, and closes the FIFO `ok` when it exits, even if a successor opens
//! the FIFO at once. Each watch is added before the snapshot, so that no change
//! in between is lost.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use daemontools_core::names;
use daemontools_core::status::Want;
use nix::NixPath;
use nix::errno::Errno;
use unix::appearance::{Watched, watch_path};
use unix::file::{descriptor_status, exists_in, status};
use unix::inotify::{AddWatchFlags, InotifyEvent, WatchDescriptor};
use unix::poll::wait_readable;
use unix::watch::Watcher;

use crate::condition::WaitCondition;
use crate::error::{Cause, Error, Operation};
use crate::service::Service;
use crate::snapshot::ServiceSnapshot;
use crate::supervise_dir::SuperviseDir;

/// The number of services that have to reach the condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum WaitMode {
    /// All services, not necessarily at the same time.
    All,
    /// One service.
    One,
}

/// The end of a wait.
#[must_use = "the wait may have ended without the condition"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum WaitOutcome<'a> {
    /// The services reached the condition.
    Reached,
    /// The deadline passed.
    TimedOut,
    /// The condition is out of reach: the service of this directory has failed
    /// during the wait.
    Failed(&'a Path),
    /// The condition is out of reach: the supervise of this directory has
    /// exited, or the directory was removed.
    Unreachable(&'a Path),
}

/// `/service/web has failed`, for messages and logs.
impl fmt::Display for WaitOutcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitOutcome::Reached => f.write_str("the condition is reached"),
            WaitOutcome::TimedOut => f.write_str("timed out"),
            WaitOutcome::Failed(path) => write!(f, "{} has failed", path.display()),
            WaitOutcome::Unreachable(path) => {
                write!(f, "supervise of {} has exited", path.display())
            }
        }
    }
}

/// A wait for some services.
///
/// ```no_run
/// use std::time::{Duration, Instant};
/// use daemontools::{Service, ServiceWait, WaitCondition, WaitMode};
///
/// let services = [Service::open("/service/db")?, Service::open("/service/web")?];
/// let wait = ServiceWait::new(&services, WaitCondition::UpAndReady, WaitMode::All)?;
/// let outcome = wait.finish(Some(Instant::now() + Duration::from_secs(30)))?;
/// println!("db and web: {outcome}");
/// # Ok::<(), daemontools::Error>(())
/// ```
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
    /// A wait that begins with [`ServiceWait::observe`] or [`ServiceWait::finish`].
    ///
    /// # Errors
    /// A lack of inotify descriptors.
    pub fn new(
        services: impl IntoIterator<Item = &'a Service>,
        condition: WaitCondition,
        mode: WaitMode,
    ) -> Result<Self, Error> {
        let services: Vec<_> = services
            .into_iter()
            .map(PendingService::new)
            .map(Some)
            .collect();
        let watches = Watches::new().map_err(|error| {
            Error::of_directory(Operation::Notify, Path::new(""), Cause::Os(error))
        })?;
        Ok(ServiceWait {
            dirty: (0..services.len()).collect(),
            services,
            watches,
            condition,
            mode,
        })
    }

    /// Adds the watches and reads the first snapshots. Starts, exits and failures
    /// count from now on; a state counts in [`ServiceWait::finish`].
    ///
    /// # Errors
    /// A directory that is no service, or that cannot be watched or read.
    pub fn observe(&mut self) -> Result<(), Error> {
        for (index, service) in self.services.iter_mut().flatten().enumerate() {
            service.watch(&mut self.watches, index)?;
            service.read()?;
        }
        Ok(())
    }

    /// After a command that stops the services: a service that is wanted up is not down,
    /// because supervise has not read the command, and may start the service once more.
    pub(crate) fn await_stop_command(&mut self) {
        if matches!(
            self.condition,
            WaitCondition::Down | WaitCondition::DownAndFinished
        ) {
            for service in self.services.iter_mut().flatten() {
                service.awaits_command = true;
            }
        }
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
    pub fn finish(mut self, deadline: Option<Instant>) -> Result<WaitOutcome<'a>, Error> {
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
                    Progress::Failed => Some(WaitOutcome::Failed(service.service.path())),
                    Progress::Unreachable => Some(WaitOutcome::Unreachable(service.service.path())),
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
    pub(super) services: HashMap<WatchDescriptor, Vec<usize>>,
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
            return Ok(status(path).is_ok());
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
    pub(super) fn wait(&self, other: Option<BorrowedFd<'_>>, deadline: Option<Instant>) {
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
            self.drop_ignored(&event);
        }
        indices.sort_unstable();
        indices.dedup();
        Some(indices)
    }

    /// Forgets a watch that the kernel has removed with its file. Its number does not
    /// return.
    fn drop_ignored(&mut self, event: &InotifyEvent) {
        if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            self.services.remove(&event.wd);
        }
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
            self.drop_ignored(&event);
        }
        dirty.sort_unstable();
        dirty.dedup();
        dirty
    }
}

/// A service that has not reached the condition.
#[derive(Debug)]
struct PendingService<'a> {
    service: &'a Service,
    /// The first and the last snapshot.
    before: Option<(ServiceSnapshot, ServiceSnapshot)>,
    /// Whether a supervise has exited. A successor may run.
    exited: bool,
    /// Whether a command has been sent after which the service is wanted down.
    awaits_command: bool,
}

/// The result of a check.
enum Progress {
    Reached,
    Failed,
    Unreachable,
    Waiting,
}

impl<'a> PendingService<'a> {
    fn new(service: &'a Service) -> Self {
        PendingService {
            service,
            before: None,
            exited: false,
            awaits_command: false,
        }
    }

    /// Adds watches for the service of this index.
    fn watch(&mut self, watches: &mut Watches, index: usize) -> Result<(), Error> {
        watch_service(watches, &self.service.files, index).map_err(|error| {
            Error::of_directory(Operation::Watch, self.service.path(), Cause::Os(error))
        })
    }

    /// Reads the service: the first, the last and the new snapshot.
    fn read(&mut self) -> Result<[ServiceSnapshot; 3], Error> {
        let mut now = self.service.snapshot()?;
        if self.before.is_none() && !now.supervised && !is_service(&self.service.files) {
            let path = self.service.path();
            return Err(Error::of_directory(Operation::Find, path, Cause::NoService));
        }
        now.supervised &= !self.exited;
        let (first, last) = self.before.unwrap_or((now, now));
        self.before = Some((first, now));
        Ok([first, last, now])
    }

    /// Reads and checks the service.
    fn check(&mut self, condition: WaitCondition) -> Result<Progress, Error> {
        let [first, last, now] = self.read()?;
        let exited = self.exited || (last.supervised && !now.supervised);
        let directory = self.service.files.service();
        let removed = descriptor_status(directory).is_ok_and(|status| status.nlink() == 0);
        let is_wanted_up = now
            .record
            .is_some_and(|record| record.status.want == Want::Up);
        let is_unread = self.awaits_command && now.supervised && is_wanted_up;
        Ok(if condition.holds(&first, &last, &now) && !is_unread {
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
        Ok(watches.add(&*files.reach(&supervise), ENTRIES, index)?
            && watches.add(&*files.reach(&ok), OK_CLOSED, index)?)
    };
    if watch_both(watches)? {
        return Ok(());
    }
    watches.add(&*files.reach(c"."), ENTRIES, index)?;
    // A removed directory reports its removal only after the last descriptor of it
    // is closed, which this process keeps. The parent may be unreadable.
    let _ = watches.add(&*files.reach(c".."), ENTRIES, index);
    watch_path(files.service_path(), &supervise, |watched| match watched {
        Watched::Path(_) => watch_both(watches),
        Watched::Above(directory) => match watches.add(directory, ENTRIES, index) {
            Err(Errno::EACCES) => Ok(false),
            result => result,
        },
    })
}

/// Whether supervise ran, or can run, in the service directory. A service of
/// supervise -e that has `start` needs no `run`.
fn is_service(files: &SuperviseDir) -> bool {
    [names::RUN, names::START, &*files.path(names::SUPERVISE)]
        .iter()
        .any(|path| exists_in(files.service(), path) == Ok(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use crate::supervise_dir::SuperviseDirRule;
    use testkit::service_files::{Supervised, in_directory, write_status};

    fn services(names: &[&str]) -> Vec<Service> {
        let open = |name| Service::open_with(SuperviseDirRule::InService, name).unwrap();
        names.iter().map(open).collect()
    }

    fn open(
        services: &[Service],
        condition: WaitCondition,
        mode: WaitMode,
    ) -> Result<ServiceWait<'_>, Error> {
        let mut wait = ServiceWait::new(services, condition, mode)?;
        wait.observe()?;
        Ok(wait)
    }

    /// The outcome at once, or within a minute.
    fn outcome(wait: ServiceWait<'_>, seconds: u64) -> WaitOutcome<'_> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        wait.finish(Some(deadline)).unwrap()
    }

    /// In two services, of which the first one is up.
    fn with_services(test: impl FnOnce(Supervised, Supervised)) {
        in_directory(|| {
            let [a, b] = ["a", "b"].map(Supervised::new);
            write_status("a", 7, Want::Up);
            write_status("b", 0, Want::Down);
            test(a, b);
        });
    }

    #[test]
    fn all_services_or_one_reach_the_condition() {
        with_services(|_a, _b| {
            let both = services(&["a", "b"]);
            let up = WaitCondition::Up;
            let all = open(&both, up, WaitMode::All).unwrap();
            assert_eq!(outcome(all, 0), WaitOutcome::TimedOut);
            let one = open(&both, up, WaitMode::One).unwrap();
            assert_eq!(outcome(one, 0), WaitOutcome::Reached);
            let all = open(&both, up, WaitMode::All).unwrap();
            write_status("b", 8, Want::Up);
            assert_eq!(outcome(all, 60), WaitOutcome::Reached);
        });
    }

    #[test]
    fn new_record_ends_a_wait() {
        with_services(|_a, _b| {
            let service = services(&["b"]);
            let wait = open(&service, WaitCondition::Up, WaitMode::All).unwrap();
            let b = std::env::current_dir().unwrap().join("b");
            let writer = std::thread::spawn(move || {
                let b = b.to_str().unwrap();
                // The record of a start that fails, and then that of a start.
                write_status(b, 0, Want::Up);
                write_status(b, 8, Want::Up);
            });
            assert_eq!(outcome(wait, 60), WaitOutcome::Reached);
            writer.join().unwrap();
        });
    }

    #[test]
    fn restart_delay_is_not_down_after_command() {
        with_services(|a, b| {
            write_status("b", 0, Want::Up);
            let b_alone = services(&["b"]);
            let service = b_alone.first().unwrap();
            let down = WaitCondition::DownAndFinished;
            let send = |commands: &[Command]| {
                let timeout = Some(Duration::ZERO);
                service.send_and_wait(commands, down, timeout).unwrap()
            };
            // supervise has not read the command: it may be starting the service.
            assert_eq!(send(&[Command::Down]), WaitOutcome::TimedOut);
            let both = [Command::Up, Command::Down, Command::Terminate];
            assert_eq!(send(&both), WaitOutcome::TimedOut);
            // These commands do not change the wanted state, or leave it up.
            assert_eq!(send(&[Command::Terminate]), WaitOutcome::Reached);
            assert_eq!(send(&[Command::Down, Command::Up]), WaitOutcome::Reached);
            let directory = std::env::current_dir().unwrap().join("b");
            let writer = std::thread::spawn(move || {
                let directory = directory.to_str().unwrap();
                write_status(directory, 8, Want::Up);
                // A death before supervise reads the command.
                write_status(directory, 0, Want::Up);
                write_status(directory, 9, Want::Up);
                write_status(directory, 9, Want::Down);
                write_status(directory, 0, Want::Down);
            });
            let stopped = service.send_and_wait(&[Command::Down], down, None);
            assert_eq!(stopped.unwrap(), WaitOutcome::Reached);
            let record = service.snapshot().unwrap().record.unwrap();
            assert_eq!(record.status.want, Want::Down);
            writer.join().unwrap();
            // The record may already show the wanted state, or supervise may exit.
            assert_eq!(send(&[Command::Down]), WaitOutcome::Reached);
            write_status("b", 0, Want::Up);
            let exit = std::thread::spawn(move || drop((a, b)));
            let gone = service.send_and_wait(&[Command::Down], down, None);
            let broken = Some(Errno::EPIPE as i32);
            let gone =
                gone.map_err(|error| error.is_not_running() || error.raw_os_error() == broken);
            assert!(
                gone == Ok(WaitOutcome::Reached) || gone == Err(true),
                "{gone:?}"
            );
            exit.join().unwrap();
        });
    }

    #[test]
    fn exit_of_supervise_puts_condition_out_of_reach() {
        with_services(|_a, b| {
            let service = services(&["b"]);
            let wait = open(&service, WaitCondition::Up, WaitMode::All).unwrap();
            drop(b);
            let lost = WaitOutcome::Unreachable(Path::new("b"));
            assert_eq!(outcome(wait, 60), lost);
            assert_eq!(lost.to_string(), "supervise of b has exited");
            // Without a supervise, one may start.
            let wait = open(&service, WaitCondition::Up, WaitMode::All).unwrap();
            assert_eq!(outcome(wait, 0), WaitOutcome::TimedOut);
            let wait = open(&service, WaitCondition::Up, WaitMode::All).unwrap();
            let _b = Supervised::new("b");
            write_status("b", 8, Want::Up);
            assert_eq!(outcome(wait, 60), WaitOutcome::Reached);
        });
    }

    #[test]
    fn exit_before_successor_is_noted() {
        with_services(|_a, b| {
            let service = services(&["b"]);
            let mut wait = open(&service, WaitCondition::Gone, WaitMode::All).unwrap();
            drop(b);
            let _successor = Supervised::new("b");
            let (never, _writer) = nix::unistd::pipe().unwrap();
            wait.note_exits(never.as_fd(), None);
            assert_eq!(outcome(wait, 60), WaitOutcome::Reached);
        });
    }

    #[test]
    fn renamed_service_is_still_watched() {
        with_services(|_a, _b| {
            let service = services(&["b"]);
            let wait = open(&service, WaitCondition::Up, WaitMode::All).unwrap();
            std::fs::rename("b", "c").unwrap();
            write_status("c", 8, Want::Up);
            assert_eq!(outcome(wait, 60), WaitOutcome::Reached);
            assert_eq!(service.first().unwrap().path(), Path::new("b"));
        });
    }

    #[test]
    fn removed_directory_puts_condition_out_of_reach() {
        with_services(|_a, b| {
            let service = services(&["b"]);
            let wait = open(&service, WaitCondition::Up, WaitMode::All).unwrap();
            drop(b);
            std::fs::remove_dir_all("b").unwrap();
            let lost = WaitOutcome::Unreachable(Path::new("b"));
            assert_eq!(outcome(wait, 60), lost);
        });
    }

    #[test]
    fn directory_without_service_is_an_error() {
        in_directory(|| {
            let up = WaitCondition::Up;
            for name in ["empty", "with-run"] {
                std::fs::create_dir(name).unwrap();
            }
            let missing = Service::open_with(SuperviseDirRule::InService, "nope").unwrap_err();
            assert_eq!(missing.operation(), Operation::Enter);
            assert_eq!(
                missing.to_string(),
                "unable to enter nope: No such file or directory (os error 2)"
            );
            let empty = services(&["empty"]);
            let error = open(&empty, up, WaitMode::All).unwrap_err();
            assert!(error.is_no_service() && error.path() == Path::new("empty"));
            assert_eq!(
                error.to_string(),
                "empty is no service: it has neither run nor supervise"
            );
            // A service that never ran may be started.
            std::fs::write("with-run/run", "").unwrap();
            let with_run = services(&["with-run"]);
            let wait = open(&with_run, up, WaitMode::All).unwrap();
            assert_eq!(outcome(wait, 0), WaitOutcome::TimedOut);
            std::fs::create_dir("empty/supervise").unwrap();
            let wait = open(&empty, up, WaitMode::All).unwrap();
            let _supervised = Supervised::new("empty");
            write_status("empty", 7, Want::Up);
            assert_eq!(outcome(wait, 60), WaitOutcome::Reached);
        });
    }
}
