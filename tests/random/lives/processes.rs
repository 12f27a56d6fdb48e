//! The processes of a life, found in /proc.

use std::path::Path;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::kill;

use super::Life;
use super::service::{Logger, inode};
use crate::processes::{children, program, stat};

/// The number of a role in `Service::inodes`.
pub(super) const SERVICE: usize = 0;
pub(super) const LOGGER: usize = 1;

pub(super) fn session(pid: Pid) -> Option<Pid> {
    Some(Pid::from_raw(stat(pid)?.get(3)?.parse().ok()?))
}

fn descendants(pid: Pid) -> Vec<Pid> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(&pid) = all.get(next) {
        all.extend(children(pid));
        next += 1;
    }
    all
}

impl Life<'_> {
    /// The supervise of a role, a child of svscan.
    pub(super) fn supervise(&self, index: usize, role: usize) -> Option<Pid> {
        let directory = self.services[index].inodes[role]?;
        let is_there = |pid: &Pid| {
            inode(Path::new(&format!("/proc/{pid}/cwd"))) == Some(directory)
                && program(*pid) == "supervise"
        };
        children(self.pid).into_iter().find(is_there)
    }

    /// Kills a supervise. Its processes become orphans; an orphan of a logger
    /// ends after its input.
    pub(super) fn kill_supervise(&mut self, index: usize, role: usize) {
        let Some(supervise) = self.supervise(index, role) else {
            return;
        };
        let mut left = descendants(supervise);
        let _ = kill(supervise, Signal::SIGKILL);
        // supervise may have started a further process meanwhile.
        left.extend(self.processes_in(self.services[index].inodes[role]));
        let supervises = children(self.pid);
        left.retain(|pid| program(*pid) != "supervise" || !supervises.contains(pid));
        left.retain(|&pid| pid != supervise);
        left.sort_unstable();
        left.dedup();
        self.tell(format!("supervise {supervise} killed, orphans {left:?}"));
        // A process that has just started may still make its session.
        let sessions = left.iter().filter_map(|&pid| session(pid));
        let sessions = sessions.chain(left.iter().copied()).chain([supervise]);
        let sessions: Vec<_> = sessions.collect();
        if role == LOGGER {
            let service = &mut self.services[index];
            service.logger_may_be_down = true;
            if service.logger == Logger::Loop {
                service.may_lose = Some("two loggers read single bytes of a line");
            }
            for pid in left {
                let _ = kill(pid, Signal::SIGCONT);
            }
            return;
        }
        self.orphans.extend(sessions);
        self.services[index].has_orphan = true;
        if self.rng.bool() {
            self.end_orphans();
        }
    }

    /// The processes with this working directory.
    fn processes_in(&self, directory: Option<(u64, u64)>) -> Vec<Pid> {
        let mut processes = self.sandbox.processes();
        processes.retain(|pid| inode(Path::new(&format!("/proc/{pid}/cwd"))) == directory);
        processes
    }

    pub(super) fn is_orphan(&self, pid: Pid) -> bool {
        session(pid).is_some_and(|session| self.orphans.contains(&session))
    }

    /// Kills the orphans of services.
    pub(super) fn end_orphans(&mut self) {
        if self.orphans.is_empty() {
            return;
        }
        self.tell("orphans killed");
        let processes = self.sandbox.processes();
        for pid in processes {
            if self.is_orphan(pid) {
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
        self.orphans.clear();
    }
}
