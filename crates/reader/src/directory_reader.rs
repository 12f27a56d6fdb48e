//! The lines of a log directory, in order, through all rotations.
//!
//! A line is a sequence of bytes up to a newline. The lines of a log directory go
//! on from file to file: a logger may divide a long line between two files. The
//! end of a file ends a line as well if the next file starts with a stamp, since
//! the logger was then killed within the line.
//!
//! A line longer than the buffer is returned in pieces. Only the first of them has
//! the stamp.

use std::io;
use std::ops::Range;

use daemontools_core::label::Label;
use memchr::memchr;

use crate::file_sequence::{EndOfFile, FileSequence, Resumed};
use crate::held_file::{HeldFile, to_u64};
use crate::line::LineRef;
use crate::line_buffer::LineBuffer;
use crate::position::{CHECKED, FileId, Position, check};
use crate::source::Source;
use crate::stamp::{MAX_STAMP, Stamp};
use crate::warning::ReadWarning;

/// The size of the buffer for a reader alone, in bytes.
pub const DEFAULT_BUFFER: usize = 64 * 1024;

/// The first line of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The first line of the oldest file.
    Oldest,
    /// The line after a position.
    At(Position),
}

/// The next line of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A line, or a piece of one.
    Line(LineRef<'a>),
    /// Nothing more is there now. A later call may return a line.
    AtEnd,
}

/// Reads the lines of a log directory.
#[derive(Debug)]
pub struct DirectoryReader {
    files: FileSequence,
    buffer: LineBuffer,
    /// The file of the bytes in the buffer from the boundary on.
    mark: FileMark,
    /// The file of the bytes before an index, if a line of it is unfinished.
    boundary: Option<(usize, FileMark)>,
    place: Place,
    progress: Progress,
    /// The time of the last line with a stamp.
    time: Option<Label>,
    skip: Option<Skip>,
    is_new: bool,
}

/// A file, and the offset of its bytes in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileMark {
    id: FileId,
    label: Option<Label>,
    /// The file's offset of the buffer's first byte, modulo 2^64.
    base: u64,
}

impl FileMark {
    fn offset(&self, index: usize) -> u64 {
        self.base.wrapping_add(to_u64(index))
    }
}

/// The place after the last whole line.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Before the first line.
    Unknown,
    /// At an index of the buffer, in this file.
    InBuffer(usize, FileMark),
    Known(Position),
}

/// The progress within a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// The next byte starts a line.
    AtStart,
    /// A piece of the line was returned, and its end was not.
    Inside,
    /// The line was returned as the last one, but goes on.
    AfterRest,
}

/// The lines that are not returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    /// Up to the first line that is later than this time.
    Through(Label),
}

impl Skip {
    fn ends_at(self, time: Label) -> bool {
        match self {
            Skip::Through(last) => time > last,
        }
    }
}

impl DirectoryReader {
    /// Opens the log directory of a source. Errors: as open(2) of the directory.
    pub fn open(source: &Source, start: Start) -> io::Result<Self> {
        DirectoryReader::with_buffer(source, start, DEFAULT_BUFFER)
    }

    /// As [`DirectoryReader::open`], with a buffer of `capacity` bytes.
    pub fn with_buffer(source: &Source, start: Start, capacity: usize) -> io::Result<Self> {
        std::fs::read_dir(&source.path)?;
        let mut reader = DirectoryReader {
            files: FileSequence::new(&source.path),
            buffer: LineBuffer::new(capacity),
            mark: FileMark::default(),
            boundary: None,
            place: Place::Unknown,
            progress: Progress::AtStart,
            time: None,
            skip: None,
            is_new: false,
        };
        match start {
            Start::Oldest => {}
            Start::At(position) => {
                reader.files.hold_position(&position);
                reader.place = Place::Known(position);
                reader.time = position.time;
                reader.is_new = true;
            }
        }
        Ok(reader)
    }

