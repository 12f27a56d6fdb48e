//! The first line of a range of times.
//!
//! The label of an old file is later than its lines, so files of earlier labels
//! are not opened. Inside a file, the line is found by bisection.

use std::io;

use daemontools_core::label::Label;

use crate::backward::LineStart;
use crate::directory_reader::DirectoryReader;
use crate::held_file::{HeldFile, to_u64};
use crate::line_filter::CLOCK_STEP;
use crate::log_files::{self, LogFile};
use crate::stamp::Stamp;

/// The bytes of one read, and the distance at which bisection ends.
const CHUNK: usize = 4096;

/// Continues at or before the first line of a time, and after most of the earlier
/// lines. Errors: as open(2) of the directory.
pub(crate) fn start_since(reader: &mut DirectoryReader, since: Label) -> io::Result<()> {
    let since = since.before(CLOCK_STEP);
    loop {
        let files = log_files::list(reader.path())?;
        let is_late = |file: &LogFile| file.place.label().is_none_or(|label| label >= since);
        let Some(index) = files.iter().position(is_late) else {
            return Ok(());
        };
        let Some(file) = files.get(index) else {
            return Ok(());
        };
        let found = HeldFile::open(reader.path(), file).and_then(|mut opened| {
            let offset = find_time(&mut opened, since)?;
            Ok((opened.id, offset, has_stamps(&mut opened)?))
        });
        let started = found.and_then(|(id, offset, has_stamps)| {
            reader.start_at(Some(&files), file, &LineStart::at(id, offset))?;
            if has_stamps {
                reader.await_stamp();
            }
            Ok(())
        });
        match started {
            Ok(()) => return Ok(()),
            // The file was renamed or removed since the listing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => {
                // The reader warns of an unreadable file.
                reader.start_before(&files, index);
                return Ok(());
            }
        }
    }
}

/// Whether one of a file's first lines has a stamp.
fn has_stamps(file: &mut HeldFile) -> io::Result<bool> {
    Ok(file.first_time().is_some() || first_stamp(file, 0, to_u64(CHUNK))?.is_some())
}

/// The offset of a line in a file: each line before is earlier than `time`, and
/// lies before a line that is earlier, if the file is in order. 0 for a file that
/// can be read only from its start.
fn find_time(file: &mut HeldFile, time: Label) -> io::Result<u64> {
    if !file.is_seekable() {
        return Ok(0);
    }
    // The line at `low` is earlier; each line from `high` on is not.
    let (mut low, mut high) = (0, file.len()?);
    while high - low > to_u64(CHUNK) {
        let middle = low + (high - low) / 2;
        match first_stamp(file, middle, high)? {
            Some((offset, stamp)) if stamp.time < time => low = offset,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

/// The first line with a stamp that starts after `from` and before `to`.
fn first_stamp(file: &mut HeldFile, from: u64, to: u64) -> io::Result<Option<(u64, Stamp)>> {
    let mut chunk = [0; CHUNK];
    let mut offset = from;
    while offset < to {
        let length = file.read_at(&mut chunk, offset)?;
        let text = chunk.get(..length).unwrap_or_default();
        // A stamp at the end of the chunk is read again from the newline on.
        let mut next = offset + to_u64(length);
        for newline in memchr::memchr_iter(b'\n', text) {
            let start = offset + to_u64(newline) + 1;
            if start >= to {
                return Ok(None);
            }
            let line = text.get(newline + 1..).unwrap_or_default();
            if line.len() < crate::stamp::MAX_STAMP && length == CHUNK && newline > 0 {
                next = offset + to_u64(newline);
                break;
            }
            if let Some(stamp) = Stamp::parse(until_newline(line)) {
                return Ok(Some((start, stamp)));
            }
        }
        if length == 0 {
            break;
        }
        offset = next;
    }
    Ok(None)
}

fn until_newline(line: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\n', line.get(..64).unwrap_or(line));
    line.get(..end.unwrap_or(line.len())).unwrap_or(line)
}
