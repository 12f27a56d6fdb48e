//! A line, or a piece of a long line.

use crate::stamp::Stamp;

/// A line, or a piece of a line that is longer than the reader's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineRef<'a> {
    /// The bytes, with the stamp and without the newline.
    pub text: &'a [u8],
    /// The stamp at the start of the text. None: the line has no stamp, or
    /// this piece is not the first of its line.
    pub stamp: Option<Stamp>,
    /// Whether the text begins at the start of a line.
    pub is_start: bool,
    /// Whether the text ends at the end of a line: before a newline, or at the
    /// end of a finished file.
    pub is_end: bool,
}

impl<'a> LineRef<'a> {
    /// The text after the stamp and its space.
    pub fn message(&self) -> &'a [u8] {
        let Some(stamp) = self.stamp else {
            return self.text;
        };
        let message = self.text.get(stamp.len..).unwrap_or_default();
        message.strip_prefix(b" ").unwrap_or(message)
    }
}
