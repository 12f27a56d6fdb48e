//! A buffer of text for the next write.

use std::collections::TryReserveError;

use crate::shortage;

/// The length of the first allocation, in bytes. An allocation of this size is
/// mapped, and costs memory only when touched.
const FIRST: usize = 256 * 1024;

/// The length of the block before a line, in bytes: a label and a space, or a
/// date and a time.
pub const HEAD_BLOCK: usize = 32;

/// The maximum length of a line that is copied without a call, in bytes.
const SHORT: usize = 128;

/// A text that grows, with inline copies of short lines.
///
/// Most lines are short. memcpy costs a call and a choice by length for each
/// line, and that of musl a slow start in addition. Copies of a constant length
/// become vector instructions at the place of use. Such a copy also writes
/// beyond the end of the text, where the next copy overwrites the surplus.
#[derive(Clone, Debug, Default)]
pub struct TextBuffer {
    /// The text, and free bytes after it.
    bytes: Vec<u8>,
    /// The length of the text.
    length: usize,
}

impl TextBuffer {
    /// The text.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// An empty text with room for the usual reads. The room costs memory only when
    /// touched.
    #[must_use]
    pub fn with_room() -> Self {
        let mut text = TextBuffer::default();
        text.reserve(1);
        text
    }

    /// Makes the room of [`TextBuffer::with_room`].
    pub fn make_room(&mut self) {
        self.reserve(1);
    }

    /// Removes the text. The allocation stays.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        if let Some(room) = self.room().get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
            self.length += bytes.len();
        }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// Out of memory.
    pub fn try_push(&mut self, bytes: &[u8]) -> Result<(), TryReserveError> {
        if self.room().len() < bytes.len() {
            let length = self.length_after_growth(bytes.len());
            self.bytes.try_reserve(length - self.bytes.len())?;
        }
        self.push(bytes);
        Ok(())
    }

    /// Appends the first `length` bytes of `text`; all of it, if it is shorter.
    /// The copy is faster if more text follows.
    #[inline]
    pub fn push_start(&mut self, text: &[u8], length: usize) {
        self.reserve(SHORT);
        if copy_start(self.room(), text, length).is_some() {
            self.length += length;
        } else {
            self.push(text.get(..length).unwrap_or(text));
        }
    }

    /// Appends the first `head_length` bytes of `head`, then as
    /// [`TextBuffer::push_start`].
    #[inline]
    pub fn push_headed(
        &mut self,
        head: &[u8; HEAD_BLOCK],
        head_length: usize,
        text: &[u8],
        length: usize,
    ) {
        self.reserve(HEAD_BLOCK + SHORT);
        let room = self.room().first_chunk_mut();
        if room.is_some_and(|room| copy_headed(room, head, head_length, text, length).is_some()) {
            self.length += head_length + length;
        } else {
            self.push(head.get(..head_length).unwrap_or(head));
            self.push(text.get(..length).unwrap_or(text));
        }
    }

    /// The free bytes.
    #[inline]
    fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.length..).unwrap_or_default()
    }

    /// Allocates at least `more` free bytes.
    #[inline]
    fn reserve(&mut self, more: usize) {
        if self.bytes.len() - self.length < more {
            self.grow(more);
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, more: usize) {
        let length = self.length_after_growth(more);
        if self.bytes.capacity() == 0 {
            // The system has zeroed this memory. A block that was freed before would
            // be zeroed, and so used, here.
            self.bytes = shortage::zeroed(length);
        } else {
            let additional = length - self.bytes.len();
            shortage::reserve(&mut self.bytes, additional);
            self.bytes.resize(length, 0);
        }
    }

    /// The length of the allocation with at least `more` free bytes.
    fn length_after_growth(&self, more: usize) -> usize {
        FIRST
            .max(2 * self.bytes.len())
            .max(self.length.saturating_add(more))
    }
}

/// Copies the head, then as [`copy_start`].
#[inline]
fn copy_headed(
    room: &mut [u8; HEAD_BLOCK + SHORT],
    head: &[u8; HEAD_BLOCK],
    head_length: usize,
    text: &[u8],
    length: usize,
) -> Option<()> {
    *room.first_chunk_mut()? = *head;
    copy_start(room.get_mut(head_length..)?, text, length)
}

/// Copies the start of the text as one block. None if the text is long, or the
/// block exceeds it.
#[inline]
fn copy_start(room: &mut [u8], text: &[u8], length: usize) -> Option<()> {
    // A loop over small blocks would be compiled to a call of memcpy.
    match length {
        ..=32 => copy_block::<32>(room, text),
        33..=64 => copy_block::<64>(room, text),
        65..=96 => copy_block::<96>(room, text),
        97..=SHORT => copy_block::<SHORT>(room, text),
        _ => None,
    }
}

#[inline]
fn copy_block<const LENGTH: usize>(to: &mut [u8], from: &[u8]) -> Option<()> {
    *to.first_chunk_mut::<LENGTH>()? = *from.first_chunk()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_appended_in_order() {
        let mut random = fastrand::Rng::with_seed(1);
        let lengths = [0, 1, 31, 32, 33, 64, 65, 96, 97, 128, 129, 200, 5000];
        for _ in 0..300 {
            let (mut buffer, mut expected) = (TextBuffer::default(), Vec::new());
            for _ in 0..random.usize(..300) {
                let length = *random.choice(&lengths).unwrap();
                let text: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
                let part = random.usize(..length + 10);
                let head = random.usize(..=HEAD_BLOCK);
                match random.u8(..4) {
                    0 => buffer.push(&text),
                    1 => buffer.try_push(&text).unwrap(),
                    2 => buffer.push_start(&text, part),
                    _ => {
                        buffer.push_headed(&[7; HEAD_BLOCK], head, &text, part);
                        expected.extend(std::iter::repeat_n(7, head));
                        expected.extend_from_slice(text.get(..part).unwrap_or(&text));
                        continue;
                    }
                }
                let is_start = buffer.text().len() < expected.len() + length;
                let part = if is_start { part } else { length };
                expected.extend_from_slice(text.get(..part).unwrap_or(&text));
                assert!(buffer.text() == expected);
            }
            assert!(buffer.text() == expected);
            buffer.clear();
            assert!(buffer.text().is_empty());
        }
    }
}
