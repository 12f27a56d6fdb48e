//! A scrolling text in the argument memory of a program, for ps.

/// A text of fixed length that scrolls left behind a fixed prefix.
#[derive(Debug)]
pub struct ScrollingTitle<'a> {
    window: &'a mut [u8],
}

impl<'a> ScrollingTitle<'a> {
    /// Scrolls `text` behind its first `prefix` bytes.
    pub fn new(text: &'a mut [u8], prefix: usize) -> Self {
        let prefix = prefix.min(text.len());
        let (_, window) = text.split_at_mut(prefix);
        ScrollingTitle { window }
    }

    /// Appends each byte and scrolls by one. NUL bytes are skipped, since they
    /// would end the argument.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.window.is_empty() {
            return;
        }
        for &byte in bytes.iter().filter(|&&byte| byte != 0) {
            self.window.rotate_left(1);
            if let Some(last) = self.window.last_mut() {
                *last = byte;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ScrollingTitle;

    #[test]
    fn bytes_scroll_behind_prefix() {
        let mut text = *b"log: .....";
        ScrollingTitle::new(&mut text, 5).push(b"a\0bc");
        assert_eq!(&text, b"log: ..abc");
        ScrollingTitle::new(&mut text, 20).push(b"x");
        assert_eq!(&text, b"log: ..abc");
    }
}
