//! The scanner of [`svscan`](crate::svscan) and [`runsvdir`](crate::runsvdir):
//! it keeps supervise, or runsv, running for each service of the current
//! directory.
//!
//! A full scan happens every `SCAN_INTERVAL`. Between scans the scanner
//! starts new symbolic links and replaces processes that failed. A new real
//! directory may still be incomplete and waits for the next scan. So does a
//! process that exited on command: scripts run `svc -dx S; rm -r S` and rely
//! on the time until then.
//!
//! Without memory the scanner adds no services, and continues with all others. Each
//! full scan tries again, also the first one.

use std::ffi::{CStr, CString};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use unix::directory::EntryBuffer;
use unix::file;
use unix::inotify::AddWatchFlags;
use unix::signals::SignalPipe;

use crate::Role;
use crate::pipe::Pipe;
use crate::retry::Reaper;
use crate::scan_warning::{ScanWarning, WarnFn};
use crate::spawn::{SpawnConfig, Spawner};
use crate::table::{Admission, ChildExit, DirectoryId, MissingProcess, ServiceTable};
use nix::unistd::Pid;
use unix::watch::Watcher;

/// The size of the buffer for a scan, in bytes: about 1000 entries.
const ENTRY_BUFFER: usize = 32 * 1024;

/// The interval between two full scans.
pub(crate) const SCAN_INTERVAL: Duration = Duration::from_secs(5);

/// A watcher of new names in the current directory. None if the file
/// system or the system does not support the watch.
pub(crate) fn watch_names() -> Option<Watcher> {
    let mut watcher = Watcher::new().ok()?;
    let events = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
    watcher.add(".", events).ok()?;
    Some(watcher)
}

pub(crate) struct Scanner<'a> {
    pub(crate) table: ServiceTable<Pipe>,
    spawner: Spawner<'a>,
    pub(crate) report: WarnFn<'a>,
    /// Whether a service was added, or a process could not be started.
    unsettled: bool,
    /// Its deadline wakes the caller after a failed wait4(2).
    pub(crate) reaper: Reaper,
    entries: EntryBuffer,
    shortage: Shortage,
}

/// A shortage of memory.
#[derive(Debug, Default)]
struct Shortage {
    /// Whether memory was short since the begin of the last scan.
    is_present: bool,
    /// Whether a warning has reported the shortage.
    is_reported: bool,
}

impl Shortage {
    fn begin_scan(&mut self) {
        self.is_present = false;
    }

    /// Notes the shortage. Returns whether a warning is due: once in a shortage.
    fn note(&mut self) -> bool {
        self.is_present = true;
        !std::mem::replace(&mut self.is_reported, true)
    }

    fn end_scan(&mut self, error: Option<Errno>) {
        self.is_present |= error == Some(Errno::ENOMEM);
        self.is_reported &= self.is_present;
    }
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(config: SpawnConfig, children: &'a SignalPipe, report: WarnFn<'a>) -> Self {
        Scanner {
            table: ServiceTable::default(),
            spawner: Spawner::new(config, children, report),
            report,
            unsettled: false,
            reaper: Reaper::default(),
            entries: EntryBuffer::default(),
            shortage: Shortage::default(),
        }
    }

    /// Scans the whole directory and starts missing processes. Returns whether
    /// all entries could be read.
    pub(crate) fn scan(&mut self) -> bool {
        self.table.mark_unseen();
        self.shortage.begin_scan();
        let mut entries = std::mem::take(&mut self.entries);
        let scanned = entries
            .try_reserve(ENTRY_BUFFER)
            .and_then(|()| file::open_read(c"."))
            .and_then(|directory| entries.read(directory.as_fd(), |_, name| self.scan_entry(name)));
        self.entries = entries;
        self.shortage.end_scan(scanned.err());
        scanned
            .map_err(|error| (self.report)(ScanWarning::ReadDirectory, error))
            .is_ok()
    }

