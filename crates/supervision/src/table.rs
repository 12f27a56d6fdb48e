//! The services of a scan directory: which there are, which of their
//! processes run, and which are to be started.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

use nix::sys::stat::FileStat;
use nix::unistd::Pid;

use crate::stop::{Answer, Farewell, Step, Terms, Turn};

/// A process that lived this long is replaced at once when it is lost; one
/// that ends sooner, again and again, must not take the machine with it.
const LONG_ENOUGH: Duration = Duration::from_secs(5);

/// A directory, whatever it is called: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// The device of its file system.
    pub device: u64,
    /// Its inode there.
    pub inode: u64,
}

impl Identity {
    /// That of the file whose status this is.
    #[must_use]
    pub fn of(status: &FileStat) -> Self {
        Identity {
            device: status.st_dev,
            inode: status.st_ino,
        }
    }
}

/// One of the two processes of a service with a logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The service, which writes to the pipe.
    Service,
    /// Its logger, which reads from it.
    Logger,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With exit code 0, as it was told to.
    Told,
    /// It failed or was killed.
    Lost,
}

#[derive(Clone, Copy, Debug)]
struct Process {
    pid: Pid,
    started: Instant,
}

/// A service that was seen. `P` is what joins its two roles, a pipe.
#[derive(Debug)]
struct Entry<P> {
    name: CString,
    seen: bool,
    service: Option<Process>,
    logger: Option<Process>,
    pipe: Option<P>,
    /// How it ends, once it is to end for good. Most never are.
    farewell: Option<Box<Farewell>>,
}

/// What is to be done about a service that is to end for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The next step with the supervise of this role.
    Step(Role, Pid, Step),
    /// The logger is to be started again: it has left something unread.
    StartLogger,
    /// All is done, and there is nothing left to know of it.
    Forget,
}

impl<P> Entry<P> {
    fn process(&mut self, role: Role) -> &mut Option<Process> {
        match role {
            Role::Service => &mut self.service,
            Role::Logger => &mut self.logger,
        }
    }
}

/// All services that were seen and are not forgotten yet.
#[derive(Debug)]
pub struct Table<P> {
    entries: BTreeMap<Identity, Entry<P>>,
    processes: BTreeMap<Pid, (Identity, Role)>,
}

impl<P> Default for Table<P> {
    fn default() -> Self {
        Table {
            entries: BTreeMap::new(),
            processes: BTreeMap::new(),
        }
    }
}

impl<P> Table<P> {
    /// A look at the directory begins: nothing of it is seen yet.
    pub fn begin(&mut self) {
        self.entries
            .values_mut()
            .for_each(|entry| entry.seen = false);
    }

    /// How many services are known.
    #[must_use]
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Whether a directory is known.
    #[must_use]
    pub fn knows(&self, identity: Identity) -> bool {
        self.entries.contains_key(&identity)
    }

    /// A known directory is there, under this name.
    pub fn see(&mut self, identity: Identity, name: &CStr) {
        if let Some(entry) = self.entries.get_mut(&identity) {
            entry.seen = true;
            if entry.name.as_c_str() != name {
                name.clone_into(&mut entry.name);
            }
        }
    }

    /// Adds a service that is seen for the first time, with the pipe to its
    /// logger if it has one.
    pub fn add(&mut self, identity: Identity, name: &CStr, pipe: Option<P>) {
        let name = name.to_owned();
        let entry = Entry {
            name,
            seen: true,
            service: None,
            logger: None,
            pipe,
            farewell: None,
        };
        self.entries.insert(identity, entry);
    }

    /// The roles of a service that are to run and do not.
    #[must_use]
    pub fn missing(&self, identity: Identity) -> Vec<Role> {
        let Some(entry) = self.entries.get(&identity) else {
            return Vec::new();
        };
        let (service, logger) = match &entry.farewell {
            None => (true, true),
            // A service that is to end has to be rid of what it says.
            Some(farewell) => (false, matches!(farewell.turn, Turn::Service(_))),
        };
        let service = (service && entry.service.is_none()).then_some(Role::Service);
        let logger = logger && entry.pipe.is_some() && entry.logger.is_none();
        let logger = logger.then_some(Role::Logger);
        service.into_iter().chain(logger).collect()
    }

    /// The pipe of a service that has a logger.
    #[must_use]
    pub fn pipe(&self, identity: Identity) -> Option<&P> {
        self.entries.get(&identity)?.pipe.as_ref()
    }

