//! Old files: how they get their names, and how they go.

use std::ffi::{CStr, CString};

use daemontools_core::label::Label;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, renameat};
use nix::sys::stat::{Mode, lstat, stat};
use nix::unistd::{linkat, unlink};

use crate::event::{News, Purpose, Step, Then, Voice};
use crate::names::Code;
use crate::old::{Bounds, OldFile, Surplus, is_old, oldest_of_more_than, surplus};
use crate::policy::Policy;

/// The old files of a log directory, which is the current directory whenever
/// something is asked of them.
#[derive(Clone, Debug)]
pub(crate) struct Shelf<'a> {
    pub(crate) policy: Policy,
    pub(crate) voice: Voice<'a>,
    /// How much is kept.
    pub(crate) bounds: Bounds,
    /// How many are kept while the disk is full, as in the directory's terms.
    pub(crate) floor: usize,
    /// How many bytes `current` may have before one must go.
    pub(crate) room: usize,
}

impl Shelf<'_> {
    /// Makes a file, if it exists, an old file of this moment, and removes
    /// what there is too much of.
    pub(crate) fn keep(&mut self, file: &CStr, code: Code<'_>) {
        let kept = match self.policy {
            Policy::Multilog => self.keep_by_link(file, code),
            Policy::Svlogd => {
                self.rename(file, &free_name(code));
                true
            }
        };
        if kept {
            self.remove_surplus(0);
        }
    }

    /// A file that has another name has been here before, and its writer
    /// ended before it could remove this name.
    fn keep_by_link(&self, file: &CStr, code: Code<'_>) -> bool {
        let Some(names) = self.voice.persist(Step::Stat(file), || names(file)) else {
            return false;
        };
        if names == 1 {
            self.link(file, code, Label::now());
        }
        self.voice.persist(Step::Remove(file), || unlink(file));
        true
    }

    /// Gives a file another name, by the first label from `label` on that no
    /// other file has.
    fn link(&self, file: &CStr, code: Code<'_>, mut label: Label) {
        loop {
            let name = code.name(&label.text());
            match linkat(AT_FDCWD, file, AT_FDCWD, name.as_c_str(), AtFlags::empty()) {
                Ok(()) => return,
                // Another file ended in the same microsecond.
                Err(Errno::EEXIST) => label = label.next(),
                Err(error) => {
                    self.voice.pause(Step::Link(&name), error);
                    label = Label::now();
                }
            }
        }
    }

    /// Gives a file its name instead of the one it has.
    pub(crate) fn rename(&self, file: &CStr, name: &CStr) {
        self.voice.persist(Step::Rename(file, name), || {
            renameat(AT_FDCWD, file, AT_FDCWD, name)
        });
    }

    /// Removes what there is too much of beside `current`, which has so many
    /// bytes. multilog does so until it is done; svlogd leaves what it cannot
    /// remove.
    pub(crate) fn remove_surplus(&mut self, current: usize) {
        let then = match self.policy {
            Policy::Multilog => Then::Again,
            Policy::Svlogd => Then::On,
        };
        'again: loop {
            let old = self.old_files(Purpose::Rotate);
            let old = match old.and_then(|names| self.weigh(names)) {
                Ok(old) => old,
                Err((step, error)) => {
                    self.voice.trouble(step, error, then);
                    match then {
                        Then::Again => continue,
                        Then::On | Then::Exit => return,
                    }
                }
            };
            let Surplus { gone, room } = surplus(self.policy, old, self.bounds, current);
            self.room = room;
            for name in gone {
                if Code::of(&name) != Some(Code::Made) {
                    self.voice.news(News::Removed(&name));
                }
                if let Err(error) = unlink(name.as_c_str()) {
                    self.voice.trouble(Step::Remove(&name), error, then);
                    match then {
                        Then::Again => continue 'again,
                        Then::On | Then::Exit => {}
                    }
                }
            }
            return;
        }
    }

    /// Finds out how many bytes each has, if there is a limit.
    fn weigh(&self, names: Vec<CString>) -> Result<Vec<OldFile>, (Step<'static>, Errno)> {
        let weighed = names.into_iter().map(|name| {
            let size = match self.bounds.bytes.map(|_| lstat(name.as_c_str())) {
                None | Some(Err(Errno::ENOENT)) => 0,
                Some(Ok(stat)) => usize::try_from(stat.st_size).unwrap_or(0),
                Some(Err(error)) => return Err((Step::List(Purpose::Rotate), error)),
            };
            Ok(OldFile { name, size })
        });
        weighed.collect()
    }

    /// Removes the oldest old file, if there are more than must be kept while
    /// the disk is full; whether there is room now.
    pub(crate) fn make_room(&self) -> bool {
        let old = self.old_files(Purpose::MakeRoom);
        let old = old.unwrap_or_else(|(step, error)| {
            self.voice.warn(step, error);
            Vec::new()
        });
        let oldest = oldest_of_more_than(self.floor, old);
        oldest
            .filter(|_| self.floor < self.bounds.files)
            .is_some_and(|oldest| {
                self.voice.news(News::RemovedForRoom(&oldest));
                let removed = unlink(oldest.as_c_str());
                removed
                    .map_err(|error| self.voice.warn(Step::Remove(&oldest), error))
                    .is_ok()
            })
    }

    /// The old files in the current directory, in the order in which it has
    /// them.
    fn old_files(&self, purpose: Purpose) -> Result<Vec<CString>, (Step<'static>, Errno)> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let mut directory = Dir::open(c".", flags, Mode::empty())
            .map_err(|error| (Step::OpenToList(purpose), error))?;
        let mut old = Vec::new();
        for entry in directory.iter() {
            let entry = entry.map_err(|error| (Step::List(purpose), error))?;
            if is_old(self.policy, entry.file_name().to_bytes()) {
                old.push(entry.file_name().to_owned());
            }
        }
        Ok(old)
    }
}

/// The first name from this moment on that no file has.
pub(crate) fn free_name(code: Code<'_>) -> CString {
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
        let shelf = Shelf {
            policy: Policy::Multilog,
            voice: Voice {
                place: c"test",
                tell: |event| panic!("{event:?}"),
            },
            bounds: Bounds {
                files: 10,
                bytes: None,
            },
            floor: 10,
            room: usize::MAX,
        };
        let label = Label::from_unix(1_000_000_000, 999_998);
        for text in ["first", "second", "third"] {
            std::fs::write("previous", text).unwrap();
            shelf.link(c"previous", Code::Safe, label);
            unlink(c"previous").unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("@400000003b9aca0a3b9ac424.s"), "first");
        assert_eq!(read("@400000003b9aca0a3b9ac80c.s"), "second");
        assert_eq!(read("@400000003b9aca0b000001f4.s"), "third");
    }
}
