//! Time zones described in TZ, as in `CET-1CEST,M3.5.0,M10.5.0/3`.
//!
//! The grammar is that of POSIX, as glibc reads it: an error ends the text, and
//! the part before the error counts.

use daemontools_core::calendar::is_leap_year;

use crate::tai64::civil::{Civil, DAY};

/// The offsets of a zone and the days of the year at which they change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ZoneRules {
    /// Standard time, which ends at its [`Season::end`].
    pub(crate) standard: Season,
    /// Daylight saving time. Without one, equal to standard time.
    pub(crate) daylight: Season,
}

/// An offset from UTC, and the change to the other one in each year.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Season {
    /// Local time minus UTC, in seconds.
    pub(crate) offset: i64,
    end: ChangeDay,
    /// The local time of the change, in seconds after the start of the day.
    time: i64,
}

/// A day of the year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChangeDay {
    /// Days after 1 January.
    ZeroBased(u16),
    /// From 1, without counting 29 February.
    Julian(u16),
    /// A weekday (0: Sunday) of a month (1 to 12). Week 5 is the last.
    Weekday { month: u16, week: u16, weekday: u16 },
}

impl Default for ChangeDay {
    fn default() -> Self {
        ChangeDay::ZeroBased(0)
    }
}

/// The default rules of the United States since 2007: `M3.2.0,M11.1.0`.
const DEFAULT_DAYS: [ChangeDay; 2] = [
    ChangeDay::Weekday {
        month: 3,
        week: 2,
        weekday: 0,
    },
    ChangeDay::Weekday {
        month: 11,
        week: 1,
        weekday: 0,
    },
];

/// The default time of a change: 02:00.
const DEFAULT_TIME: i64 = 2 * 3600;

/// A parsed description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    /// The rules.
    pub(crate) rules: ZoneRules,
    /// Whether the text names daylight saving time without days of change.
    pub(crate) lacks_days: bool,
}

impl Described {
    /// Parses a description; every text is valid. An invalid name or offset of
    /// standard time means UTC.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let mut described = Described {
            rules: ZoneRules::default(),
            lacks_days: false,
        };
        let rules = &mut described.rules;
        let Some((offset, rest)) = skip_name(text).and_then(standard_offset) else {
            return described;
        };
        rules.standard.offset = offset;
        if rest.is_empty() {
            rules.daylight = rules.standard;
            return described;
        }
        let mut days = rest;
        if let Some(rest) = skip_name(rest) {
            let (offset, rest) = signed_offset(rest);
            rules.daylight.offset = offset.unwrap_or(rules.standard.offset + 3600);
            described.lacks_days = matches!(rest, [] | [b',']);
            days = rest;
        }
        let [first, second] = DEFAULT_DAYS;
        if let Some(rest) = rules.standard.parse_end(days, first) {
            rules.daylight.parse_end(rest, second);
        }
        described
    }
}

impl ZoneRules {
    /// Local time minus UTC at a Unix time, in seconds. None if the year in UTC
    /// exceeds an `int` of years since 1900.
    pub(crate) fn offset_at(&self, seconds: i64) -> Option<i64> {
        let year = Civil::new(seconds, 0, 0)?.year;
        // In glibc, the year is an `int` too.
        let [.., a, b, c, d] = year.to_be_bytes();
        let year = i32::from_be_bytes([a, b, c, d]);
        let (start, end) = (self.standard.change(year), self.daylight.change(year));
        // In the southern hemisphere, daylight saving time ends in the next year.
        let is_daylight = if start > end {
            !(end..start).contains(&seconds)
        } else {
            (start..end).contains(&seconds)
        };
        Some(if is_daylight {
            self.daylight.offset
        } else {
            self.standard.offset
        })
    }
}

