//! Old files: how they get their names, and how they go.

use std::ffi::{CStr, CString};

use daemontools_core::label::Label;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, renameat};
use nix::sys::stat::{Mode, lstat, stat};
use nix::unistd::{linkat, unlink};

use crate::event::{LogEvent, LogReporter, LogStep, OnError, Purpose};
use crate::names::Suffix;
use crate::policy::LogPolicy;
use crate::retention::{Excess, Limits, OldFile, excess, is_old_file, oldest_if_more_than};

/// The old files of a log directory, which is the current directory whenever
/// something is asked of them.
#[derive(Clone, Debug)]
pub(crate) struct Archive<'a> {
    pub(crate) policy: LogPolicy,
    pub(crate) reporter: LogReporter<'a>,
    /// How much is kept.
    pub(crate) limits: Limits,
    /// How many are kept while the disk is full, as in the directory's terms.
    pub(crate) min_files: usize,
    /// How many bytes `current` may have before one must go.
    pub(crate) current_limit: usize,
}

impl Archive<'_> {
    /// Makes a file, if it exists, an old file of this moment, and removes
    /// what there is too much of.
    pub(crate) fn archive(&mut self, file: &CStr, code: Suffix<'_>) {
        let kept = match self.policy {
            LogPolicy::Multilog => self.archive_by_link(file, code),
            LogPolicy::Svlogd => {
                self.rename(file, &unused_name(code));
                true
            }
        };
        if kept {
            self.remove_excess(0);
        }
    }

    /// A file that has another name has been here before, and its writer
    /// ended before it could remove this name.
    fn archive_by_link(&self, file: &CStr, code: Suffix<'_>) -> bool {
        let Some(names) = self
            .reporter
            .retry_until_ok(LogStep::Stat(file), || names(file))
        else {
            return false;
        };
        if names == 1 {
            self.link(file, code, Label::now());
        }
        self.reporter
            .retry_until_ok(LogStep::Remove(file), || unlink(file));
        true
    }

    /// Gives a file another name, by the first label from `label` on that no
    /// other file has.
    fn link(&self, file: &CStr, code: Suffix<'_>, mut label: Label) {
        loop {
            let name = code.name(&label.text());
            match linkat(AT_FDCWD, file, AT_FDCWD, name.as_c_str(), AtFlags::empty()) {
                Ok(()) => return,
                // Another file ended in the same microsecond.
                Err(Errno::EEXIST) => label = label.next(),
                Err(error) => {
                    self.reporter.pause(LogStep::Link(&name), error);
                    label = Label::now();
                }
            }
        }
    }

    /// Gives a file its name instead of the one it has.
    pub(crate) fn rename(&self, file: &CStr, name: &CStr) {
        self.reporter
            .retry_until_ok(LogStep::Rename(file, name), || {
                renameat(AT_FDCWD, file, AT_FDCWD, name)
            });
    }

    /// Removes what there is too much of beside `current`, which has so many
    /// bytes. multilog does so until it is done; svlogd leaves what it cannot
    /// remove.
    pub(crate) fn remove_excess(&mut self, current: usize) {
        let then = match self.policy {
            LogPolicy::Multilog => OnError::Retry,
            LogPolicy::Svlogd => OnError::Continue,
        };
        'again: loop {
            let old = self.old_files(Purpose::Rotate);
            let old = match old.and_then(|names| self.stat_sizes(names)) {
                Ok(old) => old,
                Err((step, error)) => {
                    self.reporter.error(step, error, then);
                    match then {
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
                    self.reporter.error(LogStep::Remove(&name), error, then);
                    match then {
                        OnError::Retry => continue 'again,
                        OnError::Continue | OnError::Exit => {}
                    }
                }
            }
            return;
        }
    }

    /// Finds out how many bytes each has, if there is a limit.
    fn stat_sizes(&self, names: Vec<CString>) -> Result<Vec<OldFile>, (LogStep<'static>, Errno)> {
        let weighed = names.into_iter().map(|name| {
            let size = match self.limits.bytes.map(|_| lstat(name.as_c_str())) {
                None | Some(Err(Errno::ENOENT)) => 0,
                Some(Ok(stat)) => usize::try_from(stat.st_size).unwrap_or(0),
                Some(Err(error)) => return Err((LogStep::List(Purpose::Rotate), error)),
            };
            Ok(OldFile { name, size })
        });
        weighed.collect()
    }

    /// Removes the oldest old file, if there are more than must be kept while
    /// the disk is full; whether there is current_limit now.
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

    /// The old files in the current directory, in the order in which it has
    /// them.
    fn old_files(&self, purpose: Purpose) -> Result<Vec<CString>, (LogStep<'static>, Errno)> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let mut directory = Dir::open(c".", flags, Mode::empty())
            .map_err(|error| (LogStep::OpenToList(purpose), error))?;
        let mut old = Vec::new();
        for entry in directory.iter() {
            let entry = entry.map_err(|error| (LogStep::List(purpose), error))?;
            if is_old_file(self.policy, entry.file_name().to_bytes()) {
                old.push(entry.file_name().to_owned());
            }
        }
        Ok(old)
    }
}

/// The first name from this moment on that no file has.
pub(crate) fn unused_name(code: Suffix<'_>) -> CString {
    let mut label = Label::now();
    loop {
        let name = code.name(&label.text());
        if stat(name.as_c_str()) == Err(Errno::ENOENT) {
            return name;
        }
        label = label.next();
    }
}

/// How many names a file has; None if it does not exist.
fn names(file: &CStr) -> Result<Option<u64>, Errno> {
    match stat(file) {
        Ok(stat) => Ok(Some(stat.st_nlink)),
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_files_in_one_microsecond_the_second_has_the_next_label() {
        let directory = tempfile::tempdir().unwrap();
        // No other test of this crate asks where it is.
        std::env::set_current_dir(&directory).unwrap();
        let shelf = Archive {
            policy: LogPolicy::Multilog,
            reporter: LogReporter {
                place: c"test",
                report: |event| panic!("{event:?}"),
            },
            limits: Limits {
                files: 10,
                bytes: None,
            },
            min_files: 10,
            current_limit: usize::MAX,
        };
        let label = Label::from_unix(1_000_000_000, 999_998);
        for text in ["first", "second", "third"] {
            std::fs::write("previous", text).unwrap();
            shelf.link(c"previous", Suffix::Safe, label);
            unlink(c"previous").unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("@400000003b9aca0a3b9ac424.s"), "first");
        assert_eq!(read("@400000003b9aca0a3b9ac80c.s"), "second");
        assert_eq!(read("@400000003b9aca0b000001f4.s"), "third");
    }
}