    /// The next line. Errors: as open(2) of the directory and read(2) of a file.
    pub fn next_line(&mut self) -> io::Result<Next<'_>> {
        loop {
            if let Some(piece) = self.take_piece() {
                if self.is_wanted(&piece) {
                    return Ok(Next::Line(self.line(&piece)));
                }
            } else if !self.read()? {
                return Ok(Next::AtEnd);
            }
        }
    }

    /// At the end: the last line, which has no newline yet; None once it was
    /// returned. If a logger continues the line later, the reader returns the rest
    /// as a piece that is no start.
    pub fn take_rest(&mut self) -> Option<LineRef<'_>> {
        loop {
            if self.buffer.is_empty() && self.progress != Progress::Inside {
                return None;
            }
            let piece = self.take_cut_line().unwrap_or_else(|| {
                let piece = self.piece(self.buffer.start()..self.buffer.end(), 0, true);
                self.progress = Progress::AfterRest;
                piece
            });
            if self.is_wanted(&piece) {
                return Some(self.line(&piece));
            }
        }
    }

    /// The place after the last line that was returned with its end. None: no line
    /// was returned.
    pub fn position(&self) -> Option<Position> {
        match self.place {
            Place::Unknown => None,
            Place::Known(position) => Some(position),
            Place::InBuffer(index, mark) => Some(self.position_at(index, mark)),
        }
    }

    /// The time of the last line with a stamp. Lines without a stamp have this
    /// time in a merge.
    pub fn time(&self) -> Option<Label> {
        self.time
    }

    /// The path of the log directory.
    pub fn path(&self) -> &std::path::Path {
        self.files.path()
    }

    /// The warnings since the last call.
    pub fn take_warnings(&mut self) -> Vec<ReadWarning> {
        self.files.take_warnings()
    }

    /// Takes note of the name of a file that has appeared in the directory. If
    /// the file is removed unread, it counts as gone.
    pub fn note_file(&mut self, name: &[u8]) {
        self.files.note(name);
    }

    /// Whether the reader has no descriptor open.
    pub fn is_suspended(&self) -> bool {
        self.files.held.as_ref().is_none_or(HeldFile::is_suspended)
    }

    /// Closes the file, and frees the buffer if it contains no line. The next
    /// call of [`DirectoryReader::next_line`] opens the file again when it needs more
    /// bytes.
    pub fn suspend(&mut self) {
        if let Some(held) = &mut self.files.held {
            held.suspend();
        }
        self.keep_place();
        let by = self.buffer.release();
        self.shift_marks(by);
    }

    /// Takes the next line or piece from the buffer.
    fn take_piece(&mut self) -> Option<Piece> {
        if let Some((index, _)) = self.boundary {
            let after = self.buffer.get(index..self.buffer.end());
            if after.len() < MAX_STAMP && memchr(b'\n', after).is_none() {
                return None;
            }
            if let Some(piece) = self.take_cut_line() {
                return Some(piece);
            }
        }
        if let Some(line) = self.buffer.find_line() {
            if self.boundary.is_some_and(|(index, _)| line.end >= index) {
                self.boundary = None;
            }
            return Some(self.piece(line, 1, true));
        }
        if self.buffer.is_full() {
            self.boundary = None;
            let piece = self.buffer.full_piece();
            return Some(self.piece(piece, 0, false));
        }
        None
    }

    /// Takes the line at the end of a file, if the next file starts with a stamp:
    /// the logger was killed within the line.
    fn take_cut_line(&mut self) -> Option<Piece> {
        let (index, _) = self.boundary?;
        Stamp::parse(self.buffer.get(index..self.buffer.end()))?;
        let piece = self.piece(self.buffer.start()..index, 0, true);
        self.boundary = None;
        Some(piece)
    }

    /// The piece of a range of the buffer, which `newline` bytes follow.
    fn piece(&mut self, range: Range<usize>, newline: usize, is_end: bool) -> Piece {
        if !is_end {
            // The place is that before the time of this line.
            self.keep_place();
        }
        let is_start = self.progress == Progress::AtStart;
        let stamp = is_start.then(|| Stamp::parse(self.buffer.get(range.clone())));
        let stamp = stamp.flatten();
        if let Some(stamp) = stamp {
            self.time = Some(stamp.time);
        }
        let after = range.end + newline;
        if is_end {
            // A line at the end of a file belongs to that file.
            let mark = match self.boundary {
                Some((index, earlier)) if after <= index => earlier,
                Some(_) | None => self.mark,
            };
            self.place = Place::InBuffer(after, mark);
        }
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
        }
    }

    fn is_wanted(&mut self, piece: &Piece) -> bool {
        let Some(skip) = self.skip else {
            return true;
        };
        let is_wanted = piece.stamp.is_some_and(|stamp| skip.ends_at(stamp.time));
        if is_wanted {
            self.skip = None;
        }
        is_wanted
    }

    fn line(&self, piece: &Piece) -> LineRef<'_> {
        LineRef {
            text: self.buffer.get(piece.range.clone()),
            stamp: piece.stamp,
            is_start: piece.is_start,
            is_end: piece.is_end,
        }
    }

    /// Reads more bytes. Returns false if nothing more is there now.
    fn read(&mut self) -> io::Result<bool> {
        loop {
            if self.is_suspended() && self.files.held.is_some() {
                self.resume()?;
            }
            self.keep_place_of_piece();
            let by = self.buffer.shift();
            self.shift_marks(by);
            if let Some(held) = &mut self.files.held {
                let length = held.read(self.buffer.space())?;
                if length > 0 {
                    self.buffer.fill(length);
                    return Ok(true);
                }
            }
            match self.files.at_end(self.time)? {
                EndOfFile::ReadAgain => {}
                EndOfFile::Nothing => return Ok(false),
                EndOfFile::Truncated => {
                    self.keep_place();
                    self.buffer.reset(&[]);
                    self.boundary = None;
                    self.progress = Progress::AtStart;
                    self.set_mark();
                }
                EndOfFile::NextFile => {
                    self.start_file();
                }
            }
        }
    }

    /// Opens the suspended file, or the next one if it was removed.
    fn resume(&mut self) -> io::Result<()> {
        let expected = match self.place {
            Place::Known(position) if self.is_new => position.check,
            Place::Unknown | Place::InBuffer(..) | Place::Known(_) => {
                self.check_at(self.buffer.end(), self.mark)
            }
        };
        let (resumed, before) = self.files.resume(expected, self.time, self.is_new)?;
        match resumed {
            Resumed::AtPosition => {
                if self.is_new {
                    self.buffer.reset(&before);
                }
                self.is_new = false;
                self.set_mark();
                return Ok(());
            }
            Resumed::AfterTime(last) => {
                self.keep_place();
                self.buffer.reset(&[]);
                self.boundary = None;
                self.progress = Progress::AtStart;
                self.skip = Some(Skip::Through(last));
            }
            Resumed::Lost => {}
        }
        self.is_new = false;
        self.start_file();
        Ok(())
    }

    /// The next byte is the first of the held file.
    fn start_file(&mut self) {
        if self.buffer.is_empty() && self.progress != Progress::Inside {
            self.keep_place();
            self.progress = Progress::AtStart;
        } else {
            self.boundary.get_or_insert((self.buffer.end(), self.mark));
        }
        self.set_mark();
    }

    /// Sets the mark for a held file whose next byte comes after the buffer.
    fn set_mark(&mut self) {
        if let Some(held) = &self.files.held {
            self.mark = FileMark {
                id: held.id,
                label: held.place.label(),
                base: held.offset.wrapping_sub(to_u64(self.buffer.end())),
            };
        }
    }

    /// Adjusts the indexes after `by` bytes left the buffer.
    fn shift_marks(&mut self, by: usize) {
        self.mark.base = self.mark.base.wrapping_add(to_u64(by));
        if let Place::InBuffer(index, mark) = &mut self.place {
            *index = index.saturating_sub(by);
            mark.base = mark.base.wrapping_add(to_u64(by));
        }
        if let Some((index, mark)) = &mut self.boundary {
            *index = index.saturating_sub(by);
            mark.base = mark.base.wrapping_add(to_u64(by));
        }
    }

    /// Keeps the place apart from the buffer.
    fn keep_place(&mut self) {
        if let Place::InBuffer(index, mark) = self.place {
            self.place = Place::Known(self.position_at(index, mark));
        }
    }

    /// As [`DirectoryReader::keep_place`], if the place leaves the buffer before
    /// the next line ends.
    fn keep_place_of_piece(&mut self) {
        if matches!(self.place, Place::InBuffer(index, _) if index < self.buffer.start()) {
            self.keep_place();
        }
    }

    fn position_at(&self, index: usize, mark: FileMark) -> Position {
        Position {
            file: mark.id,
            label: mark.label,
            offset: mark.offset(index),
            time: self.time,
            check: self.check_at(index, mark),
        }
    }

    /// The check of the file's bytes before an index.
    fn check_at(&self, index: usize, mark: FileMark) -> u64 {
        let checked = usize::try_from(mark.offset(index)).unwrap_or(CHECKED);
        check(
            self.buffer
                .get(index.saturating_sub(checked.min(CHECKED))..index),
        )
    }
}

/// A line or piece in the buffer.
#[derive(Debug)]
struct Piece {
    range: Range<usize>,
    stamp: Option<Stamp>,
    is_start: bool,
    is_end: bool,
}

impl Default for FileMark {
    fn default() -> Self {
        FileMark {
            id: FileId {
                device: 0,
                inode: 0,
            },
            label: None,
            base: 0,
        }
    }
}

#[cfg(test)]
mod tests;
