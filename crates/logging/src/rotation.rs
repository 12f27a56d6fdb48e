//! The offsets at which log text is split into files.

use memchr::{memchr, memrchr};

use crate::batch::{Batch, OriginalRead};
use crate::shortage;

/// The size of 0.76's output buffer, in bytes.
const BUFFER: usize = 512;

/// The size of the current file and its limits.
///
/// A file is closed after a write that ends a line and leaves no more than
/// 2000 bytes (`slack`) of its size free. A full file is closed before the
/// next write. The choice of the line depends on how 0.76 divides its input
/// into writes; those writes are recomputed here, but only near the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    size: u64,
    /// A file of at least this size is closed at the next line end.
    soft_limit: u64,
    written: u64,
}

impl Rotation {
    /// A file of `written` bytes with a limit of `size` bytes. 0 disables the
    /// limit. A `slack` above `size` disables closing at line ends.
    #[must_use]
    pub fn new(size: u64, slack: u64, written: u64) -> Self {
        let size = if size == 0 { u64::MAX } else { size };
        Rotation {
            size,
            soft_limit: size.checked_sub(slack).unwrap_or(u64::MAX),
            written,
        }
    }

    /// As [`Rotation::split_points`], for svlogd, which writes each line and
    /// part of a line separately.
    pub fn split_points_of_lines(&mut self, text: &[u8], points: &mut Vec<usize>) {
        let mut start = 0;
        while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
            if self.written >= self.size {
                shortage::push(points, start);
                self.start_file();
            }
            let room = rest.len().min(self.room());
            let limit = to_usize(self.soft_limit.saturating_sub(self.written)).saturating_sub(1);
            let after_limit = rest.get(limit..room);
            let end = after_limit.and_then(|text| memchr(b'\n', text));
            if let Some(end) = end {
                start += limit + end + 1;
                shortage::push(points, start);
                self.start_file();
            } else {
                start += room;
                self.count(room);
            }
        }
    }

    /// Whether the file has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written == 0
    }

    /// The size of the file, in bytes.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Continues with a new, empty file.
    pub fn start_file(&mut self) {
        self.written = 0;
    }

    /// Counts the text of a batch as written. Adds to `points` each offset at
    /// which a file is closed.
    pub fn split_points(&mut self, batch: &Batch<'_>, points: &mut Vec<usize>) {
        if self.reaches_soft_limit(batch.text.len()) {
            for read in batch.original_reads() {
                self.split_read(&read, points);
            }
        } else {
            self.count(batch.text.len());
        }
    }

    /// Whether the file reaches its soft limit with `more` bytes.
    fn reaches_soft_limit(&self, more: usize) -> bool {
        self.written.saturating_add(to_u64(more)) >= self.soft_limit
    }

    /// The number of bytes that fit in the file.
    fn room(&self) -> usize {
        to_usize(self.size.saturating_sub(self.written))
    }

    /// Adds bytes to the file.
    fn count(&mut self, bytes: usize) {
        self.written += to_u64(bytes);
    }

    fn split_read(&mut self, read: &OriginalRead<'_>, points: &mut Vec<usize>) {
        if !self.reaches_soft_limit(read.text.len()) {
            self.count(read.text.len());
            return;
        }
        let mut buffer = BufferEmulation {
            start: 0,
            end: 0,
            write: |start, end| self.split_write(read, start, end, points),
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

    /// Splits one write of 0.76.
    fn split_write(
        &mut self,
        read: &OriginalRead<'_>,
        mut start: usize,
        end: usize,
        points: &mut Vec<usize>,
    ) {
        while start < end {
            if self.written >= self.size {
                shortage::push(points, read.start + start);
                self.start_file();
            }
            let mut stop = end.min(start.saturating_add(self.room()));
            let mut text = read.text.get(start..stop).unwrap_or_default();
            if self.reaches_soft_limit(text.len()) {
                if let Some(newline) = memrchr(b'\n', text) {
                    stop = start + newline + 1;
                    text = text.get(..=newline).unwrap_or_default();
                }
            }
            self.count(stop - start);
            if self.reaches_soft_limit(0) && text.ends_with(b"\n") {
                shortage::push(points, read.start + stop);
                self.start_file();
            }
            start = stop;
        }
    }
}

/// A number of bytes of a file as a number of bytes in memory.
fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn to_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// 0.76's output buffer. `put_whole` keeps its bytes in one write; `put_bytes`
/// fills the buffer before each flush.
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

    /// The sizes of the files for an input in reads of `chunk` bytes.
    fn files(size: u64, written: u64, input: &[u8], chunk: usize) -> Vec<u64> {
        let mut lines = Lines::new(false);
        let mut rotation = Rotation::new(size, 2000, written);
        let mut files = vec![written];
        let mut take = |batch: Batch<'_>| {
            let mut points = Vec::new();
            rotation.split_points(&batch, &mut points);
            let mut from = 0;
            for point in points {
                *files.last_mut().unwrap() += to_u64(point - from);
                files.push(0);
                from = point;
            }
            *files.last_mut().unwrap() += to_u64(batch.text.len() - from);
        };
        for read in input.chunks(chunk) {
            lines.read_buffer()[..read.len()].copy_from_slice(read);
            take(lines.batch(read.len(), Label::now));
        }
        assert!(lines.finish(Label::now).is_none());
        files
    }

    #[test]
    fn files_end_at_lines_near_the_limit_or_at_it() {
        for (size, written, line, count, chunk, expected) in [
            (4096, 0, 1000, 9, 1000, &[3000, 3000, 3000, 0][..]),
            (5000, 0, 1000, 9, 1000, &[3000, 3000, 3000, 0]),
            (5001, 0, 1000, 9, 1000, &[4000, 4000, 1000]),
            // A line longer than a file.
            (4096, 0, 10_000, 1, 10_000, &[4096, 4096, 1808]),
            (5000, 0, 10_000, 1, 10_000, &[5000, 5000, 0]),
            // Lines that share a write of the buffer.
            (4096, 0, 100, 90, 9000, &[2500, 2500, 2100, 1900]),
            // An oversized or nearly full file of an earlier writer.
            (4096, 9000, 10, 1, 10, &[9000, 10]),
            (4096, 4090, 10, 1, 10, &[4096, 4]),
            (4096, u64::MAX, 10, 1, 10, &[u64::MAX, 10]),
        ] {
            let input = ("x".repeat(line - 1) + "\n").repeat(count);
            let seen = files(size, written, input.as_bytes(), chunk);
            assert_eq!(seen, expected, "size {size}, lines of {line}");
        }
    }

    /// The sizes of the files of svlogd for these pieces of text.
    fn files_of_lines(size: u64, slack: u64, written: u64, pieces: &[&[u8]]) -> Vec<u64> {
        let mut rotation = Rotation::new(size, slack, written);
        let mut files = vec![written];
        for piece in pieces {
            let mut points = Vec::new();
            rotation.split_points_of_lines(piece, &mut points);
            let mut from = 0;
            for point in points {
                *files.last_mut().unwrap() += to_u64(point - from);
                files.push(0);
                from = point;
            }
            *files.last_mut().unwrap() += to_u64(piece.len() - from);
            assert_eq!(Some(&rotation.written()), files.last());
            assert_eq!(rotation.is_empty(), rotation.written() == 0);
        }
        files
    }

    #[test]
    fn svlogd_ends_files_at_the_first_line_end() {
        for (size, slack, written, pieces, expected) in [
            (10, 0, 0, &[&b"aaaa\nbbbb\nc\n"[..]][..], &[10, 2][..]),
            (10, 5, 0, &[b"aaaa\nbbbb\nc\n"], &[5, 5, 2]),
            (10, 4, 0, &[b"aaaa\nb\nbb\nc\n"], &[7, 5]),
            (10, 4, 0, &[b"aaaaaaaaaaaaaaa\nb\n"], &[10, 6, 2]),
            (10, 0, 0, &[b"aaaaaaaaaa", b"\n"], &[10, 1]),
            (10, 0, 0, &[b"aaaaaaaaaa", b"", b"b\n"], &[10, 2]),
            (10, 0, 0, &[b"aaaaaaaaa\n", b"b\n"], &[10, 2]),
            (10, 2, 7, &[b"\n", b"b\n"], &[8, 2]),
            (10, 2, 6, &[b"\n", b"b\n"], &[9, 0]),
            (10, 2, 12, &[b"a\n"], &[12, 2]),
            // Without a soft limit, files end where they are full.
            (4, 5, 0, &[b"a\nb\nc\n"], &[4, 2]),
            (0, 5, 0, &[b"a\nb\nc\n"], &[6]),
        ] {
            let seen = files_of_lines(size, slack, written, pieces);
            assert_eq!(seen, expected, "size {size}, {written} written, {pieces:?}");
        }
    }
}
