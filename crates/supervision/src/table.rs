//! The services of a scan directory: their directories, names, processes and
//! pipes.
//!
//! A new service takes all memory for its starts, exits and shutdown. Afterwards
//! these need no memory.

use std::ffi::{CStr, CString};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::unistd::Pid;
use unix::memory;

use crate::Role;
use crate::shutdown::ServiceShutdown;
use crate::sorted_map::SortedMap;

/// The uptime from which a failed process is replaced at once. A process that
/// fails sooner waits for the next scan, which limits the rate of restarts.
const MIN_UPTIME: Duration = Duration::from_secs(5);

/// A service directory, independent of its names: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DirectoryId(pub(crate) u64, pub(crate) u64);

impl DirectoryId {
    pub(crate) fn of(status: &Metadata) -> Self {
        DirectoryId(status.dev(), status.ino())
    }
}

/// The exit status of a supervise or runsv, as far as restarts depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChildExit {
    /// Exit code 0, after an exit command: the next scan starts the process.
    Success,
    /// Another exit code, or a signal: the process is replaced at once.
    Failure,
}

/// A process to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MissingProcess {
    pub directory: DirectoryId,
    pub role: Role,
}

/// The roles that are started when they do not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeepRunning {
    /// The service is not shutting down.
    Both,
    /// The service is shutting down. Its logger reads the last output.
    Logger,
    /// The service has exited.
    Neither,
}

#[derive(Clone, Copy, Debug)]
struct Process {
    pid: Pid,
    started: Instant,
}

/// The process of a role.
#[derive(Clone, Copy, Debug, Default)]
struct ProcessSlot {
    process: Option<Process>,
    /// Whether the process is to be replaced before the next scan.
    replace: bool,
}

/// A service. `P` is the pipe between its two processes.
#[derive(Debug)]
struct Entry<P> {
    name: CString,
    seen: bool,
    keep: KeepRunning,
    service: ProcessSlot,
    logger: ProcessSlot,
    pipe: Option<P>,
    created: Option<SystemTime>,
    /// The number of roles with which the service was added.
    roles: usize,
    shutdown: Option<ServiceShutdown>,
}

impl<P> Entry<P> {
    fn slot(&mut self, role: Role) -> &mut ProcessSlot {
        match role {
            Role::Service => &mut self.service,
            Role::Logger => &mut self.logger,
        }
    }

    fn processes(&self) -> impl Iterator<Item = Process> + use<P> {
        let processes = [self.service.process, self.logger.process];
        processes.into_iter().flatten()
    }

    /// Whether the service has no processes, and is not shutting down.
    fn is_dead(&self) -> bool {
        self.processes().next().is_none()
            && self.keep == KeepRunning::Both
            && self.shutdown.is_none()
    }

    fn missing(&self) -> Roles {
        let (service, logger) = match self.keep {
            KeepRunning::Both => (true, true),
            KeepRunning::Logger => (false, true),
            KeepRunning::Neither => (false, false),
        };
        Roles {
            service: service && self.service.process.is_none(),
            logger: logger && self.pipe.is_some() && self.logger.process.is_none(),
        }
    }
}

/// A set of roles, which an iteration empties. The service comes first.
#[derive(Debug, Default)]
pub(crate) struct Roles {
    service: bool,
    logger: bool,
}

impl Roles {
    fn only(role: Role) -> Self {
        Roles {
            service: role == Role::Service,
            logger: role == Role::Logger,
        }
    }

    fn contains(&self, role: Role) -> bool {
        match role {
            Role::Service => self.service,
            Role::Logger => self.logger,
        }
    }
}

impl Iterator for Roles {
    type Item = Role;

    fn next(&mut self) -> Option<Role> {
        if std::mem::take(&mut self.service) {
            Some(Role::Service)
        } else {
            std::mem::take(&mut self.logger).then_some(Role::Logger)
        }
    }
}