    /// Whether memory was short since the begin of the last scan.
    pub(crate) fn is_short(&self) -> bool {
        self.shortage.is_present
    }

    /// Warns once in a shortage.
    fn report_short(&mut self, name: &CStr, error: Errno) {
        if self.shortage.note() {
            (self.report)(ScanWarning::Memory(name), error);
        }
    }

    fn scan_entry(&mut self, name: &CStr) {
        if is_hidden(name) {
            return;
        }
        match directory_id(name) {
            Ok(Some(directory)) => {
                self.forget_replaced(directory, name);
                match self.table.admit(directory, name) {
                    Admission::New(_) => self.add_service(directory, name),
                    Admission::Known(slots) => {
                        note_start(&mut self.unsettled, self.spawner.start(slots));
                    }
                    Admission::NoMemory(error) => {
                        self.report_short(name, error);
                        self.start_missing(directory);
                    }
                }
            }
            Ok(None) => {}
            Err(error) => (self.report)(ScanWarning::Stat(name), error),
        }
    }

    /// Adds the services of new symbolic links, as far as the watcher reports them.
    pub(crate) fn add_new_links(&mut self, watcher: Option<&mut Watcher>) {
        let Some(watcher) = watcher else {
            return;
        };
        watcher.visit_events(|name| {
            let is_link = file::link_status(name).is_ok_and(|status| status.is_symlink());
            if is_hidden(name) || !is_link {
                return;
            }
            // Errors are left to the next scan, which reports them.
            if let Ok(Some(directory)) = directory_id(name) {
                self.forget_replaced(directory, name);
                self.add_service(directory, name);
            }
        });
    }

    /// Forgets a dead service if another directory has its inode.
    fn forget_replaced(&mut self, directory: DirectoryId, name: &CStr) {
        let dead = self.table.dead(directory);
        if dead.is_some_and(|dead| self.spawner.is_replaced(dead, name)) {
            let _ = self.table.forget(directory);
        }
    }

    /// Adds a service and starts its processes, unless the table knows it.
    pub(crate) fn add_service(&mut self, directory: DirectoryId, name: &CStr) {
        match self.table.admit(directory, name) {
            Admission::New(service) => {
                self.unsettled = true;
                if let Err(error) = self.spawner.start_new(service) {
                    self.report_short(name, error);
                }
            }
            Admission::Known(_) => {}
            Admission::NoMemory(error) => self.report_short(name, error),
        }
    }

    /// Starts the missing processes of a service.
    pub(crate) fn start_missing(&mut self, directory: DirectoryId) {
        if let Some(slots) = self.table.missing(directory) {
            note_start(&mut self.unsettled, self.spawner.start(slots));
        }
    }

    /// Starts the process of a role. The next scan retries after a failure.
    pub(crate) fn start(&mut self, directory: DirectoryId, role: Role) {
        if let Some(slot) = self.table.slot(directory, role) {
            self.spawner.start(slot);
        }
    }

    /// As [`Scanner::start`], for a service directory at another path.
    pub(crate) fn start_at(&mut self, directory: DirectoryId, role: Role, path: CString) {
        let name = self.table.rename(directory, path);
        self.start(directory, role);
        if let Some(name) = name {
            let _ = self.table.rename(directory, name);
        }
    }

    /// Whether the services have changed since the last call, or a process could
    /// not be started.
    pub(crate) fn take_unsettled(&mut self) -> bool {
        std::mem::take(&mut self.unsettled)
    }

    /// Starts the missing processes of all services.
    pub(crate) fn start_all_missing(&mut self) {
        let mut last = None;
        while let Some(directory) = self.table.next_directory(last) {
            self.start_missing(directory);
            last = Some(directory);
        }
    }

    /// Removes the services that the last scan did not see. Calls `stop` with their
    /// processes.
    pub(crate) fn remove_unseen(&mut self, stop: impl FnMut(Pid)) {
        let count = self.table.count();
        self.table.sweep_all(stop);
        self.unsettled |= self.table.count() != count;
    }

