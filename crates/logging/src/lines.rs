//! Lines out of reads, with their stamps.

use std::ops::Range;

use daemontools_core::label::{Label, TEXT};
use memchr::memrchr;

use crate::batch::{Batch, HEAD, ReadEmulation, split_line};
use crate::tai64::stamp::{STAMP, Stamper};

/// How much is read at once. Memory of this size comes from the system as it
/// is touched, so that short lines do not pay for it; 128 KB may come from what
/// the C library keeps, which it would have to fill with zeroes first.
const READ: usize = 192 * 1024;

/// The input, on its way from reads to batches.
///
/// What is read goes to [`Lines::read_buffer`]; [`Lines::batch`] then says what that
/// made ready. The beginning of a line is held back until its end comes, or
/// its first [`HEAD`] bytes.
#[derive(Debug)]
pub struct Lines {
    stamped: bool,
    /// How much of a line, its stamp included, makes it ready.
    head: usize,
    buffer: Box<[u8]>,
    /// The part of the buffer that was read and is not ready.
    held: Range<usize>,
    /// Whether the head of the current line is ready already.
    within_line: bool,
    /// The label of the line that is held.
    label: [u8; TEXT],
    stamper: Stamper,
    /// Stamped text.
    text: Vec<u8>,
}

impl Lines {
    /// No input yet. If `stamped`, each line gets its label and a space.
    #[must_use]
    pub fn new(stamped: bool) -> Self {
        Lines {
            stamped,
            ..Lines::with_head(HEAD)
        }
    }

    /// No input yet, which is not stamped, and of whose lines the first `head`
    /// bytes are waited for.
    #[must_use]
    pub fn with_head(head: usize) -> Self {
        Lines {
            stamped: false,
            head,
            buffer: vec![0; head + READ].into(),
            held: 0..0,
            within_line: false,
            label: [0; TEXT],
            stamper: Stamper::default(),
            text: Vec::new(),
        }
    }

    /// Whether there is a line that has not ended and whose head is ready.
    #[must_use]
    pub fn is_within_line(&self) -> bool {
        self.within_line
    }

    /// Whether all that came ended with a line end.
    #[must_use]
    pub fn is_at_line_start(&self) -> bool {
        self.held.is_empty() && !self.within_line
    }

    /// Where to put what is read next.
    pub fn read_buffer(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.held.clone(), 0);
        self.held = 0..self.held.len();
        let start = self.held.end;
        self.buffer.get_mut(start..start + READ).unwrap_or_default()
    }

    /// What the first `length` bytes of the room made ready; `now` is the
    /// moment when they were read.
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
                &self.text
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

    /// What the end of the input made ready: a line that has begun is ended.
    pub fn finish(&mut self, now: impl FnOnce() -> Label) -> Option<Batch<'_>> {
        if self.is_at_line_start() {
            return None;
        }
        if let [first, ..] = self.read_buffer() {
            *first = b'\n';
        }
        Some(self.batch(1, now))
    }

    /// How much of the buffer is ready, now that `read` was read; so many
    /// bytes come before each line.
    fn advance(&mut self, read: Range<usize>, before_line: usize) -> usize {
        let text = self.buffer.get(read.clone()).unwrap_or_default();
        let newline = memrchr(b'\n', text);
        let begins = newline.map_or(0, |newline| read.start + newline + 1);
        self.within_line &= newline.is_none();
        self.within_line |= before_line + read.end - begins >= self.head;
        if self.within_line { read.end } else { begins }
    }

    /// Makes stamped text of what is ready. A line that was `held` has its
    /// label, all others that begin get the label `now`.
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

    /// Each read's text and whether it began within a line; the label of the
    /// nth read has n microseconds.
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
    fn the_beginning_of_a_line_is_held() {
        let batches = batches(false, &[b"a\nb", b"c", b"d\ne"]);
        let texts: Vec<_> = batches.iter().map(|(text, _)| text.as_slice()).collect();
        assert_eq!(texts, [&b"a\n"[..], b"", b"bcd\n", b"e\n"]);
    }

    #[test]
    fn a_line_is_held_up_to_a_thousand_bytes() {
        let long = [b'x'; 999];
        let seen = batches(false, &[&long, b"x", b"y", b"\nz\n"]);
        let lengths: Vec<_> = seen
            .iter()
            .map(|(text, within)| (text.len(), *within))
            .collect();
        assert_eq!(lengths, [(0, false), (1000, false), (1, true), (3, true)]);
    }

    #[test]
    fn the_stamp_counts_among_the_thousand() {
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
    fn how_it_is_read_changes_nothing_in_the_text() {
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
                let whole: Vec<_> = input.chunks(READ).collect();
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
