//! The lines of a log directory, in order, through all rotations.
//!
//! A line is a sequence of bytes up to a newline. The lines of a log directory go
//! on from file to file: a logger may divide a long line between two files. The
//! end of a file ends a line as well if the next file starts with a stamp, since
//! the logger was then killed within the line.
//!
//! A line longer than the buffer is returned in pieces. Only the first of them has
//! the stamp, and a pattern is matched against the first alone.

use std::io;
use std::path::Path;

use daemontools_core::label::Label;
use memchr::memchr;

use crate::backward::LineStart;
use crate::file_sequence::{EndOfFile, FileSequence, Resumed};
use crate::held_file::HeldFile;
use crate::line::LineRef;
use crate::line_buffer::LineBuffer;
use crate::line_filter::LineFilter;
use crate::log_files::LogFile;
use crate::position::Position;
use crate::selection::Selection;
use crate::source::Source;
use crate::stamp::{MAX_STAMP, Stamp};
use crate::warning::ReadWarning;
use crate::watch::NameFeed;
use crate::window;
use piece::{FileMark, Piece, Place, Progress};
use scan::MatchScan;

mod piece;
mod scan;

/// The size of the buffer for a reader alone, in bytes.
pub const DEFAULT_BUFFER: usize = 128 * 1024;

/// The first line of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The first line of the oldest file.
    Oldest,
    /// The first line at or after this time.
    Since(Label),
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
    /// The line that was read and not yet taken.
    head: Option<Piece>,
    place: Place,
    progress: Progress,
    /// The time of the last stamp that was read.
    time: Option<Label>,
    filter: LineFilter,
    scan: Option<MatchScan>,
    start: FirstRead,
}

/// The work before the first read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstRead {
    /// Find the first line of this time.
    Since(Label),
    /// Find the file of a position.
    At,
    Done,
}

impl DirectoryReader {
    /// Opens the log directory of a source. Errors: as open(2) of the directory.
    pub fn open(source: &Source, start: Start) -> io::Result<Self> {
        DirectoryReader::with_buffer(source, start, DEFAULT_BUFFER)
    }

    /// As [`DirectoryReader::open`], with a buffer of `capacity` bytes.
    pub fn with_buffer(source: &Source, start: Start, capacity: usize) -> io::Result<Self> {
        unix::file::open_read(&source.path)?;
        let mut reader = DirectoryReader {
            files: FileSequence::new(&source.path),
            buffer: LineBuffer::new(capacity),
            mark: FileMark::default(),
            boundary: None,
            head: None,
            place: Place::Unknown,
            progress: Progress::AtStart,
            time: None,
            filter: LineFilter::default(),
            scan: None,
            start: FirstRead::Done,
        };
        match start {
            Start::Oldest => {}
            Start::Since(since) => {
                reader.start = FirstRead::Since(since);
                reader.filter.selection.range.since = Some(since);
            }
            Start::At(position) => {
                reader.files.hold_position(&position);
                reader.place = Place::Known(position);
                reader.time = position.time;
                reader.start = FirstRead::At;
            }
        }
        Ok(reader)
    }

    /// Returns only selected lines, and ends after the range of times.
    pub fn set_selection(&mut self, selection: &Selection) {
        self.filter.selection = selection.clone();
    }

