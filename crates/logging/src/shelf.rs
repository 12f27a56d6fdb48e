//! Old files: how they get their names, and how they go.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStringExt;

use daemontools_core::label::Label;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::stat;
use nix::unistd::{linkat, unlink};

use crate::names::Code;
use crate::old::surplus;
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
            self.link(file, code);
        }
        self.persist(Step::Remove(file), || unlink(file));
        self.remove_surplus();
    }

    fn link(&self, file: &CStr, code: Code) {
        let mut label = Label::now();
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
            let names = self.persist(Step::ReadDirectory, entries);
            let refused = surplus(names, self.files)
                .into_iter()
                .find_map(|name| Some((unlink(name.as_c_str()).err()?, name)));
            match refused {
                None => return,
                Some((error, name)) => self.tell(Step::Remove(&name), error),
            }
        }
    }

    fn persist<T>(&self, step: Step<'_>, attempt: impl FnMut() -> Result<T, Errno>) -> T {
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

/// The names in the current directory, in the order in which it has them.
fn entries() -> Result<Vec<CString>, Errno> {
    std::fs::read_dir(".")
        .map_err(|error| unix::errno(&error))?
        .map(|entry| {
            let entry = entry.map_err(|error| unix::errno(&error))?;
            Ok(CString::new(entry.file_name().into_vec()).unwrap_or_default())
        })
        .collect()
}
