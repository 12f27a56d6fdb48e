//! Times on the command line.

use daemontools_core::calendar::day_of_date;
use daemontools_core::label::{Label, TEXT};
use logging::tai64::{Civil, LocalZone};

/// The forms of a time, for messages.
pub const TIME_FORMS: &str = "YYYY-MM-DD, YYYY-MM-DD HH:MM:SS, HH:MM:SS, 10 min ago \
    (s, min, h, d), RFC 3339, or a TAI64N label";

/// The end of a range to which a time belongs. A local time that occurs twice,
/// at the end of daylight saving time, is the one with the larger range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeEnd {
    /// The first time.
    Since,
    /// The last time.
    Until,
}

/// A date and a time of day without an offset.
#[derive(Clone, Copy, Debug)]
struct LocalTime {
    /// Seconds since 1970, as if the time were UTC.
    seconds: i64,
    nanoseconds: u32,
}

/// The time that a text names; None: the text has another form.
///
/// | form | time |
/// | --- | --- |
/// | `2026-11-28T21:45:06.5+01:00` | RFC 3339, with `Z` or an offset |
/// | `2026-11-28`, `2026-11-28 21:45`, `2026-11-28 21:45:06.5` | local; `T` may replace the space |
/// | `21:45`, `21:45:06.5` | local, today |
/// | `90 s ago`, `10 min ago`, `2h ago`, `7 d ago` | before `now` |
/// | `@400000004d52960a0ebe121c` | TAI64N |
///
/// A local time that daylight saving time skips is as far after the change as it
/// would be without.
pub fn parse_time(text: &[u8], end: RangeEnd, now: Label, zone: &LocalZone) -> Option<Label> {
    if let Some(digits) = text.strip_prefix(b"@") {
        let (label, length) = Label::read(digits);
        return (length == TEXT - 1 && digits.len() == length).then_some(label);
    }
    if let Some(span) = text.strip_suffix(b"ago") {
        let seconds = now.unix().checked_sub(parse_span(span)?)?;
        return Label::from_unix_nanoseconds(seconds, now.nanoseconds());
    }
    let today = || zone.civil(now.unix()).map(|today| naive_day(&today));
    let (day, rest) = match parse_date(text) {
        Some((day, [b' ' | b'T' | b't', rest @ ..])) => (day, rest),
        Some((day, [])) => return local(midnight(day), end, zone),
        Some(_) => return None,
        None => (today()??, text),
    };
    let (time, rest) = parse_time_of_day(rest)?;
    let time = LocalTime {
        seconds: midnight(day).seconds + time.seconds,
        ..time
    };
    match rest {
        [] => local(time, end, zone),
        // An offset belongs to a date.
        _ if rest.len() == text.len() => None,
        _ if parse_date(text).is_none() => None,
        _ => {
            let seconds = time.seconds - parse_offset(rest)?;
            Label::from_unix_nanoseconds(seconds, time.nanoseconds)
        }
    }
}

const DAY: i64 = 86_400;

fn midnight(day: i64) -> LocalTime {
    LocalTime {
        seconds: day * DAY,
        nanoseconds: 0,
    }
}

/// The day of a date, in days since 1970.
fn naive_day(civil: &Civil) -> Option<i64> {
    day_of_date(civil.year, civil.month, civil.day)
}

/// Seconds since 1970 of a date and time, as if it were UTC.
fn naive_seconds(civil: &Civil) -> Option<i64> {
    let minutes = i64::from(civil.hour) * 60 + i64::from(civil.minute);
    Some(naive_day(civil)? * DAY + minutes * 60 + i64::from(civil.second))
}

