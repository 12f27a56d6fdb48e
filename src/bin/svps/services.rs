//! The services of a directory and their loggers.

use std::ffi::{CStr, CString};
use std::os::fd::AsFd;

use daemontools::ServiceSnapshot;
use daemontools::listing::{ServiceListing, enter};
use daemontools::supervise_dir::{SuperviseDir, SuperviseDirRule};
use daemontools_core::names;
use nix::errno::Errno;
use nix::unistd::{Pid, SysconfVar, read, sysconf};
use unix::file::open_read;
use unix::process::proc_path;

use super::details::Details;
use super::row::{Memory, Row, UnreadableFile};

/// The services of a directory.
pub(crate) enum Services {
    /// Those in a scan directory, sorted by name.
    Scanned(Vec<Row>),
    /// The directory itself, which is a service directory.
    Single(Vec<Row>),
}

impl Services {
    /// The rows.
    pub(crate) fn rows(self) -> Vec<Row> {
        match self {
            Services::Scanned(rows) | Services::Single(rows) => rows,
        }
    }
}

/// The services of a directory, with their details if `with_details`. Changes the
/// current directory. Errors: as open(2) and readdir(3).
pub(crate) fn read_services(
    rule: SuperviseDirRule,
    scandir: &CStr,
    with_details: bool,
) -> Result<Services, Errno> {
    let (listing, directory) = ServiceListing::read(rule, scandir)?;
    let mut reader = Reader {
        rule,
        with_details,
        page_size: page_size(),
        rows: Vec::new(),
    };
    match listing {
        ServiceListing::Service(name) => {
            reader.read(&directory, c".", &name, |_| ());
            Ok(Services::Single(reader.rows))
        }
        ServiceListing::Scan(names) => {
            for name in names {
                reader.read(&directory, &name, &name, |_| ());
            }
            Ok(Services::Scanned(reader.rows))
        }
    }
}

/// The rows of one service in `parent`, shown as `name`. Calls `visit` in the
/// directory of the service and in that of its logger, before their status is read.
pub(crate) fn read_service(
    rule: SuperviseDirRule,
    parent: impl AsFd,
    entry: &CStr,
    name: &CStr,
    visit: impl FnMut(&SuperviseDir),
) -> Vec<Row> {
    let mut reader = Reader {
        rule,
        with_details: false,
        page_size: page_size(),
        rows: Vec::new(),
    };
    reader.read(parent, entry, name, visit);
    reader.rows
}

/// Reads the memory of a row again.
pub(crate) fn refresh_memory(row: &mut Row) {
    row.memory = row.pid().and_then(|pid| memory(pid, page_size()));
}

struct Reader {
    rule: SuperviseDirRule,
    with_details: bool,
    page_size: u64,
    rows: Vec<Row>,
}

impl Reader {
    /// Adds the rows of a service, shown as `name`, and of its logger. `visit` is
    /// called as in [`read_service`].
    fn read(
        &mut self,
        parent: impl AsFd,
        entry: &CStr,
        name: &CStr,
        mut visit: impl FnMut(&SuperviseDir),
    ) {
        let service = match enter(parent, entry) {
            Ok(Some(service)) => service,
            Ok(None) => return,
            Err(error) => return self.add_unreadable(false, name, name, error),
        };
        self.add_current(false, name, name, &mut visit);
        if let Some(logger) = enter(&service, names::LOG).transpose() {
            let path = [name.to_bytes(), b"/", names::LOG.to_bytes()].concat();
            let path = CString::new(path).unwrap_or_default();
            match logger {
                Ok(_) => self.add_current(true, name, &path, &mut visit),
                Err(error) => self.add_unreadable(true, name, &path, error),
            }
        }
    }

    /// Adds the row of the service or logger in the current directory, which
    /// messages call `path`.
    fn add_current(
        &mut self,
        logger: bool,
        name: &CStr,
        path: &CStr,
        visit: &mut impl FnMut(&SuperviseDir),
    ) {
        let files = match self.rule.of_current() {
            Ok(files) => files,
            Err(error) => return self.add_unreadable(logger, name, path, error),
        };
        visit(&files);
        let snapshot = ServiceSnapshot::read(&files).map_err(|error| {
            let (file, errno) = error.file();
            let name = files.display(path, file);
            UnreadableFile { name, errno }
        });
        let mut row = Row {
            name: name.to_bytes().to_owned(),
            logger,
            snapshot,
            memory: None,
            details: None,
        };
        row.memory = row.pid().and_then(|pid| memory(pid, self.page_size));
        row.details = match (self.with_details, logger) {
            (false, _) => None,
            (true, false) => Some(Details::of_service(&files)),
            (true, true) => Some(Details::of_logger(&files, row.pid())),
        };
        self.rows.push(row);
    }

    /// Adds the row of a directory that cannot be entered.
    fn add_unreadable(&mut self, logger: bool, name: &CStr, path: &CStr, error: Errno) {
        self.rows.push(Row {
            name: name.to_bytes().to_owned(),
            logger,
            snapshot: Err(UnreadableFile {
                name: path.to_bytes().to_owned(),
                errno: Some(error),
            }),
            memory: None,
            details: None,
        });
    }
}

/// The size of a page of memory, in bytes.
fn page_size() -> u64 {
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok())
        .unwrap_or(4096)
}

/// The memory of a process: resident and shared pages in /proc/PID/statm. None for a
/// process that has exited, and that its parent has not waited for: all are 0.
fn memory(pid: i32, page_size: u64) -> Option<Memory> {
    let file = open_read(proc_path(Pid::from_raw(pid), "statm")?.as_str()).ok()?;
    let mut text = [0; 128];
    let length = read(&file, &mut text).ok()?;
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    let mut numbers = text.split(' ').map(str::parse::<u64>);
    let resident = numbers.nth(1)?.ok().filter(|&pages| pages != 0)?;
    let shared = numbers.next()?.ok()?;
    Some(Memory {
        private: resident.saturating_sub(shared).saturating_mul(page_size),
        resident: resident.saturating_mul(page_size),
    })
}
