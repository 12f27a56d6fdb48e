//! Waiting for services, any number of them, without looking again and again.
//!
//! Whatever writes a status record renames it into `supervise`, which inotify
//! tells. That supervise has ended, for whatever reason, shows at the FIFO
//! `ok`: poll tells when nobody reads it any more. What is watched is watched
//! before it is looked at, so that nothing comes between the two.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use daemontools_core::names;
use daemontools_core::sight::{Goal, Sight};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, readlink};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{AccessFlags, access, fchdir};

use crate::sight::{Blindness, look};

/// Which services have to reach the goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// Each of them, not necessarily at the same time.
    All,
    /// One.
    One,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// The goal is reached.
    Reached,
    /// The time was up.
    TimedOut,
    /// The goal can no longer be reached: the supervise of this directory has
    /// ended, or the directory was removed.
    Died(&'a CStr),
}

/// Why there can be no wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hindrance<'a> {
    /// inotify is refused.
    Inotify(Errno),
    /// The directory cannot be entered.
    Chdir(&'a CStr, Errno),
    /// The directory has neither `run` nor `supervise`.
    NoService(&'a CStr),
    /// The directory cannot be watched.
    Watch(&'a CStr, Errno),
    /// The service cannot be looked at.
    Look(&'a CStr, Blindness),
}

/// A service that is waited for.
#[derive(Debug)]
struct Service<'a> {
    name: &'a CStr,
    directory: OwnedFd,
    /// What was seen first.
    first: Option<Sight>,
    /// The FIFO that tells of the end of supervise, while it runs.
    ok: Option<OwnedFd>,
    /// Whether supervise was seen to run.
    seen: bool,
    /// Whether the supervise that was seen last has ended, though another may
    /// have come.
    ended: bool,
}

/// What a look at a service has come to.
enum Outlook {
    Reached,
    Died,
    Open,
}

/// Waits until the services in `directories` reach the goal, or the moment has
/// come.
///
/// # Errors
/// What cannot be watched.
pub fn wait<'a>(
    directories: &[&'a CStr],
    goal: Goal,
    quorum: Quorum,
    until: Option<Instant>,
) -> Result<Verdict<'a>, Hindrance<'a>> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
        .map_err(Hindrance::Inotify)?;
    // Each service takes two descriptors.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let mut services = Vec::new();
    for &name in directories {
        services.push(Some(Service::open(name)?));
    }
    // From here on the current directory is that of a service.
    let mut watched: HashMap<WatchDescriptor, Vec<usize>> = HashMap::new();
    let mut stirred: Vec<usize> = (0..services.len()).collect();
    let mut last_death = None;
    loop {
        for index in stirred.drain(..) {
            let Some(slot) = services.get_mut(index) else {
                continue;
            };
            let Some(service) = slot else { continue };
            for watch in service.watch(&inotify)? {
                let indices = watched.entry(watch).or_default();
                if !indices.contains(&index) {
                    indices.push(index);
                }
            }
            match (service.look(goal)?, quorum) {
                (Outlook::Open, _) => {}
                (Outlook::Reached, Quorum::All) => *slot = None,
                (Outlook::Reached, Quorum::One) => return Ok(Verdict::Reached),
                (Outlook::Died, Quorum::All) => return Ok(Verdict::Died(service.name)),
                (Outlook::Died, Quorum::One) => {
                    last_death = Some(service.name);
                    *slot = None;
                }
            }
        }
        if services.iter().all(Option::is_none) {
            return Ok(last_death.map_or(Verdict::Reached, Verdict::Died));
        }
        let Some(found) = sleep(&inotify, &services, until) else {
            return Ok(Verdict::TimedOut);
        };
        for &index in &found {
            if let Some(Some(service)) = services.get_mut(index) {
                service.ended = true;
            }
        }
        stirred = found;
        for event in inotify.read_events().unwrap_or_default() {
            match watched.get(&event.wd) {
                Some(indices) => stirred.extend(indices),
                // Too many events at once: some were lost.
                None if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) => {
                    stirred.extend(0..services.len());
                }
                None => {}
            }
        }
        stirred.sort_unstable();
        stirred.dedup();
    }
}

