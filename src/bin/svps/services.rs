//! The services of a directory and their loggers.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use daemontools_core::names;
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, SysconfVar, fchdir, read, sysconf};
use supervision::client::{ClientError, Operation, ServiceSnapshot, StatusError};
use unix::cwd::open_directory;
use unix::file::open_read;
use unix::process::proc_path;

use super::row::{Memory, Row};

/// The rows of the services in `scandir`, sorted by name. `report` gets each
/// directory that cannot be read, relative to `scandir`. Changes the current
/// directory. Errors: as open(2) and readdir(3).
pub(crate) fn read_services(
    scandir: &CStr,
    mut report: impl FnMut(&CStr, StatusError),
) -> Result<Vec<Row>, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut directory = Dir::open(scandir, flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in directory.iter() {
        let entry = entry?;
        let may_be_a_service = match entry.file_type() {
            Some(Type::Directory | Type::Symlink) | None => true,
            Some(_) => false,
        };
        let name = entry.file_name();
        if may_be_a_service && !name.to_bytes().starts_with(b".") {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    let page_size = page_size();
    let mut rows = Vec::new();
    for name in names {
        let mut add =
            |logger: bool, path: &CStr, snapshot: Result<ServiceSnapshot, StatusError>| {
                let snapshot = snapshot.map_err(|error| report(path, error)).ok();
                let mut row = Row {
                    name: name.to_bytes().to_owned(),
                    logger,
                    snapshot,
                    memory: None,
                };
                row.memory = row.pid().and_then(|pid| memory(pid, page_size));
                rows.push(row);
            };
        let service = match enter(&directory, &name) {
            Ok(Some(service)) => service,
            Ok(None) => continue,
            Err(error) => {
                add(false, &name, Err(error));
                continue;
            }
        };
        add(false, &name, ServiceSnapshot::read());
        if let Some(logger) = enter(&service, names::LOG).transpose() {
            let path = [name.to_bytes(), b"/", names::LOG.to_bytes()].concat();
            let path = CString::new(path).unwrap_or_default();
            add(true, &path, logger.and_then(|_| ServiceSnapshot::read()));
        }
    }
    Ok(rows)
}

/// Enters a directory in another one; None if there is none, and so no service.
fn enter(parent: impl AsFd, name: &CStr) -> Result<Option<OwnedFd>, StatusError> {
    let directory = open_directory(parent, name);
    let entered = directory.and_then(|directory| fchdir(&directory).map(|()| directory));
    match entered {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
        Err(errno) => Err(StatusError::Client(ClientError {
            operation: Operation::Open,
            file: c"",
            errno,
        })),
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
