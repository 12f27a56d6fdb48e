//! The file that a reader reads.

use std::ffi::OsString;
use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use daemontools_core::label::Label;
use nix::errno::Errno;
use unix::file::{link_status, open_read};

use crate::compressed::{MAGIC, Tool, Uncompressed};
use crate::log_files::{FilePlace, LogFile};
use crate::position::{CHECKED, FileId, Position, check};
use crate::spool::Extent;
use crate::stamp::{MAX_STAMP, Stamp};

/// A file of a log directory, open or suspended. Offsets and sizes are those of
/// the uncompressed bytes.
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
    content: Content,
}

/// The error that a name is that of no regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotRegular;

impl fmt::Display for NotRegular {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a regular file")
    }
}

impl std::error::Error for NotRegular {}

#[derive(Debug)]
enum Content {
    Suspended,
    Plain(File),
    Compressed(Uncompressed),
    /// The bytes of a suspended compressed file from an offset on.
    Spooled {
        extent: Extent,
        start: u64,
        is_damaged: bool,
    },
}

impl HeldFile {
    /// Opens a file at its start. Errors: as open(2); `InvalidInput` with
    /// [`NotRegular`] for a special file or a link without a target; `Unsupported` with a `MissingTool` for a compressed file without its tool.
    pub(crate) fn open(directory: &Path, file: &LogFile) -> io::Result<Self> {
        let not_regular = || io::Error::new(io::ErrorKind::InvalidInput, NotRegular);
        let path = directory.join(&file.name);
        let opened = File::from(open_read(&path).map_err(|error| {
            // A retry would not find the target of a link either.
            let is_link = || link_status(&path).is_ok_and(|status| status.is_symlink());
            match error {
                Errno::ENXIO => not_regular(),
                Errno::ENOENT if is_link() => not_regular(),
                error => error.into(),
            }
        })?);
        let metadata = opened.metadata()?;
        if !metadata.is_file() {
            return Err(not_regular());
        }
        let mut start = [0; MAX_STAMP];
        let length = opened.read_at(&mut start, 0)?;
        let start = start.get(..length).unwrap_or_default();
        let tool = Tool::of_file(start.get(..MAGIC).unwrap_or(start));
        let tool = tool.filter(|_| file.place != FilePlace::Current);
        Ok(HeldFile {
            id: FileId {
                device: metadata.dev(),
                inode: metadata.ino(),
            },
            name: file.name.clone(),
            place: file.place,
            offset: 0,
            is_finished: file.place != FilePlace::Current,
            first: time_at_start(start),
            content: match tool {
                None => Content::Plain(opened),
                Some(tool) => {
                    tool.check()?;
                    Content::Compressed(Uncompressed::new(opened, tool))
                }
            },
        })
    }