impl Season {
    /// Parses the day and time of the change; an empty text means `default`.
    /// Returns the rest; None after an error. As in glibc, the numbers before
    /// the error count.
    fn parse_end<'a>(&mut self, text: &'a [u8], default: ChangeDay) -> Option<&'a [u8]> {
        let text = text.strip_prefix(b",").unwrap_or(text);
        let rest = match text {
            [] => {
                self.end = default;
                text
            }
            [b'J', digits @ ..] => {
                self.end = ChangeDay::Julian(0);
                let (day, rest) = day_of_year(digits).filter(|(day, _)| *day > 0)?;
                self.end = ChangeDay::Julian(day);
                rest
            }
            [b'0'..=b'9', ..] => {
                let (day, rest) = day_of_year(text)?;
                self.end = ChangeDay::ZeroBased(day);
                rest
            }
            [b'M', numbers @ ..] => {
                let ([month, week, weekday], rest) = scan_three(numbers, b'.');
                let known = |number: Option<u16>| number.unwrap_or_default();
                self.end = ChangeDay::Weekday {
                    month: known(month),
                    week: known(week),
                    weekday: known(weekday),
                };
                let is_valid = (1..=12).contains(&month?)
                    && (1..=5).contains(&week?)
                    && (0..=6).contains(&weekday?);
                is_valid.then_some(rest)?
            }
            _ => return None,
        };
        match rest {
            [] | [b',', ..] => {
                self.time = DEFAULT_TIME;
                Some(rest)
            }
            [b'/', time @ ..] => {
                time.first()?;
                let (sign, time) = time.strip_prefix(b"-").map_or((1, time), |time| (-1, time));
                let ([hours, minutes, seconds], rest) = scan_three(time, b':');
                let number = |number: Option<u16>| number.map_or(0, i64::from);
                let hours = hours.map_or(DEFAULT_TIME, |hours| i64::from(hours) * 3600);
                self.time = sign * (hours + 60 * number(minutes) + number(seconds));
                Some(rest)
            }
            _ => None,
        }
    }

    /// The Unix time of the change in a year. As in glibc, years before 1970
    /// share the 1 January of 1970, and a number of days is an `int`.
    fn change(&self, year: i32) -> i64 {
        let days_before = if year > 1970 {
            let before = year - 1;
            (year - 1970)
                .wrapping_mul(365)
                .wrapping_add(before / 4 - 1970 / 4)
                .wrapping_sub(before / 100 - 1970 / 100)
                .wrapping_add(before / 400 - 1970 / 400)
        } else {
            0
        };
        let day = match self.end {
            ChangeDay::ZeroBased(day) => i64::from(day),
            ChangeDay::Julian(day) => {
                let after_february = day >= 60 && is_leap_year(year.into());
                i64::from(day) - 1 + i64::from(after_february)
            }
            ChangeDay::Weekday {
                month,
                week,
                weekday,
            } => weekday_of_month(year, month, week, weekday),
        };
        (i64::from(days_before) + day) * DAY - self.offset + self.time
    }
}

/// The days after 1 January of a weekday of a month.
fn weekday_of_month(year: i32, month: u16, week: u16, weekday: u16) -> i64 {
    const ENDS: [i64; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
    let is_leap = is_leap_year(year.into());
    let days_until = |month: usize| {
        let end = ENDS.get(month).copied().unwrap_or_default();
        end + i64::from(is_leap && month >= 2)
    };
    // glibc reads outside of its table for an invalid month.
    let month = month.clamp(1, 12);
    let (start, end) = (days_until((month - 1).into()), days_until(month.into()));
    let mut day = i64::from(weekday) - i64::from(weekday_of_first(year, month));
    if day < 0 {
        day += 7;
    }
    for _ in 1..week {
        if day + 7 >= end - start {
            break;
        }
        day += 7;
    }
    start + day
}

/// The weekday of the first day of a month, by Zeller's congruence. As in
/// glibc, divisions truncate, so weekdays before the year 1 are shifted.
fn weekday_of_first(year: i32, month: u16) -> i32 {
    // January and February count as months 11 and 12 of the year before.
    let month = (i32::from(month) + 9) % 12 + 1;
    let year = if month > 10 {
        year.wrapping_sub(1)
    } else {
        year
    };
    let (century, year) = (year / 100, year % 100);
    let sum = (26 * month - 2) / 10 + 1 + year + year / 4 + century / 4 - 2 * century;
    match sum % 7 {
        before @ ..0 => before + 7,
        weekday => weekday,
    }
}

/// The text after a name: at least three letters, or `<`, at least three
/// letters, digits and signs, and `>`.
fn skip_name(text: &[u8]) -> Option<&[u8]> {
    let (name, rest) = split_while(text, u8::is_ascii_alphabetic);
    if name.len() >= 3 {
        return Some(rest);
    }
    let quoted = text.strip_prefix(b"<")?;
    let (name, rest) = split_while(quoted, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-')
    });
    let rest = rest.strip_prefix(b">")?;
    (name.len() >= 3).then_some(rest)
}

