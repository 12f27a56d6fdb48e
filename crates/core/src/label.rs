//! TAI64N labels: the time in status records, log file names and log lines.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tai64::{Tai64, Tai64N};

/// A time as TAI64 seconds and nanoseconds: a TAI64N label.
///
/// daemontools writes Unix seconds plus 2^62 + 10, without leap seconds; `now` of the
/// tai64 crate is 27 seconds ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Tai64N);

/// Length of a packed label in bytes: 8 of seconds, 4 of nanoseconds, both
/// big-endian.
pub const PACKED: usize = 12;

/// Length of a label as text: `@` and 24 lowercase hexadecimal digits.
pub const TEXT: usize = 1 + 2 * PACKED;

impl Label {
    /// The current time: the microseconds of the clock, plus 500 nanoseconds.
    pub fn now() -> Self {
        // A clock before 1970 counts as 1970.
        let elapsed = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let seconds = i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX);
        Label::from_unix(seconds, elapsed.subsec_micros())
    }

    /// The label of a Unix time.
    pub fn from_unix(seconds: i64, microseconds: u32) -> Self {
        let nanoseconds = microseconds.wrapping_mul(1000).wrapping_add(500);
        Label(Tai64N(of_unix(seconds), nanoseconds))
    }

    /// The label of a Unix time with nanoseconds. None: the nanoseconds are a
    /// second or more.
    pub fn from_unix_nanoseconds(seconds: i64, nanoseconds: u32) -> Option<Self> {
        let label = Label(Tai64N(of_unix(seconds), nanoseconds));
        (nanoseconds < 1_000_000_000).then_some(label)
    }

    /// Unpacks a label; any 12 bytes are valid.
    pub fn unpack(bytes: [u8; PACKED]) -> Self {
        let seconds = bytes.first_chunk().copied().map(u64::from_be_bytes);
        let nanoseconds = bytes.last_chunk().copied().map(u32::from_be_bytes);
        Label(Tai64N(
            Tai64(seconds.unwrap_or_default()),
            nanoseconds.unwrap_or_default(),
        ))
    }

    /// Reads the leading lowercase hexadecimal digits as tai64nlocal does; the
    /// label and the number of digits. Fewer than 24 digits have zeroes in front;
    /// of more, the last 24 count.
    pub fn read(text: &[u8]) -> (Self, usize) {
        match text.first_chunk().and_then(Self::read_usual) {
            Some(label) => (label, 2 * PACKED),
            None => Self::read_any(text),
        }
    }

    /// As [`Label::read`], for exactly 24 digits and another byte.
    fn read_usual(text: &[u8; TEXT]) -> Option<Self> {
        let eight = |start: usize| parse_eight_digits(*text.get(start..)?.first_chunk()?);
        let (high, low, nanoseconds) = (eight(0)?, eight(8)?, eight(16)?);
        let seconds = u64::from(high) << 32 | u64::from(low);
        match text.last() {
            Some(b'0'..=b'9' | b'a'..=b'f') => None,
            _ => Some(Label(Tai64N(Tai64(seconds), nanoseconds))),
        }
    }

    fn read_any(text: &[u8]) -> (Self, usize) {
        let mut bits: u128 = 0;
        let mut rest = text;
        while let Some((eight, later)) = rest.split_first_chunk() {
            let Some(value) = parse_eight_digits(*eight) else {
                break;
            };
            bits = bits << 32 | u128::from(value);
            rest = later;
        }
        while let Some((byte, later)) = rest.split_first() {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ => break,
            };
            bits = bits << 4 | u128::from(digit);
            rest = later;
        }
        let [_, _, _, _, packed @ ..] = bits.to_be_bytes();
        (Label::unpack(packed), text.len() - rest.len())
    }

    /// The label as 12 bytes.
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

    /// The label one microsecond later.
    pub fn next(self) -> Self {
        const SECOND: u32 = 1_000_000_000;
        let Tai64N(seconds, nanoseconds) = self.0;
        Label(match nanoseconds.wrapping_add(1000) {
            next @ ..SECOND => Tai64N(seconds, next),
            over => Tai64N(Tai64(seconds.0.wrapping_add(1)), over - SECOND),
        })
    }

    /// The label `time` later; at most 2^64 seconds after the first one.
    pub fn after(self, time: Duration) -> Self {
        Label::at(self.since_first().saturating_add(time))
    }

    /// The label `time` earlier; the first label if there is no earlier one.
    pub fn before(self, time: Duration) -> Self {
        Label::at(self.since_first().saturating_sub(time))
    }

    /// The time since the first label.
    fn since_first(self) -> Duration {
        let nanoseconds = Duration::from_nanos(u64::from(self.nanoseconds()));
        Duration::from_secs(self.seconds()).saturating_add(nanoseconds)
    }

    fn at(since_first: Duration) -> Self {
        let seconds = Tai64(since_first.as_secs());
        Label(Tai64N(seconds, since_first.subsec_nanos()))
    }

    /// Seconds on the TAI64 scale.
    pub fn seconds(self) -> u64 {
        self.0.0.0
    }

    /// Unix seconds, negative before 1970. A label out of range wraps around.
    pub fn unix(self) -> i64 {
        let seconds = self.seconds().wrapping_sub(of_unix(0).0);
        i64::from_ne_bytes(seconds.to_ne_bytes())
    }

    /// The time for std. None: std cannot express it.
    pub fn system_time(self) -> Option<SystemTime> {
        let distance = Duration::from_secs(self.unix().unsigned_abs());
        let second = if self.unix() < 0 {
            UNIX_EPOCH.checked_sub(distance)
        } else {
            UNIX_EPOCH.checked_add(distance)
        };
        second?.checked_add(Duration::from_nanos(u64::from(self.nanoseconds())))
    }

    /// Nanoseconds; up to 4294967295 in a label that no clock made.
    pub fn nanoseconds(self) -> u32 {
        self.0.1
    }

    /// Whole seconds from `earlier` to this label, without their nanoseconds; 0
    /// if `earlier` is later.
    pub fn seconds_since(self, earlier: Label) -> u64 {
        self.seconds().saturating_sub(earlier.seconds())
    }
}

