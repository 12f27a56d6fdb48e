//! The resources of all supervising processes and loggers of a long life.

use std::collections::BTreeMap;
use std::fs;

use nix::unistd::Pid;
use testkit::say;

use super::{Life, Scanner};
use crate::processes::{children, descriptors, directory, is_zombie, memory, program, watches};

/// The growth that a process may have, in KB of private dirty memory. A page
/// becomes dirty when code first writes to it: after a rare event, such as a
/// processor that fails, some pages of the stack, the heap and static data are
/// so. A leak would be as large as the number of events.
const TOLERANCE: u64 = 32;

/// The growth of a logger, in KB, and that for each further old file. At each rotation,
/// a logger lists its old files, and those of the test are never removed. A logger that
/// has just started gains up to 66 KB with its first rotations, in whole pages.
const LOGGER_TOLERANCE: u64 = 96;
const FILE_TOLERANCE: u64 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    pid: Pid,
    memory: u64,
    descriptors: usize,
    watches: usize,
    /// The files in the log directory of a logger.
    files: Option<u64>,
}

impl Process {
    /// The memory that the process may have, in KB.
    fn limit(&self, before: &Process) -> u64 {
        let growth = match (self.files, before.files) {
            (Some(now), Some(then)) => LOGGER_TOLERANCE + FILE_TOLERANCE * now.saturating_sub(then),
            (Some(_) | None, _) => TOLERANCE,
        };
        before.memory + growth
    }
}

/// The processes at one moment, by program and directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    processes: BTreeMap<(String, String), Process>,
    zombies: usize,
    /// All processes, with those of the services.
    total: usize,
}

impl Life<'_> {
    /// Reads two snapshots that agree: a process at rest may hold a descriptor for
    /// a moment.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut last = self.read_snapshot();
        self.sandbox.wait_until("two snapshots agree", || {
            let next = self.read_snapshot();
            let agree = next == last;
            last = next;
            agree
        });
        last
    }

    fn read_snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for scanner in Scanner::ALL {
            let pid = self.scanner(scanner);
            snapshot.add(pid, scanner.command());
            for supervisor in children(pid) {
                let name = match scanner {
                    Scanner::Extended => "supervise -e",
                    Scanner::Plain => "supervise",
                    Scanner::Runsvdir => "runsv",
                };
                snapshot.add(supervisor, name);
                for run in children(supervisor) {
                    let name = program(run);
                    match name.as_str() {
                        "multilog" | "svlogd" => snapshot.add(run, &name),
                        _ => snapshot.count(run),
                    }
                }
            }
        }
        snapshot
    }
}

impl Snapshot {
    fn count(&mut self, pid: Pid) {
        self.zombies += usize::from(is_zombie(pid));
        self.total += 1;
    }

    fn add(&mut self, pid: Pid, name: &str) {
        self.count(pid);
        let directory = directory(pid).unwrap_or_default();
        let directory = directory.to_string_lossy();
        let place = directory
            .find("/here/")
            .map_or("", |at| &directory[at + 6..]);
        let files = || fs::read_dir(directory.as_ref()).map_or(0, Iterator::count);
        let is_logger = place.starts_with("logs/");
        let process = Process {
            pid,
            files: is_logger
                .then(files)
                .map(|files| u64::try_from(files).unwrap()),
            memory: memory(pid, "Private_Dirty").unwrap_or(0),
            descriptors: descriptors(pid),
            watches: watches(pid),
        };
        self.processes
            .insert((name.to_owned(), place.to_owned()), process);
    }

    /// Adds the differences from the beginning that are faults.
    pub(super) fn compare(&self, before: &Snapshot, faults: &mut Vec<String>) {
        let mut is = |what: &str, now: usize, then: usize| {
            if now != then {
                faults.push(format!("{what}: {now}, at the beginning {then}"));
            }
        };
        is("processes", self.total, before.total);
        is("zombies", self.zombies, 0);
        is("programs", self.processes.len(), before.processes.len());
        for (key @ (name, place), now) in &self.processes {
            let Some(then) = before.processes.get(key) else {
                faults.push(format!("{name} in {place} is new"));
                continue;
            };
            let is_same = now.descriptors == then.descriptors && now.watches == then.watches;
            if !is_same || now.memory > now.limit(then) {
                faults.push(format!(
                    "{name} in {place} : {now:?}, at the beginning {then:?}"
                ));
            }
        }
    }

    /// Prints the sums of each program, before and after.
    pub(super) fn report(&self, before: &Snapshot) {
        let mut programs: Vec<&String> = self.processes.keys().map(|(name, _)| name).collect();
        programs.dedup();
        for program in programs {
            let of = |snapshot: &Snapshot| {
                let all = snapshot.processes.iter();
                let all = all.filter(|((name, _), _)| name == program);
                all.fold((0, 0, 0, 0), |sum, (_, process)| {
                    (
                        sum.0 + 1,
                        sum.1 + process.memory,
                        sum.2 + process.descriptors,
                        sum.3 + process.watches,
                    )
                })
            };
            let (then, now) = (of(before), of(self));
            let own = self
                .processes
                .iter()
                .filter(|((name, _), _)| name == program);
            let pairs = own.filter_map(|(key, now)| Some((now, before.processes.get(key)?)));
            let old = pairs.filter(|(now, then)| now.pid == then.pid);
            let growths = old.map(|(now, then)| now.memory.saturating_sub(then.memory));
            let growths: Vec<_> = growths.collect();
            say(&format!(
                "  {program}: {} processes, {} of them the same; private dirty {} KB, then {} KB, \
                 at most {} KB more in one; descriptors {}, then {}; watches {}, then {}",
                now.0,
                growths.len(),
                then.1,
                now.1,
                growths.iter().max().unwrap_or(&0),
                then.2,
                now.2,
                then.3,
                now.3,
            ));
        }
        say(&format!(
            "  all: {} processes, then {}; zombies {}, then {}",
            before.total, self.total, before.zombies, self.zombies
        ));
    }
}
