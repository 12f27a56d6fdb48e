//! The lines of a log directory from the last one on.

use std::io;
use std::path::Path;

use daemontools_core::label::Label;
use memchr::memrchr;

use crate::held_file::{HeldFile, to_u64};
use crate::line_buffer::LineBuffer;
use crate::log_files::{self, LogFile};
use crate::position::FileId;
use crate::stamp::{MAX_STAMP, Stamp};
use crate::warning::ReadWarning;

/// The bytes of the first read, which suffice for the last lines of most logs.
const FIRST_WINDOW: usize = 4096;
/// The bytes of later reads, and the bytes of a line that a pattern sees.
const WINDOW: usize = 64 * 1024;

/// The index of `current` before a listing.
const UNLISTED: usize = usize::MAX;

/// The start of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineStart {
    /// The index of the file in the listing; [`UNLISTED`] for `current` before a
    /// listing.
    pub(crate) file: usize,
    /// The identity of the file.
    pub(crate) id: FileId,
    /// The offset in the file.
    pub(crate) offset: u64,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) is_match: bool,
    /// The time of the last stamp up to this line, once it is known.
    pub(crate) time: Option<Label>,
}

impl LineStart {
    /// An offset in a file.
    pub(crate) fn at(id: FileId, offset: u64) -> Self {
        LineStart {
            file: UNLISTED,
            id,
            offset,
            stamp: None,
            is_match: false,
            time: None,
        }
    }

    /// The file of the line.
    pub(crate) fn find_file<'a>(&self, files: &'a [LogFile]) -> Option<&'a LogFile> {
        let by_inode = files.iter().find(|file| file.inode == self.id.inode);
        by_inode.or_else(|| files.get(self.file))
    }
}

/// Reads the lines of a log directory from the last one on.
#[derive(Debug)]
pub(crate) struct Backward<'a, F> {
    path: &'a Path,
    /// Whether a line is wanted, by its stamp and the start of its text.
    is_match: F,
    /// None: only `current` was opened.
    files: Option<Vec<LogFile>>,
    /// The index of the file in the listing, or [`UNLISTED`].
    index: usize,
    file: Option<HeldFile>,
    /// The end of the lines that were not returned.
    end: u64,
    /// The bytes from `window_start` on.
    window: Vec<u8>,
    window_start: u64,
    /// The remaining lines of a compressed file, in order.
    collected: Vec<LineStart>,
    warnings: Vec<ReadWarning>,
}

impl<'a, F: FnMut(Option<Stamp>, &[u8]) -> bool> Backward<'a, F> {
    /// Starts at the end of `current`. Errors: as open(2) and read(2).
    pub(crate) fn new(path: &'a Path, is_match: F) -> io::Result<Self> {
        let mut lines = Backward {
            path,
            is_match,
            files: None,
            index: UNLISTED,
            file: None,
            end: 0,
            window: Vec::new(),
            window_start: 0,
            collected: Vec::new(),
            warnings: Vec::new(),
        };
        if let Ok(file) = HeldFile::open(path, &LogFile::current()) {
            lines.hold(file)?;
        } else {
            // The listing shows whether the file is missing or unreadable.
            let files = log_files::list(path)?;
            lines.index = files.len();
            lines.files = Some(files);
        }
        Ok(lines)
    }

    /// The listing of the directory, None if only `current` was opened; and the
    /// warnings.
    pub(crate) fn into_files(self) -> (Option<Vec<LogFile>>, Vec<ReadWarning>) {
        (self.files, self.warnings)
    }

    /// The label of the old file before the one that was read last. Errors: as
    /// open(2).
    pub(crate) fn previous_label(&mut self) -> io::Result<Option<Label>> {
        self.list()?;
        let earlier = self.files.as_deref().unwrap_or_default().get(..self.index);
        let last = earlier.and_then(<[LogFile]>::last);
        Ok(last.and_then(|file| file.place.label()))
    }

    /// Whether a stamp is at the start of the file, or in a line to come.
    pub(crate) fn has_stamps(&self) -> io::Result<bool> {
        let mut start = [0; MAX_STAMP];
        let file = self.file.as_ref();
        let length = file.map_or(Ok(0), |file| file.read_at(&mut start, 0))?;
        let is_stamp = Stamp::parse(start.get(..length).unwrap_or_default()).is_some();
        Ok(is_stamp || self.collected.iter().any(|line| line.stamp.is_some()))
    }