    /// The next line. Errors: as open(2) of the directory and read(2) of a file.
    pub fn next_line(&mut self) -> io::Result<Next<'_>> {
        Ok(if self.load()? {
            self.take().map_or(Next::AtEnd, Next::Line)
        } else {
            Next::AtEnd
        })
    }

    /// Reads the next line without taking it, so that [`DirectoryReader::time`] is
    /// the time of this line. Returns false if nothing more is there now. Errors:
    /// as [`DirectoryReader::next_line`].
    pub fn load(&mut self) -> io::Result<bool> {
        while self.head.is_none() {
            if self.filter.is_past_end {
                return Ok(false);
            }
            self.find_match();
            self.skip_unselected();
            if let Some(piece) = self.find_piece() {
                self.set_head(piece);
            } else if !self.read()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes the line that [`DirectoryReader::load`] has read.
    pub fn take(&mut self) -> Option<LineRef<'_>> {
        let piece = self.head.take()?;
        self.move_place(&piece);
        Some(self.line(&piece))
    }

    /// At the end: reads the last line, which has no newline yet. Returns false if
    /// there is none, or once it was returned. If a logger continues the line
    /// later, the rest is a piece that is no start.
    pub fn load_rest(&mut self) -> bool {
        while self.head.is_none() {
            if self.filter.is_past_end
                || self.buffer.is_empty() && self.progress != Progress::Inside
            {
                return false;
            }
            let piece = self.find_cut_line().unwrap_or_else(|| {
                let piece = self.piece(self.buffer.start()..self.buffer.end(), 0, true);
                self.progress = Progress::AfterRest;
                piece
            });
            self.set_head(piece);
        }
        true
    }

    /// Takes the last line, which has no newline yet; see
    /// [`DirectoryReader::load_rest`].
    pub fn take_rest(&mut self) -> Option<LineRef<'_>> {
        self.load_rest();
        self.take()
    }

    /// The place after the last line that was taken with its end, or after the
    /// lines without a match that follow. None: no line was read.
    pub fn position(&self) -> Option<Position> {
        match self.place {
            Place::Unknown => None,
            Place::Known(position) => Some(position),
            Place::InBuffer(index, mark, time) => Some(self.position_at(index, mark, time)),
        }
    }

    /// The time of the last line that was read; None before the first stamp.
    /// Lines without a stamp have the time of the line before them.
    pub fn time(&self) -> Option<Label> {
        self.time
    }

    /// The time by which a merge orders the line that was read: its time, or for
    /// lines before the first stamp, the label of the file before.
    pub(crate) fn merge_time(&self) -> Option<Label> {
        self.time.or_else(|| self.files.previous_label())
    }

    /// Whether the next piece continues the line of the last one.
    pub fn is_inside_line(&self) -> bool {
        self.progress == Progress::Inside && self.filter.is_selected
    }

    /// The path of the log directory.
    pub fn path(&self) -> &Path {
        self.files.path()
    }

    /// The warnings since the last call.
    pub fn take_warnings(&mut self) -> Vec<ReadWarning> {
        self.files.take_warnings()
    }

    /// Adds warnings of the search for a start.
    pub(crate) fn warn(&mut self, warnings: Vec<ReadWarning>) {
        for warning in warnings {
            self.files.warn(warning);
        }
    }

    /// Takes the names that a watch reports from now on: those of removed files
    /// count as gone, and those of files that a processor has replaced are read.
    pub fn attach(&mut self, feed: NameFeed) {
        self.files.attach(feed);
    }

    /// Whether the reader has no descriptor open.
    pub fn is_suspended(&self) -> bool {
        let held = self.files.held.as_ref();
        held.is_none_or(HeldFile::is_suspended)
    }

    /// Closes the file, and frees the buffer if it contains no line. The reader
    /// opens the file again when it needs more bytes.
    pub fn suspend(&mut self) {
        if let Some(held) = &mut self.files.held {
            held.suspend();
        }
        if self.head.is_none() {
            self.keep_place();
            let by = self.buffer.release();
            self.shift_marks(by);
        }
    }

    /// Continues at a line in a file of `files`, the directory's listing; with None,
    /// of `current` in a directory that was not listed. Errors: as open(2) and
    /// read(2); ENOENT if the file has got another name.
    pub(crate) fn start_at(
        &mut self,
        files: Option<&[LogFile]>,
        file: &LogFile,
        line: &LineStart,
    ) -> io::Result<()> {
        let before = self.files.start_at(files, file, line.id, line.offset)?;
        self.start = FirstRead::Done;
        self.time = line.time;
        self.reset_buffer(&before);
        self.boundary = None;
        self.progress = Progress::AtStart;
        self.set_mark();
        self.place = Place::InBuffer(self.buffer.end(), self.mark, self.time);
        Ok(())
    }

    /// Continues before the file at `index` of `files`, the directory's listing.
    pub(crate) fn start_before(&mut self, files: &[LogFile], index: usize) {
        self.start = FirstRead::Done;
        self.files.start_before(files, index, None);
    }

    /// Returns no lines.
    pub(crate) fn end(&mut self) {
        self.filter.is_past_end = true;
    }

    pub(crate) fn selection(&self) -> &Selection {
        &self.filter.selection
    }

    /// Leaves out the lines before the first stamp.
    pub(crate) fn await_stamp(&mut self) {
        self.filter.is_out_of_range = true;
    }

    /// Finds the next line or piece in the buffer.
    fn find_piece(&mut self) -> Option<Piece> {
        if let Some((index, _)) = self.boundary {
            let after = self.buffer.get(index..self.buffer.end());
            if after.len() < MAX_STAMP && memchr(b'\n', after).is_none() {
                return None;
            }
            if let Some(piece) = self.find_cut_line() {
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

    /// Finds the line at the end of a file, if the next file starts with a stamp:
    /// the logger was killed within the line.
    fn find_cut_line(&mut self) -> Option<Piece> {
        let (index, _) = self.boundary?;
        Stamp::parse(self.buffer.get(index..self.buffer.end()))?;
        let piece = self.piece(self.buffer.start()..index, 0, true);
        self.boundary = None;
        Some(piece)
    }

    /// Reads more bytes. Returns false if nothing more is there now.
    fn read(&mut self) -> io::Result<bool> {
        self.prepare()?;
        loop {
            self.keep_place_of_piece();
            let by = self.buffer.shift();
            self.shift_marks(by);
            if let Some(held) = &mut self.files.held {
                let length = held.read(self.buffer.space())?;
                if length > 0 {
                    self.buffer.fill(length);
                    self.mark.first = held.first;
                    return Ok(true);
                }
            }
            match self.files.at_end(self.time)? {
                EndOfFile::ReadAgain => {}
                EndOfFile::Nothing => return Ok(false),
                EndOfFile::Truncated => {
                    self.keep_place();
                    self.reset_buffer(&[]);
                    self.boundary = None;
                    self.progress = Progress::AtStart;
                    self.set_mark();
                }
                EndOfFile::NextFile => self.start_file(),
            }
        }
    }

    /// Finds the first line, and opens the file again after a suspension.
    fn prepare(&mut self) -> io::Result<()> {
        match self.start {
            FirstRead::Since(since) => {
                window::start_since(self, since)?;
                self.start = FirstRead::Done;
            }
            FirstRead::At => self.resume(true)?,
            FirstRead::Done => {
                if self.is_suspended() && self.files.held.is_some() {
                    self.resume(false)?;
                }
            }
        }
        Ok(())
    }

    /// Opens the suspended file, or the next one if it was removed. `is_new`: the
    /// file is that of the first position.
    fn resume(&mut self, is_new: bool) -> io::Result<()> {
        let expected = match self.place {
            Place::Known(position) if is_new => position.check,
            Place::Unknown | Place::InBuffer(..) | Place::Known(_) => {
                self.check_at(self.buffer.end(), self.mark)
            }
        };
        let (resumed, before) = self.files.resume(expected, self.time, is_new)?;
        self.start = FirstRead::Done;
        match resumed {
            Resumed::AtPosition => {
                if is_new {
                    self.reset_buffer(&before);
                }
                self.set_mark();
            }
            Resumed::AfterTime(last) => {
                self.keep_place();
                self.reset_buffer(&[]);
                self.boundary = None;
                self.progress = Progress::AtStart;
                self.filter.skip_through = Some(last);
                self.start_file();
            }
            Resumed::Lost => self.start_file(),
        }
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

    /// Replaces the buffer by the bytes before the next read.
    fn reset_buffer(&mut self, before: &[u8]) {
        self.buffer.reset(before);
        self.scan = None;
    }

    /// Sets the mark for a held file whose next byte comes after the buffer.
    fn set_mark(&mut self) {
        if let Some(held) = &self.files.held {
            self.mark = FileMark::new(held, self.buffer.end());
        }
    }
}

#[cfg(test)]
mod tests;