/// `@` and 24 hexadecimal digits, as multilog and tai64n write a label.
impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// Unix seconds plus 2^62 + 10. Seconds out of range wrap around; the function of the
/// tai64 crate would panic in a debug build.
fn of_unix(seconds: i64) -> Tai64 {
    Tai64(((1_u64 << 62) + 10).wrapping_add_signed(seconds))
}

/// The value of eight hexadecimal digits; None with any other byte. All eight
/// are converted at once, since this conversion dominates [`Label::read`].
fn parse_eight_digits(digits: [u8; 8]) -> Option<u32> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let bytes = u64::from_be_bytes(digits);
    // Letters have this bit and ten decimal digits have not; in both, the
    // number is in the low half of the byte, 1 for `a`.
    let letters = bytes >> 6 & ONES;
    let values = (bytes & (15 * ONES)) + 9 * letters;
    // Of the right half, letters are those from 10 to 15, the others less.
    let is_valid = values & (0xf0 * ONES) == 0 && (values + 6 * ONES) >> 4 & ONES == letters;
    // Encoding the values again detects other bytes by their left halves.
    let encoded = values + u64::from(b'0') * ONES + u64::from(b'a' - b'0' - 10) * letters;
    if !is_valid || encoded != bytes {
        return None;
    }
    let pairs = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    u32::try_from((fours | fours >> 16) & 0xffff_ffff).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_has_text_and_bytes() {
        let shown = Label::from_unix(0, 0).to_string();
        assert_eq!(shown.as_bytes(), Label::from_unix(0, 0).text());
        let label = Label::from_unix(1_297_257_984, 247_337);
        assert_eq!(&label.text(), b"@400000004d52960a0ebe121c");
        assert_eq!(Label::read(&label.text()[1..]), (label, 24));
        assert_eq!(Label::unpack(label.pack()), label);
        assert_eq!(label.unix(), 1_297_257_984);
        assert_eq!(label.nanoseconds(), 247_337_500);
    }

    #[test]
    fn nanoseconds_are_less_than_a_second() {
        let label = Label::from_unix_nanoseconds(-1, 999_999_999).unwrap();
        assert_eq!((label.unix(), label.nanoseconds()), (-1, 999_999_999));
        assert_eq!(Label::from_unix_nanoseconds(0, 1_000_000_000), None);
    }

    #[test]
    fn digits_end_at_any_other_byte() {
        let digits = |text: &[u8]| Label::read(text).1;
        assert_eq!(digits(b""), 0);
        assert_eq!(digits(b"0123456789abcdef"), 16);
        assert_eq!(digits(b"0123456789abcdef0123456789abcdef."), 32);
        for other in (0..=255).filter(|byte| !b"0123456789abcdef".contains(byte)) {
            assert_eq!(digits(&[b'9', other, b'9']), 1);
        }
    }

    #[test]
    fn only_hexadecimal_digits_have_a_value() {
        for place in 0..8 {
            for byte in 0..=255 {
                let mut eight = *b"00000000";
                eight[place] = byte;
                let digit = b"0123456789abcdef".iter().position(|&digit| digit == byte);
                let seen = parse_eight_digits(eight).map(|value| value as usize);
                assert_eq!(seen, digit.map(|digit| digit << (4 * (7 - place))));
            }
        }
        assert_eq!(parse_eight_digits(*b"9f0a6b1e"), Some(0x9f0a_6b1e));
    }

    #[test]
    fn digits_are_shifted_into_96_bits() {
        let parts = |digits: &[u8]| {
            let (label, _) = Label::read(digits);
            (label.seconds(), label.nanoseconds())
        };
        assert_eq!(parts(b""), (0, 0));
        assert_eq!(parts(b"12345678"), (0, 0x1234_5678));
        assert_eq!(parts(b"123456789"), (1, 0x2345_6789));
        assert_eq!(parts(b"ffffffffffffffffffffffff"), (u64::MAX, u32::MAX));
        assert_eq!(
            parts(b"9fffffffffffffffeffffffff"),
            (u64::MAX - 1, u32::MAX)
        );
    }

    #[test]
    fn unix_time_wraps_around() {
        let unix = |seconds| Label(Tai64N(Tai64(seconds), 0)).unix();
        assert_eq!(unix(0), -(1 << 62) - 10);
        assert_eq!(unix((1 << 62) + 9), -1);
        assert_eq!(unix((3 << 62) + 9), i64::MAX);
        assert_eq!(unix((3 << 62) + 10), i64::MIN);
        assert_eq!(unix(u64::MAX), -(1 << 62) - 11);
    }

    #[test]
    fn next_is_a_microsecond_later() {
        let label = Label::from_unix(10, 999_998);
        assert_eq!(label.next(), Label::from_unix(10, 999_999));
        assert_eq!(label.next().next(), Label::from_unix(11, 0));
    }

    #[test]
    fn before_is_the_inverse_of_after() {
        let label = Label::from_unix(10, 1);
        for time in [0, 1, 1_000_000_000, 5_999_999_999].map(Duration::from_nanos) {
            assert_eq!(label.after(time).before(time), label);
        }
        assert_eq!(
            Label::unpack([0; PACKED])
                .before(Duration::from_secs(1))
                .seconds(),
            0
        );
        let last = Label::unpack([255; PACKED]).after(Duration::MAX);
        assert_eq!(
            (last.seconds(), last.nanoseconds()),
            (u64::MAX, 999_999_999)
        );
    }

    #[test]
    fn time_of_std_has_same_second_and_fraction() {
        for seconds in [-2, -1, 0, 1_000_000_000] {
            let label = Label::from_unix_nanoseconds(seconds, 250_000_000).unwrap();
            let later = label.system_time().unwrap() + Duration::from_secs(10);
            let since = later.duration_since(UNIX_EPOCH).unwrap();
            assert_eq!(
                since.as_millis(),
                u128::try_from(seconds * 1000 + 10_250).unwrap()
            );
        }
        // Without a panic.
        for seconds in [i64::MIN, i64::MAX] {
            let label = Label::from_unix(seconds, u32::MAX);
            assert_eq!(label.unix(), seconds);
            let _ = label.system_time();
        }
    }

    #[test]
    fn seconds_since_counts_whole_seconds() {
        let label = |seconds, microseconds| Label::from_unix(seconds, microseconds);
        assert_eq!(label(10, 0).seconds_since(label(8, 999_999)), 2);
        assert_eq!(label(10, 0).seconds_since(label(10, 1)), 0);
        assert_eq!(label(10, 0).seconds_since(label(11, 0)), 0);
    }

    #[test]
    fn label_ends_at_the_next_byte() {
        let label = Label::from_unix(1_297_257_984, 247_337);
        for end in [" line", "", "\n", "g", ":"] {
            let text = [&label.text()[1..], end.as_bytes()].concat();
            assert_eq!(Label::read(&text), (label, 24), "{end:?}");
        }
        let longer = [&label.text()[1..], b"0"].concat();
        assert_eq!(Label::read(&longer).1, 25);
        assert_eq!(Label::read(&longer).0.nanoseconds(), 0xebe1_21c0);
        let high = Label::read(b"8000000100000002f0000003 ").0;
        assert_eq!(
            (high.seconds(), high.nanoseconds()),
            (0x8000_0001_0000_0002, 0xf000_0003)
        );
    }
}
