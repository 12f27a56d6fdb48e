//! TAI64N labels: the moment in status records, log file names and stamped
//! lines.

use std::time::{SystemTime, UNIX_EPOCH};

use tai64::{Tai64, Tai64N};

/// A moment, as seconds on the TAI64 scale and nanoseconds.
///
/// daemontools writes Unix seconds plus 2^62 + 10, without a table of leap
/// seconds; of the tai64 crate only `from_unix` and `to_unix` agree with
/// that (its `now` is 27 seconds ahead).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label(Tai64N);

/// Length of a packed label in bytes: 8 of seconds, 4 of nanoseconds, both
/// big-endian.
pub const PACKED: usize = 12;

/// Length of a label as text: `@` and 24 lowercase hexadecimal digits.
pub const TEXT: usize = 1 + 2 * PACKED;

impl Label {
    /// The label of now. Its nanoseconds are the clock's microseconds times
    /// 1000, plus 500.
    #[must_use]
    pub fn now() -> Self {
        // A clock before 1970 is read as 1970: no user of labels could tell
        // more about such a moment.
        let elapsed = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let seconds = i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX);
        Label::from_unix(seconds, elapsed.subsec_micros())
    }

    /// The label of a moment in Unix time.
    #[must_use]
    pub fn from_unix(seconds: i64, microseconds: u32) -> Self {
        let nanoseconds = microseconds.wrapping_mul(1000).wrapping_add(500);
        Label(Tai64N(Tai64::from_unix(seconds), nanoseconds))
    }

    /// Reads a packed label; any 12 bytes are one.
    #[must_use]
    pub fn unpack(bytes: [u8; PACKED]) -> Self {
        let (seconds, nanoseconds) = bytes.split_at(PACKED - 4);
        let seconds = seconds.iter().fold(0, |n, &byte| n << 8 | u64::from(byte));
        let nanoseconds = nanoseconds
            .iter()
            .fold(0, |n, &byte| n << 8 | u32::from(byte));
        Label(Tai64N(Tai64(seconds), nanoseconds))
    }

    /// The label in 12 bytes.
    #[must_use]
    pub fn pack(self) -> [u8; PACKED] {
        let mut bytes = [0; PACKED];
        let Tai64N(seconds, nanoseconds) = self.0;
        let packed = seconds
            .0
            .to_be_bytes()
            .into_iter()
            .chain(nanoseconds.to_be_bytes());
        bytes
            .iter_mut()
            .zip(packed)
            .for_each(|(to, from)| *to = from);
        bytes
    }

    /// The label as text.
    #[must_use]
    pub fn text(self) -> [u8; TEXT] {
        let mut text = [b'@'; TEXT];
        let digits = self
            .pack()
            .into_iter()
            .flat_map(|byte| [byte >> 4, byte & 15]);
        for (to, digit) in text.iter_mut().skip(1).zip(digits) {
            *to = if digit < 10 {
                b'0' + digit
            } else {
                b'a' + digit - 10
            };
        }
        text
    }

    /// Seconds on the TAI64 scale.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0.0.0
    }

    /// Seconds from `earlier` to this label, each cut to its whole second;
    /// 0 if `earlier` is in the future.
    #[must_use]
    pub fn seconds_since(self, earlier: Label) -> u64 {
        self.seconds().saturating_sub(earlier.seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_that_of_tai64n() {
        let label = Label::from_unix(1_297_257_984, 247_337);
        assert_eq!(&label.text(), b"@400000004d52960a0ebe121c");
    }

    #[test]
    fn packing_is_undone_by_unpacking() {
        let label = Label::from_unix(1_297_257_984, 999_999);
        assert_eq!(Label::unpack(label.pack()), label);
    }

    #[test]
    fn seconds_since_counts_whole_seconds() {
        let label = |seconds, microseconds| Label::from_unix(seconds, microseconds);
        assert_eq!(label(10, 0).seconds_since(label(8, 999_999)), 2);
        assert_eq!(label(10, 0).seconds_since(label(10, 1)), 0);
        assert_eq!(label(10, 0).seconds_since(label(11, 0)), 0);
    }
}
