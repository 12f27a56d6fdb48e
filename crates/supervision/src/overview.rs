//! Looking at all services of a directory, for svps.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use daemontools_core::names;
use daemontools_core::overview::{Memory, Row};
use daemontools_core::snapshot::ServiceSnapshot;
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, fchdir, read};
use unix::file::open_read;
use unix::process::proc_path;

use crate::snapshot::{SnapshotError, read as read_snapshot};

/// The size of a page of memory in bytes.
#[derive(Clone, Copy, Debug)]
struct Pages(u64);

/// The services in `scanned` and their loggers, by name. `blind` is told of
/// what cannot be looked at: its name there, and why.
///
/// # Errors
/// As open(2) and readdir(3).
pub fn overview(
    scanned: &CStr,
    mut blind: impl FnMut(&CStr, SnapshotError),
) -> Result<Vec<Row>, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut directory = Dir::from_fd(open(scanned, flags, Mode::empty())?)?;
    let mut found = Vec::new();
    for entry in directory.iter() {
        let entry = entry?;
        let may_be_a_service = match entry.file_type() {
            Some(Type::Directory | Type::Symlink) | None => true,
            Some(_) => false,
        };
        let name = entry.file_name();
        if may_be_a_service && !name.to_bytes().starts_with(b".") {
            found.push(name.to_owned());
        }
    }
    found.sort_unstable();
    let pages = Pages::size();
    let mut rows = Vec::new();
    for name in found {
        let mut add =
            |logger: bool, called: &CStr, snapshot: Result<ServiceSnapshot, SnapshotError>| {
                let snapshot = snapshot.map_err(|error| blind(called, error)).ok();
                let mut row = Row {
                    name: name.to_bytes().to_owned(),
                    logger,
                    snapshot,
                    memory: None,
                };
                row.memory = row.pid().and_then(|pid| pages.memory(pid));
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
        add(false, &name, read_snapshot());
        let logger = enter(&service, names::LOG).transpose();
        if let Some(logger) = logger {
            let called = [name.to_bytes(), b"/", names::LOG.to_bytes()].concat();
            let called = CString::new(called).unwrap_or_default();
            add(true, &called, logger.and_then(|_| read_snapshot()));
        }
    }
    Ok(rows)
}

/// Makes a directory in another one the current directory; None if there is no
/// directory, and so no service.
fn enter(above: impl AsFd, name: &CStr) -> Result<Option<OwnedFd>, SnapshotError> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = openat(above, name, flags, Mode::empty());
    let entered = directory.and_then(|directory| fchdir(&directory).map(|()| directory));
    match entered {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
        Err(error) => Err(SnapshotError {
            file: c"",
            error: Some(error),
        }),
    }
}

impl Pages {
    fn size() -> Self {
        let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
        Pages(
            size.ok()
                .flatten()
                .and_then(|size| u64::try_from(size).ok())
                .unwrap_or(4096),
        )
    }

    /// The memory of a process, from /proc: pages in memory, and those of
    /// them that are of files or shared.
    fn memory(self, pid: i32) -> Option<Memory> {
        let file = open_read(proc_path(Pid::from_raw(pid), "statm")?.as_str()).ok()?;
        let mut text = [0; 128];
        let length = read(&file, &mut text).ok()?;
        let text = std::str::from_utf8(text.get(..length)?).ok()?;
        let mut numbers = text.split(' ').map(str::parse::<u64>);
        let resident = numbers.nth(1)?.ok()?;
        let shared = numbers.next()?.ok()?;
        Some(Memory {
            private: resident.saturating_sub(shared).saturating_mul(self.0),
            resident: resident.saturating_mul(self.0),
        })
    }
}