/// The result of [`ServiceTable::admit`].
pub(crate) enum Admission<'a, P> {
    /// The service is not in the table yet.
    New(NewService<'a, P>),
    /// The service is in the table.
    Known(StartSlots<'a, P>),
    /// The service is in the table. There is no memory for its new name.
    NoMemory(Errno),
}

/// A service that is seen for the first time. The table knows it from
/// [`NewService::add`] on.
pub(crate) struct NewService<'a, P> {
    pub(crate) name: &'a CStr,
    directory: DirectoryId,
    table: &'a mut ServiceTable<P>,
}

impl<'a, P> NewService<'a, P> {
    /// Adds the service to the table. Only a service with a logger has a pipe.
    /// `created` is the creation time of the directory. Errors: ENOMEM. The service
    /// stays new.
    pub(crate) fn add(
        self,
        pipe: Option<P>,
        created: Option<SystemTime>,
    ) -> Result<StartSlots<'a, P>, Errno> {
        let NewService {
            name,
            directory,
            table,
        } = self;
        let roles = 1 + usize::from(pipe.is_some());
        // Further entries are of removed services, and of processes that cannot be
        // killed.
        let unstarted = table.roles.saturating_sub(table.running);
        table.processes.try_reserve(unstarted + roles)?;
        table.entries.try_reserve(1)?;
        let entry = memory::try_box(Entry {
            name: memory::try_to_owned(name)?,
            seen: true,
            keep: KeepRunning::Both,
            service: ProcessSlot::default(),
            logger: ProcessSlot::default(),
            pipe,
            created,
            roles,
            shutdown: None,
        })?;
        let roles = entry.missing();
        table.roles += entry.roles;
        table.entries.insert(directory, entry);
        table.slots(directory, |_| roles).ok_or(Errno::ENOMEM)
    }
}

/// The processes of a service that are to be started.
pub(crate) struct StartSlots<'a, P> {
    /// The roles, in the order of their starts.
    pub(crate) roles: Roles,
    /// The number of services in the table.
    pub(crate) services: usize,
    directory: DirectoryId,
    entry: &'a mut Entry<P>,
    processes: &'a mut SortedMap<Pid, ProcessOwner>,
    running: &'a mut usize,
}

impl<P> StartSlots<'_, P> {
    /// The name of the service in the last scan.
    pub(crate) fn name(&self) -> &CStr {
        &self.entry.name
    }

    pub(crate) fn pipe(&self) -> Option<&P> {
        self.entry.pipe.as_ref()
    }

    pub(crate) fn record_start(&mut self, role: Role, pid: Pid, now: Instant) {
        let process = Process { pid, started: now };
        let slot = self.entry.slot(role);
        slot.replace = false;
        if slot.process.replace(process).is_none() {
            *self.running += 1;
        }
        let owner = ProcessOwner::Service(self.directory, role);
        self.processes.insert(pid, owner);
    }
}

/// The service of a process.
#[derive(Clone, Debug)]
enum ProcessOwner {
    /// A service in the table.
    Service(DirectoryId, Role),
    /// A removed service, with its name in the last scan.
    Removed(DirectoryId, CString),
}

/// A service without processes. Its directory may be removed, and another directory
/// have the inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeadService {
    /// The creation time of its directory, if known.
    pub(crate) created: Option<SystemTime>,
    pub(crate) has_pipe: bool,
}

/// The services that a scan found and that are not removed yet.
#[derive(Debug)]
pub(crate) struct ServiceTable<P> {
    entries: SortedMap<DirectoryId, Box<Entry<P>>>,
    processes: SortedMap<Pid, ProcessOwner>,
    /// The roles of all entries, and the processes that run in these roles.
    roles: usize,
    running: usize,
    /// Whether a process may have to be replaced.
    replace: bool,
}

impl<P> Default for ServiceTable<P> {
    fn default() -> Self {
        ServiceTable {
            entries: SortedMap::default(),
            processes: SortedMap::default(),
            roles: 0,
            running: 0,
            replace: false,
        }
    }
}

impl<P> ServiceTable<P> {
    /// Marks all services as unseen, before a scan.
    pub(crate) fn mark_unseen(&mut self) {
        self.entries
            .values_mut()
            .for_each(|entry| entry.seen = false);
    }

