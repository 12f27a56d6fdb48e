//! The services of a scan directory: which there are, which of their
//! processes run, and which are to be started.

use std::collections::BTreeMap;

use nix::unistd::Pid;

/// A directory, whatever it is called: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// The device of its file system.
    pub device: u64,
    /// Its inode there.
    pub inode: u64,
}

/// One of the two processes of a service with a logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The service, which writes to the pipe.
    Service,
    /// Its logger, which reads from it.
    Logger,
}

/// A service that was seen. `P` is what joins its two sides, a pipe.
#[derive(Debug)]
struct Entry<P> {
    seen: bool,
    service: Option<Pid>,
    logger: Option<Pid>,
    pipe: Option<P>,
}

/// All services that were seen and are not forgotten yet.
#[derive(Debug)]
pub struct Table<P> {
    entries: BTreeMap<Identity, Entry<P>>,
    processes: BTreeMap<Pid, (Identity, Side)>,
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

    /// A directory is there; whether it was known before.
    pub fn see(&mut self, identity: Identity) -> bool {
        let known = self.entries.get_mut(&identity);
        known.map(|entry| entry.seen = true).is_some()
    }

    /// Adds a service that is seen for the first time, with the pipe to its
    /// logger if it has one.
    pub fn add(&mut self, identity: Identity, pipe: Option<P>) {
        let entry = Entry {
            seen: true,
            service: None,
            logger: None,
            pipe,
        };
        self.entries.insert(identity, entry);
    }

    /// The sides of a service that are to run and do not.
    #[must_use]
    pub fn missing(&self, identity: Identity) -> Vec<Side> {
        let Some(entry) = self.entries.get(&identity) else {
            return Vec::new();
        };
        let service = entry.service.is_none().then_some(Side::Service);
        let logger = (entry.pipe.is_some() && entry.logger.is_none()).then_some(Side::Logger);
        service.into_iter().chain(logger).collect()
    }

    /// The pipe of a service that has a logger.
    #[must_use]
    pub fn pipe(&self, identity: Identity) -> Option<&P> {
        self.entries.get(&identity)?.pipe.as_ref()
    }

    /// A side of a service was started.
    pub fn started(&mut self, identity: Identity, side: Side, pid: Pid) {
        if let Some(process) = self.process(identity, side) {
            *process = Some(pid);
            self.processes.insert(pid, (identity, side));
        }
    }

    /// A process has ended.
    pub fn died(&mut self, pid: Pid) {
        if let Some((identity, side)) = self.processes.remove(&pid) {
            if let Some(process) = self.process(identity, side) {
                *process = None;
            }
        }
    }

    /// The look is over: what was not seen, and has no process any more, is
    /// forgotten, and its pipe closed.
    pub fn end(&mut self) {
        self.entries
            .retain(|_, entry| entry.seen || entry.service.is_some() || entry.logger.is_some());
    }

    fn process(&mut self, identity: Identity, side: Side) -> Option<&mut Option<Pid>> {
        let entry = self.entries.get_mut(&identity)?;
        Some(match side {
            Side::Service => &mut entry.service,
            Side::Logger => &mut entry.logger,
        })
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

    #[test]
    fn a_new_service_misses_itself_and_its_logger() {
        let mut table = Table::default();
        assert!(!table.see(A));
        table.add(A, Some(()));
        table.add(B, None);
        assert_eq!(table.missing(A), [Side::Service, Side::Logger]);
        assert_eq!(table.missing(B), [Side::Service]);
        table.started(A, Side::Service, Pid::from_raw(7));
        assert_eq!(table.missing(A), [Side::Logger]);
        table.died(Pid::from_raw(7));
        assert_eq!(table.missing(A), [Side::Service, Side::Logger]);
    }

    #[test]
    fn what_is_gone_is_forgotten_when_its_processes_are() {
        let mut table = Table::default();
        table.add(A, Some(()));
        table.started(A, Side::Logger, Pid::from_raw(7));
        table.begin();
        table.end();
        assert!(table.pipe(A).is_some());
        table.died(Pid::from_raw(7));
        table.begin();
        table.end();
        assert!(table.pipe(A).is_none());
        assert!(!table.see(A));
    }
}
