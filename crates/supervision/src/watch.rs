//! Waiting for services, any number of them, without looking again and again.
//!
//! All that happens is told by inotify. Whatever writes a status record renames
//! it into `supervise`. Whoever supervises has the FIFO `ok` open for reading,
//! and nobody else does; that it is closed means the end of that supervise, even
//! if another one has come before anybody could look. What is watched is
//! watched before it is looked at, so that nothing comes between the two.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use daemontools_core::names;
use daemontools_core::snapshot::{ServiceSnapshot, WaitCondition};
use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, readlink};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{AccessFlags, access, fchdir};
use unix::descriptors::DescriptorLimit;

use crate::snapshot::{SnapshotError, read};
use unix::poll::wait_readable;

/// Which services have to reach the condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitMode {
    /// Each of them, not necessarily at the same time.
    All,
    /// One.
    One,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitOutcome<'a> {
    /// The condition is reached.
    Reached,
    /// The time was up.
    TimedOut,
    /// The condition can no longer be reached: the supervise of this directory has
    /// ended, or the directory was removed.
    Died(&'a CStr),
}

/// Why there can be no wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchError<'a> {
    /// inotify is refused.
    Inotify(Errno),
    /// The directory cannot be entered.
    Chdir(&'a CStr, Errno),
    /// The directory has neither `run` nor `supervise`.
    NoService(&'a CStr),
    /// The directory cannot be watched.
    Watch(&'a CStr, Errno),
    /// The service cannot be looked at.
    Read(&'a CStr, SnapshotError),
}

/// Waits until the services in `directories` reach the condition, or the moment has
/// come. The current directory is then that of one of them.
///
/// # Errors
/// What cannot be watched.
pub fn wait<'a>(
    directories: &[&'a CStr],
    condition: WaitCondition,
    mode: WaitMode,
    until: Option<Instant>,
) -> Result<WaitOutcome<'a>, WatchError<'a>> {
    let mut services = open_all(directories)?;
    let mut watches = Watches::new()?;
    // All are looked at first, and then those of which something is told.
    let mut dirty: Vec<usize> = (0..services.len()).collect();
    let mut last_death = None;
    loop {
        for index in dirty {
            let Some(slot) = services.get_mut(index) else {
                continue;
            };
            let Some(service) = slot else { continue };
            service.watch(&mut watches, index)?;
            match (service.look(condition)?, mode) {
                (Progress::Open, _) => {}
                (Progress::Reached, WaitMode::All) => *slot = None,
                (Progress::Reached, WaitMode::One) => return Ok(WaitOutcome::Reached),
                (Progress::Died, WaitMode::All) => return Ok(WaitOutcome::Died(service.name)),
                (Progress::Died, WaitMode::One) => {
                    last_death = Some(service.name);
                    *slot = None;
                }
            }
        }
        if services.iter().all(Option::is_none) {
            return Ok(last_death.map_or(WaitOutcome::Reached, WaitOutcome::Died));
        }
        if until.is_some_and(|until| until <= Instant::now()) {
            return Ok(WaitOutcome::TimedOut);
        }
        wait_readable(&[watches.inotify.as_fd()], until);
        let news = watches.news(services.len());
        for &index in &news.ended {
            if let Some(Some(service)) = services.get_mut(index) {
                service.ended = true;
            }
        }
        dirty = news.dirty;
    }
}

/// The services in `directories`, none of which is None yet. Each takes a
/// descriptor, so as many are taken as may be.
fn open_all<'a>(directories: &[&'a CStr]) -> Result<Vec<Option<Service<'a>>>, WatchError<'a>> {
    DescriptorLimit::read().raise();
    let services = directories.iter().map(|name| Service::open(name).map(Some));
    services.collect()
}

/// What happens to `ok` when its reader ends.
const LET_GO: AddWatchFlags = AddWatchFlags::IN_CLOSE_NOWRITE;

/// What happens to a directory when a name in it, or it, comes or goes.
const NAMES: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR);

/// What is watched, and for which services, by their numbers.
struct Watches {
    inotify: Inotify,
    services: HashMap<WatchDescriptor, Vec<usize>>,
}

/// What has happened, by the numbers of the services.
#[derive(Default)]
struct Events {
    /// Something has.
    dirty: Vec<usize>,
    /// A supervise has ended.
    ended: Vec<usize>,
}

