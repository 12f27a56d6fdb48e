//! Finding a suspended file, or the file of a position, again.

use std::io;

use daemontools_core::label::Label;

use super::{FileSequence, index_after};
use crate::held_file::HeldFile;
use crate::log_files::{FilePlace, LogFile};
use crate::passed_file::PassedFile;

/// The result of a search for a suspended file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resumed {
    /// The next byte is that after the position.
    AtPosition,
    /// A processor has replaced the file by other lines: those after this time
    /// are unread.
    AfterTime(Label),
    /// The file was removed. The held file is the next one, if there is one.
    Lost,
}

impl FileSequence {
    /// Opens a suspended file again, or finds that of a position. `expected` is
    /// the check of the bytes before the file's offset, `last` the time of the
    /// last line before it. `is_new`: this is the first call, after a restart.
    ///
    /// Returns the bytes before the next one. Errors: as open(2) of the directory.
    pub(crate) fn resume(
        &mut self,
        expected: u64,
        last: Option<Label>,
        is_new: bool,
    ) -> io::Result<(Resumed, Vec<u8>)> {
        let Some(held) = &self.held else {
            return Ok((Resumed::AtPosition, Vec::new()));
        };
        if !is_new {
            if let Some((opened, before)) = held.reopen(&self.path, expected) {
                self.held = Some(opened);
                return Ok((Resumed::AtPosition, before));
            }
        }
        // The watch may report the label of the held file.
        let files = self.list()?;
        let Some(held) = self.held.take() else {
            return Ok((Resumed::AtPosition, Vec::new()));
        };
        // A file that was read before may have got its label meanwhile. If not,
        // the bytes before offset 0 would have the same check.
        self.find_passed(&files, None);
        let by_inode = files.iter().filter(|file| file.inode == held.id.inode);
        let has_label = |file: &&LogFile| {
            held.place.label().is_none() || held.place.label() == file.place.label()
        };
        let others = files.iter().filter(|file| {
            let is_read = || {
                file.place
                    .label()
                    .is_some_and(|label| self.done.contains(&label))
            };
            file.inode != held.id.inode
                && (is_new || file.place != FilePlace::Current)
                && (held.place.label().is_some() && has_label(file) || !is_read())
        });
        let others: Vec<_> = others.collect();
        let mut candidates = by_inode.chain(others.iter().copied().filter(has_label));
        let found = candidates.find_map(|file| {
            let mut opened = HeldFile::open(&self.path, file).ok()?;
            let before = opened.seek_checked(held.offset, expected, held.first)?;
            Some((opened, before))
        });
        if let Some((opened, before)) = found {
            self.hold(opened, &files, last, is_new);
            return Ok((Resumed::AtPosition, before));
        }
        let earlier = PassedFile {
            id: held.id,
            end: held.offset,
            check: expected,
            first: held.first,
            last,
            is_watched: false,
        };
        if let Some(last) = last {
            // Lines up to the position's time were read.
            let is_rest = |file: &&&LogFile| {
                let is_late = file.place.label().is_none_or(|label| label >= last);
                let is_known = held.place.label().is_some();
                is_late && has_label(file) && (is_known || earlier.is_copy(&self.path, file))
            };
            if let Some(file) = others.iter().find(is_rest) {
                let opened = HeldFile::open(&self.path, file)?;
                self.hold(opened, &files, Some(last), is_new);
                return Ok((Resumed::AfterTime(last), Vec::new()));
            }
        }
        if is_new {
            let index = index_after(&files, held.place.label().or(last));
            self.start_before(&files, index, last);
        }
        self.gone += 1;
        self.advance(last)?;
        Ok((Resumed::Lost, Vec::new()))
    }

    /// Holds a file that was found again.
    fn hold(&mut self, held: HeldFile, files: &[LogFile], last: Option<Label>, is_new: bool) {
        let index = files.iter().position(|file| file.inode == held.id.inode);
        if is_new {
            self.start_before(files, index.unwrap_or_default(), last);
        }
        self.done.extend(held.place.label());
        self.held = Some(held);
        if is_new {
            self.is_held_watched = self.feed.is_some();
        }
    }
}