    /// Looks up the service that a scan has seen under this name. A known
    /// service takes the name.
    pub(crate) fn admit<'a>(
        &'a mut self,
        directory: DirectoryId,
        name: &'a CStr,
    ) -> Admission<'a, P> {
        let Some(entry) = self.entries.get_mut(directory) else {
            return Admission::New(NewService {
                name,
                directory,
                table: self,
            });
        };
        entry.seen = true;
        let mut error = None;
        if entry.name.as_c_str() != name {
            match memory::try_to_owned(name) {
                Ok(name) => entry.name = name,
                Err(no_memory) => error = Some(no_memory),
            }
        }
        match (error, self.missing(directory)) {
            (None, Some(slots)) => Admission::Known(slots),
            (error, _) => Admission::NoMemory(error.unwrap_or(Errno::ENOMEM)),
        }
    }

    /// The missing processes of a service.
    pub(crate) fn missing(&mut self, directory: DirectoryId) -> Option<StartSlots<'_, P>> {
        self.slots(directory, Entry::missing)
    }

    /// The process of a role, to be started.
    pub(crate) fn slot(&mut self, directory: DirectoryId, role: Role) -> Option<StartSlots<'_, P>> {
        self.slots(directory, |_| Roles::only(role))
    }

    fn slots(
        &mut self,
        directory: DirectoryId,
        roles: impl FnOnce(&Entry<P>) -> Roles,
    ) -> Option<StartSlots<'_, P>> {
        let services = self.entries.len();
        let entry = self.entries.get_mut(directory)?;
        Some(StartSlots {
            roles: roles(entry),
            directory,
            entry,
            processes: &mut self.processes,
            running: &mut self.running,
            services,
        })
    }

    /// A service without processes that is not shutting down.
    pub(crate) fn dead(&self, directory: DirectoryId) -> Option<DeadService> {
        let entry = self.entries.get(directory)?;
        entry.is_dead().then(|| DeadService {
            created: entry.created,
            has_pipe: entry.pipe.is_some(),
        })
    }

    /// Changes the name of a service. Returns the last one.
    pub(crate) fn rename(&mut self, directory: DirectoryId, name: CString) -> Option<CString> {
        let entry = self.entries.get_mut(directory)?;
        Some(std::mem::replace(&mut entry.name, name))
    }

    /// Whether the last scan saw a service.
    pub(crate) fn is_seen(&self, directory: DirectoryId) -> bool {
        let entry = self.entries.get(directory);
        entry.is_some_and(|entry| entry.seen)
    }

    /// Removes the unseen services without processes, and closes their pipes.
    /// A service that is shutting down stays until [`ServiceTable::remove`].
    pub(crate) fn sweep_dead(&mut self) {
        let roles = &mut self.roles;
        self.entries.retain(|entry| {
            let stays = entry.seen || !entry.is_dead();
            if !stays {
                *roles = roles.saturating_sub(entry.roles);
            }
            stays
        });
    }

    /// Removes all unseen services. Calls `stop` with their processes.
    pub(crate) fn sweep_all(&mut self, mut stop: impl FnMut(Pid)) {
        let mut last = None;
        while let Some(directory) = self.entries.next_key(last) {
            last = Some(directory);
            if self.is_seen(directory) {
                continue;
            }
            let Some(entry) = self.remove(directory) else {
                continue;
            };
            let mut name = Some(entry.name);
            for process in [entry.service.process, entry.logger.process] {
                let Some(Process { pid, .. }) = process else {
                    continue;
                };
                // runsvdir has one process for each service.
                let name = name.take().unwrap_or_default();
                let owner = ProcessOwner::Removed(directory, name);
                self.processes.insert(pid, owner);
                stop(pid);
            }
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// Removes a service, and closes its pipe.
    fn remove(&mut self, directory: DirectoryId) -> Option<Entry<P>> {
        let entry = *self.entries.remove(directory)?;
        self.roles = self.roles.saturating_sub(entry.roles);
        self.running = self.running.saturating_sub(entry.processes().count());
        Some(entry)
    }

    /// Removes a service, and closes its pipe. Returns its name in the last scan.
    pub(crate) fn forget(&mut self, directory: DirectoryId) -> Option<CString> {
        self.remove(directory).map(|entry| entry.name)
    }

    pub(crate) fn set_keep_running(&mut self, directory: DirectoryId, keep: KeepRunning) {
        if let Some(entry) = self.entries.get_mut(directory) {
            entry.keep = keep;
        }
    }

    /// Begins the shutdown of a service.
    pub(crate) fn begin_shutdown(&mut self, directory: DirectoryId, shutdown: ServiceShutdown) {
        if let Some(entry) = self.entries.get_mut(directory) {
            entry.keep = shutdown.keep_running();
            entry.shutdown = Some(shutdown);
        }
    }

    /// The shutdown of a service.
    pub(crate) fn shutdown(&self, directory: DirectoryId) -> Option<&ServiceShutdown> {
        self.entries.get(directory)?.shutdown.as_ref()
    }

    /// As [`ServiceTable::shutdown`].
    pub(crate) fn shutdown_mut(&mut self, directory: DirectoryId) -> Option<&mut ServiceShutdown> {
        self.entries.get_mut(directory)?.shutdown.as_mut()
    }

    /// All shutdowns.
    pub(crate) fn shutdowns(&self) -> impl Iterator<Item = &ServiceShutdown> {
        let services = self.entries.iter();
        services.filter_map(|(_, entry)| entry.shutdown.as_ref())
    }

    /// As [`ServiceTable::shutdowns`].
    pub(crate) fn shutdowns_mut(&mut self) -> impl Iterator<Item = &mut ServiceShutdown> {
        let services = self.entries.values_mut();
        services.filter_map(|entry| entry.shutdown.as_mut())
    }

    /// Records the exit of a process. Returns the process if it is to be
    /// replaced at once. Otherwise the next scan finds it missing.
    pub(crate) fn record_exit(
        &mut self,
        pid: Pid,
        exit: ChildExit,
        now: Instant,
    ) -> Option<MissingProcess> {
        let (directory, role) = match self.processes.remove(pid)? {
            ProcessOwner::Service(directory, role) => (directory, role),
            ProcessOwner::Removed(..) => return None,
        };
        let entry = self.entries.get_mut(directory)?;
        let slot = entry.slot(role);
        let process = slot.process.take_if(|process| process.pid == pid)?;
        self.running = self.running.saturating_sub(1);
        let uptime = now.saturating_duration_since(process.started);
        let replace =
            exit == ChildExit::Failure && uptime >= MIN_UPTIME && entry.missing().contains(role);
        entry.slot(role).replace = replace;
        self.replace |= replace;
        replace.then_some(MissingProcess { directory, role })
    }

    /// Calls `replace` with each process that [`ServiceTable::record_exit`] has
    /// returned, once.
    pub(crate) fn take_replaced(&mut self, mut replace: impl FnMut(&mut Self, MissingProcess)) {
        if !std::mem::take(&mut self.replace) {
            return;
        }
        let mut last = None;
        while let Some(directory) = self.entries.next_key(last) {
            last = Some(directory);
            for role in [Role::Service, Role::Logger] {
                let entry = self.entries.get_mut(directory);
                if entry.is_some_and(|entry| std::mem::take(&mut entry.slot(role).replace)) {
                    replace(self, MissingProcess { directory, role });
                }
            }
        }
    }

    /// Treats a process that cannot be killed as exited.
    pub(crate) fn give_up(&mut self, directory: DirectoryId, role: Role) {
        if let Some(entry) = self.entries.get_mut(directory) {
            if entry.slot(role).process.take().is_some() {
                self.running = self.running.saturating_sub(1);
            }
        }
    }

    /// The directory after another one, or the first one. A loop over all may change
    /// the table.
    pub(crate) fn next_directory(&self, last: Option<DirectoryId>) -> Option<DirectoryId> {
        self.entries.next_key(last)
    }

    /// The services with their names in the last scan.
    pub(crate) fn services(&self) -> impl Iterator<Item = (DirectoryId, &CStr)> {
        let services = self.entries.iter();
        services.map(|(directory, entry)| (directory, entry.name.as_c_str()))
    }

    /// The name of a service in the last scan.
    pub(crate) fn name(&self, directory: DirectoryId) -> Option<&CStr> {
        let entry = self.entries.get(directory)?;
        Some(entry.name.as_c_str())
    }

    pub(crate) fn pid(&self, directory: DirectoryId, role: Role) -> Option<Pid> {
        self.process(directory, role).map(|process| process.pid)
    }

    /// The time since the start of a process.
    pub(crate) fn uptime(
        &self,
        directory: DirectoryId,
        role: Role,
        now: Instant,
    ) -> Option<Duration> {
        let process = self.process(directory, role)?;
        Some(now.saturating_duration_since(process.started))
    }

    fn process(&self, directory: DirectoryId, role: Role) -> Option<Process> {
        let entry = self.entries.get(directory)?;
        match role {
            Role::Service => entry.service.process,
            Role::Logger => entry.logger.process,
        }
    }

    /// Whether a process has not exited, although its service may be removed.
    pub(crate) fn runs(&self, pid: Pid) -> bool {
        self.processes.contains(pid)
    }

    /// The processes of removed services, with the name in the last scan.
    pub(crate) fn removed(&self) -> impl Iterator<Item = (Pid, DirectoryId, &CStr)> {
        let processes = self.processes.iter();
        processes.filter_map(|(pid, owner)| match owner {
            ProcessOwner::Removed(directory, name) => Some((pid, *directory, name.as_c_str())),
            ProcessOwner::Service(..) => None,
        })
    }

    /// The processes of the services in the table.
    pub(crate) fn pids(&self) -> impl Iterator<Item = Pid> {
        let processes = self.processes.iter();
        processes.filter_map(|(pid, owner)| match owner {
            ProcessOwner::Service(..) => Some(pid),
            ProcessOwner::Removed(..) => None,
        })
    }

    pub(crate) fn pipe(&self, directory: DirectoryId) -> Option<&P> {
        self.entries.get(directory)?.pipe.as_ref()
    }

    /// Replaces the pipe of a service by the result of `change`.
    pub(crate) fn change_pipe(
        &mut self,
        directory: DirectoryId,
        change: impl FnOnce(P) -> Option<P>,
    ) {
        if let Some(entry) = self.entries.get_mut(directory) {
            entry.pipe = entry.pipe.take().and_then(change);
        }
    }
}

#[cfg(test)]
impl<P> ServiceTable<P> {
    pub(crate) fn contains(&self, directory: DirectoryId) -> bool {
        self.entries.contains(directory)
    }

    pub(crate) fn directories(&self) -> Vec<DirectoryId> {
        self.services().map(|(directory, _)| directory).collect()
    }

    pub(crate) fn unseen(&self) -> Vec<DirectoryId> {
        let mut all = self.directories();
        all.retain(|&directory| !self.is_seen(directory));
        all
    }

    /// Adds a new service.
    pub(crate) fn add(&mut self, directory: DirectoryId, name: &CStr, pipe: Option<P>) {
        match self.admit(directory, name) {
            Admission::New(service) => assert!(service.add(pipe, None).is_ok()),
            Admission::Known(_) | Admission::NoMemory(_) => panic!("{name:?} is known"),
        }
    }

    pub(crate) fn missing_roles(&mut self, directory: DirectoryId) -> Vec<Role> {
        let roles = self.missing(directory).map(|slots| slots.roles);
        roles.unwrap_or_default().collect()
    }

    pub(crate) fn record_start(
        &mut self,
        directory: DirectoryId,
        role: Role,
        pid: Pid,
        now: Instant,
    ) {
        let mut slots = self.slot(directory, role).unwrap();
        slots.record_start(role, pid, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown::StopConfig;

    const A: DirectoryId = DirectoryId(1, 1);
    const B: DirectoryId = DirectoryId(1, 2);
    const SEVEN: Pid = Pid::from_raw(7);

    impl ServiceTable<()> {
        fn see(&mut self, directory: DirectoryId, name: &CStr) {
            assert!(matches!(self.admit(directory, name), Admission::Known(_)));
        }
    }

    #[test]
    fn new_service_misses_both_processes() {
        let now = Instant::now();
        let mut table = ServiceTable::default();
        // A service whose pipe cannot be made stays new.
        assert!(matches!(table.admit(A, c"a"), Admission::New(_)));
        assert!(!table.contains(A));
        table.add(A, c"a", Some(()));
        table.add(B, c"b", None);
        assert!(table.contains(A));
        assert_eq!(table.missing_roles(A), [Role::Service, Role::Logger]);
        assert_eq!(table.missing_roles(B), [Role::Service]);
        table.record_start(A, Role::Service, SEVEN, now);
        assert_eq!(table.missing_roles(A), [Role::Logger]);
        assert_eq!(table.record_exit(SEVEN, ChildExit::Success, now), None);
        assert_eq!(table.missing_roles(A), [Role::Service, Role::Logger]);
    }

    #[test]
    fn shutdown_belongs_to_its_service() {
        let now = Instant::now();
        let mut table = ServiceTable::default();
        table.add(A, c"a", Some(()));
        table.add(B, c"b", Some(()));
        let config = StopConfig {
            service: None,
            logger: None,
        };
        assert!(table.shutdown(A).is_none());
        table.begin_shutdown(A, ServiceShutdown::new(config, now));
        assert!(table.shutdown(A).is_some() && table.shutdown_mut(A).is_some());
        assert!(table.shutdown(B).is_none() && table.shutdown_mut(B).is_none());
        // A service that stops is not started again, its logger is.
        assert_eq!(table.missing_roles(A), [Role::Logger]);
        assert_eq!(table.missing_roles(B), [Role::Service, Role::Logger]);
    }

    #[test]
    fn one_role_is_that_role_alone() {
        for (role, other) in [(Role::Service, Role::Logger), (Role::Logger, Role::Service)] {
            let only = Roles::only(role);
            assert!(only.contains(role) && !only.contains(other));
        }
    }

    #[test]
    fn table_lists_its_services_and_processes() {
        let start = Instant::now();
        let mut table = ServiceTable::default();
        let Admission::New(service) = table.admit(A, c"a") else {
            panic!("an empty table knows a service");
        };
        let slots = service.add(Some(7), None).unwrap();
        assert_eq!((slots.services, slots.pipe()), (1, Some(&7)));
        table.add(B, c"b", None);
        assert_eq!((table.count(), table.directories()), (2, vec![A, B]));
        let slots = table.slot(B, Role::Service).unwrap();
        assert_eq!(
            (slots.services, slots.name(), slots.pipe()),
            (2, c"b", None)
        );
        assert_eq!(table.rename(A, c"c".to_owned()), Some(c"a".to_owned()));
        assert!(table.services().eq([(A, c"c"), (B, c"b")]));
        assert_eq!(table.name(A), Some(c"c"));
        table.record_start(A, Role::Logger, SEVEN, start);
        assert!(table.pids().eq([SEVEN]));
        assert_eq!(table.pid(A, Role::Logger), Some(SEVEN));
        let later = start + Duration::from_secs(9);
        let uptime = table.uptime(A, Role::Logger, later);
        assert_eq!(uptime, Some(Duration::from_secs(9)));
        assert_eq!(table.uptime(A, Role::Service, later), None);
        assert!(table.is_seen(A) && table.is_seen(B));
        table.mark_unseen();
        assert!(!table.is_seen(A));
        assert_eq!(table.unseen(), [A, B]);
        // A service in a shutdown stays without processes.
        table.set_keep_running(B, KeepRunning::Neither);
        table.sweep_dead();
        assert_eq!(table.directories(), [A, B]);
        assert_eq!(table.forget(B), Some(c"b".to_owned()));
        table.change_pipe(A, |pipe| Some(pipe + 1));
        assert_eq!((table.directories(), table.pipe(A)), (vec![A], Some(&8)));
        assert_eq!(table.rename(B, c"b".to_owned()), None);
        assert_eq!(table.name(B), None);
        table.give_up(A, Role::Logger);
        table.sweep_dead();
        assert_eq!(table.count(), 0);
    }

    #[test]
    fn unseen_service_stays_while_its_processes_run() {
        let now = Instant::now();
        let mut table = ServiceTable::default();
        table.add(A, c"a", Some(()));
        table.record_start(A, Role::Logger, SEVEN, now);
        table.mark_unseen();
        table.sweep_dead();
        assert!(table.pipe(A).is_some());
        assert_eq!(table.dead(A), None);
        table.record_exit(SEVEN, ChildExit::Success, now);
        let dead = DeadService {
            created: None,
            has_pipe: true,
        };
        assert_eq!(table.dead(A), Some(dead));
        table.set_keep_running(A, KeepRunning::Logger);
        assert_eq!(table.dead(A), None);
        table.set_keep_running(A, KeepRunning::Both);
        table.mark_unseen();
        table.sweep_dead();
        assert!(!table.contains(A));
        assert_eq!(table.dead(A), None);
    }

    #[test]
    fn sweep_all_removes_unseen_services_and_pids() {
        let now = Instant::now();
        let mut table = ServiceTable::default();
        table.add(A, c"a", None::<()>);
        table.add(B, c"b", None);
        table.record_start(A, Role::Service, SEVEN, now);
        assert_eq!(table.missing_roles(A), []);
        table.mark_unseen();
        table.see(B, c"b");
        let mut stopped = Vec::new();
        table.sweep_all(|pid| stopped.push(pid));
        assert_eq!(stopped, [SEVEN]);
        assert!(!table.contains(A) && table.contains(B));
        assert_eq!(table.pids().count(), 0);
        assert!(table.removed().eq([(SEVEN, A, c"a")]) && table.runs(SEVEN));
        assert_eq!(table.record_exit(SEVEN, ChildExit::Failure, now), None);
        assert!(!table.runs(SEVEN));
    }

    #[test]
    fn failure_after_five_seconds_restarts_at_once() {
        let start = Instant::now();
        let mut table = ServiceTable::default();
        table.add(A, c"a", Some(()));
        for (exit, seconds, at_once) in [
            (ChildExit::Failure, 5, true),
            (ChildExit::Failure, 4, false),
            (ChildExit::Success, 5, false),
        ] {
            table.record_start(A, Role::Logger, SEVEN, start);
            table.see(A, c"renamed");
            let replaced = table.record_exit(SEVEN, exit, start + Duration::from_secs(seconds));
            let logger = MissingProcess {
                directory: A,
                role: Role::Logger,
            };
            let expected = at_once.then_some(logger);
            assert_eq!(replaced, expected);
            let mut taken = None;
            table.take_replaced(|_, process| taken = Some(process));
            assert_eq!(taken, expected);
            table.take_replaced(|_, process| panic!("{process:?}"));
            assert_eq!(table.name(A), Some(c"renamed"));
        }
    }

    #[test]
    fn starts_and_exits_need_no_memory() {
        let now = Instant::now();
        let mut table = ServiceTable::default();
        let pid = |number: i32| Pid::from_raw(number);
        let mut last = 0;
        for round in 0..10 {
            for service in 0..20 {
                let directory = DirectoryId(round, service);
                table.add(directory, c"s", Some(()));
            }
            let capacity = table.processes.capacity();
            let mut cursor = None;
            while let Some(directory) = table.next_directory(cursor) {
                cursor = Some(directory);
                for role in table.missing_roles(directory) {
                    last += 1;
                    table.record_start(directory, role, pid(last), now);
                }
            }
            // A process that cannot be killed stays in the table of processes.
            table.give_up(DirectoryId(round, 3), Role::Logger);
            last += 1;
            table.record_start(DirectoryId(round, 3), Role::Logger, pid(last), now);
            assert!(table.processes.len() <= capacity + 1);
            table.mark_unseen();
            table.see(DirectoryId(round, 7), c"s");
            table.sweep_all(|_| ());
            assert_eq!(table.processes.capacity(), capacity);
            assert_eq!((table.count(), table.roles, table.running), (1, 2, 2));
            for exited in 1..=last {
                table.record_exit(pid(exited), ChildExit::Success, now);
            }
            table.mark_unseen();
            table.sweep_dead();
            assert_eq!((table.count(), table.roles, table.running), (0, 0, 0));
        }
    }
}