    /// The end of the last line with a newline, as a start of the next line. None:
    /// there is no file.
    pub(crate) fn end(&mut self, with_rest: bool) -> io::Result<Option<LineStart>> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let id = file.id;
        if !with_rest && self.end > 0 && self.byte_before(self.end)? != Some(b'\n') {
            self.end = self.find_start(self.end + 1)?;
        }
        Ok(Some(LineStart {
            file: self.index,
            ..LineStart::at(id, self.end)
        }))
    }

    /// The next earlier line. Errors: as open(2) and read(2).
    pub(crate) fn next_line(&mut self) -> io::Result<Option<LineStart>> {
        loop {
            if let Some(line) = self.collected.pop() {
                return Ok(Some(line));
            }
            if self.end > 0 {
                let (start, end) = (self.find_start(self.end)?, self.end);
                self.end = start;
                let line = self.line(start, end)?;
                if start > 0 || line.stamp.is_some() || !self.continues()? {
                    return Ok(Some(line));
                }
            } else if !self.previous_file()? {
                return Ok(None);
            }
        }
    }

    fn hold(&mut self, mut file: HeldFile) -> io::Result<()> {
        self.window.clear();
        self.end = 0;
        if file.is_seekable() {
            self.end = file.len()?;
            self.file = Some(file);
        } else {
            self.collect(file)?;
        }
        Ok(())
    }

    /// Lists the directory, if only `current` was opened.
    fn list(&mut self) -> io::Result<()> {
        if self.files.is_none() {
            let files = log_files::list(self.path)?;
            let inode = self.file.as_ref().map(|file| file.id.inode);
            let index = files.iter().position(|file| Some(file.inode) == inode);
            // The file was rotated since it was opened.
            self.index = index.ok_or(io::ErrorKind::NotFound)?;
            self.files = Some(files);
        }
        Ok(())
    }

    /// Opens the file before. Returns false if there is none.
    fn previous_file(&mut self) -> io::Result<bool> {
        self.list()?;
        while let Some(index) = self.index.checked_sub(1) {
            self.index = index;
            let file = self.files.as_ref().and_then(|files| files.get(index));
            let Some(file) = file else {
                continue;
            };
            match HeldFile::open(self.path, file) {
                Ok(file) => {
                    self.hold(file)?;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
                Err(error) => {
                    let name = file.name.clone();
                    self.warnings.push(ReadWarning::of_error(name, &error));
                }
            }
        }
        Ok(false)
    }

    /// Whether the line at the start of the file continues one of the file before.
    /// If so, the file before is open, and its last line is the next one.
    fn continues(&mut self) -> io::Result<bool> {
        // The listing finds the held file by its inode.
        self.list()?;
        let earlier = (self.file.take(), self.index);
        if !self.previous_file()? {
            (self.file, self.index) = earlier;
            self.end = 0;
            return Ok(false);
        }
        if self.end > 0 && self.byte_before(self.end)? != Some(b'\n') {
            return Ok(true);
        }
        Ok(false)
    }

    fn byte_before(&mut self, end: u64) -> io::Result<Option<u8>> {
        let mut byte = [0];
        let file = self.file.as_ref();
        let length = file.map_or(Ok(0), |file| file.read_at(&mut byte, end - 1))?;
        Ok((length == 1).then_some(byte[0]))
    }

    /// The start of the line that ends before `end`.
    fn find_start(&mut self, end: u64) -> io::Result<u64> {
        // The newline of the line itself does not count.
        let mut limit = end.saturating_sub(1);
        while limit > 0 {
            let is_loaded =
                self.window_start < limit && limit <= self.window_start + to_u64(self.window.len());
            if !is_loaded {
                self.load(limit)?;
            }
            let length = usize::try_from(limit - self.window_start).unwrap_or_default();
            let text = self.window.get(..length).unwrap_or_default();
            if let Some(newline) = memrchr(b'\n', text) {
                return Ok(self.window_start + to_u64(newline) + 1);
            }
            limit = self.window_start;
        }
        Ok(0)
    }

    /// Loads the bytes before `end` into the window.
    fn load(&mut self, end: u64) -> io::Result<()> {
        let length = if self.window.is_empty() {
            FIRST_WINDOW
        } else {
            WINDOW
        };
        let length = usize::try_from(end).unwrap_or(length).min(length);
        // One more byte is the newline of the line.
        self.window.resize(length + 1, 0);
        self.window_start = end - to_u64(length);
        let file = self.file.as_ref();
        let read = file.map_or(Ok(0), |file| {
            file.read_at(&mut self.window, self.window_start)
        })?;
        self.window.truncate(read);
        if read < length {
            // The file was cut meanwhile.
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(())
    }

    /// The line from `start` to `end`.
    fn line(&mut self, start: u64, end: u64) -> io::Result<LineStart> {
        let id = self.file.as_ref().map(|file| file.id);
        let length = usize::try_from(end - start).unwrap_or(WINDOW).min(WINDOW);
        let in_window = start.checked_sub(self.window_start).and_then(|index| {
            let index = usize::try_from(index).ok()?;
            self.window.get(index..index + length)
        });
        let mut long = Vec::new();
        let text = if let Some(text) = in_window {
            text
        } else {
            long.resize(length, 0);
            let file = self.file.as_ref();
            let read = file.map_or(Ok(0), |file| file.read_at(&mut long, start))?;
            long.get(..read).unwrap_or_default()
        };
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let stamp = Stamp::parse(text);
        Ok(LineStart {
            file: self.index,
            id: id.unwrap_or(FileId {
                device: 0,
                inode: 0,
            }),
            offset: start,
            stamp,
            is_match: (self.is_match)(stamp, text),
            time: None,
        })
    }

    /// Reads a file that can be read only from its start.
    fn collect(&mut self, mut file: HeldFile) -> io::Result<()> {
        let mut buffer = LineBuffer::new(WINDOW);
        let (mut base, mut is_start) = (0_u64, true);
        loop {
            let by = buffer.shift();
            base += to_u64(by);
            let length = file.read(buffer.space())?;
            buffer.fill(length);
            loop {
                let line = buffer.find_line();
                let is_end = line.is_some();
                let range = match line {
                    Some(line) => line,
                    None if buffer.is_full() => buffer.full_piece(),
                    None if length == 0 && !buffer.is_empty() => buffer.start()..buffer.end(),
                    None => break,
                };
                if is_start {
                    let text = buffer.get(range.clone());
                    let stamp = Stamp::parse(text);
                    self.collected.push(LineStart {
                        file: self.index,
                        id: file.id,
                        offset: base + to_u64(range.start),
                        stamp,
                        is_match: (self.is_match)(stamp, text),
                        time: None,
                    });
                }
                is_start = is_end;
                buffer.take(range.end + usize::from(is_end));
            }
            if length == 0 {
                if file.is_damaged() {
                    self.warnings.push(ReadWarning::Damaged { file: file.name });
                }
                return Ok(());
            }
        }
    }
}
