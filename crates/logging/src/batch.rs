//! What one read made ready to be written.

use std::ops::Range;

use memchr::{memchr, memrchr};

/// How much of a line is waited for, and matched, before the rest of it is
/// passed on as it comes. The label and its space count.
pub const HEAD: usize = 1000;

/// Whole lines, and parts of lines that are too long to be waited for.
///
/// 0.76 reads 1024 bytes at a time, and writes what they made ready before it
/// reads on. Where its files end depends on these writes, so a batch knows
/// them, however much was read at once.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The bytes, in the order in which they are to be written.
    pub text: &'a [u8],
    /// Whether the text begins within a line, of which at least [`HEAD`]
    /// bytes came before.
    pub within_line: bool,
    /// How the bytes would have come to 0.76.
    pub reads: ReadEmulation<'a>,
}

/// How much 0.76 reads at once.
const ORIGINAL_READ: usize = 1024;

/// The reads of 0.76 that would have made a text ready.
///
/// They are worked out when they are asked for, which is where a file might
/// end.
#[derive(Clone, Copy, Debug)]
pub struct ReadEmulation<'a> {
    /// What was held back from earlier reads, and what was read now.
    pub input: &'a [u8],
    /// How much of the input was held back.
    pub held: usize,
    /// Whether the input begins within a line whose head was ready before.
    pub within_line: bool,
    /// How many bytes stand before each line in the text, and not in the
    /// input.
    pub stamp: usize,
    /// The parts that were selected of what the input made ready; None if
    /// all is text.
    pub selected: Option<&'a [Range<usize>]>,
}

impl<'a> ReadEmulation<'a> {
    /// How much of the text is ready after each read, up to all of it.
    pub fn ready_lengths(&self) -> impl Iterator<Item = usize> + use<'a> {
        let ReadEmulation { input, stamp, .. } = *self;
        let (mut start, mut from, mut within_line) = (self.held, 0, self.within_line);
        let mut inside = within_line;
        let mut position = 0;
        let ready = std::iter::from_fn(move || {
            let read = input.get(start..)?.chunks(ORIGINAL_READ).next()?;
            let ends = start + read.len();
            let mut to = from;
            if let Some(newline) = memrchr(b'\n', read) {
                to = start + newline + 1;
                within_line = false;
            }
            within_line |= is_long(stamp + ends - to);
            if within_line {
                to = ends;
            }
            for line in lines(input.get(from..to).unwrap_or_default()) {
                position += line.len() + if inside { 0 } else { stamp };
                inside = !line.ends_with(b"\n");
            }
            (start, from) = (ends, to);
            Some(position)
        });
        let mut runs = self.selected.map(|runs| runs.iter().peekable());
        let mut before = 0;
        ready.map(move |position| {
            let Some(runs) = &mut runs else {
                return position;
            };
            while let Some(run) = runs.next_if(|run| run.end <= position) {
                before += run.len();
            }
            let begun = runs
                .peek()
                .map_or(0, |run| position.saturating_sub(run.start));
            before + begun
        })
    }
}

/// Whether a line of so many bytes, its stamp included, is passed on before
/// it has ended.
fn is_long(length: usize) -> bool {
    length >= HEAD
}

/// A part of a batch that one of 0.76's reads made ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginalRead<'a> {
    /// Where it is in the batch's text.
    pub start: usize,
    /// Its bytes.
    pub text: &'a [u8],
    /// Whether it begins within a line.
    pub within_line: bool,
}

/// A line, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineFragment<'a> {
    /// Where it is in the batch's text.
    pub start: usize,
    /// Its bytes, with the newline if it has one.
    pub text: &'a [u8],
    /// Whether the line began before it.
    pub continues: bool,
}

impl<'a> Batch<'a> {
    /// All of it.
    #[must_use]
    pub fn whole(&self) -> OriginalRead<'a> {
        OriginalRead {
            start: 0,
            text: self.text,
            within_line: self.within_line,
        }
    }

    /// All of it, or its lines and parts of lines one by one.
    pub fn parts(&self, one_by_one: bool) -> impl Iterator<Item = OriginalRead<'a>> + use<'a> {
        let OriginalRead {
            mut start,
            text,
            mut within_line,
        } = self.whole();
        let whole = Some(text).filter(|text| !one_by_one && !text.is_empty());
        let lines = lines(if one_by_one { text } else { b"" });
        whole.into_iter().chain(lines).map(move |text| {
            let read = OriginalRead {
                start,
                text,
                within_line,
            };
            start += text.len();
            within_line = false;
            read
        })
    }

    /// The parts of it that were ready one after the other; none is empty.
    pub fn original_reads(&self) -> impl Iterator<Item = OriginalRead<'a>> + use<'a> {
        let OriginalRead {
            mut start,
            text,
            mut within_line,
        } = self.whole();
        self.reads.ready_lengths().filter_map(move |end| {
            let text = text.get(start..end).unwrap_or_default();
            let read = OriginalRead {
                start,
                text,
                within_line,
            };
            start = end;
            within_line = text.last().map_or(within_line, |&last| last != b'\n');
            (!text.is_empty()).then_some(read)
        })
    }
}

