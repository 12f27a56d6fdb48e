//! Essential services: when one of them ends for good, svscan -e stops all
//! services and exits.

use std::convert::Infallible;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use daemontools::ServiceSnapshot;
use daemontools::supervise_dir::SuperviseDir;
use daemontools_core::names;
use daemontools_core::state::ServiceState;
use daemontools_core::status::Want;
use unix::appearance::{Watched, watch_path};
use unix::file;
use unix::inotify::AddWatchFlags;
use unix::path::PathBuffer;
use unix::watch::Watcher;

use super::{ExitReason, ScanLoop};
use crate::Role;
use crate::table::DirectoryId;

/// Reports when the state of an essential service may have changed.
#[derive(Debug)]
pub(super) struct EssentialWatch {
    /// Missing if the system refuses inotify. Scans then mark the watch dirty.
    watcher: Option<Watcher>,
    pub(super) dirty: bool,
    /// The number of services at the last check.
    count: usize,
}

impl EssentialWatch {
    pub(super) fn new() -> Self {
        EssentialWatch {
            watcher: Watcher::new().ok(),
            dirty: true,
            count: 0,
        }
    }

    pub(super) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.watcher.as_ref().map(AsFd::as_fd)
    }

    /// Whether a service may have changed since the last call. `count` is the
    /// number of services.
    fn take_dirty(&mut self, count: usize) -> bool {
        let mut dirty = std::mem::take(&mut self.dirty) || self.count != count;
        if let Some(watcher) = &mut self.watcher {
            watcher.visit_events(|_| dirty = true);
        }
        self.count = count;
        dirty
    }

    /// Removes all watches.
    pub(super) fn clear(&mut self) {
        if let Some(watcher) = &mut self.watcher {
            watcher.clear();
        }
    }

    /// Adds the service in the current directory.
    fn add(&mut self, files: &SuperviseDir) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let renamed = AddWatchFlags::IN_MOVED_TO;
        // The directories above are busy, or hold other services.
        let once = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_ONESHOT;
        let Ok(()) =
            watch_path::<Infallible>(Path::new("."), &files.path(names::SUPERVISE), |watched| {
                Ok(match watched {
                    Watched::Path(path) => watcher.add(path, renamed).is_ok(),
                    Watched::Above(above) => watcher.add(above, once | renamed).is_ok(),
                })
            });
    }
}

impl ScanLoop<'_> {
    /// Stops all services if an essential service has ended.
    pub(super) fn check_essential(&mut self) {
        if self.exit_reason.is_some() {
            return;
        }
        let Some(mut watch) = self.essential.take() else {
            return;
        };
        let dirty = watch.take_dirty(self.scanner.table.count());
        let code = if dirty {
            self.essential_exit(&mut watch)
        } else {
            None
        };
        self.essential = Some(watch);
        if let Some(code) = code {
            self.stop_all(ExitReason::Essential(code));
        }
    }

    /// The exit code of an essential service that has ended. Watches the others.
    fn essential_exit(&self, watch: &mut EssentialWatch) -> Option<u8> {
        let table = &self.scanner.table;
        let is_essential = |&(directory, name): &(DirectoryId, &CStr)| {
            if table.shutdown(directory).is_some() {
                false
            } else if table.is_seen(directory) {
                PathBuffer::join(name, names::ESSENTIAL)
                    .is_ok_and(|path| file::status(path.as_c_str()).is_ok())
            } else {
                // The name leads to another service, or nowhere.
                let exists = || file::status(names::ESSENTIAL).is_ok();
                self.run_inside(directory, Role::Service, exists) == Some(true)
            }
        };
        let essentials = table.services().filter(is_essential);
        essentials
            .map(|(directory, _)| directory)
            .find_map(|directory| {
                let snapshot = self.use_files(directory, Role::Service, |files| {
                    // First, so that no change is lost.
                    watch.add(files);
                    ServiceSnapshot::read(files)
                });
                essential_exit_code(&snapshot?.ok()?)
            })
    }
}

/// The exit code of svscan after the end of an essential service: the exit code
/// of the service, 128 plus the number of its signal, or 111 if both are
/// unknown.
///
/// Returns None while the service runs or may start again. The service cannot
/// start again after a permanent failure, or after a run that was requested once.
pub(super) fn essential_exit_code(snapshot: &ServiceSnapshot) -> Option<u8> {
    // A record without a running supervise may be stale.
    let record = snapshot.record.filter(|_| snapshot.supervised)?;
    let state = record.state_file?;
    let has_ended = match state.state {
        ServiceState::Failed => true,
        ServiceState::Down => record.status.want == Want::Once,
        ServiceState::Starting
        | ServiceState::Up
        | ServiceState::Ready
        | ServiceState::Finish
        | ServiceState::Delay
        | ServiceState::Start
        | ServiceState::Started
        | ServiceState::Stop => false,
    };
    let by_signal = state.signal.map(|signal| signal.saturating_add(128));
    has_ended.then_some(by_signal.or(state.exit_code).unwrap_or(111))
}

#[cfg(test)]
mod tests {
    use super::*;
    use daemontools::StatusRecord;
    use daemontools_core::label::Label;
    use daemontools_core::state::StateFile;

    /// A snapshot with this `state` file and this wanted state.
    fn snapshot(state: &str, want: u8) -> ServiceSnapshot {
        let since = Label::from_unix(1, 0);
        let record = [&since.pack()[..], &[0; 4], &[0, want]].concat();
        let since = String::from_utf8(since.text().to_vec()).unwrap();
        let state = format!("since={since}\nstate={state}\n");
        ServiceSnapshot::new(
            true,
            StatusRecord::decode(&record, StateFile::read(state.as_bytes())),
        )
    }

    #[test]
    fn services_are_checked_after_a_scan_or_change_in_number() {
        let mut watch = EssentialWatch {
            watcher: None,
            dirty: true,
            count: 0,
        };
        assert!(watch.take_dirty(0) && !watch.take_dirty(0));
        assert!(watch.take_dirty(2) && !watch.take_dirty(2));
        watch.dirty = true;
        assert!(watch.take_dirty(2) && !watch.take_dirty(2));
        watch.dirty = true;
        assert!(watch.take_dirty(1) && !watch.take_dirty(1));
    }

    #[test]
    fn exit_code_is_known_once_no_start_can_follow() {
        for (state, want, code) in [
            ("failed\nexit_code=7\nsignal=", b'd', Some(7)),
            ("failed\nexit_code=\nsignal=9", b'd', Some(137)),
            ("failed\nexit_code=0", b'd', Some(0)),
            ("failed", b'd', Some(111)),
            ("down\nexit_code=3", 0, Some(3)),
            ("down\nexit_code=3", b'd', None),
            ("down\nexit_code=3", b'u', None),
            ("finish\nexit_code=3", 0, None),
            ("delay\nexit_code=3", 0, None),
            ("up\nexit_code=3", 0, None),
            ("nothing", 0, None),
        ] {
            assert_eq!(
                essential_exit_code(&snapshot(state, want)),
                code,
                "{state} {want}"
            );
        }
        let failed = snapshot("failed\nexit_code=7", b'd');
        let left = ServiceSnapshot::new(false, failed.record);
        assert_eq!(essential_exit_code(&left), None);
    }
}
