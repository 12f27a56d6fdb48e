//! What scans a directory, for [`svscan`](crate::svscan) and
//! [`runsvdir`](crate::runsvdir): it keeps a supervise, or runsv, running for
//! each service of the current directory.
//!
//! It looks at the whole directory every five seconds. In between it starts a
//! symbolic link that is new, and replaces a supervise that was lost. It does
//! not start a real directory, which may still be being filled, nor what
//! ended as it was told to: scripts say `svc -dx S; rm -r S` and count on the
//! time until the next look.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

use daemontools_core::names;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::stat::{FileStat, SFlag, lstat, stat};
use nix::unistd::{chdir, dup2_stdin, dup2_stdout, setsid};
use unix::exec::PreparedExec;
use unix::fork::{fork, spawn};
use unix::signals::SignalPipe;

use crate::descriptors::DescriptorLimit;
use crate::pipe::{Pipe, Place};
use crate::table::{End, Identity, Role, Table};

/// The time between two looks at the directory.
pub(crate) const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// What is run for each service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The program.
    pub(crate) program: &'static CStr,
    /// What it is told before the service.
    pub(crate) option: Option<&'static CStr>,
    /// Whether it is run for the logger of a service as well, and joined to
    /// the service's by a pipe.
    pub(crate) loggers: bool,
    /// Whether each has a session of its own.
    pub(crate) sessions: bool,
}

/// Up to so many services, a new process copies this one, and neither waits
/// for the other. From there on that would cost more than waiting until the
/// new process, which copies nothing then, has become supervise.
const FEW: usize = 1000;

