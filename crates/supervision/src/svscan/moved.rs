//! Service directories that their names do not lead to any more: svscan keeps
//! them open during a shutdown, because the logger may have to start again.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use nix::fcntl::{AT_FDCWD, readlink};
use nix::unistd::{Pid, chdir};
use unix::cwd::open_directory;
use unix::process::proc_path;

use super::ScanLoop;
use crate::Role;
use crate::scan::names_directory;
use crate::table::DirectoryId;

impl ScanLoop<'_> {
    /// Opens the directory of a service with a logger, if the name of the service
    /// does not lead there but the working directory of a supervise does.
    pub(super) fn keep_moved(&mut self, directory: DirectoryId) {
        let table = &self.scanner.table;
        let is_named = table
            .name(directory)
            .is_some_and(|name| names_directory(name, directory));
        let has_logger = table.pipe(directory).is_some();
        if !must_open(is_named, has_logger, self.moved.contains(directory)) {
            return;
        }
        let open = || open_directory(AT_FDCWD, c".").ok();
        // ScanLoop::moved_path looks whether this is the service directory.
        let open_above = || chdir("..").ok().and_then(|()| open());
        let service = self.run_inside(directory, Role::Service, open).flatten();
        let opened = service.or_else(|| {
            self.run_inside(directory, Role::Logger, open_above)
                .flatten()
        });
        if let Some(opened) = opened {
            // Without memory, the descriptor is opened anew when it is needed.
            if self.moved.try_reserve(1).is_ok() {
                self.moved.insert(directory, opened);
            }
        }
    }

    /// The present path of a directory that [`ScanLoop::keep_moved`] has opened.
    pub(super) fn moved_path(&self, directory: DirectoryId) -> Option<CString> {
        let opened: &OwnedFd = self.moved.get(directory)?;
        let entry = format!("fd/{}", opened.as_raw_fd());
        let path = readlink(proc_path(Pid::this(), &entry)?.as_str()).ok()?;
        let path = CString::new(path.into_vec()).ok()?;
        Some(path).filter(|path| names_directory(path, directory))
    }
}

/// Whether to open a service directory, which may be open already.
fn must_open(is_named: bool, has_logger: bool, is_open: bool) -> bool {
    !is_named && has_logger && !is_open
}

#[cfg(test)]
mod tests {
    use super::must_open;

    #[test]
    fn moved_directory_with_logger_is_opened_once() {
        for facts in 0..8 {
            let [is_named, has_logger, is_open] = [1, 2, 4].map(|bit| facts & bit != 0);
            let expected = (is_named, has_logger, is_open) == (false, true, false);
            assert_eq!(
                must_open(is_named, has_logger, is_open),
                expected,
                "{facts}"
            );
        }
    }
}
