//! The time stamp at the start of a line.
//!
//! | writer | stamp | zone |
//! | --- | --- | --- |
//! | multilog `t`, tai64n, svlogd `-t`, s6-log `t` | `@400000003b9aca0a000001f4` | |
//! | svlogd `-tt` | `2001-09-09_01:46:40.00000` | UTC |
//! | svlogd `-ttt` | `2001-09-09T01:46:40.00000` | UTC |
//! | s6-log `T` | `2001-09-09 01:46:40.000000000 ` | local |

use std::sync::OnceLock;

use daemontools_core::calendar::day_of_date;
use daemontools_core::label::{Label, PACKED, TEXT};
use logging::tai64::LocalZone;
use unix::start;

/// The time stamp at the start of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The time. A stamp without nanoseconds has zeroes for them.
    pub time: Label,
    /// The length of the stamp's text in bytes, without the space that follows.
    pub len: usize,
}

/// The length of a longest stamp and a space, in bytes.
pub const MAX_STAMP: usize = 31;

/// Nanoseconds in a second.
const SECOND: u32 = 1_000_000_000;
/// The first TAI64 second that the format reserves.
const RESERVED: u64 = 1 << 63;
/// The length of a date and a time of day: `2001-09-09T01:46:40`.
const DATE_TIME: usize = 19;
/// Seconds in a day.
const DAY: i64 = 86_400;

impl Stamp {
    /// The stamp at the start of a line; None if the line has none.
    ///
    /// A space or the end of the line follows each stamp. A label out of TAI64N's
    /// range, or a date that the calendar lacks, is no stamp.
    pub fn parse(line: &[u8]) -> Option<Self> {
        match line.first()? {
            b'@' => Self::parse_label(line),
            b'0'..=b'9' => Self::parse_date(line),
            _ => None,
        }
    }

    fn parse_label(line: &[u8]) -> Option<Self> {
        if !matches!(line.get(TEXT), None | Some(b' ' | b'\n')) {
            return None;
        }
        let (time, digits) = Label::read(line.get(1..)?);
        let is_valid =
            digits == 2 * PACKED && time.seconds() < RESERVED && time.nanoseconds() < SECOND;
        is_valid.then_some(Stamp { time, len: TEXT })
    }

    fn parse_date(line: &[u8]) -> Option<Self> {
        let (date_time, fraction) = line.split_at_checked(DATE_TIME)?;
        let &[
            y1,
            y2,
            y3,
            y4,
            b'-',
            mo1,
            mo2,
            b'-',
            d1,
            d2,
            separator @ (b'_' | b'T' | b' '),
            h1,
            h2,
            b':',
            mi1,
            mi2,
            b':',
            s1,
            s2,
        ] = date_time
        else {
            return None;
        };
        let number = |digits: &[u8]| {
            digits.iter().try_fold(0_i64, |number, digit| {
                digit
                    .is_ascii_digit()
                    .then(|| 10 * number + i64::from(digit - b'0'))
            })
        };
        let (year, month, day) = (
            number(&[y1, y2, y3, y4])?,
            number(&[mo1, mo2])?,
            number(&[d1, d2])?,
        );
        let (hour, minute, second) = (number(&[h1, h2])?, number(&[mi1, mi2])?, number(&[s1, s2])?);
        let (month, day) = (u8::try_from(month).ok()?, u8::try_from(day).ok()?);
        let days = day_of_date(year, month, day)?;
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let (nanoseconds, digits) = parse_fraction(fraction)?;
        let mut len = DATE_TIME + 1 + digits;
        let mut unix = days * DAY + hour * 3600 + minute * 60 + second;
        if separator == b' ' {
            // s6-log writes two spaces after its stamp.
            if fraction.get(1 + digits) != Some(&b' ') || digits != 9 {
                return None;
            }
            len += 1;
            unix = local_to_unix(unix);
        }
        if !matches!(line.get(len), None | Some(b' ' | b'\n')) {
            return None;
        }
        let time = Label::from_unix_nanoseconds(unix, nanoseconds)?;
        Some(Stamp { time, len })
    }
}

