//! The directory of one role of a service: svscan enters it, acts, and returns
//! to the scan directory.

use std::ffi::CStr;

use daemontools_core::names;
use nix::unistd::{Pid, chdir, fchdir};
use unix::process::proc_path;

use super::ScanLoop;
use crate::role::Role;
use crate::scan::names_directory;
use crate::table::DirectoryId;

impl ScanLoop<'_> {
    /// Runs `act` in the directory of a role, which is found by the name of the
    /// service or by the working directory of its supervise. None if neither
    /// leads there.
    pub(super) fn inside<T>(
        &self,
        directory: DirectoryId,
        role: Role,
        act: impl FnOnce() -> T,
    ) -> Option<T> {
        let root = &self.signals?.root;
        let service_dir = ServiceDirRef {
            directory,
            name: self.scanner.table.name(directory)?,
            role,
            supervisor: self.scanner.table.pid(directory, role),
        };
        let result = service_dir.enter().then(act);
        // Entering an open directory needs no lookup.
        let _ = fchdir(root);
        result
    }
}

/// A role of a service, and two ways to its directory.
#[derive(Clone, Copy, Debug)]
struct ServiceDirRef<'a> {
    directory: DirectoryId,
    name: &'a CStr,
    role: Role,
    supervisor: Option<Pid>,
}

impl ServiceDirRef<'_> {
    fn enter(&self) -> bool {
        let by_name = chdir(self.name).is_ok()
            && names_directory(c".", self.directory)
            && match self.role {
                Role::Service => true,
                Role::Logger => chdir(names::LOG).is_ok(),
            };
        if by_name {
            return true;
        }
        let path = self.supervisor.and_then(|pid| proc_path(pid, "cwd"));
        path.is_some_and(|path| chdir(path.as_str()).is_ok())
            && match self.role {
                // A new supervise is still in the scan directory.
                Role::Service => names_directory(c".", self.directory),
                Role::Logger => true,
            }
    }
}
