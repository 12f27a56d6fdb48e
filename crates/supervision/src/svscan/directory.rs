//! The directory of one role of a service: svscan enters it, acts, and returns
//! to the scan directory.

use std::ffi::CStr;

use daemontools_core::names;
use nix::unistd::{Pid, chdir};
use unix::process::proc_path;

use super::ScanLoop;
use crate::Role;
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
        let table = &self.scanner.table;
        let supervisor = table.pid(directory, role);
        let entered = enter_by_name(table.name(directory)?, directory, role)
            || supervisor.is_some_and(|supervisor| enter_as(supervisor, directory, role));
        let result = entered.then(act);
        // Entering an open directory needs no lookup.
        let _ = root.enter();
        result
    }
}

fn enter_by_name(name: &CStr, directory: DirectoryId, role: Role) -> bool {
    chdir(name).is_ok()
        && names_directory(c".", directory)
        && match role {
            Role::Service => true,
            Role::Logger => chdir(names::LOG).is_ok(),
        }
}

/// Enters the working directory of a supervise.
fn enter_as(supervisor: Pid, directory: DirectoryId, role: Role) -> bool {
    proc_path(supervisor, "cwd").is_some_and(|path| chdir(path.as_str()).is_ok())
        && match role {
            // A new supervise is still in the scan directory.
            Role::Service => names_directory(c".", directory),
            Role::Logger => true,
        }
}
