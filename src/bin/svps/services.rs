//! The services of a directory and their loggers.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use daemontools_core::names;
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::unistd::{Pid, SysconfVar, fchdir, getcwd, read, sysconf};
use supervision::client::ServiceSnapshot;
use supervision::supervise_dir::SuperviseDirRule;
use unix::cwd::open_directory;
use unix::file::{open_read, status};
use unix::process::proc_path;

use super::row::{Memory, Row};

/// The services of a directory.
pub(crate) enum Services {
    /// Those in a scan directory, sorted by name.
    Scanned(Vec<Row>),
    /// The directory itself, which is a service directory.
    Single(Vec<Row>),
}

/// A file of a service that cannot be read, as in messages, and its errno. None:
/// bad format.
type ReportFn<'a> = &'a mut dyn FnMut(&[u8], Option<Errno>);

/// The services of a directory. `report` gets each service that cannot be read,
/// relative to `scandir`. Changes the current directory. Errors: as open(2) and
/// readdir(3).
pub(crate) fn read_services(
    rule: SuperviseDirRule,
    scandir: &CStr,
    report: ReportFn<'_>,
) -> Result<Services, Errno> {
    let failed = |error| unix::errno(&error);
    let entries = std::fs::read_dir(OsStr::from_bytes(scandir.to_bytes())).map_err(failed)?;
    let directory = open_directory(AT_FDCWD, scandir)?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let may_be_a_service = entry
            .file_type()
            .is_ok_and(|kind| kind.is_dir() || kind.is_symlink());
        let name = entry.file_name().into_vec();
        if may_be_a_service && !name.starts_with(b".") {
            names.extend(CString::new(name));
        }
    }
    let mut reader = Reader {
        rule,
        report,
        page_size: page_size(),
        rows: Vec::new(),
    };
    let is_service = |name: &CStr| is_service(rule, &directory, name);
    // The logger is a part of the service.
    let mut others = names.iter().filter(|name| name.as_c_str() != names::LOG);
    if is_service(c".") && !others.any(|name| is_service(name)) {
        reader.read(&directory, c".", &last_name(scandir));
        return Ok(Services::Single(reader.rows));
    }
    names.sort_unstable();
    for name in names {
        reader.read(&directory, &name, &name);
    }
    Ok(Services::Scanned(reader.rows))
}

/// Whether an entry of a directory is a service directory: it has `run`, or a
/// supervise has run there. In a scan directory, services may have these names.
/// Leaves the directory as the current one.
fn is_service(rule: SuperviseDirRule, directory: &OwnedFd, name: &CStr) -> bool {
    let type_of = |file: &CStr| Some(status(file).ok()?.file_type());
    let has_service_files = || {
        let files = rule.of_current().ok();
        type_of(names::RUN).is_some_and(|of_run| !of_run.is_dir())
            || files.is_some_and(|files| {
                type_of(&files.path(names::OK)).is_some_and(|of_ok| of_ok.is_fifo())
            })
    };
    let entered = enter(directory, name).is_ok_and(|entered| entered.is_some());
    let is_service = entered && has_service_files();
    let _ = fchdir(directory);
    is_service
}

/// The last name in the path of the current directory. If the path ends with
/// `.` or `..`, or has no name: the name of the directory itself.
fn last_name(path: &CStr) -> CString {
    let is_name = |name: &&[u8]| !name.is_empty();
    let last = path.to_bytes().split(|&byte| byte == b'/').rfind(is_name);
    match last {
        Some(b"." | b"..") | None => {}
        Some(name) => return CString::new(name).unwrap_or_default(),
    }
    let path = getcwd().ok();
    let name = path.as_deref().and_then(Path::file_name);
    let name = name.and_then(|name| CString::new(name.as_bytes()).ok());
    name.unwrap_or_else(|| c".".to_owned())
}

struct Reader<'a> {
    rule: SuperviseDirRule,
    report: ReportFn<'a>,
    page_size: u64,
    rows: Vec<Row>,
}

impl Reader<'_> {
    /// Adds the rows of a service, shown as `name`, and of its logger.
    fn read(&mut self, parent: impl AsFd, entry: &CStr, name: &CStr) {
        let service = match enter(parent, entry) {
            Ok(Some(service)) => service,
            Ok(None) => return,
            Err(error) => return self.add_unreadable(false, name, name, error),
        };
        self.add_current(false, name, name);
        if let Some(logger) = enter(&service, names::LOG).transpose() {
            let path = [name.to_bytes(), b"/", names::LOG.to_bytes()].concat();
            let path = CString::new(path).unwrap_or_default();
            match logger {
                Ok(_) => self.add_current(true, name, &path),
                Err(error) => self.add_unreadable(true, name, &path, error),
            }
        }
    }

    /// Adds the row of the service or logger in the current directory, which
    /// messages call `path`.
    fn add_current(&mut self, logger: bool, name: &CStr, path: &CStr) {
        let files = match self.rule.of_current() {
            Ok(files) => files,
            Err(error) => return self.add_unreadable(logger, name, path, error),
        };
        let snapshot = ServiceSnapshot::read(&files).map_err(|error| {
            let (file, errno) = error.file();
            (self.report)(&files.display(path, file), errno);
        });
        self.add(logger, name, snapshot.ok());
    }

    /// Adds the row of a directory that cannot be entered.
    fn add_unreadable(&mut self, logger: bool, name: &CStr, path: &CStr, error: Errno) {
        (self.report)(path.to_bytes(), Some(error));
        self.add(logger, name, None);
    }

    fn add(&mut self, logger: bool, name: &CStr, snapshot: Option<ServiceSnapshot>) {
        let mut row = Row {
            name: name.to_bytes().to_owned(),
            logger,
            snapshot,
            memory: None,
        };
        row.memory = row.pid().and_then(|pid| memory(pid, self.page_size));
        self.rows.push(row);
    }
}

/// Enters a directory in another one; None if there is none, and so no service.
fn enter(parent: impl AsFd, name: &CStr) -> Result<Option<OwnedFd>, Errno> {
    let directory = open_directory(parent, name);
    let entered = directory.and_then(|directory| fchdir(&directory).map(|()| directory));
    match entered {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The size of a page of memory, in bytes.
fn page_size() -> u64 {
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok())
        .unwrap_or(4096)
}

/// The memory of a process: resident and shared pages in /proc/PID/statm.
fn memory(pid: i32, page_size: u64) -> Option<Memory> {
    let file = open_read(proc_path(Pid::from_raw(pid), "statm")?.as_str()).ok()?;
    let mut text = [0; 128];
    let length = read(&file, &mut text).ok()?;
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    let mut numbers = text.split(' ').map(str::parse::<u64>);
    let resident = numbers.nth(1)?.ok()?;
    let shared = numbers.next()?.ok()?;
    Some(Memory {
        private: resident.saturating_sub(shared).saturating_mul(page_size),
        resident: resident.saturating_mul(page_size),
    })
}