impl Watches {
    fn new() -> Result<Self, WatchError<'static>> {
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        Ok(Watches {
            inotify: Inotify::init(flags).map_err(WatchError::Inotify)?,
            services: HashMap::new(),
        })
    }

    /// Watches a path for a service; whether it exists. Where there is a watch
    /// already, it is the same.
    fn add<P: NixPath + ?Sized>(
        &mut self,
        path: &P,
        events: AddWatchFlags,
        service: usize,
    ) -> Result<bool, Errno> {
        match self.inotify.add_watch(path, events) {
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

    /// What has happened to so many services since the last time.
    fn news(&self, services: usize) -> Events {
        let mut news = Events::default();
        for event in self.inotify.read_events().unwrap_or_default() {
            match self.services.get(&event.wd) {
                Some(services) => {
                    news.dirty.extend(services);
                    if event.mask.contains(LET_GO) {
                        news.ended.extend(services);
                    }
                }
                // Too many events at once: some were lost.
                None if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) => {
                    news.dirty.extend(0..services);
                }
                None => {}
            }
        }
        news.dirty.sort_unstable();
        news.dirty.dedup();
        news
    }
}

/// A service that is waited for.
#[derive(Debug)]
struct Service<'a> {
    name: &'a CStr,
    directory: OwnedFd,
    /// What was seen at first, and last.
    before: Option<(ServiceSnapshot, ServiceSnapshot)>,
    /// Whether a supervise has ended, though another may have come.
    ended: bool,
}

/// What a look at a service has come to.
enum Progress {
    Reached,
    Died,
    Open,
}

impl<'a> Service<'a> {
    fn open(name: &'a CStr) -> Result<Self, WatchError<'a>> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory =
            open(name, flags, Mode::empty()).map_err(|error| WatchError::Chdir(name, error))?;
        Ok(Service {
            name,
            directory,
            before: None,
            ended: false,
        })
    }

    /// Watches what may change, as the service of this number.
    fn watch(&self, watches: &mut Watches, number: usize) -> Result<(), WatchError<'a>> {
        fchdir(&self.directory).map_err(|error| WatchError::Chdir(self.name, error))?;
        let refused = |error| WatchError::Watch(self.name, error);
        if watch_supervise(watches, number).map_err(refused)? {
            return Ok(());
        }
        watch_above(watches, number).map_err(refused)?;
        // It may have come meanwhile.
        watch_supervise(watches, number).map(drop).map_err(refused)
    }

    /// Looks at the service, in whose directory [`Service::watch`] has left
    /// the program.
    fn look(&mut self, condition: WaitCondition) -> Result<Progress, WatchError<'a>> {
        let mut now = read().map_err(|error| WatchError::Read(self.name, error))?;
        if self.before.is_none() && !now.supervised && !is_service() {
            return Err(WatchError::NoService(self.name));
        }
        now.supervised &= !self.ended;
        let (first, last) = self.before.unwrap_or((now, now));
        self.before = Some((first, now));
        let died = self.ended || (last.supervised && !now.supervised);
        let removed = fstat(&self.directory).is_ok_and(|stat| stat.st_nlink == 0);
        Ok(if condition.is_reached(&first, &last, &now) {
            Progress::Reached
        } else if died || removed {
            Progress::Died
        } else {
            Progress::Open
        })
    }
}

/// Watches `supervise` and the FIFO in it; whether both are there.
fn watch_supervise(watches: &mut Watches, number: usize) -> Result<bool, Errno> {
    Ok(watches.add(names::SUPERVISE, NAMES, number)? && watches.add(names::OK, LET_GO, number)?)
}

/// Watches the places where `supervise` may come, or the service be removed.
fn watch_above(watches: &mut Watches, number: usize) -> Result<(), Errno> {
    watches.add(c".", NAMES, number)?;
    // The directory above tells when this one is removed, which it does not
    // do itself as long as it is the current directory. It may be closed to us.
    let _ = watches.add(c"..", NAMES, number);
    // supervise makes what the link names, if there is one.
    if let Ok(target) = readlink(names::SUPERVISE) {
        let above = Path::new(&target).parent();
        let _ = above.map(|above| watches.add(above, NAMES, number));
    }
    Ok(())
}

/// Whether the current directory is one that supervise can or could be started
/// on.
fn is_service() -> bool {
    [names::RUN, names::SUPERVISE]
        .iter()
        .any(|name| access(*name, AccessFlags::F_OK).is_ok())
}