/// The label of a local time.
fn local(time: LocalTime, end: RangeEnd, zone: &LocalZone) -> Option<Label> {
    let wanted = time.seconds;
    // No offset changes twice within two days.
    let [before, after] = [wanted - DAY, wanted + DAY].map(|near| zone.civil(near));
    let (before, after) = (wanted - before?.offset, wanted - after?.offset);
    let exact = |guess: i64| {
        // In a zone with leap seconds, the guess is off by their number.
        let error = wanted - naive_seconds(&zone.civil(guess)?)?;
        let seconds = guess + if error.abs() < 60 { error } else { 0 };
        let is_exact = naive_seconds(&zone.civil(seconds)?)? == wanted;
        is_exact.then_some(seconds)
    };
    let times = [exact(before), exact(after)].into_iter().flatten();
    let seconds = match end {
        RangeEnd::Since => times.min(),
        RangeEnd::Until => times.max(),
    };
    Label::from_unix_nanoseconds(seconds.unwrap_or(before), time.nanoseconds)
}

/// A number of seconds: `90 s`, `10min`, `2 h`, `7 d`.
fn parse_span(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = text.split_at(length);
    let number: i64 = std::str::from_utf8(number).ok()?.parse().ok()?;
    let unit = match unit.trim_ascii() {
        b"s" => 1,
        b"min" => 60,
        b"h" => 3600,
        b"d" => DAY,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// The day of `YYYY-MM-DD`, and the rest.
fn parse_date(text: &[u8]) -> Option<(i64, &[u8])> {
    let (century, rest) = two_digits(text)?;
    let (year, rest) = two_digits(rest)?;
    let (month, rest) = two_digits(rest.strip_prefix(b"-")?)?;
    let (day, rest) = two_digits(rest.strip_prefix(b"-")?)?;
    let year = i64::from(century) * 100 + i64::from(year);
    Some((day_of_date(year, month, day)?, rest))
}

/// The time of `HH:MM`, `HH:MM:SS` or `HH:MM:SS.FRACTION`, and the rest.
fn parse_time_of_day(text: &[u8]) -> Option<(LocalTime, &[u8])> {
    let (hour, rest) = two_digits(text)?;
    let (minute, mut rest) = two_digits(rest.strip_prefix(b":")?)?;
    let mut second = 0;
    let mut nanoseconds = 0;
    if let Some(after) = rest.strip_prefix(b":") {
        (second, rest) = two_digits(after)?;
        if let Some(after) = rest.strip_prefix(b".") {
            (nanoseconds, rest) = fraction(after)?;
        }
    }
    // 60 is a leap second.
    let is_valid = hour < 24 && minute < 60 && second <= 60;
    let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
    let time = LocalTime {
        seconds,
        nanoseconds,
    };
    is_valid.then_some((time, rest))
}

/// The nanoseconds of the digits after a decimal point, and the rest. Digits after
/// the ninth are ignored.
fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    let zeroes = std::iter::repeat(&b'0');
    let nine = digits.iter().chain(zeroes).take(9);
    let nanoseconds = nine.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    (length > 0).then_some((nanoseconds, rest))
}

/// The seconds of `Z`, `+HH:MM` or `-HH:MM`.
fn parse_offset(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text {
        [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    match parse_time_of_day(rest)? {
        // `+HH:MM` has five characters after its sign.
        (time, []) if rest.len() == 5 => Some(sign * time.seconds),
        _ => None,
    }
}

/// The number of two decimal digits, and the rest.
fn two_digits(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9', rest @ ..] => {
            Some(((tens - b'0') * 10 + (ones - b'0'), rest))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-28 21:45:06.000001500 UTC.
    const NOW: i64 = 1_795_902_306;

    fn zone(name: &str) -> LocalZone {
        let mut zone = LocalZone::new(Some(name.as_bytes()), None);
        zone.refresh();
        zone
    }

    /// The Unix time and the nanoseconds.
    fn parsed(text: &str, end: RangeEnd, zone: &LocalZone) -> Option<(i64, u32)> {
        let label = parse_time(text.as_bytes(), end, Label::from_unix(NOW, 1), zone)?;
        Some((label.unix(), label.nanoseconds()))
    }

    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    #[test]
    fn each_form_has_its_time() {
        let zone = zone(BERLIN);
        let midnight = NOW - 21 * 3600 - 45 * 60 - 6 - 3600;
        for (text, seconds, nanoseconds) in [
            ("2026-11-28", midnight, 0),
            ("2026-11-28 22:45", NOW - 6, 0),
            ("2026-11-28 22:45:06", NOW, 0),
            ("2026-11-28T22:45:06.5", NOW, 500_000_000),
            ("22:45", NOW - 6, 0),
            ("22:45:06.123456789999", NOW, 123_456_789),
            ("2026-11-28T21:45:06Z", NOW, 0),
            ("2026-11-28t21:45:06.000000001z", NOW, 1),
            ("2026-11-28 16:15:06-05:30", NOW, 0),
            ("2026-11-28T21:45:06+00:00", NOW, 0),
            ("1969-12-31T23:59:60Z", 0, 0),
            ("0 s ago", NOW, 1500),
            ("90s ago", NOW - 90, 1500),
            ("10 min ago", NOW - 600, 1500),
            ("2h ago", NOW - 7200, 1500),
            ("7 d ago", NOW - 7 * DAY, 1500),
            ("@400000004d52960a0ebe121c", 1_297_257_984, 247_337_500),
        ] {
            for end in [RangeEnd::Since, RangeEnd::Until] {
                assert_eq!(
                    parsed(text, end, &zone),
                    Some((seconds, nanoseconds)),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn other_texts_have_no_time() {
        let zone = zone(BERLIN);
        for text in [
            "",
            "now",
            "yesterday",
            "2026",
            "2026-11",
            "2026-11-31",
            "2026-13-01",
            "2026-11-28 ",
            "2026-11-28 24:00",
            "2026-11-28 22",
            "2026-11-28 22:60",
            "2026-11-28_22:45:06",
            "22:45:06.",
            "22:45Z",
            "22:45+01:00",
            "2026-11-28Z",
            "2026-11-28T22:45:06+1",
            "2026-11-28T22:45:06+01:00:00",
            "2026-11-28T22:45:06 Z",
            "5 ago",
            "ago",
            "-5 s ago",
            "5 m ago",
            "5 min",
            "99999999999999999999 s ago",
            "9223372036854775807 d ago",
            "@400000004d52960a0ebe121",
            "@400000004d52960a0ebe121c.s",
            "@400000004D52960A0EBE121C",
            " 22:45",
        ] {
            assert_eq!(parsed(text, RangeEnd::Since, &zone), None, "{text}");
        }
    }

    #[test]
    fn repeated_local_time_widens_the_range() {
        let zone = zone(BERLIN);
        let first = 1_792_888_200; // 2026-10-25T02:30:00+02:00
        let text = "2026-10-25 02:30";
        assert_eq!(parsed(text, RangeEnd::Since, &zone), Some((first, 0)));
        assert_eq!(
            parsed(text, RangeEnd::Until, &zone),
            Some((first + 3600, 0))
        );
    }

    #[test]
    fn skipped_local_time_is_after_the_change() {
        let zone = zone(BERLIN);
        let change = 1_774_746_000; // 2026-03-29T03:00:00+02:00
        for end in [RangeEnd::Since, RangeEnd::Until] {
            assert_eq!(
                parsed("2026-03-29 02:10", end, &zone),
                Some((change + 600, 0))
            );
            assert_eq!(
                parsed("2026-03-29 03:10", end, &zone),
                Some((change + 600, 0))
            );
            assert_eq!(
                parsed("2026-03-29 01:59:59", end, &zone),
                Some((change - 1, 0))
            );
        }
    }

    #[test]
    fn local_times_invert_the_calendar() {
        for name in [BERLIN, "UTC", "Australia/Lord_Howe", "right/Europe/London"] {
            let zone = zone(name);
            for seconds in (NOW - 400 * DAY..NOW).step_by(997) {
                let civil = zone.civil(seconds).unwrap();
                let Civil {
                    year,
                    month,
                    day,
                    hour,
                    minute,
                    second,
                    ..
                } = civil;
                let text =
                    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
                let [since, until] = [RangeEnd::Since, RangeEnd::Until]
                    .map(|end| parsed(&text, end, &zone).unwrap().0);
                assert!([since, until].contains(&seconds), "{name} {text}");
            }
        }
    }
}
