//! A file that was read before it had a label.

use std::io;
use std::path::Path;

use daemontools_core::label::Label;

use crate::held_file::HeldFile;
use crate::log_files::LogFile;
use crate::position::{FileId, check};

/// A file that was read to its end before it had a label. A processor may replace
/// it by a copy.
#[derive(Debug)]
pub(crate) struct PassedFile {
    pub(crate) id: FileId,
    /// Its length, and the check at its end.
    pub(crate) end: u64,
    pub(crate) check: u64,
    pub(crate) first: Option<Label>,
    pub(crate) last: Option<Label>,
    /// Whether the watch will report the label.
    pub(crate) is_watched: bool,
}

impl PassedFile {
    /// A file that counts as read, up to the time `last`.
    pub(crate) fn whole(path: &Path, file: &LogFile, last: Option<Label>) -> io::Result<Self> {
        let mut opened = HeldFile::open(path, file)?;
        let first = opened.first_time();
        let end = opened.len()?;
        Ok(PassedFile {
            id: opened.id,
            end,
            check: check(&opened.seek(end)?),
            first,
            last,
            is_watched: false,
        })
    }

    /// Whether a file with the same inode is the file, not a later one.
    pub(crate) fn is_same(&self, path: &Path, file: &LogFile) -> bool {
        HeldFile::open(path, file).is_ok_and(|mut other| {
            other.id == self.id
                && other
                    .seek_checked(self.end, self.check, self.first)
                    .is_some()
        })
    }

    /// Whether a file contains the same lines, or some of them.
    pub(crate) fn is_copy(&self, path: &Path, file: &LogFile) -> bool {
        let Ok(mut other) = HeldFile::open(path, file) else {
            return false;
        };
        if other
            .seek_checked(self.end, self.check, self.first)
            .is_some()
        {
            return true;
        }
        let (Some(last), Some(other_first)) = (self.last, other.first_time()) else {
            return false;
        };
        // The next file may start with the time of the last line.
        self.first.is_none_or(|first| first <= other_first) && other_first < last
    }
}
