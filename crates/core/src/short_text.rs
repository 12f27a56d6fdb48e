//! Short texts on the stack.

use std::fmt;
use std::ops::Deref;

/// A text of at most `N` bytes, which needs no allocation. Bytes beyond are cut off:
/// the owner chooses an `N` that suffices for each value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShortText<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> ShortText<N> {
    /// An empty text.
    pub const fn new() -> Self {
        ShortText {
            bytes: [0; N],
            length: 0,
        }
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        for (place, byte) in room.iter_mut().zip(bytes) {
            *place = *byte;
            self.length += 1;
        }
    }

    /// Appends a value as it is displayed.
    pub fn push_value(&mut self, value: impl fmt::Display) {
        // `write_str` does not fail.
        let _ = fmt::write(self, format_args!("{value}"));
    }
}

impl<const N: usize> Default for ShortText<N> {
    fn default() -> Self {
        ShortText::new()
    }
}

impl<const N: usize> Deref for ShortText<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Write for ShortText<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

impl<const N: usize> fmt::Debug for ShortText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::ShortText;

    #[test]
    fn text_grows_up_to_its_size() {
        let mut text = ShortText::<8>::new();
        assert!(text.is_empty());
        text.push(b"pid ");
        text.push_value(-42);
        assert_eq!(&*text, b"pid -42");
        text.push(b"123");
        assert_eq!(&*text, b"pid -421");
    }
}