    /// A role of a service was started.
    pub fn started(&mut self, identity: Identity, role: Role, pid: Pid, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&identity) {
            *entry.process(role) = Some(Process { pid, started: now });
            self.processes.insert(pid, (identity, role));
        }
    }

    /// A process has ended. Returns the role of which service it was, and the
    /// name that the service had last, if it is to be replaced at once; if
    /// not, the next look will find it missing.
    pub fn died(&mut self, pid: Pid, end: End, now: Instant) -> Option<(Identity, Role, CString)> {
        let (identity, role) = self.processes.remove(&pid)?;
        let entry = self.entries.get_mut(&identity)?;
        let process = entry.process(role).take_if(|process| process.pid == pid)?;
        if !self.missing(identity).contains(&role) {
            return None;
        }
        let entry = self.entries.get(&identity)?;
        let lived = now.saturating_duration_since(process.started);
        let at_once = end == End::Lost && lived >= LONG_ENOUGH;
        at_once.then(|| (identity, role, entry.name.clone()))
    }

    /// What is to run and does not, of all services: by the name that each
    /// had last.
    #[must_use]
    pub fn all_missing(&self) -> Vec<(Identity, Role, CString)> {
        let services = self.entries.iter();
        services
            .flat_map(|(&identity, entry)| {
                let roles = self.missing(identity).into_iter();
                roles.map(move |role| (identity, role, entry.name.clone()))
            })
            .collect()
    }

    /// What is known of the services: each with the name that it had last.
    pub fn services(&self) -> impl Iterator<Item = (Identity, &CStr)> {
        let services = self.entries.iter();
        services.map(|(&identity, entry)| (identity, entry.name.as_c_str()))
    }

    /// Those of them that the last look has not seen.
    #[must_use]
    pub fn unseen(&self) -> Vec<Identity> {
        let services = self.entries.iter();
        services
            .filter(|(_, entry)| !entry.seen)
            .map(|(&identity, _)| identity)
            .collect()
    }

    /// Those that are to end for good.
    #[must_use]
    pub fn leaving(&self) -> Vec<Identity> {
        let services = self.entries.iter();
        services
            .filter(|(_, entry)| entry.farewell.is_some())
            .map(|(&identity, _)| identity)
            .collect()
    }

    /// Whether a service is to end for good.
    #[must_use]
    pub fn is_leaving(&self, identity: Identity) -> bool {
        let entry = self.entries.get(&identity);
        entry.is_some_and(|entry| entry.farewell.is_some())
    }

    /// The name that a service had last.
    #[must_use]
    pub fn name(&self, identity: Identity) -> Option<&CStr> {
        self.entries
            .get(&identity)
            .map(|entry| entry.name.as_c_str())
    }

    /// The process of a role of a service, if it runs.
    #[must_use]
    pub fn pid(&self, identity: Identity, role: Role) -> Option<Pid> {
        let entry = self.entries.get(&identity)?;
        let process = match role {
            Role::Service => entry.service,
            Role::Logger => entry.logger,
        };
        process.map(|process| process.pid)
    }

    /// A service is to end for good from now on, and its logger after it.
    pub fn leave(&mut self, identity: Identity, terms: Terms, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&identity) {
            entry
                .farewell
                .get_or_insert_with(|| Box::new(Farewell::new(terms, now)));
        }
    }

    /// There is no more patience with those that are to end.
    pub fn press(&mut self, now: Instant) {
        for entry in self.entries.values_mut() {
            if let Some(farewell) = &mut entry.farewell {
                farewell.press(now);
            }
        }
    }

    /// What is to be done now about a service that is to end. `cleans_up` tells
    /// whether `finish` runs on a role of the service that has this name,
    /// `is_unread` whether there is something left in the pipe.
    pub fn act(
        &mut self,
        identity: Identity,
        now: Instant,
        cleans_up: impl Fn(&CStr, Role, Pid) -> bool,
        is_unread: impl FnOnce(&P) -> bool,
    ) -> Option<Act> {
        let entry = self.entries.get_mut(&identity)?;
        let (farewell, name) = (entry.farewell.as_mut()?, &entry.name);
        let step = |farewell: &mut Farewell, role, pid| {
            farewell
                .departure()
                .step(now, || cleans_up(name, role, pid))
        };
        if let Turn::Service(_) = farewell.turn {
            if let Some(Process { pid, .. }) = entry.service {
                match step(farewell, Role::Service, pid)? {
                    Step::Abandon => entry.service = None,
                    other => return Some(Act::Step(Role::Service, pid, other)),
                }
            }
            farewell.turn_to_logger(now);
        }
        if let Some(Process { pid, .. }) = entry.logger {
            match step(farewell, Role::Logger, pid)? {
                Step::Abandon => entry.logger = None,
                other => return Some(Act::Step(Role::Logger, pid, other)),
            }
        }
        let unread = entry.pipe.as_ref().is_some_and(is_unread);
        Some(if unread && farewell.takes_back(now) {
            Act::StartLogger
        } else {
            Act::Forget
        })
    }

    /// It was tried to tell the supervise whose turn it is to end.
    pub fn told(&mut self, identity: Identity, answer: Answer, now: Instant) {
        let entry = self.entries.get_mut(&identity);
        if let Some(farewell) = entry.and_then(|entry| entry.farewell.as_mut()) {
            farewell.departure().told(answer, now);
        }
    }

    /// When there may be something to do about those that are to end.
    #[must_use]
    pub fn next_act(&self) -> Option<Instant> {
        let farewells = self
            .entries
            .values()
            .filter_map(|entry| entry.farewell.as_ref());
        farewells.filter_map(|farewell| farewell.next()).min()
    }

    /// Changes the pipe of a service; what `change` makes of it stays.
    pub fn change_pipe(&mut self, identity: Identity, change: impl FnOnce(P) -> Option<P>) {
        if let Some(entry) = self.entries.get_mut(&identity) {
            entry.pipe = entry.pipe.take().and_then(change);
        }
    }

    /// Forgets a service, and closes its pipe.
    pub fn forget(&mut self, identity: Identity) {
        self.entries.remove(&identity);
    }

    /// The processes that run.
    pub fn processes(&self) -> impl Iterator<Item = Pid> {
        self.processes.keys().copied()
    }

    /// The look is over: what was not seen is forgotten at once. Returns its
    /// processes, to be told.
    pub fn dismiss(&mut self) -> Vec<Pid> {
        self.entries.retain(|_, entry| entry.seen);
        let processes = self.processes.iter();
        let gone: Vec<_> = processes
            .filter(|(_, (identity, _))| !self.entries.contains_key(identity))
            .map(|(&pid, _)| pid)
            .collect();
        for pid in &gone {
            self.processes.remove(pid);
        }
        gone
    }

    /// The look is over: what was not seen, and has no process any more, is
    /// forgotten, and its pipe closed.
    pub fn end(&mut self) {
        self.entries.retain(|_, entry| {
            entry.seen
                || entry.service.is_some()
                || entry.logger.is_some()
                || entry.farewell.is_some()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Identity = Identity {
        device: 1,
        inode: 1,
    };
    const B: Identity = Identity {
        device: 1,
        inode: 2,
    };
    const SEVEN: Pid = Pid::from_raw(7);

    #[test]
    fn a_new_service_misses_itself_and_its_logger() {
        let now = Instant::now();
        let mut table = Table::default();
        assert!(!table.knows(A));
        table.add(A, c"a", Some(()));
        table.add(B, c"b", None);
        assert!(table.knows(A));
        assert_eq!(table.missing(A), [Role::Service, Role::Logger]);
        assert_eq!(table.missing(B), [Role::Service]);
        table.started(A, Role::Service, SEVEN, now);
        assert_eq!(table.missing(A), [Role::Logger]);
        assert_eq!(table.died(SEVEN, End::Told, now), None);
        assert_eq!(table.missing(A), [Role::Service, Role::Logger]);
    }

    #[test]
    fn what_is_gone_is_forgotten_when_its_processes_are() {
        let now = Instant::now();
        let mut table = Table::default();
        table.add(A, c"a", Some(()));
        table.started(A, Role::Logger, SEVEN, now);
        table.begin();
        table.end();
        assert!(table.pipe(A).is_some());
        table.died(SEVEN, End::Told, now);
        table.begin();
        table.end();
        assert!(!table.knows(A));
    }

    #[test]
    fn what_is_dismissed_is_forgotten_with_its_processes() {
        let now = Instant::now();
        let mut table = Table::default();
        table.add(A, c"a", None::<()>);
        table.add(B, c"b", None);
        table.started(A, Role::Service, SEVEN, now);
        assert_eq!(table.all_missing(), [(B, Role::Service, c"b".to_owned())]);
        table.begin();
        table.see(B, c"b");
        assert_eq!(table.dismiss(), [SEVEN]);
        assert!(!table.knows(A) && table.knows(B));
        assert_eq!(table.processes().count(), 0);
    }

    const EIGHT: Pid = Pid::from_raw(8);

    const TERMS: Terms = Terms {
        service: None,
        logger: None,
        exit_stops_logger: false,
    };

    /// A service with a logger, both of which run; its pipe is whether there is
    /// something left in it.
    fn up(now: Instant) -> Table<bool> {
        let mut table = Table::default();
        table.add(A, c"a", Some(false));
        table.started(A, Role::Service, SEVEN, now);
        table.started(A, Role::Logger, EIGHT, now);
        table
    }

    fn act(table: &mut Table<bool>, now: Instant) -> Option<Act> {
        table.act(A, now, |_, _, _| false, |unread| *unread)
    }

    #[test]
    fn a_service_ends_before_its_logger_and_then_is_forgotten() {
        let now = Instant::now();
        let mut table = up(now);
        assert_eq!((act(&mut table, now), table.next_act()), (None, None));
        table.leave(A, TERMS, now);
        assert_eq!((table.leaving(), table.next_act()), (vec![A], Some(now)));
        let asked = |role, pid| Some(Act::Step(role, pid, Step::Ask));
        assert_eq!(act(&mut table, now), asked(Role::Service, SEVEN));
        table.told(A, Answer::Heard, now);
        assert_eq!((act(&mut table, now), table.next_act()), (None, None));
        assert_eq!(table.died(SEVEN, End::Lost, now + LONG_ENOUGH), None);
        assert_eq!(act(&mut table, now), asked(Role::Logger, EIGHT));
        table.told(A, Answer::Heard, now);
        assert_eq!(act(&mut table, now), None);
        // It is not seen any more, but neither forgotten.
        table.begin();
        table.end();
        assert_eq!(table.died(EIGHT, End::Lost, now + LONG_ENOUGH), None);
        assert_eq!(act(&mut table, now), Some(Act::Forget));
        table.forget(A);
        assert_eq!((act(&mut table, now), table.count()), (None, 0));
    }

    #[test]
    fn until_its_service_has_ended_a_logger_is_kept_running() {
        let now = Instant::now();
        let mut table = up(now);
        table.leave(A, TERMS, now);
        let lost = table.died(EIGHT, End::Lost, now + LONG_ENOUGH);
        assert_eq!(lost, Some((A, Role::Logger, c"a".to_owned())));
        assert_eq!(table.missing(A), [Role::Logger]);
        table.died(SEVEN, End::Told, now);
        assert_eq!(table.missing(A), [Role::Logger]);
        assert_eq!(act(&mut table, now), Some(Act::Forget));
        assert_eq!(table.missing(A), []);
    }

    #[test]
    fn a_logger_that_left_something_is_started_again() {
        let now = Instant::now();
        let mut table = up(now);
        table.change_pipe(A, |_| Some(true));
        table.leave(A, TERMS, now);
        table.died(SEVEN, End::Told, now);
        table.died(EIGHT, End::Told, now);
        assert_eq!(act(&mut table, now), Some(Act::StartLogger));
        table.started(A, Role::Logger, EIGHT, now);
        let asked = Act::Step(Role::Logger, EIGHT, Step::Ask);
        assert_eq!(act(&mut table, now), Some(asked));
        table.change_pipe(A, |_| Some(false));
        table.died(EIGHT, End::Told, now);
        assert_eq!(act(&mut table, now), Some(Act::Forget));
    }

    #[test]
    fn who_does_not_end_whatever_is_done_is_not_waited_for() {
        let mut now = Instant::now();
        let mut table = up(now);
        table.leave(A, TERMS, now);
        let mut steps = Vec::new();
        loop {
            match act(&mut table, now) {
                Some(Act::Step(role, _, step)) => steps.push((role, step)),
                Some(other) => break assert_eq!(other, Act::Forget),
                None => now = table.next_act().unwrap(),
            }
            table.told(A, Answer::Deaf, now);
        }
        let of = |role| {
            let mut steps: Vec<_> = steps.iter().filter(|step| step.0 == role).collect();
            steps.dedup();
            steps.into_iter().map(|step| step.1).collect::<Vec<_>>()
        };
        for role in [Role::Service, Role::Logger] {
            assert_eq!(of(role), [Step::Ask, Step::Force]);
        }
    }

    #[test]
    fn what_is_lost_after_five_seconds_is_replaced_at_once() {
        let start = Instant::now();
        let mut table = Table::default();
        table.add(A, c"a", Some(()));
        for (end, seconds, at_once) in [
            (End::Lost, 5, true),
            (End::Lost, 4, false),
            (End::Told, 5, false),
        ] {
            table.started(A, Role::Logger, SEVEN, start);
            table.see(A, c"renamed");
            let died = table.died(SEVEN, end, start + Duration::from_secs(seconds));
            assert_eq!(
                died,
                at_once.then(|| (A, Role::Logger, c"renamed".to_owned()))
            );
        }
    }
}
