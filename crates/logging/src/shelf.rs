//! Old files: how they get their names, and how they go.

use std::ffi::{CStr, CString};

use daemontools_core::label::Label;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::sys::stat::{Mode, stat};
use nix::unistd::{linkat, unlink};

use crate::names::Code;
use crate::old::{is_old, surplus};
use crate::trouble::{Step, Tell, Trouble, persist};

/// The old files of a log directory, which is the current directory whenever
/// something is asked of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shelf<'a> {
    /// The log directory, as the script names it.
    pub(crate) place: &'a CStr,
    /// Less than this many old files are kept.
    pub(crate) files: usize,
    pub(crate) tell: Tell,
}

impl Shelf<'_> {
    /// Makes a file, if it exists, an old file of this moment, and removes
    /// what there is too much of.
    ///
    /// A file that has another name has been here before, and its writer
    /// ended before it could remove this name.
    pub(crate) fn keep(&self, file: &CStr, code: Code) {
        let Some(names) = self.persist(Step::Stat(file), || names(file)) else {
            return;
        };
        if names == 1 {
            self.link(file, code, Label::now());
        }
        self.persist(Step::Remove(file), || unlink(file));
        self.remove_surplus();
    }

    /// Gives a file another name, by the first label from `label` on that no
    /// other file has.
    fn link(&self, file: &CStr, code: Code, mut label: Label) {
        loop {
            let name = name(label, code);
            match linkat(AT_FDCWD, file, AT_FDCWD, name.as_c_str(), AtFlags::empty()) {
                Ok(()) => return,
                // Another file ended in the same microsecond.
                Err(Errno::EEXIST) => label = label.next(),
                Err(error) => {
                    self.tell(Step::Link(&name), error);
                    label = Label::now();
                }
            }
        }
    }

    fn remove_surplus(&self) {
        loop {
            let old = self.persist(Step::ReadDirectory, old_files);
            let refused = surplus(old, self.files)
                .into_iter()
                .find_map(|name| Some((unlink(name.as_c_str()).err()?, name)));
            match refused {
                None => return,
                Some((error, name)) => self.tell(Step::Remove(&name), error),
            }
        }
    }

    /// Makes attempts until one succeeds, and tells of each that fails.
    pub(crate) fn persist<T>(
        &self,
        step: Step<'_>,
        attempt: impl FnMut() -> Result<T, Errno>,
    ) -> T {
        persist(self.tell, self.place, step, attempt)
    }

    fn tell(&self, step: Step<'_>, error: Errno) {
        (self.tell)(&Trouble::new(self.place, step, error));
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

fn name(label: Label, code: Code) -> CString {
    CString::new([&label.text(), code.suffix()].concat()).unwrap_or_default()
}

/// The old files in the current directory, in the order in which it has them.
fn old_files() -> Result<Vec<CString>, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut old = Vec::new();
    for entry in Dir::open(c".", flags, Mode::empty())?.iter() {
        let entry = entry?;
        if is_old(entry.file_name().to_bytes()) {
            old.push(entry.file_name().to_owned());
        }
    }
    Ok(old)
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
            place: c"test",
            files: 10,
            tell: |trouble| panic!("{trouble:?}"),
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