/// The offset of standard time, in seconds, and the rest. None if there is
/// none.
fn standard_offset(text: &[u8]) -> Option<(i64, &[u8])> {
    matches!(text, [b'+' | b'-' | b'0'..=b'9', ..]).then_some(())?;
    let (offset, rest) = signed_offset(text);
    Some((offset?, rest))
}

/// An offset in seconds, if there is one, and the rest. A positive number is
/// west of Greenwich. Larger numbers count as 24 hours and 59 minutes and
/// seconds.
fn signed_offset(text: &[u8]) -> (Option<i64>, &[u8]) {
    let (sign, text) = match text {
        [b'-', rest @ ..] => (1, rest),
        [b'+', rest @ ..] => (-1, rest),
        _ => (-1, text),
    };
    let ([hours, minutes, seconds], rest) = scan_three(text, b':');
    let part = |number: Option<u16>, most| number.map_or(0, |number| i64::from(number.min(most)));
    let offset = hours
        .map(|hours| 3600 * part(Some(hours), 24) + 60 * part(minutes, 59) + part(seconds, 59));
    (offset.map(|offset| sign * offset), rest)
}

/// A number from 0 to 365, and the rest.
fn day_of_year(text: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = split_while(text, u8::is_ascii_digit);
    digits.first()?;
    let day = u16::try_from(decimal(digits)).ok()?;
    (day <= 365).then_some((day, rest))
}

/// Up to three numbers with `separator` between them, and the text after the
/// last one.
fn scan_three(text: &[u8], separator: u8) -> ([Option<u16>; 3], &[u8]) {
    let mut numbers = [None; 3];
    let (mut rest, mut next) = (text, Some(text));
    for number in &mut numbers {
        let Some((value, after)) = next.and_then(scan_short) else {
            break;
        };
        *number = Some(value);
        rest = after;
        next = after.strip_prefix(&[separator]);
    }
    (numbers, rest)
}

/// A number as scanf reads an `unsigned short`: after spaces, with an optional
/// sign, and modulo 65536.
fn scan_short(text: &[u8]) -> Option<(u16, &[u8])> {
    let (_, text) = split_while(text, |byte| {
        matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
    });
    let (is_negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (digits, rest) = split_while(text, u8::is_ascii_digit);
    digits.first()?;
    let number = match decimal(digits) {
        u64::MAX => u64::MAX,
        number if is_negative => number.wrapping_neg(),
        number => number,
    };
    let [low, high, ..] = number.to_le_bytes();
    Some((u16::from_le_bytes([low, high]), rest))
}

/// The value of digits; the largest number if they exceed it.
fn decimal(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number: u64, digit| {
        let digit = u64::from(digit - b'0');
        number.saturating_mul(10).saturating_add(digit)
    })
}

