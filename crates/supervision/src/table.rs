//! The services of a scan directory: their directories, names, processes and
//! pipes.

use std::collections::BTreeMap;
use std::collections::btree_map::{Entry as MapEntry, VacantEntry};
use std::ffi::{CStr, CString};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::Role;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MissingProcess {
    pub directory: DirectoryId,
    pub role: Role,
    /// The name of the service in the last scan.
    pub name: CString,
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

/// A service. `P` is the pipe between its two processes.
#[derive(Debug)]
struct Entry<P> {
    name: CString,
    seen: bool,
    keep: KeepRunning,
    service: Option<Process>,
    logger: Option<Process>,
    pipe: Option<P>,
}

impl<P> Entry<P> {
    fn process(&mut self, role: Role) -> &mut Option<Process> {
        match role {
            Role::Service => &mut self.service,
            Role::Logger => &mut self.logger,
        }
    }

    fn missing(&self) -> impl Iterator<Item = Role> + use<P> {
        let (service, logger) = match self.keep {
            KeepRunning::Both => (true, true),
            KeepRunning::Logger => (false, true),
            KeepRunning::Neither => (false, false),
        };
        let service = (service && self.service.is_none()).then_some(Role::Service);
        let logger = logger && self.pipe.is_some() && self.logger.is_none();
        service.into_iter().chain(logger.then_some(Role::Logger))
    }
}

/// The result of [`ServiceTable::admit`].
pub(crate) enum Admission<'a, P> {
    /// The service is not in the table yet.
    New(NewService<'a, P>),
    /// The service is in the table.
    Known(StartSlots<'a, P>),
}

/// A service that is seen for the first time. The table knows it from
/// [`NewService::add`] on.
pub(crate) struct NewService<'a, P> {
    pub(crate) name: &'a CStr,
    vacancy: VacantEntry<'a, DirectoryId, Entry<P>>,
    processes: &'a mut BTreeMap<Pid, (DirectoryId, Role)>,
    services: usize,
}

impl<'a, P> NewService<'a, P> {
    /// Adds the service to the table. Only a service with a logger has a pipe.
    pub(crate) fn add(self, pipe: Option<P>) -> StartSlots<'a, P> {
        let directory = *self.vacancy.key();
        let entry = self.vacancy.insert(Entry {
            name: self.name.to_owned(),
            seen: true,
            keep: KeepRunning::Both,
            service: None,
            logger: None,
            pipe,
        });
        StartSlots {
            roles: entry.missing().collect(),
            directory,
            entry,
            processes: self.processes,
            services: self.services,
        }
    }
}

/// The processes of a service that are to be started.
pub(crate) struct StartSlots<'a, P> {
    /// The roles, in the order of their starts.
    pub(crate) roles: Vec<Role>,
    /// The number of services in the table.
    pub(crate) services: usize,
    directory: DirectoryId,
    entry: &'a mut Entry<P>,
    processes: &'a mut BTreeMap<Pid, (DirectoryId, Role)>,
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
        *self.entry.process(role) = Some(Process { pid, started: now });
        self.processes.insert(pid, (self.directory, role));
    }
}

/// The services that a scan found and that are not removed yet.
#[derive(Debug)]
pub(crate) struct ServiceTable<P> {
    entries: BTreeMap<DirectoryId, Entry<P>>,
    processes: BTreeMap<Pid, (DirectoryId, Role)>,
    /// The processes of removed services that have not exited yet.
    removed: BTreeMap<Pid, (DirectoryId, CString)>,
}

impl<P> Default for ServiceTable<P> {
    fn default() -> Self {
        ServiceTable {
            entries: BTreeMap::new(),
            processes: BTreeMap::new(),
            removed: BTreeMap::new(),
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
        let services = self.entries.len();
        let processes = &mut self.processes;
        match self.entries.entry(directory) {
            MapEntry::Vacant(vacancy) => Admission::New(NewService {
                name,
                vacancy,
                processes,
                services: services + 1,
            }),
            MapEntry::Occupied(entry) => {
                let entry = entry.into_mut();
                entry.seen = true;
                if entry.name.as_c_str() != name {
                    name.clone_into(&mut entry.name);
                }
                Admission::Known(StartSlots {
                    roles: entry.missing().collect(),
                    directory,
                    entry,
                    processes,
                    services,
                })
            }
        }
    }

    /// The missing processes of a service.
    pub(crate) fn missing(&mut self, directory: DirectoryId) -> Option<StartSlots<'_, P>> {
        self.slots(directory, |entry| entry.missing().collect())
    }