/// The nanoseconds of a point and up to nine digits, and the number of digits.
fn parse_fraction(text: &[u8]) -> Option<(u32, usize)> {
    let digits = text.strip_prefix(b".")?;
    let count = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let padded = digits
        .iter()
        .take(count)
        .chain(std::iter::repeat(&b'0'))
        .take(9);
    let nanoseconds = padded.fold(0, |number, digit| 10 * number + u32::from(digit - b'0'));
    Some((nanoseconds, count))
}

/// The Unix time of a local time, which is given as if it were UTC. Of an hour
/// that occurs twice, the time is in the first.
fn local_to_unix(local: i64) -> i64 {
    static ZONE: OnceLock<LocalZone> = OnceLock::new();
    let zone = ZONE.get_or_init(|| {
        let mut zone = LocalZone::new(start::variable(b"TZ"), start::variable(b"TZDIR"));
        zone.refresh();
        zone
    });
    to_unix(local, |unix| {
        zone.civil(unix).map_or(0, |civil| civil.offset)
    })
}

fn to_unix(local: i64, offset: impl Fn(i64) -> i64) -> i64 {
    // An offset changes seldom: the offsets a day before and after include that of
    // the time. The larger one gives the earlier time.
    let (before, after) = (offset(local - DAY), offset(local + DAY));
    let candidates = [before.max(after), before.min(after)];
    let is_right = |candidate: &&i64| offset(local - **candidate) == **candidate;
    local - candidates.iter().find(is_right).unwrap_or(&before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[u8]) -> Option<(i64, u32, usize)> {
        let stamp = Stamp::parse(line)?;
        Some((stamp.time.unix(), stamp.time.nanoseconds(), stamp.len))
    }

    #[test]
    fn stamps_of_all_loggers_have_a_time() {
        let label = |rest: &str| format!("@400000004d52960a0ebe121c{rest}");
        let time = Some((1_297_257_984, 247_337_500, 25));
        for rest in ["", " ", " line", "\n"] {
            assert_eq!(parsed(label(rest).as_bytes()), time);
        }
        for separator in ["T", "_"] {
            let line = format!("2011-02-09{separator}13:26:24.24733 line");
            assert_eq!(
                parsed(line.as_bytes()),
                Some((1_297_257_984, 247_330_000, 25))
            );
        }
        // The tests run without TZ or in any zone: the nanoseconds are certain.
        let (_, nanoseconds, len) = parsed(b"2011-02-09 13:26:24.247337500  line").unwrap();
        assert_eq!((nanoseconds, len), (247_337_500, 30));
    }

    #[test]
    fn other_text_is_no_stamp() {
        for line in [
            "",
            "@",
            "@400000004d52960a0ebe121",
            "@400000004d52960a0ebe121c0",
            "@400000004d52960a0ebe121cx",
            "@400000004D52960A0EBE121C x",
            "@800000004d52960a0ebe121c x",
            "@400000004d52960affffffff x",
            "2011-02-09",
            "2011-02-09T13:26:24",
            "2011-02-09T13:26:24. x",
            "2011-02-09T13:26:24.1234567890 x",
            "2011-02-09T13:26:24.12345x",
            "2011-02-29T13:26:24.12345 x",
            "2011-13-09T13:26:24.12345 x",
            "2011-00-09T13:26:24.12345 x",
            "2011-02-09T24:26:24.12345 x",
            "2011-02-09T13:26:61.12345 x",
            "2011-02-09 13:26:24.12345 x",
            "2011-02-09 13:26:24.123456789 x",
            "2011-0a-09T13:26:24.12345 x",
        ] {
            assert_eq!(parsed(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn repeated_local_hour_is_the_first() {
        // The clock goes from offset 7200 to 3600 at 10,000,000.
        let offset = |unix| if unix < 10_000_000 { 7200 } else { 3600 };
        assert_eq!(to_unix(10_000_000 + 3600, offset), 10_000_000 - 3600);
        assert_eq!(to_unix(10_000_000 + 7200, offset), 10_000_000 + 3600);
        // The clock skips an hour.
        let offset = |unix| if unix < 10_000_000 { 3600 } else { 7200 };
        assert_eq!(to_unix(10_000_000 + 3599, offset), 10_000_000 - 1);
        assert_eq!(to_unix(10_000_000 + 7200, offset), 10_000_000);
        assert_eq!(to_unix(10_000_000 + 5400, offset), 10_000_000 + 1800);
    }
}