impl<'a> OriginalRead<'a> {
    /// Its lines and parts of lines. Of a line that begins here it has all,
    /// or at least [`HEAD`] bytes.
    pub fn fragments(&self) -> impl Iterator<Item = LineFragment<'a>> + use<'a> {
        let OriginalRead {
            mut start,
            text,
            within_line: mut continues,
        } = *self;
        lines(text).map(move |text| {
            let fragment = LineFragment {
                start,
                text,
                continues,
            };
            start += text.len();
            continues = false;
            fragment
        })
    }
}

impl<'a> LineFragment<'a> {
    /// Of a line that begins here, what patterns, alerts and status files
    /// see: its first [`HEAD`] bytes, without the newline.
    #[must_use]
    pub fn head(&self) -> &'a [u8] {
        let text = self.text.strip_suffix(b"\n").unwrap_or(self.text);
        text.get(..HEAD).unwrap_or(text)
    }
}

/// The first line of `text`, its newline included, and what follows.
pub(crate) fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr(b'\n', text).map_or(text.len(), |newline| newline + 1);
    text.split_at_checked(end).unwrap_or((text, b""))
}

/// The lines of `text`, their newlines included.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (line, later) = split_line(rest);
        rest = later;
        (!line.is_empty()).then_some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_and_pieces_are_the_text_again() {
        let long = [b'x'; 1300];
        let input = [&b"rest\none\ntwo\n"[..], &long].concat();
        let seen = |held, stamp, text: &[u8], selected: Option<&[Range<usize>]>| {
            let within_line = selected.is_none();
            let batch = Batch {
                text,
                within_line,
                reads: ReadEmulation {
                    input: &input,
                    held,
                    within_line: true,
                    stamp,
                    selected,
                },
            };
            let reads: Vec<_> = batch
                .original_reads()
                .map(|read| (read.start, read.text.len(), read.within_line))
                .collect();
            let pieces: Vec<_> = batch
                .original_reads()
                .flat_map(|read| read.fragments())
                .map(|fragment| (fragment.start, fragment.text.len(), fragment.continues))
                .collect();
            (reads, pieces)
        };
        assert_eq!(
            seen(0, 0, &input, None),
            (
                vec![(0, 1024, true), (1024, 289, true)],
                vec![
                    (0, 5, true),
                    (5, 4, false),
                    (9, 4, false),
                    (13, 1011, false),
                    (1024, 289, true)
                ]
            )
        );
        // What is held is ready with the first read, even if that is short.
        let text = [&b"rest\n@ one\n@ two\n@ "[..], &long].concat();
        assert_eq!(seen(1000, 2, &text, None).0, [(0, 1319, true)]);
        // Of `two` and the long line, the first read has all but 289 bytes.
        let text = [&b"two\n"[..], &long].concat();
        assert_eq!(
            seen(0, 0, &text, Some(&[9..9, 9..13, 13..1313])).0,
            [(0, 1015, false), (1015, 289, true)]
        );
        let text = [&b"@ two\n@ "[..], &long].concat();
        assert_eq!(
            seen(0, 2, &text, Some(&[11..17, 17..1319])).0,
            [(0, 1019, false), (1019, 289, true)]
        );
    }

    #[test]
    fn a_head_has_a_thousand_bytes_and_no_newline() {
        let head = |length: usize, end: &str| {
            let text = "x".repeat(length) + end;
            let fragment = LineFragment {
                start: 0,
                text: text.as_bytes(),
                continues: false,
            };
            fragment.head().len()
        };
        assert_eq!(head(0, "\n"), 0);
        assert_eq!(head(999, "\n"), 999);
        assert_eq!(head(1000, "\n"), 1000);
        assert_eq!(head(1000, ""), 1000);
        assert_eq!(head(5000, "\n"), 1000);
    }
}
