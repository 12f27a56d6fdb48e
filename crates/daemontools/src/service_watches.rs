//! Notification of changes of many services by inotify, without a descriptor for
//! each.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Instant;

use crate::error::{Cause, Error, Operation};
use crate::listing::ScanDir;
use crate::service::Service;
use crate::wait::{ENTRIES, Watches, watch_service};

/// Reports changes of the services in a scan directory, each with an index of the
/// caller: new status, start and exit of a supervise, new and removed directories.
///
/// ```no_run
/// use daemontools::{ChangedServices, ScanDir, ServiceWatches};
///
/// let scan_dir = ScanDir::open("/service")?;
/// let services: Vec<_> = scan_dir.services().filter_map(Result::ok).collect();
/// let mut watches = ServiceWatches::new()?;
/// watches.add_scan_directory(&scan_dir);
/// for (index, service) in services.iter().enumerate() {
///     watches.add(service, index);
/// }
/// // Other changes are those of the scan directory: open it again, with new watches.
/// while let ChangedServices::Indices(changed) = watches.take_changes() {
///     for index in changed {
///         let service = &services[index];
///         watches.add(service, index);
///         println!("{}: {:?}", service.path().display(), service.snapshot()?.state());
///     }
///     watches.wait(None);
/// }
/// # Ok::<(), daemontools::Error>(())
/// ```
#[derive(Debug)]
pub struct ServiceWatches {
    watches: Watches,
    is_complete: bool,
}

/// The services that may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum ChangedServices {
    /// The services with these indices; none if nothing has changed.
    Indices(Vec<usize>),
    /// All, and the scan directory may have other entries.
    All,
}

/// The index of the scan directory.
const SCAN_DIRECTORY: usize = usize::MAX;

impl ServiceWatches {
    /// Watches no service.
    ///
    /// # Errors
    /// As `inotify_init1`(2).
    pub fn new() -> Result<Self, Error> {
        let watches = Watches::new().map_err(|error| {
            Error::of_directory(Operation::Notify, Path::new(""), Cause::Os(error))
        })?;
        Ok(ServiceWatches {
            is_complete: watches.watcher.is_some(),
            watches,
        })
    }

    /// Watches the entries of a scan directory.
    pub fn add_scan_directory(&mut self, scan_dir: &ScanDir) {
        let path = scan_dir.directory().reach(c".");
        let added = self.watches.add(path.as_c_str(), ENTRIES, SCAN_DIRECTORY);
        self.is_complete &= added == Ok(true);
    }

    /// Watches a service, which need not stay open. Call this before a read of its
    /// status, and again after each change. `index`: any number but the largest one.
    pub fn add(&mut self, service: &Service, index: usize) {
        self.is_complete &= watch_service(&mut self.watches, &service.files, index).is_ok();
    }

    /// Whether all changes are reported. Otherwise the system ran out of watches or
    /// has none, or a directory is not readable, and the caller has to read all services again
    /// from time to time.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Readable after a change. None: the system has no notification.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.watches.watcher.as_ref().map(AsFd::as_fd)
    }

    /// Blocks until a change, or until the deadline; a signal may end the call earlier.
    /// Without notification: for at most five seconds.
    pub fn wait(&self, deadline: Option<Instant>) {
        self.watches.wait(None, deadline);
    }

    /// The changes since the last call. Without notification: always none.
    pub fn take_changes(&mut self) -> ChangedServices {
        match self.watches.take_indices() {
            Some(indices) if !indices.contains(&SCAN_DIRECTORY) => {
                ChangedServices::Indices(indices)
            }
            Some(_) | None => ChangedServices::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use daemontools_core::status::Want;

    use super::*;
    use crate::supervise_dir::SuperviseDirRule;
    use testkit::service_files::{Supervised, in_directory, write, write_status};

    fn scan_dir() -> ScanDir {
        ScanDir::open_with(SuperviseDirRule::InService, ".").unwrap()
    }

    #[test]
    fn changes_name_services_or_the_scan_directory() {
        in_directory(|| {
            let mut watches = ServiceWatches::new().unwrap();
            watches.add_scan_directory(&scan_dir());
            let mut services = Vec::new();
            for (index, name) in ["a", "b"].into_iter().enumerate() {
                services.push(Supervised::new(name));
                watches.add(&scan_dir().entry(name).unwrap().unwrap(), index);
            }
            assert!(watches.is_complete());
            // The directories are new.
            assert_eq!(watches.take_changes(), ChangedServices::All);
            let none = ChangedServices::Indices(vec![]);
            assert_eq!(watches.take_changes(), none);
            write_status("b", 7, Want::Up);
            let b = ChangedServices::Indices(vec![1]);
            assert_eq!(watches.take_changes(), b);
            assert_eq!(watches.take_changes(), none);
            watches.wait(Some(Instant::now()));
            drop(services);
            // A change ends the wait.
            watches.wait(None);
            let both = ChangedServices::Indices(vec![0, 1]);
            assert_eq!(watches.take_changes(), both);
            write("c", b"");
            assert_eq!(watches.take_changes(), ChangedServices::All);
        });
    }

    #[test]
    fn removed_files_leave_no_watches() {
        in_directory(|| {
            let mut watches = ServiceWatches::new().unwrap();
            let mut counts = Vec::new();
            for _ in 0..3 {
                let supervised = Supervised::new("a");
                let service = scan_dir().entry("a").unwrap().unwrap();
                watches.add(&service, 0);
                counts.push(watches.watches.services.len());
                drop((supervised, service));
                std::fs::remove_dir_all("a").unwrap();
                let changed = ChangedServices::Indices(vec![0]);
                assert_eq!(watches.take_changes(), changed);
            }
            assert_eq!(watches.watches.services.len(), 0);
            assert_eq!(counts, [counts[0]; 3]);
        });
    }

    #[test]
    fn unreadable_service_leaves_watches_incomplete() {
        in_directory(|| {
            let mut watches = ServiceWatches::new().unwrap();
            std::os::unix::fs::symlink("supervise", "supervise").unwrap();
            watches.add(&scan_dir().entry(".").unwrap().unwrap(), 0);
            watches.add_scan_directory(&scan_dir());
            assert!(!watches.is_complete());
        });
    }
}