/// Splits `text` before the first byte without the property.
fn split_while(text: &[u8], property: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !property(byte));
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use daemontools_core::calendar::day_of_date;

    use super::*;

    fn offsets(text: &str) -> (i64, i64) {
        let ZoneRules { standard, daylight } = Described::parse(text.as_bytes()).rules;
        (standard.offset, daylight.offset)
    }

    /// The changes to daylight saving time and back in a year.
    fn changes(text: &str, year: i32) -> (i64, i64) {
        let ZoneRules { standard, daylight } = Described::parse(text.as_bytes()).rules;
        (standard.change(year), daylight.change(year))
    }

    #[test]
    fn offsets_are_west_of_greenwich() {
        for (text, offset) in [
            ("AAA3", -10_800),
            ("AAA+3", -10_800),
            ("<+0330>-3:30:15", 12_615),
            ("AAA24:59:59", -89_999),
            ("AAA99:99:99", -89_999),
            ("AAA65539", -10_800),
            ("AAA99999999999999999999", -86_400),
        ] {
            assert_eq!(offsets(text), (offset, offset), "{text}");
        }
        assert_eq!(offsets("AAA3BBB"), (-10_800, -7200));
        assert_eq!(offsets("AAA3BBB1:30"), (-10_800, -5400));
        assert_eq!(offsets("AAA3BBB-"), (-10_800, -7200));
    }

    #[test]
    fn invalid_names_and_offsets_mean_utc() {
        for text in ["", "AA3", "AAA", "AAA-", "A1A3", "<AA>3", "<AAA3", "<A/A>3"] {
            assert_eq!(offsets(text), (0, 0), "{text}");
        }
        assert_eq!(offsets("AAA3B"), (-10_800, 0));
    }

    #[test]
    fn text_without_days_uses_the_default() {
        for (text, lacks_days) in [
            ("AAA3", false),
            ("AAA3BBB", true),
            ("AAA3BBB2,", true),
            ("AAA3BBB,J1", false),
        ] {
            let described = Described::parse(text.as_bytes());
            assert_eq!(described.lacks_days, lacks_days, "{text}");
        }
        let days = changes("AAA3BBB,M3.2.0,M11.1.0", 2026);
        assert_eq!(days, (1_772_946_000, 1_793_505_600));
        assert_eq!(changes("AAA3BBB", 2026), days);
    }

    #[test]
    fn days_of_change_have_three_forms() {
        // From 1 March 2024 and 1 January 2026, midnight in UTC.
        let (march, january) = (1_709_251_200, 1_767_225_600);
        assert_eq!(
            changes("AAA0BBB0,J60/0,59/1", 2024),
            (march, march - 82_800)
        );
        let times = (january - 3600, january + 168 * 3600 + 61);
        assert_eq!(changes("AAA0BBB0,0/-1,J1/168:1:1", 2026), times);
        // The first Thursday and the last Saturday of January 2026.
        let weekdays = (january, january + 30 * DAY);
        assert_eq!(changes("AAA0BBB0,M1.1.4/0,M1.5.6/0", 2026), weekdays);
    }

    #[test]
    fn daylight_saving_time_may_span_new_year() {
        let rules = Described::parse(b"AAA0BBB,J300/0,J100/0").rules;
        let january = 1_767_225_600;
        let offset = |day| rules.offset_at(january + day * DAY);
        assert_eq!([0, 98, 100, 298, 299, 364].map(offset), {
            let [standard, daylight] = [Some(0), Some(3600)];
            [daylight, daylight, standard, standard, daylight, daylight]
        });
    }

    #[test]
    fn year_beyond_an_int_has_no_offset() {
        let rules = Described::parse(b"AAA-3").rules;
        assert_eq!(rules.offset_at(67_768_036_191_676_799), Some(10_800));
        assert_eq!(rules.offset_at(67_768_036_191_676_800), None);
        assert_eq!(rules.offset_at(-67_768_040_609_740_801), None);
    }

    #[test]
    fn any_text_and_time_is_processed() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let length = random.usize(..30);
            let text: Vec<u8> = (0..length)
                .map(|_| *random.choice(b"AAABBB<>+-:/,.JM0123456789 \xff").unwrap())
                .collect();
            let text = [&b"AAA3BBB"[..random.usize(..8)], &text].concat();
            let _ = Described::parse(&text).rules.offset_at(random.i64(..));
        }
    }

    /// The number of days from 1 January 1970.
    fn day(year: i32, month: u8, day: u8) -> i64 {
        day_of_date(year.into(), month, day).unwrap()
    }

    #[test]
    fn weekday_of_month_follows_the_calendar() {
        for year in (1601..2401).step_by(7).chain(1970..2030) {
            for month in 1..=12 {
                let days = (1..=31).filter_map(|day| day_of_date(year.into(), month, day));
                let days: Vec<_> = days.collect();
                for weekday in 0..7 {
                    // 1 January 1970 was a Thursday.
                    let on_weekday = |day: &&i64| (**day + 4).rem_euclid(7) == weekday;
                    let found: Vec<_> = days.iter().filter(on_weekday).collect();
                    for week in 1..=5 {
                        let expected = **found.get(week - 1).or(found.last()).unwrap();
                        let number = |number: i64| u16::try_from(number).unwrap();
                        let (week, weekday) = (u16::try_from(week).unwrap(), number(weekday));
                        let seen = weekday_of_month(year, month.into(), week, weekday);
                        assert_eq!(seen, expected - day(year, 1, 1), "{year} {month}");
                    }
                }
            }
        }
    }

    #[test]
    fn julian_day_does_not_count_29_february() {
        for year in [1971, 1972, 2000, 2024, 2026, 2100, 2400] {
            for (julian, month, of_month) in [(1, 1, 1), (59, 2, 28), (60, 3, 1), (365, 12, 31)] {
                let text = format!("AAA0BBB0,J{julian}/0,{}/0", julian - 1);
                let (by_date, by_count) = changes(&text, year);
                assert_eq!(by_date, day(year, month, of_month) * DAY, "{year} {text}");
                assert_eq!(by_count, (day(year, 1, 1) + julian - 1) * DAY);
            }
        }
        for year in 1970..2500 {
            let (start, _) = changes("AAA0BBB0,0/0,1/0", year);
            assert_eq!(start, day(year, 1, 1) * DAY, "{year}");
        }
        assert_eq!(changes("AAA0BBB0,0/0,1/0", 1901), (0, DAY));
    }

    #[test]
    fn invalid_day_ends_the_text() {
        let valid = changes("AAA0BBB0,M3.2.0,M11.1.0", 2026);
        for days in ["M3.2.0,M11.1.0", "M 3. 2.+0/ 2,M65547.1.0/2:0:0"] {
            assert_eq!(changes(&format!("AAA0BBB0,{days}"), 2026), valid, "{days}");
        }
        let parsed = |days: &str| {
            let mut season = Season::default();
            let rest = season.parse_end(days.as_bytes(), ChangeDay::default());
            rest.map(|rest| String::from_utf8_lossy(rest).into_owned())
        };
        for days in [
            "J1", "J365", "0", "365", "M1.1.0", "M12.5.6", "0/0", "0/-1:2:3",
        ] {
            assert_eq!(parsed(days).as_deref(), Some(""), "{days}");
            assert_eq!(
                parsed(&format!(",{days},x")).as_deref(),
                Some(",x"),
                "{days}"
            );
        }
        for days in [
            "J0", "J366", "J", "366", "M0.1.1", "M13.1.1", "M1.0.1", "M1.6.1", "M1.1.7", "M1.1",
            "M1", "M", "x", "0x", "0/", "J1 ", "-1",
        ] {
            assert_eq!(parsed(days), None, "{days}");
        }
    }

    #[test]
    fn time_of_change_has_hours_to_seconds() {
        let time = |text: &str| {
            let mut season = Season::default();
            season.parse_end(format!("0{text}").as_bytes(), ChangeDay::default());
            season.time
        };
        for (text, seconds) in [
            ("", 7200),
            ("/0", 0),
            ("/3", 10_800),
            ("/3:4", 11_040),
            ("/3:4:5", 11_045),
            ("/-3:4:5", -11_045),
            ("/+1", 3600),
            ("/x", 7200),
            ("/-x", -7200),
            ("/167:59:59", 604_799),
        ] {
            assert_eq!(time(text), seconds, "{text}");
        }
    }

    #[test]
    fn numbers_are_read_as_by_scanf() {
        for (text, number) in [
            ("7x", Some((7, "x"))),
            (" \t\n\x0b\x0c\r7", Some((7, ""))),
            ("-1", Some((65_535, ""))),
            ("+65537", Some((1, ""))),
            ("-65537", Some((65_535, ""))),
            ("18446744073709551615", Some((65_535, ""))),
            ("-99999999999999999999", Some((65_535, ""))),
            ("", None),
            ("-", None),
            ("x", None),
        ] {
            let seen = scan_short(text.as_bytes());
            let number = number.map(|(number, rest)| (number, rest.as_bytes()));
            assert_eq!(seen, number, "{text:?}");
        }
        let three = scan_three(b"1.2.3.4", b'.');
        assert_eq!(three, ([Some(1), Some(2), Some(3)], &b".4"[..]));
        assert_eq!(
            scan_three(b"1.x", b'.'),
            ([Some(1), None, None], &b".x"[..])
        );
    }

    #[test]
    fn name_has_three_letters_or_quotes() {
        for (text, rest) in [
            ("ABCD5", Some("5")),
            ("ABC", Some("")),
            ("<+05>5", Some("5")),
            ("<A-1b>", Some("")),
            ("AB", None),
            ("<AB>", None),
            ("<ABC", None),
            ("<AB C>", None),
        ] {
            let seen = skip_name(text.as_bytes());
            assert_eq!(seen, rest.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn change_is_the_first_second_of_its_season() {
        let summer = 1_767_225_600 + 100 * DAY;
        let winter = 1_767_225_600 + 300 * DAY;
        let rules = Described::parse(b"AAA0BBB,100/0,300/1").rules;
        let offset = |time| rules.offset_at(time).unwrap();
        assert_eq!([summer - 1, summer].map(offset), [0, 3600]);
        assert_eq!([winter - 1, winter].map(offset), [3600, 0]);
    }

    #[test]
    fn daylight_saving_time_without_length_never_begins() {
        // Both changes are at 05:00 in UTC.
        let rules = Described::parse(b"AAA3BBB2,J60/2,J60/3").rules;
        for seconds in [0, 5_115_600, 20_000_000] {
            assert_eq!(rules.offset_at(seconds), Some(-10_800), "{seconds}");
        }
    }
}
