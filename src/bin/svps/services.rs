//! The services of a directory and their loggers.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use daemontools::{Error, ScanDir, Service, ServiceListing, SuperviseDirRule};
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

/// The services of a directory, with their details if `with_details`. Errors: as open(2) and readdir(3).
pub(crate) fn read_services(
    rule: SuperviseDirRule,
    path: &CStr,
    with_details: bool,
) -> Result<Services, Errno> {
    let scan_dir = open_scan_dir(rule, path)?;
    let mut reader = Reader {
        with_details,
        page_size: page_size(),
        rows: Vec::new(),
    };
    match scan_dir.listing() {
        ServiceListing::Service(name) => {
            reader.read(&scan_dir, c".", name, |_| ());
            Ok(Services::Single(reader.rows))
        }
        ServiceListing::Scan(names) => {
            for name in names {
                reader.read(&scan_dir, name, name, |_| ());
            }
            Ok(Services::Scanned(reader.rows))
        }
    }
}

/// Opens and lists a directory. Errors: as open(2) and readdir(3).
pub(crate) fn open_scan_dir(rule: SuperviseDirRule, path: &CStr) -> Result<ScanDir, Errno> {
    let scan_dir = ScanDir::open_with(rule, OsStr::from_bytes(path.to_bytes()));
    scan_dir.map_err(|error| errno(&error).unwrap_or(Errno::EINVAL))
}

/// The errno; None: bad format.
fn errno(error: &Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

/// The rows of one entry of a scan directory, shown as `name`. Calls `visit` with the
/// service and with its logger, before their status is read.
pub(crate) fn read_service(
    scan_dir: &ScanDir,
    entry: &CStr,
    name: &CStr,
    visit: impl FnMut(&Service),
) -> Vec<Row> {
    let mut reader = Reader {
        with_details: false,
        page_size: page_size(),
        rows: Vec::new(),
    };
    reader.read(scan_dir, entry, name, visit);
    reader.rows
}

/// Reads the memory of a row again.
pub(crate) fn refresh_memory(row: &mut Row) {
    row.memory = row.pid().and_then(|pid| memory(pid, page_size()));
}

struct Reader {
    with_details: bool,
    page_size: u64,
    rows: Vec<Row>,
}

impl Reader {
    /// Adds the rows of a service, shown as `name`, and of its logger. `visit` is
    /// called as in [`read_service`].
    fn read(
        &mut self,
        scan_dir: &ScanDir,
        entry: &CStr,
        name: &CStr,
        mut visit: impl FnMut(&Service),
    ) {
        let service = match scan_dir.entry(OsStr::from_bytes(entry.to_bytes())) {
            Ok(Some(service)) => service,
            Ok(None) => return,
            Err(error) => return self.add_unreadable(false, name, name.to_bytes(), &error),
        };
        let bytes = name.to_bytes();
        self.add(false, name, bytes, &service, &mut visit);
        let path = [bytes, b"/", names::LOG.to_bytes()].concat();
        match service.logger() {
            Ok(Some(logger)) => self.add(true, name, &path, &logger, &mut visit),
            Ok(None) => {}
            Err(error) => self.add_unreadable(true, name, &path, &error),
        }
    }

    /// Adds the row of a service or logger, which messages call `path`.
    fn add(
        &mut self,
        logger: bool,
        name: &CStr,
        path: &[u8],
        service: &Service,
        visit: &mut impl FnMut(&Service),
    ) {
        visit(service);
        let snapshot = service.snapshot().map_err(|error| {
            let path = Path::new(OsStr::from_bytes(path)).join(error.file());
            UnreadableFile {
                name: path.into_os_string().into_vec(),
                errno: errno(&error),
            }
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
            (true, false) => Some(Details::of_service(service)),
            (true, true) => Some(Details::of_logger(service, row.pid())),
        };
        self.rows.push(row);
    }

    /// Adds the row of a directory that cannot be entered.
    fn add_unreadable(&mut self, logger: bool, name: &CStr, path: &[u8], error: &Error) {
        self.rows.push(Row {
            name: name.to_bytes().to_owned(),
            logger,
            snapshot: Err(UnreadableFile {
                name: path.to_owned(),
                errno: errno(error),
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
