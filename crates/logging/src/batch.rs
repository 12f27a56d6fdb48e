//! The text that one read of input makes ready for writing.

use std::ops::Range;

use memchr::memrchr;

use crate::search::ByteFinder;

/// The bytes of a line, label and space included, that patterns match.
/// Longer lines are written in parts, as input arrives.
pub const HEAD: usize = 1000;

/// Whole lines, and parts of lines longer than [`HEAD`].
///
/// 0.76 reads 1024 bytes at a time and writes the complete lines before the
/// next read. The ends of its files depend on these writes, so a batch can
/// recompute them for a real read of any size.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The bytes, in the order of writing.
    pub text: &'a [u8],
    /// Whether the text starts within a line, at least [`HEAD`] bytes of
    /// which are in earlier batches.
    pub within_line: bool,
    /// The reads in which 0.76 would have received the bytes.
    pub reads: ReadEmulation<'a>,
}

/// The size of 0.76's reads, in bytes.
const ORIGINAL_READ: usize = 1024;

/// The reads of 0.76 that make a text ready for writing, computed on demand:
/// only the end of a file needs them.
#[derive(Clone, Copy, Debug)]
pub struct ReadEmulation<'a> {
    /// Bytes held back from earlier reads, then those of the latest read.
    pub input: &'a [u8],
    /// The number of held bytes in the input.
    pub held: usize,
    /// Whether the input starts within a line whose head is already written.
    pub within_line: bool,
    /// The number of bytes before each line in the text that are not in the
    /// input.
    pub stamp: usize,
    /// The selected ranges of the unfiltered text. None: all is selected.
    pub selected: Option<&'a [Range<usize>]>,
}

impl<'a> ReadEmulation<'a> {
    /// The length of the ready text after each read; the last is all of it.
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
            within_line |= stamp + ends - to >= HEAD;
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
            let started = runs
                .peek()
                .map_or(0, |run| position.saturating_sub(run.start));
            before + started
        })
    }
}

/// The part of a batch that one of 0.76's reads makes ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginalRead<'a> {
    /// The offset in the text of the batch.
    pub start: usize,
    /// The bytes.
    pub text: &'a [u8],
    /// Whether the part starts within a line.
    pub within_line: bool,
}

/// A line or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineFragment<'a> {
    /// The offset in the text of the batch.
    pub start: usize,
    /// The bytes, with the newline if there is one.
    pub text: &'a [u8],
    /// Whether the line started in an earlier fragment.
    pub continues: bool,
}

impl<'a> Batch<'a> {
    /// The lines and parts of lines. The first fragment of a line holds the
    /// whole line or at least [`HEAD`] bytes.
    pub fn fragments(&self) -> impl Iterator<Item = LineFragment<'a>> + use<'a> {
        fragments(0, self.text, self.within_line)
    }

    /// The parts that 0.76's reads make ready one after the other, without
    /// empty ones.
    pub fn original_reads(&self) -> impl Iterator<Item = OriginalRead<'a>> + use<'a> {
        let Batch {
            text,
            mut within_line,
            reads,
        } = *self;
        let mut start = 0;
        reads.ready_lengths().filter_map(move |end| {
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
    /// As [`Batch::fragments`], for this part.
    pub fn fragments(&self) -> impl Iterator<Item = LineFragment<'a>> + use<'a> {
        fragments(self.start, self.text, self.within_line)
    }
}

fn fragments(
    mut start: usize,
    text: &[u8],
    mut continues: bool,
) -> impl Iterator<Item = LineFragment<'_>> {
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

impl<'a> LineFragment<'a> {
    /// The input of patterns, alerts and status files for a line that starts
    /// here: the first [`HEAD`] bytes without the newline.
    #[must_use]
    pub fn head(&self) -> &'a [u8] {
        let text = self.text.strip_suffix(b"\n").unwrap_or(self.text);
        text.get(..HEAD).unwrap_or(text)
    }
}

/// Splits `text` after its first newline.
pub(crate) fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let end = ByteFinder::new(b'\n')
        .find(text)
        .map_or(text.len(), |newline| newline + 1);
    text.split_at_checked(end).unwrap_or((text, b""))
}

/// The lines of `text`, newlines included.
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
    fn original_reads_and_fragments_cover_the_text() {
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
        // Held bytes are ready with the first read, even a short one.
        let text = [&b"rest\n@ one\n@ two\n@ "[..], &long].concat();
        assert_eq!(seen(1000, 2, &text, None).0, [(0, 1319, true)]);
        // The first read has all but 289 bytes of `two` and the long line.
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
    fn head_has_1000_bytes_and_no_newline() {
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
