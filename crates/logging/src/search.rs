//! Search for a byte in short texts.

/// A search for one byte, for texts in which it is expected early.
///
/// memchr selects its loop at run time, through a call of a pointer, which
/// takes longer than a search in the first bytes of a line. On x86-64, this
/// search is compiled at the place of use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByteFinder {
    byte: u8,
    #[cfg(target_arch = "x86_64")]
    inline: Option<memchr::arch::x86_64::sse2::memchr::One>,
}

impl ByteFinder {
    #[inline]
    pub(crate) fn new(byte: u8) -> Self {
        ByteFinder {
            byte,
            #[cfg(target_arch = "x86_64")]
            inline: memchr::arch::x86_64::sse2::memchr::One::new(byte),
        }
    }

    /// The position of the first such byte.
    #[inline]
    pub(crate) fn find(&self, text: &[u8]) -> Option<usize> {
        #[cfg(target_arch = "x86_64")]
        if let Some(inline) = self.inline {
            return inline.find(text);
        }
        memchr::memchr(self.byte, text)
    }
}

impl PartialEq for ByteFinder {
    fn eq(&self, other: &Self) -> bool {
        self.byte == other.byte
    }
}

impl Eq for ByteFinder {}

#[cfg(test)]
mod tests {
    use super::ByteFinder;

    #[test]
    fn first_byte_is_found() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let length = random.usize(..200);
            let text: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            for byte in [0, b'\n', 255] {
                let expected = text.iter().position(|&other| other == byte);
                assert_eq!(ByteFinder::new(byte).find(&text), expected);
            }
        }
    }

    #[test]
    fn finders_of_the_same_byte_are_equal() {
        assert!(ByteFinder::new(b'a') == ByteFinder::new(b'a'));
        assert!(ByteFinder::new(b'a') != ByteFinder::new(b'b'));
    }
}
