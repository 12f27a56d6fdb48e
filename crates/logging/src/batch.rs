//! What one read made ready to be written.

use memchr::memchr;

/// How much of a line is waited for, and matched, before the rest of it is
/// passed on as it comes. The label and its space count.
pub const HEAD: usize = 1000;

/// Whole lines, and parts of lines that are too long to be waited for.
///
/// 0.76 reads 1024 bytes at a time, and writes what they made ready before it
/// reads on. Where its files end depends on these writes, so a batch knows
/// them, however much was read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    /// The bytes, in the order in which they are to be written.
    pub text: &'a [u8],
    /// Whether the text begins within a line, of which at least [`HEAD`]
    /// bytes came before.
    pub within_line: bool,
    /// How much of the text was ready after each of 0.76's reads, up to all
    /// of it.
    pub reads: &'a [usize],
}

/// A part of a batch that one of 0.76's reads made ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion<'a> {
    /// Where it is in the batch's text.
    pub start: usize,
    /// Its bytes.
    pub text: &'a [u8],
    /// Whether it begins within a line.
    pub within_line: bool,
}

/// A line, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Where it is in the batch's text.
    pub start: usize,
    /// Its bytes, with the newline if it has one.
    pub text: &'a [u8],
    /// Whether the line began before it.
    pub continues: bool,
}

impl<'a> Batch<'a> {
    /// The parts of it that were ready one after the other; none is empty.
    pub fn portions(&self) -> impl Iterator<Item = Portion<'a>> + use<'a> {
        let Batch {
            text,
            mut within_line,
            reads,
        } = *self;
        let starts = std::iter::once(0).chain(reads.iter().copied());
        starts
            .zip(reads.iter().copied())
            .filter_map(move |(start, end)| {
                let text = text.get(start..end).unwrap_or_default();
                let portion = Portion {
                    start,
                    text,
                    within_line,
                };
                within_line = text.last().map_or(within_line, |&last| last != b'\n');
                (!text.is_empty()).then_some(portion)
            })
    }
}

impl<'a> Portion<'a> {
    /// Its lines and parts of lines. Of a line that begins here it has all,
    /// or at least [`HEAD`] bytes.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'a>> + use<'a> {
        let Portion {
            mut start,
            text: mut rest,
            within_line: mut continues,
        } = *self;
        std::iter::from_fn(move || {
            let (text, later) = split_line(rest);
            let piece = Piece {
                start,
                text,
                continues,
            };
            start += text.len();
            rest = later;
            continues = false;
            (!text.is_empty()).then_some(piece)
        })
    }
}

impl<'a> Piece<'a> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_and_pieces_are_the_text_again() {
        let batch = Batch {
            text: b"rest\none\ntwo\nlong",
            within_line: true,
            reads: &[0, 3, 3, 9, 17],
        };
        let portions: Vec<_> = batch
            .portions()
            .map(|portion| (portion.start, portion.text, portion.within_line))
            .collect();
        assert_eq!(
            portions,
            [
                (0, &b"res"[..], true),
                (3, b"t\none\n", true),
                (9, b"two\nlong", false)
            ]
        );
        let pieces: Vec<_> = batch
            .portions()
            .flat_map(|portion| portion.pieces())
            .map(|piece| (piece.start, piece.text, piece.continues))
            .collect();
        assert_eq!(
            pieces,
            [
                (0, &b"res"[..], true),
                (3, b"t\n", true),
                (5, b"one\n", false),
                (9, b"two\n", false),
                (13, b"long", false)
            ]
        );
    }

    #[test]
    fn a_head_has_a_thousand_bytes_and_no_newline() {
        let head = |length: usize, end: &str| {
            let text = "x".repeat(length) + end;
            let piece = Piece {
                start: 0,
                text: text.as_bytes(),
                continues: false,
            };
            piece.head().len()
        };
        assert_eq!(head(0, "\n"), 0);
        assert_eq!(head(999, "\n"), 999);
        assert_eq!(head(1000, "\n"), 1000);
        assert_eq!(head(1000, ""), 1000);
        assert_eq!(head(5000, "\n"), 1000);
    }
}