/// What could not be done; it is tried again at the next look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble<'a> {
    /// The directory could not be read: nothing is forgotten.
    Directory,
    /// An entry, or its `log`, could not be looked at.
    Stat(&'a CStr),
    /// No pipe could be made for a service and its logger.
    Pipe(&'a CStr),
    /// There could be no process for a role of a service.
    Fork(&'a CStr, Role),
    /// In a logger's process: the service's directory could not be entered.
    Chdir(&'a CStr),
    /// In the new process: supervise or runsv could not be executed.
    Start(&'a CStr, Role),
    /// supervise could not be told to end a role, or it did not end in time;
    /// it is ended by force.
    Stop(&'a CStr, Role),
}

/// What tells of new names in the directory, where the file system does.
pub(crate) struct Watch(pub(crate) Inotify);

impl Watch {
    pub(crate) fn new() -> Option<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok()?;
        inotify
            .add_watch(".", AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO)
            .ok()?;
        Some(Watch(inotify))
    }

    fn new_names(&self) -> Vec<CString> {
        let mut names = Vec::new();
        while let Ok(events) = self.0.read_events() {
            let new = events.into_iter().filter_map(|event| event.name);
            names.extend(new.filter_map(|name| CString::new(name.into_vec()).ok()));
        }
        names
    }
}

/// A child that has ended and should not have.
pub(crate) type Lost = (Identity, Role, CString);

pub(crate) struct Scanner<'a, R> {
    pub(crate) table: Table<Pipe>,
    rules: Rules,
    environment: Vec<&'static CStr>,
    path: Option<&'static [u8]>,
    children: &'a SignalPipe,
    limit: DescriptorLimit,
    place: Option<Place>,
    pub(crate) report: R,
}

impl<'a, R: Fn(Trouble, Errno)> Scanner<'a, R> {
    pub(crate) fn new(rules: Rules, children: &'a SignalPipe, report: R) -> Self {
        Scanner {
            table: Table::default(),
            rules,
            environment: unix::start::environment(),
            path: unix::start::variable(b"PATH"),
            children,
            limit: DescriptorLimit::new(),
            place: Place::new(children),
            report,
        }
    }

    /// Takes leave of dead children, and replaces those that were lost.
    pub(crate) fn reap(&mut self) {
        let lost = self.bury();
        self.replace(lost);
    }

    /// Takes leave of dead children. Those that were lost are to be replaced,
    /// or left to the next look.
    pub(crate) fn bury(&mut self) -> Vec<Lost> {
        let mut lost = Vec::new();
        while let Some((pid, end)) = unix::wait::reap() {
            let end = match end.code() {
                Some(0) => End::Told,
                Some(_) | None => End::Lost,
            };
            lost.extend(self.table.died(pid, end, Instant::now()));
        }
        lost
    }

    pub(crate) fn replace(&mut self, lost: Vec<Lost>) {
        for (identity, role, name) in lost {
            // What is gone or has another name by now is left to the next look.
            if directory(&name) == Ok(Some(identity)) {
                self.start(identity, role, &name);
            }
        }
    }

    /// Looks at the whole directory and starts what is missing; whether all
    /// of it could be read.
    pub(crate) fn look(&mut self) -> bool {
        self.table.begin();
        let looked = std::fs::read_dir(".").and_then(|entries| {
            for entry in entries {
                if let Ok(name) = CString::new(entry?.file_name().into_vec()) {
                    self.see(&name);
                }
            }
            Ok(())
        });
        looked
            .map_err(|error| (self.report)(Trouble::Directory, unix::errno(&error)))
            .is_ok()
    }

    /// Starts what is known and does not run.
    pub(crate) fn start_all_missing(&mut self) {
        for (identity, role, name) in self.table.all_missing() {
            self.start(identity, role, &name);
        }
    }

    /// Looks at an entry of the directory and starts what is missing.
    fn see(&mut self, name: &CStr) {
        if is_hidden(name) {
            return;
        }
        match directory(name) {
            Ok(Some(identity)) if self.table.knows(identity) => {
                self.table.see(identity, name);
                self.start_missing(identity, name);
            }
            Ok(Some(identity)) => self.admit(identity, name),
            Ok(None) => {}
            Err(error) => (self.report)(Trouble::Stat(name), error),
        }
    }

    /// Starts the services that have come since the last look, as far as it
    /// is told of them.
    pub(crate) fn see_new_links(&mut self, watch: Option<&Watch>) {
        for name in watch.into_iter().flat_map(Watch::new_names) {
            self.see_new_link(&name);
        }
    }

    /// Starts the service that a new name leads to, if it is a symbolic link.
    /// All else, and what is wrong with it, is for the next look.
    fn see_new_link(&mut self, name: &CStr) {
        let is_link = lstat(name).is_ok_and(|status| has_type(&status, SFlag::S_IFLNK));
        if is_hidden(name) || !is_link {
            return;
        }
        if let Ok(Some(identity)) = directory(name) {
            if !self.table.knows(identity) {
                self.admit(identity, name);
            }
        }
    }

    /// Starts the loggers that are missing of services that are to end.
    pub(crate) fn start_missing_loggers(&mut self) {
        for identity in self.table.leaving() {
            if let Some(name) = self.table.name(identity).map(CStr::to_owned) {
                self.start_missing(identity, &name);
            }
        }
    }

    /// Adds a service that is seen for the first time, and starts it.
    pub(crate) fn admit(&mut self, identity: Identity, name: &CStr) {
        if let Ok(pipe) = self.new_pipe(name) {
            self.table.add(identity, name, pipe);
            self.start_missing(identity, name);
        }
    }

    fn start_missing(&mut self, identity: Identity, name: &CStr) {
        for role in self.table.missing(identity) {
            if !self.start(identity, role, name) {
                return;
            }
        }
    }

    /// The pipe for a service that is seen for the first time, if it has a
    /// logger: only now `log` is looked for.
    fn new_pipe(&self, name: &CStr) -> Result<Option<Pipe>, ()> {
        if !self.rules.loggers {
            return Ok(None);
        }
        let log = [name.to_bytes(), b"/", names::LOG.to_bytes()].concat();
        let log = CString::new(log).unwrap_or_default();
        match stat(log.as_c_str()) {
            Ok(_) => {}
            Err(Errno::ENOENT) => return Ok(None),
            Err(error) => {
                (self.report)(Trouble::Stat(&log), error);
                return Err(());
            }
        }
        self.with_descriptors(Pipe::new)
            .map(Some)
            .map_err(|error| (self.report)(Trouble::Pipe(name), error))
    }

    /// Does what needs descriptors, with more of them if they run out.
    fn with_descriptors<T>(&self, make: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
        make().or_else(|error| match error {
            Errno::EMFILE => {
                self.limit.raise();
                make()
            }
            other => Err(other),
        })
    }

    /// Where new processes find their end of a pipe, if they are not to copy
    /// the ends of all others.
    fn place(&mut self) -> Option<&mut Place> {
        self.place.as_mut().filter(|_| self.table.count() > FEW)
    }

    /// A role's end of the pipe, if there is a pipe, where a new process can
    /// have it.
    fn prepare_end(&mut self, identity: Identity, role: Role) -> Result<Option<OwnedFd>, Errno> {
        let Some(pipe) = self.table.pipe(identity) else {
            return Ok(None);
        };
        let end = self.with_descriptors(|| pipe.end(role))?;
        if let Some(place) = self.place() {
            place.put(&end)?;
        }
        Ok(Some(end))
    }

    /// Starts a role of a service; whether there could be a process for it.
    pub(crate) fn start(&mut self, identity: Identity, role: Role, name: &CStr) -> bool {
        let directory = match role {
            Role::Service => name,
            Role::Logger => names::LOG,
        };
        let end = match self.prepare_end(identity, role) {
            Ok(end) => end,
            Err(error) => {
                (self.report)(Trouble::Pipe(name), error);
                return false;
            }
        };
        let below = self.place().map(|place| place.end());
        let place = self.place.as_ref().filter(|_| below.is_some());
        let end = end
            .as_ref()
            .map(|end| place.map_or(end.as_fd(), AsFd::as_fd));
        let option = self.rules.option.into_iter();
        let arguments: Vec<_> = std::iter::once(self.rules.program)
            .chain(option)
            .chain([directory])
            .collect();
        let program = PreparedExec::search(self.path, &arguments, &self.environment);
        let child = || {
            let ready = match role {
                Role::Service => end.map_or(Ok(()), dup2_stdout),
                Role::Logger => end.map_or(Ok(()), dup2_stdin).and_then(|()| chdir(name)),
            };
            if self.rules.sessions {
                // It fails only for who leads a group already.
                let _ = setsid();
            }
            self.limit.restore();
            self.children.restore();
            match ready {
                Ok(()) => (self.report)(Trouble::Start(name, role), program.exec()),
                Err(error) => (self.report)(Trouble::Chdir(name), error),
            }
            111
        };
        let started = match below {
            None => fork(child),
            Some(below) => spawn(below, child),
        };
        let idle = self.children;
        if let Some(place) = self.place() {
            // What stood there would keep a pipe open that is to be closed.
            let _ = place.put(idle);
        }
        match started {
            Ok(pid) => {
                self.table.started(identity, role, pid, Instant::now());
                true
            }
            Err(error) => {
                (self.report)(Trouble::Fork(name, role), error);
                false
            }
        }
    }
}

fn is_hidden(name: &CStr) -> bool {
    name.to_bytes().starts_with(b".")
}

/// The directory that a name leads to, None if it leads to something else.
pub(crate) fn directory(name: &CStr) -> Result<Option<Identity>, Errno> {
    let status = stat(name)?;
    Ok(has_type(&status, SFlag::S_IFDIR).then_some(Identity::of(&status)))
}

fn has_type(status: &FileStat, kind: SFlag) -> bool {
    SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == kind
}
