//! Assembles lines from reads and stamps them.

use std::ops::Range;

use daemontools_core::label::{Label, TEXT};
use memchr::memrchr;

use crate::batch::{Batch, HEAD, ReadEmulation, split_line};
use crate::shortage;
use crate::tai64::stamp::{STAMP, Stamper};
use crate::text_buffer::TextBuffer;

/// The size of a read, in bytes. Allocations of this size are mapped and cost
/// memory only when touched. The C library may take one of 128 KB from its
/// heap, and would have to zero the whole of it.
const READ_SIZE: usize = 192 * 1024;

/// Converts reads to batches.
///
/// The caller reads into [`Lines::read_buffer`] and gets the ready text from
/// [`Lines::batch`]. An unfinished line is held until its end or its first
/// [`HEAD`] bytes are read.
#[derive(Debug)]
pub struct Lines {
    stamped: bool,
    /// The length, stamp included, at which an unfinished line is ready.
    head: usize,
    buffer: Box<[u8]>,
    /// The part of the buffer with the unfinished line.
    held: Range<usize>,
    /// Whether the head of the unfinished line is in an earlier batch.
    within_line: bool,
    /// The label of the held line.
    label: [u8; TEXT],
    stamper: Stamper,
    /// Stamped text.
    text: TextBuffer,
}

impl Lines {
    /// No input. With `stamped`, each line gets a label and a space.
    #[must_use]
    pub fn new(stamped: bool) -> Self {
        let text = if stamped {
            TextBuffer::with_room()
        } else {
            TextBuffer::default()
        };
        Lines {
            stamped,
            text,
            ..Lines::with_head(HEAD)
        }
    }

    /// No input. Lines are not stamped, and are held up to `head` bytes.
    #[must_use]
    pub fn with_head(head: usize) -> Self {
        Lines {
            stamped: false,
            head,
            buffer: shortage::zeroed(head + READ_SIZE).into(),
            held: 0..0,
            within_line: false,
            label: [0; TEXT],
            stamper: Stamper::default(),
            text: TextBuffer::default(),
        }
    }

    /// Whether the head of an unfinished line is in an earlier batch.
    #[must_use]
    pub fn is_within_line(&self) -> bool {
        self.within_line
    }

    /// Whether the input so far ends with a newline or is empty.
    #[must_use]
    pub fn is_at_line_start(&self) -> bool {
        self.held.is_empty() && !self.within_line
    }