    /// Reads at the offset and advances it; 0 at the end. Errors: as read(2);
    /// EBADF while suspended.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = match &mut self.content {
            Content::Compressed(file) => file.read_at(buffer, self.offset)?,
            Content::Suspended | Content::Plain(_) | Content::Spooled { .. } => {
                self.read_at(buffer, self.offset)?
            }
        };
        if self.offset == 0 {
            self.first = time_at_start(buffer.get(..length).unwrap_or_default());
        }
        self.offset += to_u64(length);
        Ok(length)
    }

    /// The next read is at `offset`. Returns up to [`CHECKED`] bytes before it.
    /// Errors: as read(2); `UnexpectedEof` if the file is shorter.
    pub(crate) fn seek(&mut self, offset: u64) -> io::Result<Vec<u8>> {
        let length = usize::try_from(offset).unwrap_or(CHECKED).min(CHECKED);
        let mut before = vec![0; length];
        self.offset = offset - to_u64(length);
        let mut rest = before.as_mut_slice();
        while !rest.is_empty() {
            let read = self.read(rest)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            rest = rest.get_mut(read..).unwrap_or_default();
        }
        Ok(before)
    }

    /// As [`HeldFile::seek`], if the bytes before `offset` have this check, and the
    /// first line has the time `first`, as far as both times are known. None: the
    /// file is another one; the offset of the next read is undefined.
    pub(crate) fn seek_checked(
        &mut self,
        offset: u64,
        expected: u64,
        first: Option<Label>,
    ) -> Option<Vec<u8>> {
        let before = self.seek(offset).ok()?;
        if check(&before) != expected {
            return None;
        }
        if first.is_some() && self.first.is_none() {
            // A compressed file.
            self.first = self.first_time();
            self.seek(offset).ok()?;
        }
        let is_other = first.is_some_and(|first| self.first.is_some_and(|own| own != first));
        (!is_other).then_some(before)
    }

    /// Reads at an offset. The offset of the next [`HeldFile::read`] stays. Errors:
    /// as read(2); EBADF unless [`HeldFile::is_seekable`].
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            let result = match &self.content {
                Content::Plain(file) => file.read_at(buffer, offset),
                Content::Spooled { extent, start, .. } => match offset.checked_sub(*start) {
                    Some(offset) => extent.read_at(buffer, offset),
                    None => Err(Errno::EBADF.into()),
                },
                Content::Suspended | Content::Compressed(_) => Err(Errno::EBADF.into()),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Whether [`HeldFile::read_at`] can read any part of the file.
    pub(crate) fn is_seekable(&self) -> bool {
        matches!(self.content, Content::Plain(_))
    }

    /// The number of bytes in the file. The offset of the next read is undefined
    /// then. Errors: as fstat(2) and read(2).
    pub(crate) fn len(&mut self) -> io::Result<u64> {
        match &self.content {
            Content::Suspended => Err(Errno::EBADF.into()),
            Content::Plain(file) => Ok(file.metadata()?.len()),
            Content::Spooled { extent, start, .. } => Ok(start + extent.length()),
            Content::Compressed(_) => {
                while self.read(&mut [0; 4096])? > 0 {}
                Ok(self.offset)
            }
        }
    }

    /// Whether the file is shorter than the part of it that was read.
    pub(crate) fn is_truncated(&self) -> bool {
        match &self.content {
            Content::Plain(file) => file.metadata().is_ok_and(|file| file.len() < self.offset),
            Content::Suspended | Content::Compressed(_) | Content::Spooled { .. } => false,
        }
    }

    /// At the end: whether the tool could not uncompress all of the file.
    pub(crate) fn is_damaged(&self) -> bool {
        match &self.content {
            Content::Compressed(file) => file.is_damaged(),
            Content::Spooled { is_damaged, .. } => *is_damaged,
            Content::Suspended | Content::Plain(_) => false,
        }
    }

    /// A file to be opened by `FileSequence::resume`.
    pub(crate) fn suspended(position: &Position) -> Self {
        HeldFile {
            id: position.file,
            name: OsString::new(),
            place: position.label.map_or(FilePlace::Current, FilePlace::Old),
            offset: position.offset,
            is_finished: false,
            first: position.first,
            content: Content::Suspended,
        }
    }

    /// Whether the file is older than `time`, by the time of its last change. Linux takes
    /// that time from a clock that is up to 10 ms late.
    pub(crate) fn is_unchanged_since(&self, time: SystemTime) -> bool {
        const LATE: Duration = Duration::from_millis(20);
        let Content::Plain(file) = &self.content else {
            return false;
        };
        let changed = || {
            let status = file.metadata().ok()?;
            let seconds = Duration::from_secs(status.ctime().try_into().ok()?);
            let more = Duration::from_nanos(status.ctime_nsec().try_into().ok()?);
            SystemTime::UNIX_EPOCH.checked_add(seconds + more + LATE)
        };
        changed().is_some_and(|changed| changed < time)
    }

    pub(crate) fn is_same(&self, metadata: &Metadata) -> bool {
        self.id.inode == metadata.ino() && self.id.device == metadata.dev()
    }

    /// The time of the first line. The offset of the next read is undefined then.
    pub(crate) fn first_time(&mut self) -> Option<Label> {
        self.offset = 0;
        let mut line = [0; MAX_STAMP];
        let length = self.read(&mut line).ok()?;
        time_at_start(line.get(..length)?)
    }

    /// Opens a suspended file again. None: its name is that of another file.
    pub(crate) fn reopen(&self, directory: &Path, expected: u64) -> Option<(Self, Vec<u8>)> {
        let file = LogFile {
            place: self.place,
            name: self.name.clone(),
            inode: self.id.inode,
        };
        let mut opened = HeldFile::open(directory, &file).ok()?;
        let before = opened.seek_checked(self.offset, expected, self.first)?;
        opened.first = opened.first.or(self.first);
        (opened.id == self.id).then_some((opened, before))
    }

    /// Closes the file until it is resumed. The rest of a compressed file is kept
    /// in the spool; without space there, the file is uncompressed again later.
    pub(crate) fn suspend(&mut self) {
        let (content, offset) = (&mut self.content, self.offset);
        *content = match std::mem::replace(content, Content::Suspended) {
            Content::Suspended | Content::Plain(_) => Content::Suspended,
            spooled @ Content::Spooled { .. } => spooled,
            Content::Compressed(file) if file.is_idle() => Content::Suspended,
            Content::Compressed(mut file) => {
                let mut at = offset;
                let stored = Extent::store(|buffer| {
                    let length = file.read_at(buffer, at)?;
                    at += to_u64(length);
                    Ok(length)
                });
                match stored {
                    Ok(extent) => Content::Spooled {
                        extent,
                        start: offset,
                        is_damaged: file.is_damaged(),
                    },
                    Err(_) => Content::Suspended,
                }
            }
        };
    }

    pub(crate) fn is_suspended(&self) -> bool {
        matches!(self.content, Content::Suspended)
    }
}

/// The time of a file that starts with these bytes. None: no stamp, or one that is
/// not written to its end yet.
fn time_at_start(start: &[u8]) -> Option<Label> {
    let stamp = Stamp::parse(start)?;
    (stamp.len < start.len()).then_some(stamp.time)
}

/// A number of bytes in memory as a number of bytes of a file.
pub(crate) fn to_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
