//! The old files of a log directory: naming and removal.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;

use daemontools_core::label::Label;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, renameat};
use nix::unistd::{linkat, unlink};
use unix::file::{link_status, status};
use unix::memory::try_reserve;

use crate::event::{LogEvent, LogReporter, LogStep, OnError, Purpose};
use crate::names::Suffix;
use crate::policy::LogPolicy;
use crate::retention::{Excess, Limits, OldFile, excess, is_old_file, oldest_if_more_than};
use crate::shortage::until_memory;

/// The old files of a log directory. All methods expect it to be the current
/// directory.
#[derive(Clone, Debug)]
pub(crate) struct Archive<'a> {
    pub(crate) policy: LogPolicy,
    pub(crate) reporter: LogReporter<'a>,
    /// The limits for old files.
    pub(crate) limits: Limits,
    /// As [`LogDirConfig::min_files`](crate::policy::LogDirConfig::min_files).
    pub(crate) min_files: usize,
    /// The size of `current` above which old files must be removed.
    pub(crate) current_limit: u64,
}

impl Archive<'_> {
    /// Turns a file, if it exists, into an old file with the present time as
    /// its label, and removes old files above the limits.
    pub(crate) fn archive(&mut self, file: &CStr, suffix: Suffix<'_>) {
        let is_archived = match self.policy {
            LogPolicy::Multilog => self.archive_by_link(file, suffix),
            LogPolicy::Svlogd => {
                rename(self.reporter, file, &unused_name(suffix));
                true
            }
        };
        if is_archived {
            self.remove_excess(0);
        }
    }

    /// A file with a second link was already archived, by a writer that was
    /// killed before it could unlink this name.
    fn archive_by_link(&self, file: &CStr, suffix: Suffix<'_>) -> bool {
        let Some(links) = self
            .reporter
            .retry_until_ok(LogStep::Stat(file), || link_count(file))
        else {
            return false;
        };
        if links == 1 {
            self.link(file, suffix, Label::now());
        }
        self.reporter
            .retry_until_ok(LogStep::Remove(file), || unlink(file));
        true
    }

    /// Links a file to a name with the first unused label from `label` on.
    fn link(&self, file: &CStr, suffix: Suffix<'_>, mut label: Label) {
        loop {
            let name = suffix.name(&label.text());
            match linkat(AT_FDCWD, file, AT_FDCWD, name.as_c_str(), AtFlags::empty()) {
                Ok(()) => return,
                // Another file was archived in the same microsecond.
                Err(Errno::EEXIST) => label = label.next(),
                Err(error) => {
                    self.reporter.pause(LogStep::Link(&name), error);
                    label = Label::now();
                }
            }
        }
    }

    /// Removes the old files above the limits. The file `current` has
    /// `current` bytes. multilog retries after errors; svlogd keeps files that it cannot
    /// remove.
    pub(crate) fn remove_excess(&mut self, current: u64) {
        let on_error = match self.policy {
            LogPolicy::Multilog => OnError::Retry,
            LogPolicy::Svlogd => OnError::Continue,
        };
        'again: loop {
            let listed = until_memory(
                || {
                    let names = self.old_files(Purpose::Rotate)?;
                    self.stat_sizes(names)
                },
                |(_, error)| *error,
            );
            let old = match listed {
                Ok(old) => old,
                Err((step, error)) => {
                    self.reporter.error(step, error, on_error);
                    match on_error {
                        OnError::Retry => continue,
                        OnError::Continue | OnError::Exit => return,
                    }
                }
            };
            let Excess {
                remove,
                current_limit,
            } = excess(self.policy, old, self.limits, current);
            self.current_limit = current_limit;
            for name in remove {
                if Suffix::of_name(&name) != Some(Suffix::InProgress) {
                    self.reporter.event(LogEvent::Removed(&name));
                }
                if let Err(error) = unlink(name.as_c_str()) {
                    self.reporter.error(LogStep::Remove(&name), error, on_error);
                    match on_error {
                        OnError::Retry => continue 'again,
                        OnError::Continue | OnError::Exit => {}
                    }
                }
            }
            return;
        }
    }

    /// Adds the size of each file if the total is limited.
    fn stat_sizes(&self, names: Vec<CString>) -> Result<Vec<OldFile>, (LogStep<'static>, Errno)> {
        let sized = names.into_iter().map(|name| {
            let size = match self.limits.bytes.map(|_| link_status(name.as_c_str())) {
                None | Some(Err(Errno::ENOENT)) => 0,
                Some(Ok(status)) => status.len(),
                Some(Err(error)) => return Err((LogStep::List(Purpose::Rotate), error)),
            };
            Ok(OldFile { name, size })
        });
        sized.collect()
    }

    /// On a full disk, removes the oldest of more than `min_files` old files.
    /// Returns whether a file was removed.
    pub(crate) fn free_space(&self) -> bool {
        let old = self.old_files(Purpose::FreeSpace);
        let old = old.unwrap_or_else(|(step, error)| {
            self.reporter.warn(step, error);
            Vec::new()
        });
        let oldest = oldest_if_more_than(self.min_files, old);
        oldest
            .filter(|_| self.min_files < self.limits.files)
            .is_some_and(|oldest| {
                self.reporter.event(LogEvent::RemovedForSpace(&oldest));
                let removed = unlink(oldest.as_c_str());
                removed
                    .map_err(|error| self.reporter.warn(LogStep::Remove(&oldest), error))
                    .is_ok()
            })
    }

    /// The old files, in the order of the directory.
    fn old_files(&self, purpose: Purpose) -> Result<Vec<CString>, (LogStep<'static>, Errno)> {
        let failed = |step| move |error| (step, unix::errno(&error));
        let directory = std::fs::read_dir(".").map_err(failed(LogStep::OpenToList(purpose)))?;
        let mut old = Vec::new();
        for entry in directory {
            let entry = entry.map_err(failed(LogStep::List(purpose)))?;
            let name = entry.file_name().into_vec();
            if is_old_file(self.policy, &name) {
                // Neither from the reserve: a directory may have many files.
                try_reserve(&mut old, 1).map_err(|error| (LogStep::List(purpose), error))?;
                old.extend(CString::new(name));
            }
        }
        Ok(old)
    }
}

