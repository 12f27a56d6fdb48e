//! Services of s6-supervise.

use daemontools_core::names;
use daemontools_core::s6::{LENGTH, S6Status};
use nix::errno::Errno;

use crate::client::{ClientError, read_status};
use crate::error::{Error, Operation};
use crate::service::Service;

/// The state of a service of s6-supervise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct S6Snapshot {
    /// Whether s6-supervise runs. Otherwise, the status may be stale.
    pub supervised: bool,
    /// The status.
    pub status: S6Status,
}

impl Service {
    /// Reads the status of a service of s6-supervise, in s6 2.11. Never blocks. None:
    /// there is no record, or another program wrote it. `SUPERVISEDIR` does not move
    /// the files of s6.
    ///
    /// [`Service::is_supervised`], [`Service::snapshot`] and the waits do not know the
    /// files of s6. [`Service::send`] sends the same letters as s6-svc, except those of
    /// [`WindowChange`](crate::ServiceSignal::WindowChange) and
    /// [`Target`](crate::Command::Target).
    ///
    /// # Errors
    /// As open(2) of `supervise/status` and `supervise/control`, and read(2), except
    /// for files that do not exist.
    pub fn s6_snapshot(&self) -> Result<Option<S6Snapshot>, Error> {
        let files = self.files.in_service();
        let is_missing = |error: &ClientError| error.raw_os_error() == Errno::ENOENT as i32;
        let failed = |error| Error::of_client(self.path(), &files, error);
        // One byte more shows another record.
        let mut record = [0; LENGTH + 1];
        let status = match read_status(&files, &mut record) {
            Ok(record) => S6Status::decode(record),
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(failed(error)),
        };
        let Some(status) = status else {
            return Ok(None);
        };
        // s6-supervise has no FIFO `ok`.
        let supervised = match files.open_write(names::CONTROL) {
            Ok(_) => true,
            Err(Errno::ENXIO | Errno::ENOENT) => false,
            Err(error) => {
                return Err(failed(ClientError::new(Operation::Open, names::CONTROL)(
                    error,
                )));
            }
        };
        Ok(Some(S6Snapshot { supervised, status }))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::supervise_dir::SuperviseDirRule;
    use testkit::service_files::{Supervised, in_directory, write, write_status};

    #[test]
    fn control_fifo_shows_s6_supervise() {
        in_directory(|| {
            let open = |rule| Service::open_with(rule, ".").unwrap();
            let service = open(SuperviseDirRule::InService);
            let supervised = || {
                let snapshot = service.s6_snapshot().unwrap();
                snapshot.map(|snapshot| snapshot.supervised)
            };
            assert_eq!(supervised(), None);
            std::fs::create_dir("supervise").unwrap();
            write("supervise/status", &[0; LENGTH]);
            assert_eq!(supervised(), Some(false));
            let files = Supervised::new(".");
            std::fs::remove_file("supervise/ok").unwrap();
            assert_eq!(supervised(), Some(true));
            let moved = open(SuperviseDirRule::Relative(b"elsewhere"));
            assert_eq!(moved.s6_snapshot(), service.s6_snapshot());
            drop(files);
            assert_eq!(supervised(), Some(false));
        });
    }

    #[test]
    fn records_of_supervise_and_runsv_are_not_of_s6() {
        in_directory(|| {
            let _supervised = Supervised::new(".");
            let service = Service::open_with(SuperviseDirRule::InService, ".").unwrap();
            write_status(".", 7, daemontools_core::status::Want::Up);
            assert_eq!(service.s6_snapshot(), Ok(None));
            for length in [20, LENGTH + 1] {
                write("supervise/status", &vec![0; length]);
                assert_eq!(service.s6_snapshot(), Ok(None));
            }
            std::fs::remove_file("supervise/status").unwrap();
            std::fs::create_dir("supervise/status").unwrap();
            let error = service.s6_snapshot().unwrap_err();
            assert_eq!(error.operation(), Operation::Read);
            assert_eq!(error.path(), Path::new("./supervise/status"));
        });
    }

    #[test]
    fn other_errors_of_the_control_fifo_name_it() {
        in_directory(|| {
            std::fs::create_dir_all("supervise/control").unwrap();
            write("supervise/status", &[0; LENGTH]);
            let service = Service::open_with(SuperviseDirRule::InService, ".").unwrap();
            let error = service.s6_snapshot().unwrap_err();
            assert_eq!(error.operation(), Operation::Open);
            assert_eq!(error.path(), Path::new("./supervise/control"));
        });
    }
}
