//! Where a file ends and the next begins.

use memchr::{memchr, memrchr};

use crate::batch::{Batch, OriginalRead};

/// The size of 0.76's output buffer.
const BUFFER: usize = 512;

/// How much a file holds, and may hold.
///
/// A file is closed when a write ends with a line end and it then lacks no
/// more than 2000 bytes of its size, or when it has reached its size and there
/// is more to write. Which line ends those are depends on how 0.76 divides
/// into writes what it has read; the division is made again here, but only
/// where a file might end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    size: usize,
    /// From here on a line end is good enough.
    near: usize,
    written: usize,
}

impl Rotation {
    /// A file of `written` bytes that may have `size`, or any if that is 0. At
    /// a line end it is closed when it lacks no more than `slack`, unless that
    /// is more than its size.
    #[must_use]
    pub fn new(size: usize, slack: usize, written: usize) -> Self {
        let size = if size == 0 { usize::MAX } else { size };
        Rotation {
            size,
            near: size.checked_sub(slack).unwrap_or(usize::MAX),
            written,
        }
    }

    /// As [`Rotation::take`], for lines of svlogd and parts of lines that are written one
    /// by one.
    pub fn split_points_of_lines(&mut self, text: &[u8], cuts: &mut Vec<usize>) {
        let mut start = 0;
        while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
            if self.written >= self.size {
                cuts.push(start);
                self.close();
            }
            let room = rest.len().min(self.size - self.written);
            let near = self.near.saturating_sub(self.written).saturating_sub(1);
            let ends = rest.get(near..room);
            let end = ends.and_then(|ends| memchr(b'\n', ends));
            if let Some(end) = end {
                start += near + end + 1;
                cuts.push(start);
                self.close();
            } else {
                start += room;
                self.written += room;
            }
        }
    }

    /// Whether nothing was written to the file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written == 0
    }

    /// How many bytes were written to the file.
    #[must_use]
    pub fn written(&self) -> usize {
        self.written
    }

    /// A new file follows.
    pub fn close(&mut self) {
        self.written = 0;
    }

    /// Takes in a batch: adds to `cuts` every place in its text where a file
    /// is to be closed, when what comes before is written.
    pub fn take(&mut self, batch: &Batch<'_>, cuts: &mut Vec<usize>) {
        if self.reaches_soft_limit(batch.text.len()) {
            for read in batch.original_reads() {
                self.split_read(&read, cuts);
            }
        } else {
            self.written += batch.text.len();
        }
    }

    /// Whether the file might be closed if it had `more` bytes.
    fn reaches_soft_limit(&self, more: usize) -> bool {
        self.written.saturating_add(more) >= self.near
    }

    fn split_read(&mut self, read: &OriginalRead<'_>, cuts: &mut Vec<usize>) {
        if !self.reaches_soft_limit(read.text.len()) {
            self.written += read.text.len();
            return;
        }
        let mut buffer = BufferEmulation {
            start: 0,
            end: 0,
            write: |start, end| self.write(read, start, end, cuts),
        };
        for fragment in read.fragments() {
            let head = if fragment.continues {
                0
            } else {
                fragment.head().len()
            };
            buffer.put_whole(head);
            buffer.put_bytes(fragment.text.len().saturating_sub(head));
        }
        buffer.flush();
    }

    /// One write of 0.76: it is cut where the file must end.
    fn write(
        &mut self,
        read: &OriginalRead<'_>,
        mut start: usize,
        end: usize,
        cuts: &mut Vec<usize>,
    ) {
        while start < end {
            if self.written >= self.size {
                cuts.push(read.start + start);
                self.close();
            }
            let mut stop = end.min(start + self.size - self.written);
            let mut text = read.text.get(start..stop).unwrap_or_default();
            if self.reaches_soft_limit(text.len()) {
                if let Some(newline) = memrchr(b'\n', text) {
                    stop = start + newline + 1;
                    text = text.get(..=newline).unwrap_or_default();
                }
            }
            self.written += stop - start;
            if self.reaches_soft_limit(0) && text.ends_with(b"\n") {
                cuts.push(read.start + stop);
                self.close();
            }
            start = stop;
        }
    }
}

/// 0.76's output buffer: what is put there together stays in one write, if
/// it fits or is too long for the buffer altogether.
struct BufferEmulation<F> {
    start: usize,
    end: usize,
    write: F,
}

impl<F: FnMut(usize, usize)> BufferEmulation<F> {
    fn put_whole(&mut self, length: usize) {
        if length > BUFFER - (self.end - self.start) {
            self.flush();
        }
        self.end += length;
        if self.end - self.start > BUFFER {
            self.flush();
        }
    }

    fn put_bytes(&mut self, mut length: usize) {
        loop {
            let room = BUFFER - (self.end - self.start);
            if length <= room {
                self.end += length;
                return;
            }
            self.end += room;
            length -= room;
            self.flush();
        }
    }

    fn flush(&mut self) {
        (self.write)(self.start, self.end);
        self.start = self.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::Lines;
    use daemontools_core::label::Label;

    /// The lengths of the files that the reads become.
    fn files<'a>(
        size: usize,
        written: usize,
        reads: impl IntoIterator<Item = &'a [u8]>,
    ) -> Vec<usize> {
        let mut lines = Lines::new(false);
        let mut rotation = Rotation::new(size, 2000, written);
        let mut files = vec![written];
        let mut take = |batch: Batch<'_>| {
            let mut cuts = Vec::new();
            rotation.take(&batch, &mut cuts);
            let mut from = 0;
            for cut in cuts {
                *files.last_mut().unwrap() += cut - from;
                files.push(0);
                from = cut;
            }
            *files.last_mut().unwrap() += batch.text.len() - from;
        };
        for read in reads {
            lines.read_buffer()[..read.len()].copy_from_slice(read);
            take(lines.batch(read.len(), Label::now));
        }
        if let Some(batch) = lines.finish(Label::now) {
            take(batch);
        }
        files
    }

    fn line(length: usize) -> Vec<u8> {
        [vec![b'x'; length - 1], b"\n".to_vec()].concat()
    }

    #[test]
    fn a_file_ends_with_a_line_near_its_size() {
        let lines = line(1000).repeat(9);
        assert_eq!(files(4096, 0, lines.chunks(1000)), [3000, 3000, 3000, 0]);
        assert_eq!(files(5000, 0, lines.chunks(1000)), [3000, 3000, 3000, 0]);
        assert_eq!(files(5001, 0, lines.chunks(1000)), [4000, 4000, 1000]);
    }

    #[test]
    fn a_file_ends_anywhere_at_its_size() {
        assert_eq!(files(4096, 0, [&line(10_000)[..]]), [4096, 4096, 1808]);
        assert_eq!(files(5000, 0, [&line(10_000)[..]]), [5000, 5000, 0]);
    }

    #[test]
    fn lines_are_written_together_in_a_buffer() {
        let lines = line(100).repeat(90);
        assert_eq!(files(4096, 0, [&lines[..]]), [2500, 2500, 2100, 1900]);
    }

    #[test]
    fn a_file_that_was_too_big_is_closed_first() {
        assert_eq!(files(4096, 9000, [&line(10)[..]]), [9000, 10]);
        assert_eq!(files(4096, 4090, [&line(10)[..]]), [4096, 4]);
        assert_eq!(files(4096, usize::MAX, [&line(10)[..]]), [usize::MAX, 10]);
    }
}
