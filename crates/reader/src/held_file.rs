//! The file that a reader reads.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use daemontools_core::label::Label;
use nix::errno::Errno;
use unix::file::open_read;

use crate::log_files::{FilePlace, LogFile};
use crate::position::{CHECKED, FileId, Position, check};
use crate::stamp::{MAX_STAMP, Stamp};

/// A file of a log directory, open or suspended.
#[derive(Debug)]
pub(crate) struct HeldFile {
    pub(crate) id: FileId,
    /// The last known name.
    pub(crate) name: OsString,
    pub(crate) place: FilePlace,
    /// The offset of the next read.
    pub(crate) offset: u64,
    /// Whether no more is written to the file.
    pub(crate) is_finished: bool,
    /// The time of the first line.
    pub(crate) first: Option<Label>,
    /// The descriptor, unless suspended.
    file: Option<File>,
}

impl HeldFile {
    /// Opens a file at its start. Errors: as open(2); ENOENT for a special file.
    pub(crate) fn open(directory: &Path, file: &LogFile) -> io::Result<Self> {
        let opened = File::from(open_read(&directory.join(&file.name))?);
        let metadata = opened.metadata()?;
        if !metadata.is_file() {
            return Err(Errno::ENOENT.into());
        }
        Ok(HeldFile {
            id: FileId {
                device: metadata.dev(),
                inode: metadata.ino(),
            },
            name: file.name.clone(),
            place: file.place,
            offset: 0,
            is_finished: file.place != FilePlace::Current,
            first: None,
            file: Some(opened),
        })
    }

    /// Reads at the offset and advances it; 0 at the end. Errors: as read(2);
    /// EBADF while suspended.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.read_at(buffer, self.offset)?;
        if self.offset == 0 {
            let stamp = Stamp::parse(buffer.get(..length).unwrap_or_default());
            self.first = stamp.map(|stamp| stamp.time);
        }
        self.offset += to_u64(length);
        Ok(length)
    }

    /// The next read is at `offset`. Returns up to [`CHECKED`] bytes before it.
    /// Errors: as read(2); `UnexpectedEof` if the file is shorter.
    pub(crate) fn seek(&mut self, offset: u64) -> io::Result<Vec<u8>> {
        let file = self.file.as_ref().ok_or(Errno::EBADF)?;
        let length = usize::try_from(offset).unwrap_or(CHECKED).min(CHECKED);
        let mut before = vec![0; length];
        file.read_exact_at(&mut before, offset - to_u64(length))?;
        self.offset = offset;
        Ok(before)
    }

    /// As [`HeldFile::seek`], if the bytes before `offset` have this check. None:
    /// the file is another one; the offset of the next read is undefined.
    pub(crate) fn seek_checked(&mut self, offset: u64, expected: u64) -> Option<Vec<u8>> {
        let before = self.seek(offset).ok()?;
        (check(&before) == expected).then_some(before)
    }

    /// Reads at an offset. The offset of the next [`HeldFile::read`] stays. Errors:
    /// as read(2).
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let file = self.file.as_ref().ok_or(Errno::EBADF)?;
        loop {
            match file.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Whether [`HeldFile::read_at`] can read any part of the file.
    pub(crate) fn is_seekable(&self) -> bool {
        true
    }

    /// The number of bytes in the file. Errors: as fstat(2).
    pub(crate) fn len(&self) -> io::Result<u64> {
        let file = self.file.as_ref().ok_or(Errno::EBADF)?;
        Ok(file.metadata()?.len())
    }

    /// Whether the file is shorter than what was read of it.
    pub(crate) fn is_truncated(&self) -> bool {
        self.len().is_ok_and(|length| length < self.offset)
    }

    /// A file to be opened by `FileSequence::resume`.
    pub(crate) fn suspended(position: &Position) -> Self {
        HeldFile {
            id: position.file,
            name: OsString::new(),
            place: position.label.map_or(FilePlace::Current, FilePlace::Old),
            offset: position.offset,
            is_finished: false,
            first: None,
            file: None,
        }
    }

    pub(crate) fn is_same(&self, metadata: &Metadata) -> bool {
        self.id.inode == metadata.ino() && self.id.device == metadata.dev()
    }

    /// The time of the first line. The offset of the next read is undefined then.
    pub(crate) fn first_time(&mut self) -> Option<Label> {
        self.offset = 0;
        let mut line = [0; MAX_STAMP];
        let length = self.read(&mut line).ok()?;
        Stamp::parse(line.get(..length)?).map(|stamp| stamp.time)
    }

    /// Opens a suspended file again. None: its name is that of another file.
    pub(crate) fn reopen(&self, directory: &Path, expected: u64) -> Option<(Self, Vec<u8>)> {
        let file = LogFile {
            place: self.place,
            name: self.name.clone(),
            inode: self.id.inode,
        };
        let mut opened = HeldFile::open(directory, &file).ok()?;
        let before = opened.seek_checked(self.offset, expected)?;
        opened.first = self.first;
        (opened.id == self.id).then_some((opened, before))
    }

    /// Closes the file until it is resumed.
    pub(crate) fn suspend(&mut self) {
        self.file = None;
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.file.is_none()
    }
}

/// A number of bytes in memory as a number of bytes of a file.
pub(crate) fn to_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
