//! The bytes between a file and the lines of a reader.

use std::ops::Range;

use memchr::memchr;

use crate::position::CHECKED;

/// A buffer of constant capacity. It keeps [`CHECKED`] bytes before the next line
/// for the check of a position.
#[derive(Debug)]
pub(crate) struct LineBuffer {
    /// Empty until the first read. The bytes from `end` on have no meaning.
    bytes: Vec<u8>,
    capacity: usize,
    /// The start of the next line or piece.
    start: usize,
    /// No newline is between `start` and this index.
    scanned: usize,
    end: usize,
}

impl LineBuffer {
    /// A buffer for lines of up to `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        LineBuffer {
            bytes: Vec::new(),
            capacity: capacity.max(2 * CHECKED) + CHECKED,
            start: 0,
            scanned: 0,
            end: 0,
        }
    }

    /// The index of the next line.
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// The index after the last byte.
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn get(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// The next line without its newline; None if its end is not in the buffer.
    pub(crate) fn find_line(&mut self) -> Option<Range<usize>> {
        let Some(length) = memchr(b'\n', self.get(self.scanned..self.end)) else {
            self.scanned = self.end;
            return None;
        };
        Some(self.start..self.scanned + length)
    }

    /// The lines whose newline is in the buffer.
    pub(crate) fn whole_lines(&self) -> &[u8] {
        let rest = self.get(self.start..self.end);
        let end = memchr::memrchr(b'\n', rest).map_or(0, |newline| newline + 1);
        rest.get(..end).unwrap_or_default()
    }

    /// Continues at `index`, after a line and its newline.
    pub(crate) fn take(&mut self, index: usize) {
        self.start = index.min(self.end);
        self.scanned = self.start;
    }

    /// Whether the next line fills the buffer.
    pub(crate) fn is_full(&self) -> bool {
        self.end - self.start >= self.capacity - CHECKED
    }

    /// The longest piece of a line that fills the buffer.
    pub(crate) fn full_piece(&self) -> Range<usize> {
        self.start..self.end.min(self.start + self.capacity - CHECKED)
    }

    /// Replaces everything by the bytes before the next read.
    pub(crate) fn reset(&mut self, before: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(before);
        self.end = before.len();
        self.take(self.end);
    }

    /// Moves the bytes to the front. Returns by how many bytes.
    pub(crate) fn shift(&mut self) -> usize {
        let by = self.start.saturating_sub(CHECKED);
        if by > 0 {
            self.bytes.copy_within(by..self.end, 0);
            self.start -= by;
            self.scanned -= by;
            self.end -= by;
        }
        by
    }

    /// The space for the next read. Precede it by [`LineBuffer::shift`].
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.bytes.resize(self.capacity, 0);
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Adds the bytes that were read into the space.
    pub(crate) fn fill(&mut self, length: usize) {
        self.end = self.bytes.len().min(self.end + length);
    }

    /// Frees most of the memory of a buffer without lines.
    pub(crate) fn release(&mut self) -> usize {
        let by = self.shift();
        if self.is_empty() {
            self.bytes.truncate(self.end);
            self.bytes.shrink_to_fit();
        }
        by
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(buffer: &mut LineBuffer, text: &[u8]) {
        buffer.shift();
        buffer.space()[..text.len()].copy_from_slice(text);
        buffer.fill(text.len());
    }

    #[test]
    fn line_ends_at_a_newline_in_a_later_read() {
        let mut buffer = LineBuffer::new(0);
        read(&mut buffer, b"one\ntw");
        let line = buffer.find_line().unwrap();
        assert_eq!(buffer.get(line.clone()), b"one");
        buffer.take(line.end + 1);
        assert_eq!(buffer.find_line(), None);
        read(&mut buffer, b"o\n");
        let line = buffer.find_line().unwrap();
        assert_eq!(buffer.get(line.clone()), b"two");
        buffer.take(line.end + 1);
        assert!(buffer.is_empty());
        buffer.release();
        assert_eq!(buffer.get(0..buffer.start()), b"one\ntwo\n");
    }

    #[test]
    fn shift_keeps_the_checked_bytes() {
        let (capacity, taken) = (4 * CHECKED, 3 * CHECKED);
        let mut buffer = LineBuffer::new(capacity);
        read(&mut buffer, &[b'x'; 4 * CHECKED]);
        assert!(buffer.is_full());
        buffer.take(taken);
        assert!(!buffer.is_full());
        assert_eq!(buffer.shift(), taken - CHECKED);
        assert_eq!((buffer.start(), buffer.end()), (CHECKED, 2 * CHECKED));
        assert_eq!(buffer.space().len(), taken);
    }
}