    /// The process of a role, to be started.
    pub(crate) fn slot(&mut self, directory: DirectoryId, role: Role) -> Option<StartSlots<'_, P>> {
        self.slots(directory, |_| vec![role])
    }

    fn slots(
        &mut self,
        directory: DirectoryId,
        roles: impl FnOnce(&Entry<P>) -> Vec<Role>,
    ) -> Option<StartSlots<'_, P>> {
        let services = self.entries.len();
        let entry = self.entries.get_mut(&directory)?;
        Some(StartSlots {
            roles: roles(entry),
            directory,
            entry,
            processes: &mut self.processes,
            services,
        })
    }

    /// Changes the name of a service. Returns the last one.
    pub(crate) fn rename(&mut self, directory: DirectoryId, name: &CStr) -> Option<CString> {
        let entry = self.entries.get_mut(&directory)?;
        Some(std::mem::replace(&mut entry.name, name.to_owned()))
    }

    /// Whether the last scan saw a service.
    pub(crate) fn is_seen(&self, directory: DirectoryId) -> bool {
        let entry = self.entries.get(&directory);
        entry.is_some_and(|entry| entry.seen)
    }

    /// The services that the last scan did not see.
    pub(crate) fn unseen(&self) -> Vec<DirectoryId> {
        let services = self.entries.iter();
        services
            .filter(|(_, entry)| !entry.seen)
            .map(|(&directory, _)| directory)
            .collect()
    }

    /// Removes the unseen services without processes, and closes their pipes.
    /// A service that is shutting down stays until [`ServiceTable::remove`].
    pub(crate) fn sweep_dead(&mut self) {
        self.entries.retain(|_, entry| {
            entry.seen
                || entry.service.is_some()
                || entry.logger.is_some()
                || entry.keep != KeepRunning::Both
        });
    }

    /// Removes all unseen services. Returns their processes, which the caller
    /// stops.
    pub(crate) fn sweep_all(&mut self) -> Vec<Pid> {
        let mut removed = BTreeMap::new();
        for directory in self.unseen() {
            let Some(entry) = self.entries.remove(&directory) else {
                continue;
            };
            for process in [entry.service, entry.logger].into_iter().flatten() {
                self.processes.remove(&process.pid);
                removed.insert(process.pid, (directory, entry.name.clone()));
            }
        }
        let pids = removed.keys().copied().collect();
        self.removed.append(&mut removed);
        pids
    }

    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// Removes a service, and closes its pipe.
    pub(crate) fn remove(&mut self, directory: DirectoryId) {
        self.entries.remove(&directory);
    }

    pub(crate) fn set_keep_running(&mut self, directory: DirectoryId, keep: KeepRunning) {
        if let Some(entry) = self.entries.get_mut(&directory) {
            entry.keep = keep;
        }
    }

    /// Records the exit of a process. Returns the process if it is to be
    /// replaced at once. Otherwise the next scan finds it missing.
    pub(crate) fn record_exit(
        &mut self,
        pid: Pid,
        exit: ChildExit,
        now: Instant,
    ) -> Option<MissingProcess> {
        self.removed.remove(&pid);
        let (directory, role) = self.processes.remove(&pid)?;
        let entry = self.entries.get_mut(&directory)?;
        let process = entry.process(role).take_if(|process| process.pid == pid)?;
        let uptime = now.saturating_duration_since(process.started);
        let replace = exit == ChildExit::Failure
            && uptime >= MIN_UPTIME
            && entry.missing().any(|missing| missing == role);
        replace.then(|| MissingProcess {
            directory,
            role,
            name: entry.name.clone(),
        })
    }

    /// Treats a process that cannot be killed as exited.
    pub(crate) fn give_up(&mut self, directory: DirectoryId, role: Role) {
        if let Some(entry) = self.entries.get_mut(&directory) {
            *entry.process(role) = None;
        }
    }

    pub(crate) fn directories(&self) -> Vec<DirectoryId> {
        self.entries.keys().copied().collect()
    }

    /// The services with their names in the last scan.
    pub(crate) fn services(&self) -> impl Iterator<Item = (DirectoryId, &CStr)> {
        let services = self.entries.iter();
        services.map(|(&directory, entry)| (directory, entry.name.as_c_str()))
    }

    /// The name of a service in the last scan.
    pub(crate) fn name(&self, directory: DirectoryId) -> Option<&CStr> {
        let entry = self.entries.get(&directory)?;
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
        let entry = self.entries.get(&directory)?;
        match role {
            Role::Service => entry.service,
            Role::Logger => entry.logger,
        }
    }

    /// Whether a process has not exited, although its service may be removed.
    pub(crate) fn runs(&self, pid: Pid) -> bool {
        self.processes.contains_key(&pid) || self.removed.contains_key(&pid)
    }

    /// The processes of removed services, with the name in the last scan.
    pub(crate) fn removed(&self) -> impl Iterator<Item = (Pid, DirectoryId, &CStr)> {
        let removed = self.removed.iter();
        removed.map(|(&pid, (directory, name))| (pid, *directory, name.as_c_str()))
    }

    pub(crate) fn pids(&self) -> impl Iterator<Item = Pid> {
        self.processes.keys().copied()
    }

    pub(crate) fn pipe(&self, directory: DirectoryId) -> Option<&P> {
        self.entries.get(&directory)?.pipe.as_ref()
    }

    /// Replaces the pipe of a service by the result of `change`.
    pub(crate) fn change_pipe(
        &mut self,
        directory: DirectoryId,
        change: impl FnOnce(P) -> Option<P>,
    ) {
        if let Some(entry) = self.entries.get_mut(&directory) {
            entry.pipe = entry.pipe.take().and_then(change);
        }
    }
}