/// Sleeps until something has happened; the services whose supervise has
/// ended. None if the time is up.
fn sleep(
    inotify: &Inotify,
    services: &[Option<Service<'_>>],
    until: Option<Instant>,
) -> Option<Vec<usize>> {
    let watched: Vec<_> = services
        .iter()
        .enumerate()
        .filter_map(|(index, service)| Some((index, service.as_ref()?.ok.as_ref()?)))
        .collect();
    let mut descriptors = vec![PollFd::new(inotify.as_fd(), PollFlags::POLLIN)];
    // Nothing is asked for: errors are told in any case.
    descriptors.extend(
        watched
            .iter()
            .map(|(_, ok)| PollFd::new(ok.as_fd(), PollFlags::empty())),
    );
    loop {
        let timeout = until.map_or(PollTimeout::NONE, |until| {
            let left = until.saturating_duration_since(Instant::now());
            let left = left.as_micros().div_ceil(1000);
            left.try_into().unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut descriptors, timeout) {
            Ok(0) if until.is_some_and(|until| until <= Instant::now()) => return None,
            Ok(0) | Err(_) => {}
            Ok(_) => break,
        }
    }
    let ended = watched.iter().zip(descriptors.iter().skip(1));
    Some(
        ended
            .filter(|(_, descriptor)| descriptor.any().unwrap_or(false))
            .map(|((index, _), _)| *index)
            .collect(),
    )
}

impl<'a> Service<'a> {
    fn open(name: &'a CStr) -> Result<Self, Hindrance<'a>> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory =
            open(name, flags, Mode::empty()).map_err(|error| Hindrance::Chdir(name, error))?;
        Ok(Service {
            name,
            directory,
            first: None,
            ok: None,
            seen: false,
            ended: false,
        })
    }

    /// Watches what may change; the watches. Where there is a watch already,
    /// it is the same.
    fn watch(&self, inotify: &Inotify) -> Result<Vec<WatchDescriptor>, Hindrance<'a>> {
        let names = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        fchdir(&self.directory).map_err(|error| Hindrance::Chdir(self.name, error))?;
        let watch = |path: &CStr| match inotify.add_watch(path, names) {
            Ok(watch) => Ok(Some(watch)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(error) => Err(Hindrance::Watch(self.name, error)),
        };
        // The directory above tells when this one is removed, which it does not
        // do itself as long as it is the current directory.
        let mut watches = vec![watch(c"..").unwrap_or(None), watch(c".")?];
        let mut inside = watch(names::SUPERVISE)?;
        if inside.is_none() {
            // supervise makes what the link names, if there is one.
            if let Ok(target) = readlink(names::SUPERVISE) {
                let above = std::path::Path::new(&target).parent();
                let above = above.filter(|above| !above.as_os_str().is_empty());
                let watch = inotify.add_watch(above.unwrap_or(".".as_ref()), names);
                watches.push(watch.ok());
            }
            // It may have come meanwhile.
            inside = watch(names::SUPERVISE)?;
        }
        watches.push(inside);
        Ok(watches.into_iter().flatten().collect())
    }

    /// Looks at the service, in whose directory [`Service::watch`] has left
    /// the program.
    fn look(&mut self, goal: Goal) -> Result<Outlook, Hindrance<'a>> {
        let (mut now, ok) = look().map_err(|blindness| Hindrance::Look(self.name, blindness))?;
        if self.first.is_none() && !now.supervised && !is_service() {
            return Err(Hindrance::NoService(self.name));
        }
        now.supervised &= !self.ended;
        let first = *self.first.get_or_insert(now);
        self.ok = ok;
        self.seen |= now.supervised;
        let removed = fstat(&self.directory).is_ok_and(|stat| stat.st_nlink == 0);
        Ok(if goal.is_reached(&first, &now) {
            Outlook::Reached
        } else if removed || (self.seen && !now.supervised) {
            Outlook::Died
        } else {
            Outlook::Open
        })
    }
}

/// Whether the current directory is one that supervise can or could be started
/// on.
fn is_service() -> bool {
    [names::RUN, names::SUPERVISE]
        .iter()
        .any(|name| access(*name, AccessFlags::F_OK).is_ok())
}
