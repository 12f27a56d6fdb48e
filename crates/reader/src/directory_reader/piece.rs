//! The place of lines in the buffer and in their files.

use std::ops::Range;

use daemontools_core::label::Label;

use super::DirectoryReader;
use crate::held_file::{HeldFile, to_u64};
use crate::line::LineRef;
use crate::position::{CHECKED, FileId, Position, check};
use crate::stamp::Stamp;

/// A line or piece in the buffer.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) range: Range<usize>,
    pub(super) stamp: Option<Stamp>,
    pub(super) is_start: bool,
    pub(super) is_end: bool,
    /// The index after the piece and its newline.
    after: usize,
    /// The file of a line that ends with the file before the present one.
    earlier: Option<Box<FileMark>>,
}

/// A file, and the offset of its bytes in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileMark {
    id: FileId,
    label: Option<Label>,
    /// The time of the file's first line.
    pub(super) first: Option<Label>,
    /// The file's offset of the buffer's first byte, modulo 2^64.
    base: u64,
}

/// The place after the last whole line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// Before the first line.
    Unknown,
    /// At an index of the buffer, in this file, after a line of this time.
    InBuffer(usize, FileMark, Option<Label>),
    Known(Position),
}

/// The progress within a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The next byte starts a line.
    AtStart,
    /// A piece of the line was returned, and its end was not.
    Inside,
    /// The line was returned as the last one, but goes on.
    AfterRest,
}

impl FileMark {
    /// The mark of a file whose next byte has this index.
    pub(super) fn new(held: &HeldFile, index: usize) -> Self {
        FileMark {
            id: held.id,
            label: held.place.label(),
            first: held.first,
            base: held.offset.wrapping_sub(to_u64(index)),
        }
    }

    pub(super) fn offset(&self, index: usize) -> u64 {
        self.base.wrapping_add(to_u64(index))
    }

    fn shift(&mut self, by: usize) {
        self.base = self.base.wrapping_add(to_u64(by));
    }
}

impl Default for FileMark {
    fn default() -> Self {
        let id = FileId {
            device: 0,
            inode: 0,
        };
        FileMark {
            id,
            label: None,
            first: None,
            base: 0,
        }
    }
}

impl DirectoryReader {
    /// The piece of a range of the buffer, which `newline` bytes follow.
    pub(super) fn piece(&mut self, range: Range<usize>, newline: usize, is_end: bool) -> Piece {
        let is_start = self.progress == Progress::AtStart;
        let stamp = is_start.then(|| Stamp::parse(self.buffer.get(range.clone())));
        let stamp = stamp.flatten();
        if let Some(stamp) = stamp {
            self.time = Some(stamp.time);
        }
        let after = range.end + newline;
        // A line at the end of a file belongs to that file.
        let boundary = self.boundary.filter(|(index, _)| after <= *index);
        self.progress = if is_end {
            Progress::AtStart
        } else {
            Progress::Inside
        };
        self.buffer.take(after);
        Piece {
            range,
            stamp,
            is_start,
            is_end,
            after,
            earlier: boundary.map(|(_, earlier)| Box::new(earlier)),
        }
    }

    /// Moves the place after the latest piece, if a line ends there.
    pub(super) fn move_place(&mut self, piece: &Piece) {
        if piece.is_end {
            let mark = piece.earlier.as_deref().unwrap_or(&self.mark);
            self.place = Place::InBuffer(piece.after, *mark, self.time);
        }
    }

    pub(super) fn line(&self, piece: &Piece) -> LineRef<'_> {
        LineRef {
            text: self.buffer.get(piece.range.clone()),
            stamp: piece.stamp,
            is_start: piece.is_start,
            is_end: piece.is_end,
        }
    }

    /// Adjusts the indexes after `by` bytes left the buffer.
    pub(super) fn shift_marks(&mut self, by: usize) {
        self.mark.shift(by);
        if let Some(scan) = &mut self.scan {
            scan.shift(by);
        }
        if let Place::InBuffer(index, mark, _) = &mut self.place {
            *index = index.saturating_sub(by);
            mark.shift(by);
        }
        if let Some((index, mark)) = &mut self.boundary {
            *index = index.saturating_sub(by);
            mark.shift(by);
        }
    }

    /// Keeps the place apart from the buffer.
    pub(super) fn keep_place(&mut self) {
        if let Place::InBuffer(index, mark, time) = self.place {
            self.place = Place::Known(self.position_at(index, mark, time));
        }
    }

    /// As [`DirectoryReader::keep_place`], if the next line starts after the place:
    /// the bytes before the place then leave the buffer.
    pub(super) fn keep_place_of_piece(&mut self) {
        if matches!(self.place, Place::InBuffer(index, ..) if index < self.buffer.start()) {
            self.keep_place();
        }
    }

    pub(super) fn position_at(
        &self,
        index: usize,
        mark: FileMark,
        time: Option<Label>,
    ) -> Position {
        Position {
            file: mark.id,
            label: mark.label,
            offset: mark.offset(index),
            time,
            first: mark.first,
            check: self.check_at(index, mark),
        }
    }

    /// The check of the file's bytes before an index.
    pub(super) fn check_at(&self, index: usize, mark: FileMark) -> u64 {
        let checked = usize::try_from(mark.offset(index)).unwrap_or(CHECKED);
        check(
            self.buffer
                .get(index.saturating_sub(checked.min(CHECKED))..index),
        )
    }
}