#[cfg(test)]
impl<P> ServiceTable<P> {
    pub(crate) fn contains(&self, directory: DirectoryId) -> bool {
        self.entries.contains_key(&directory)
    }

    /// Adds a new service.
    pub(crate) fn add(&mut self, directory: DirectoryId, name: &CStr, pipe: Option<P>) {
        match self.admit(directory, name) {
            Admission::New(service) => drop(service.add(pipe)),
            Admission::Known(_) => panic!("{name:?} is known"),
        }
    }

    pub(crate) fn missing_roles(&mut self, directory: DirectoryId) -> Vec<Role> {
        self.missing(directory)
            .map(|slots| slots.roles)
            .unwrap_or_default()
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

    const A: DirectoryId = DirectoryId(1, 1);
    const B: DirectoryId = DirectoryId(1, 2);
    const SEVEN: Pid = Pid::from_raw(7);

    fn missing(directory: DirectoryId, role: Role, name: &CStr) -> MissingProcess {
        MissingProcess {
            directory,
            role,
            name: name.to_owned(),
        }
    }

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
        drop(table.admit(A, c"a"));
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
    fn table_lists_its_services_and_processes() {
        let start = Instant::now();
        let mut table = ServiceTable::default();
        let Admission::New(service) = table.admit(A, c"a") else {
            panic!("an empty table knows a service");
        };
        let slots = service.add(Some(7));
        assert_eq!((slots.services, slots.pipe()), (1, Some(&7)));
        table.add(B, c"b", None);
        assert_eq!((table.count(), table.directories()), (2, vec![A, B]));
        let slots = table.slot(B, Role::Service).unwrap();
        assert_eq!(
            (slots.services, slots.name(), slots.pipe()),
            (2, c"b", None)
        );
        assert_eq!(table.rename(A, c"c"), Some(c"a".to_owned()));
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
        table.remove(B);
        table.change_pipe(A, |pipe| Some(pipe + 1));
        assert_eq!((table.directories(), table.pipe(A)), (vec![A], Some(&8)));
        assert_eq!(table.rename(B, c"b"), None);
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
        table.record_exit(SEVEN, ChildExit::Success, now);
        table.mark_unseen();
        table.sweep_dead();
        assert!(!table.contains(A));
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
        assert_eq!(table.sweep_all(), [SEVEN]);
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
            let expected = at_once.then(|| missing(A, Role::Logger, c"renamed"));
            assert_eq!(replaced, expected);
        }
    }
}
