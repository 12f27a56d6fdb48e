//! The text that a program shows as one of its arguments, to be seen in ps.

/// A text of fixed length that moves to the left, behind a part that stays.
#[derive(Debug)]
pub struct ScrollingTitle<'a> {
    window: &'a mut [u8],
}

impl<'a> ScrollingTitle<'a> {
    /// What is in `text` now, of which the first `stay` bytes stay.
    #[must_use]
    pub fn new(text: &'a mut [u8], stay: usize) -> Self {
        let stay = stay.min(text.len());
        let (_, window) = text.split_at_mut(stay);
        ScrollingTitle { window }
    }

    /// Moves the text left by one for each byte, which then stands at the
    /// end. NUL, which would end it, is left out.
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
    fn bytes_move_in_from_the_right() {
        let mut text = *b"log: .....";
        ScrollingTitle::new(&mut text, 5).push(b"a\0bc");
        assert_eq!(&text, b"log: ..abc");
        ScrollingTitle::new(&mut text, 20).push(b"x");
        assert_eq!(&text, b"log: ..abc");
    }
}