    /// The buffer for the next read.
    pub fn read_buffer(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.held.clone(), 0);
        self.held = 0..self.held.len();
        let start = self.held.end;
        self.buffer
            .get_mut(start..start + READ_SIZE)
            .unwrap_or_default()
    }

    /// The text that became ready with the first `length` bytes of the read
    /// buffer. `now` is the time of the read.
    pub fn batch(&mut self, length: usize, now: impl FnOnce() -> Label) -> Batch<'_> {
        let stamp = if self.stamped { STAMP } else { 0 };
        let within_line = self.within_line;
        let held = self.held.len();
        let end = (held + length).min(self.buffer.len());
        let ready = self.advance(held..end, stamp);
        self.held = ready..end;
        if self.stamped {
            self.stamp(held > 0, now().text());
        }
        Batch {
            text: if self.stamped {
                self.text.text()
            } else {
                self.buffer.get(..ready).unwrap_or_default()
            },
            within_line,
            reads: ReadEmulation {
                input: self.buffer.get(..end).unwrap_or_default(),
                held,
                within_line,
                stamp,
                selected: None,
            },
        }
    }

    /// Adds a newline to an unfinished line at the end of the input.
    pub fn finish(&mut self, now: impl FnOnce() -> Label) -> Option<Batch<'_>> {
        if self.is_at_line_start() {
            return None;
        }
        if let [first, ..] = self.read_buffer() {
            *first = b'\n';
        }
        Some(self.batch(1, now))
    }

    /// The length of the ready part of the buffer after `read`, with stamps of
    /// `stamp` bytes.
    fn advance(&mut self, read: Range<usize>, stamp: usize) -> usize {
        let text = self.buffer.get(read.clone()).unwrap_or_default();
        let newline = memrchr(b'\n', text);
        let line_start = newline.map_or(0, |newline| read.start + newline + 1);
        self.within_line &= newline.is_none();
        self.within_line |= stamp + read.end - line_start >= self.head;
        if self.within_line {
            read.end
        } else {
            line_start
        }
    }

    /// Stamps the ready text. A line that was `held` gets the label of its
    /// first byte, later lines get the label `now`.
    fn stamp(&mut self, held: bool, now: [u8; TEXT]) {
        self.text.clear();
        let mut ready = self.buffer.get(..self.held.start).unwrap_or_default();
        if held {
            let (line, rest) = split_line(ready);
            self.stamper.stamp(line, &self.label, &mut self.text);
            ready = rest;
        }
        self.stamper.stamp(ready, &now, &mut self.text);
        if !held || self.held.start > 0 {
            self.label = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of each batch and whether it starts within a line. The label
    /// of read n has n microseconds.
    fn batches(stamped: bool, reads: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let mut lines = Lines::new(stamped);
        let mut batches = Vec::new();
        for (read, n) in reads.iter().zip(0..) {
            lines.read_buffer()[..read.len()].copy_from_slice(read);
            let batch = lines.batch(read.len(), || Label::from_unix(0, n));
            let reads: Vec<_> = batch.reads.ready_lengths().collect();
            assert_eq!(reads.last(), Some(&batch.text.len()));
            assert!(reads.is_sorted());
            batches.push((batch.text.to_owned(), batch.within_line));
        }
        if let Some(batch) = lines.finish(|| Label::from_unix(1, 0)) {
            batches.push((batch.text.to_owned(), batch.within_line));
        }
        assert!(lines.is_at_line_start() || lines.finish(|| Label::from_unix(1, 0)).is_some());
        batches
    }

    fn text(batches: &[(Vec<u8>, bool)]) -> Vec<u8> {
        batches.iter().flat_map(|(text, _)| text).copied().collect()
    }

    #[test]
    fn unfinished_line_is_held() {
        let batches = batches(false, &[b"a\nb", b"c", b"d\ne"]);
        let texts: Vec<_> = batches.iter().map(|(text, _)| text.as_slice()).collect();
        assert_eq!(texts, [&b"a\n"[..], b"", b"bcd\n", b"e\n"]);
    }

    #[test]
    fn line_is_held_up_to_1000_bytes() {
        let long = [b'x'; 999];
        let seen = batches(false, &[&long, b"x", b"y", b"\nz\n"]);
        let lengths: Vec<_> = seen
            .iter()
            .map(|(text, within)| (text.len(), *within))
            .collect();
        assert_eq!(lengths, [(0, false), (1000, false), (1, true), (3, true)]);
    }

    #[test]
    fn long_line_is_unfinished_after_its_head() {
        let mut lines = Lines::new(false);
        let states = [&[b'x'; 999][..], b"x", b"y", b"\nz", b"\n"].map(|read| {
            lines.read_buffer()[..read.len()].copy_from_slice(read);
            lines.batch(read.len(), Label::now);
            (lines.is_within_line(), lines.is_at_line_start())
        });
        let (head, line) = ((true, false), (false, false));
        assert_eq!(states, [line, head, head, line, (false, true)]);
    }

    #[test]
    fn stamp_counts_among_the_1000_bytes() {
        let seen = batches(true, &[&[b'x'; 973], b"x", b"\n"]);
        let lengths: Vec<_> = seen.iter().map(|(text, _)| text.len()).collect();
        assert_eq!(lengths, [0, 1000, 1]);
    }

    #[test]
    fn stamp_is_time_of_first_byte() {
        let label = |n| String::from_utf8(Label::from_unix(0, n).text().to_vec()).unwrap();
        let seen = batches(true, &[b"a\nb", b"c", b"\n\nd\ne"]);
        let expected = format!("{0} a\n{0} bc\n{1} \n{1} d\n{1} e\n", label(0), label(2));
        assert_eq!(String::from_utf8(text(&seen)).unwrap(), expected);
    }

    #[test]
    fn size_of_reads_does_not_change_the_text() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..15 {
            let mut input = Vec::new();
            for _ in 0..random.usize(1..40) {
                let length = random
                    .choice([0, 1, 10, 100, 972, 973, 974, 999, 1000, 1001, 3000])
                    .unwrap();
                input.extend(std::iter::repeat_n(random.u8(b'a'..=b'z'), length));
                input.push(b'\n');
            }
            input.truncate(input.len() - random.usize(0..3));
            for stamped in [false, true] {
                let whole: Vec<_> = input.chunks(READ_SIZE).collect();
                let whole = masked(&text(&batches(stamped, &whole)));
                for chunk in [1, 7, 1000, 1024, 4096] {
                    let chunks: Vec<_> = input.chunks(chunk).collect();
                    assert!(masked(&text(&batches(stamped, &chunks))) == whole);
                }
                let lines = split(&whole);
                assert_eq!(lines.len(), split(&input).len());
            }
        }
    }

    fn split(text: &[u8]) -> Vec<&[u8]> {
        text.split_inclusive(|&byte| byte == b'\n').collect()
    }

    fn masked(text: &[u8]) -> Vec<u8> {
        split(text)
            .into_iter()
            .flat_map(|line| if line[0] == b'@' { &line[TEXT..] } else { line })
            .copied()
            .collect()
    }
}