/// Renames a file, retrying until it succeeds.
pub(crate) fn rename(reporter: LogReporter<'_>, file: &CStr, name: &CStr) {
    reporter.retry_until_ok(LogStep::Rename(file, name), || {
        renameat(AT_FDCWD, file, AT_FDCWD, name)
    });
}

/// The first unused name from the present time on.
pub(crate) fn unused_name(suffix: Suffix<'_>) -> CString {
    let mut label = Label::now();
    loop {
        let name = suffix.name(&label.text());
        if status(name.as_c_str()).map(drop) == Err(Errno::ENOENT) {
            return name;
        }
        label = label.next();
    }
}

/// The number of links to a file; None if the file does not exist.
fn link_count(file: &CStr) -> Result<Option<u64>, Errno> {
    match status(file) {
        Ok(status) => Ok(Some(status.nlink())),
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::scene::Scene;

    fn archive(policy: LogPolicy, scene: &Scene, files: usize) -> Archive<'static> {
        Archive {
            policy,
            reporter: LogReporter {
                path: c"test",
                report: scene.context().report,
            },
            limits: Limits { files, bytes: None },
            min_files: 2,
            current_limit: u64::MAX,
        }
    }

    #[test]
    fn files_of_one_microsecond_get_distinct_labels() {
        let scene = Scene::new();
        let archive = archive(LogPolicy::Multilog, &scene, 10);
        let label = Label::from_unix(1_000_000_000, 999_998);
        for text in ["first", "second", "third"] {
            fs::write("previous", text).unwrap();
            archive.link(c"previous", Suffix::Safe, label);
            unlink(c"previous").unwrap();
        }
        let read = |name: &str| fs::read_to_string(scene.path(name)).unwrap();
        assert_eq!(read("@400000003b9aca0a3b9ac424.s"), "first");
        assert_eq!(read("@400000003b9aca0a3b9ac80c.s"), "second");
        assert_eq!(read("@400000003b9aca0b000001f4.s"), "third");
    }

    #[test]
    fn file_becomes_an_old_file_once() {
        for policy in [LogPolicy::Multilog, LogPolicy::Svlogd] {
            let scene = Scene::new();
            let mut archive = archive(policy, &scene, 10);
            scene.write("previous", "one", 0o744);
            archive.archive(c"previous", Suffix::Unfinished);
            assert_eq!(scene.files(""), ["744 .u \"one\""]);
        }
        let scene = Scene::new();
        let mut archive = archive(LogPolicy::Multilog, &scene, 10);
        archive.archive(c"previous", Suffix::Safe);
        assert!(scene.files("").is_empty());
        // A killed writer had linked the file.
        scene.write("@400000003b9aca0a3b9ac424.s", "one", 0o744);
        fs::hard_link("@400000003b9aca0a3b9ac424.s", "previous").unwrap();
        archive.archive(c"previous", Suffix::Safe);
        assert_eq!(scene.files(""), ["744 .s \"one\""]);
    }

    #[test]
    fn archived_file_may_exceed_the_number() {
        let scene = Scene::new();
        for (label, text) in [("1", "old"), ("2", "new"), ("3", "newer")] {
            let name = format!("@40000000000000000000000{label}.s");
            scene.write(&name, text, 0o744);
        }
        let mut multilog = archive(LogPolicy::Multilog, &scene, 4);
        fs::write("previous", "newest").unwrap();
        multilog.archive(c"previous", Suffix::Safe);
        let left = ["744 .s \"new\"", "744 .s \"newer\"", "644 .s \"newest\""];
        assert_eq!(scene.files(""), left);
        assert_eq!(Scene::reports(), ["Removed"]);
        // svlogd leaves a file that is not removable, and removes leftovers silently.
        fs::create_dir("@400000000000000000000000.s").unwrap();
        scene.write("@400000000000000000000004.t", "", 0o644);
        archive(LogPolicy::Svlogd, &scene, 3).remove_excess(0);
        fs::remove_dir("@400000000000000000000000.s").unwrap();
        assert_eq!(scene.files(""), left);
        let reports = Scene::reports();
        assert_eq!(reports.first().map(String::as_str), Some("Removed"));
        assert!(reports[1].starts_with("Remove("), "{reports:?}");
    }

    #[test]
    fn sizes_count_if_the_total_is_limited() {
        let scene = Scene::new();
        scene.write("@400000000000000000000001.s", "12345", 0o744);
        scene.write("@400000000000000000000002.s", "12345", 0o744);
        let mut archive = archive(LogPolicy::Multilog, &scene, 10);
        archive.limits.bytes = Some(9);
        archive.remove_excess(2);
        assert_eq!(scene.files(""), ["744 .s \"12345\""]);
        assert_eq!(archive.current_limit, 4);
    }

    #[test]
    fn full_disk_takes_oldest_above_the_minimum() {
        let scene = Scene::new();
        let archive = archive(LogPolicy::Svlogd, &scene, 3);
        for label in [1, 2] {
            scene.write(&format!("@40000000000000000000000{label}.s"), "x", 0o744);
            assert!(!archive.free_space());
        }
        scene.write("@400000000000000000000000.s", "oldest", 0o744);
        assert!(archive.free_space());
        assert_eq!(scene.files(""), ["744 .s \"x\"", "744 .s \"x\""]);
        assert_eq!(Scene::reports(), ["RemovedForSpace"]);
        scene.write("@400000000000000000000000.s", "oldest", 0o744);
        let equal = Archive {
            min_files: 3,
            ..archive.clone()
        };
        assert!(!equal.free_space());
        // The minimum counts only below the maximum.
        scene.write("@400000000000000000000003.s", "x", 0o744);
        assert!(!equal.free_space());
    }

    #[test]
    fn renamed_file_gets_an_unused_name() {
        let scene = Scene::new();
        let names = [0; 50].map(|_| {
            let name = unused_name(Suffix::Safe);
            scene.write(name.to_str().unwrap(), "", 0o644);
            name
        });
        assert!(names.is_sorted());
        assert_eq!(scene.files("").len(), 50);
    }
}