    /// Reaps exited children.
    pub(crate) fn reap_children(&mut self) {
        while let Some((pid, status)) = {
            let has_children = || self.table.pids().next().is_some();
            self.reaper.reap(has_children)
        } {
            let exit = match status.code() {
                Some(0) => ChildExit::Success,
                Some(_) | None => ChildExit::Failure,
            };
            self.table.record_exit(pid, exit, Instant::now());
        }
    }

    /// Replaces failed processes that were reaped. A service that was removed or
    /// renamed is left to the next scan.
    pub(crate) fn replace(&mut self) {
        let (spawner, unsettled) = (&mut self.spawner, &mut self.unsettled);
        self.table.take_replaced(|table, process| {
            let MissingProcess { directory, role } = process;
            let name = table.name(directory);
            if name.is_some_and(|name| names_directory(name, directory)) {
                if let Some(slot) = table.slot(directory, role) {
                    note_start(unsettled, spawner.start(slot));
                }
            }
        });
    }
}

/// Notes whether all processes were started. A process that was not needs another scan
/// soon.
fn note_start(unsettled: &mut bool, all_started: bool) {
    *unsettled |= !all_started;
}

fn is_hidden(name: &CStr) -> bool {
    name.to_bytes().starts_with(b".")
}

/// The ID of a directory by its name. None if the file is no directory.
fn directory_id(name: &CStr) -> Result<Option<DirectoryId>, Errno> {
    let status = file::status(name)?;
    Ok(status.is_dir().then_some(DirectoryId::of(&status)))
}

/// Whether a name leads to this directory.
pub(crate) fn names_directory(name: &CStr, directory: DirectoryId) -> bool {
    directory_id(name) == Ok(Some(directory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{in_directory, write};

    #[test]
    fn shortage_is_reported_once_and_again_after_its_end() {
        let mut shortage = Shortage::default();
        for (error, is_present) in [
            (None, false),
            (Some(Errno::EACCES), false),
            (Some(Errno::ENOMEM), true),
        ] {
            shortage.begin_scan();
            shortage.end_scan(error);
            assert_eq!(shortage.is_present, is_present, "{error:?}");
        }
        shortage.begin_scan();
        assert!(shortage.note() && !shortage.note());
        shortage.end_scan(None);
        assert!(shortage.is_present && !shortage.note());
        shortage.begin_scan();
        shortage.end_scan(None);
        assert!(!shortage.is_present && shortage.note());
    }

    #[test]
    fn failed_start_needs_a_scan_until_it_is_taken() {
        for (before, all_started, after) in [
            (false, true, false),
            (false, false, true),
            (true, true, true),
            (true, false, true),
        ] {
            let mut unsettled = before;
            note_start(&mut unsettled, all_started);
            assert_eq!(unsettled, after, "{before} {all_started}");
        }
    }

    #[test]
    fn names_of_directories_have_the_id_of_the_directory() {
        in_directory(|| {
            std::fs::create_dir("a").unwrap();
            std::os::unix::fs::symlink("a", "link").unwrap();
            write("file", b"");
            let id = DirectoryId::of(&std::fs::metadata("a").unwrap());
            assert_eq!(directory_id(c"a"), Ok(Some(id)));
            assert_eq!(directory_id(c"file"), Ok(None));
            assert_eq!(directory_id(c"missing"), Err(Errno::ENOENT));
            assert!(names_directory(c"link", id) && !names_directory(c".", id));
            assert!(!names_directory(c"missing", id));
            assert!(is_hidden(c".a") && is_hidden(c".") && !is_hidden(c"a."));
            let mut watcher = watch_names().unwrap();
            write("new", b"");
            std::fs::rename("new", "renamed").unwrap();
            assert_eq!(watcher.take_events().len(), 2);
        });
    }
}
