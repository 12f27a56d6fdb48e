//! Converts labels at the start of lines to local time.

use std::collections::TryReserveError;
use std::io::Write;
use std::ops::RangeInclusive;

use crate::batch::split_line;
use crate::tai64::Civil;
use crate::text_buffer::{HEAD_BLOCK, TextBuffer};
use daemontools_core::label::Label;

/// Converts the label at the start of each line to a date and time.
///
/// A label is `@` as the first byte of a line and all lowercase hexadecimal
/// digits that follow.
#[derive(Debug)]
pub struct Localizer<C> {
    position: LinePosition,
    clock: LabelClock<C>,
}

/// Converts Unix times to dates and times of day. Functions are calendars, too.
pub trait Calendar {
    /// The date and time of a Unix time. None: the calendar cannot represent it.
    fn civil(&mut self, seconds: i64) -> Option<Civil>;
}

impl<F: FnMut(i64) -> Option<Civil>> Calendar for F {
    fn civil(&mut self, seconds: i64) -> Option<Civil> {
        self(seconds)
    }
}

/// The format of a date and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeStyle {
    /// `2011-02-09 12:34:56.247337500`, as in 0.76.
    Original,
    /// `2011-02-09T12:34:56.247337500+01:00`, by RFC 3339. The calendar must
    /// return offsets of whole minutes. Labels with a year of other than four
    /// digits, an offset of a day or more, or more than 999999999 nanoseconds
    /// are not converted.
    Rfc3339,
}

/// The position of the next byte in its line.
#[derive(Debug)]
enum LinePosition {
    /// At the start.
    Start,
    /// In the label, with these digits from earlier input.
    Label(Vec<u8>),
    /// After the label, or in a line without a label.
    Text,
}

impl<C: Calendar> Localizer<C> {
    /// `calendar` converts Unix time to local time. With `whole_minutes`, the
    /// results for a minute are derived from those for its first and last
    /// second; the calendar must not change its offset and change it back
    /// within one minute.
    pub fn new(calendar: C, whole_minutes: bool, style: TimeStyle) -> Self {
        Localizer {
            position: LinePosition::Start,
            clock: LabelClock::new(calendar, whole_minutes, style),
        }
    }

    /// Discards the results of the calendar, as the time zone may have changed.
    pub fn clear_cache(&mut self) {
        self.clock.clear_cache();
    }

    /// Appends `input` to `output` with its labels converted. A line may
    /// continue in the next call; an unfinished label is held until then. A
    /// label that the calendar or the style cannot represent is copied.
    ///
    /// # Errors
    /// Out of memory: a label has too many digits.
    pub fn convert(
        &mut self,
        input: &[u8],
        output: &mut TextBuffer,
    ) -> Result<(), TryReserveError> {
        let mut rest = input;
        while let Some((first, after_first)) = rest.split_first() {
            match &mut self.position {
                LinePosition::Start if *first == b'@' => {
                    let (label, length) = Label::read(after_first);
                    let (digits, text) = after_first.split_at(length);
                    if text.is_empty() {
                        self.position = LinePosition::Label(digits.to_owned());
                        return Ok(());
                    }
                    rest = self.write_line(label, digits, text, output)?;
                }
                LinePosition::Label(earlier) => {
                    let (digits, text) = rest.split_at(Label::read(rest).1);
                    earlier.try_reserve(digits.len())?;
                    earlier.extend_from_slice(digits);
                    if text.is_empty() {
                        return Ok(());
                    }
                    let digits = std::mem::take(earlier);
                    let (label, _) = Label::read(&digits);
                    rest = self.write_line(label, &digits, text, output)?;
                }
                LinePosition::Start | LinePosition::Text => {
                    let (line, later) = split_line(rest);
                    output.push_start(rest, line.len());
                    self.set_position_after(line);
                    rest = later;
                }
            }
        }
        Ok(())
    }

    /// Appends the date and time of a label and the line that follows, or
    /// copies them. Returns the text after the line.
    fn write_line<'a>(
        &mut self,
        label: Label,
        digits: &[u8],
        text: &'a [u8],
        output: &mut TextBuffer,
    ) -> Result<&'a [u8], TryReserveError> {
        let (line, later) = split_line(text);
        match self.clock.write_time(label, output) {
            Written::Head(head, length) => {
                output.push_headed(&head, length, text, line.len());
            }
            Written::All => output.push_start(text, line.len()),
            Written::Nothing => {
                output.try_push(b"@")?;
                output.try_push(digits)?;
                output.push_start(text, line.len());
            }
        }
        self.set_position_after(line);
        Ok(later)
    }

    fn set_position_after(&mut self, line: &[u8]) {
        self.position = match line {
            [.., b'\n'] => LinePosition::Start,
            _ => LinePosition::Text,
        };
    }
}

/// Converts labels to dates and times, with a cache of one minute.
#[derive(Debug)]
pub struct LabelClock<C> {
    calendar: C,
    style: TimeStyle,
    whole_minutes: bool,
    minute: Option<Minute>,
}

/// The part of a date and time that is in the output.
enum Written {
    /// None. A usual date and time is the start of this block, of this length.
    Head([u8; HEAD_BLOCK], usize),
    All,
    /// None: the calendar or the style cannot represent the label.
    Nothing,
}

/// A minute of local time, with its text.
#[derive(Debug)]
struct Minute {
    /// The date and time of second 0.
    start: Civil,
    /// The Unix time of second 0, unless a change of offset or a leap second
    /// precedes the converted second.
    zero: i64,
    /// The Unix times whose second is their distance from `zero`.
    known: RangeInclusive<i64>,
    /// The text of `start` before its second: `YYYY-MM-DD HH:MM:`.
    text: Vec<u8>,
    /// The text after its nanoseconds.
    end: Vec<u8>,
    /// The text as the start of a block, if its year has four digits and `end`
    /// is empty.
    usual: Option<[u8; HEAD_BLOCK]>,
}

/// The length of `YYYY-MM-DD HH:MM:`.
const USUAL: usize = 17;

/// Overwrites the bytes of a block from `start` on.
fn put<const LENGTH: usize>(block: &mut [u8; HEAD_BLOCK], start: usize, bytes: [u8; LENGTH]) {
    if let Some(to) = block.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        *to = bytes;
    }
}

/// `text` in a block, if it has the usual length.
fn usual_block(text: &[u8], end: &[u8]) -> Option<[u8; HEAD_BLOCK]> {
    let text: &[u8; USUAL] = text.try_into().ok()?;
    let mut block = [0; HEAD_BLOCK];
    *block.first_chunk_mut()? = *text;
    end.is_empty().then_some(block)
}

impl<C: Calendar> LabelClock<C> {
    /// As [`Localizer::new`].
    pub fn new(calendar: C, whole_minutes: bool, style: TimeStyle) -> Self {
        LabelClock {
            calendar,
            style,
            whole_minutes,
            minute: None,
        }
    }

    /// As [`Localizer::clear_cache`]. Returns the calendar, to change it.
    pub fn clear_cache(&mut self) -> &mut C {
        self.minute = None;
        &mut self.calendar
    }

    /// Appends the date and time of a label. A label that the calendar or the
    /// style cannot represent is appended itself.
    pub fn push_time(&mut self, label: Label, output: &mut TextBuffer) {
        match self.write_time(label, output) {
            Written::Head(head, length) => output.push(head.get(..length).unwrap_or_default()),
            Written::All => {}
            Written::Nothing => output.push(&label.text()),
        }
    }

    /// Appends the date and time of a label, unless it is a usual one.
    fn write_time(&mut self, label: Label, output: &mut TextBuffer) -> Written {
        let time = label.unix();
        let is_valid = match self.style {
            TimeStyle::Original => true,
            TimeStyle::Rfc3339 => label.nanoseconds() < 10 * EIGHT_DIGITS,
        };
        let minute = is_valid.then(|| self.minute_of(time)).flatten();
        let Some(minute) = minute else {
            return Written::Nothing;
        };
        let second = two_digits(u8::try_from(time - minute.zero).unwrap_or_default());
        // An invalid label may have ten digits of nanoseconds.
        let (first, last) = (
            label.nanoseconds() / EIGHT_DIGITS,
            label.nanoseconds() % EIGHT_DIGITS,
        );
        let first = u8::try_from(first).unwrap_or_default();
        if let (Some(mut head), 0..10) = (minute.usual, first) {
            let [tens, ones] = second;
            put(&mut head, USUAL, [tens, ones, b'.', b'0' + first]);
            put(&mut head, USUAL + 4, eight_digits(last));
            return Written::Head(head, USUAL + 12);
        }
        output.push(&minute.text);
        output.push(&second);
        match first {
            0..10 => output.push(&[b'.', b'0' + first]),
            _ => output.push(&[b'.', b'0' + first / 10, b'0' + first % 10]),
        }
        output.push(&eight_digits(last));
        output.push(&minute.end);
        Written::All
    }

    /// The minute of a Unix time; None if the calendar cannot represent it.
    ///
    /// For the second time in the same minute, the first and the last second
    /// of that minute are converted too. If both have the right distance from
    /// `zero`, then so have all seconds between: a change of offset or a leap
    /// second would affect the last second, and two changes do not occur within
    /// a minute.
    fn minute_of(&mut self, time: i64) -> Option<&Minute> {
        if self
            .minute
            .as_ref()
            .is_some_and(|minute| minute.known.contains(&time))
        {
            return self.minute.as_ref();
        }
        let civil = self.calendar.civil(time)?;
        let start = Civil { second: 0, ..civil };
        let zero = time.saturating_sub(civil.second.into());
        let mut known = time..=time;
        let (text, end) = match self.minute.take() {
            Some(last) if last.start == start => {
                let whole = zero..=zero.saturating_add(59);
                let at_end = Civil {
                    second: 59,
                    ..civil
                };
                if self.whole_minutes
                    && last.zero == zero
                    && whole.contains(&time)
                    && self.calendar.civil(*whole.start()) == Some(start)
                    && self.calendar.civil(*whole.end()) == Some(at_end)
                {
                    known = whole;
                }
                (last.text, last.end)
            }
            _ => match self.style {
                TimeStyle::Original => (original_minute(start), Vec::new()),
                TimeStyle::Rfc3339 => rfc3339(start)?,
            },
        };
        self.minute = Some(Minute {
            start,
            zero,
            known,
            usual: usual_block(&text, &end),
            text,
            end,
        });
        self.minute.as_ref()
    }
}

/// `YYYY-MM-DD HH:MM:`. As in 0.76, the year is an `int` that wraps, printed
/// as an unsigned number of 64 bits.
fn original_minute(civil: Civil) -> Vec<u8> {
    let [.., a, b, c, d] = civil.year.to_be_bytes();
    let year = i64::from(i32::from_be_bytes([a, b, c, d])).to_ne_bytes();
    let mut text = Vec::new();
    let _ = write!(text, "{}", u64::from_ne_bytes(year));
    write_after_year(&mut text, civil, b' ');
    text
}

/// `YYYY-MM-DDTHH:MM:` and the offset, `+01:00`; None if the year or offset
/// has no such form.
fn rfc3339(civil: Civil) -> Option<(Vec<u8>, Vec<u8>)> {
    let minutes = civil.offset.unsigned_abs() / 60;
    let hours = u8::try_from(minutes / 60)
        .ok()
        .filter(|hours| *hours < 24)?;
    let minutes = u8::try_from(minutes % 60).ok()?;
    let year = u16::try_from(civil.year)
        .ok()
        .filter(|year| *year < 10_000)?;
    let mut text = Vec::new();
    let _ = write!(text, "{year:04}");
    write_after_year(&mut text, civil, b'T');
    let sign = if civil.offset < 0 { b"-" } else { b"+" };
    let offset = [&sign[..], &two_digits(hours), b":", &two_digits(minutes)].concat();
    Some((text, offset))
}

/// Appends `-MM-DD HH:MM:`, with `separator` between date and time.
fn write_after_year(text: &mut Vec<u8>, civil: Civil, separator: u8) {
    for (before, number) in [
        (b'-', civil.month),
        (b'-', civil.day),
        (separator, civil.hour),
        (b':', civil.minute),
    ] {
        text.push(before);
        text.extend_from_slice(&two_digits(number));
    }
    text.push(b':');
}

/// The two decimal digits of a number below 100.
fn two_digits(number: u8) -> [u8; 2] {
    [b'0' + number / 10, b'0' + number % 10]
}

/// The first number of more than eight decimal digits.
const EIGHT_DIGITS: u32 = 100_000_000;

/// The eight decimal digits of a number below [`EIGHT_DIGITS`].
///
/// The number is split into halves, pairs and digits, each step for all parts
/// at once. Multiplications replace the divisions by 100 and by 10, and are
/// exact for numbers in these ranges.
fn eight_digits(number: u32) -> [u8; 8] {
    let number = u64::from(number);
    let halves = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = hundreds | ((halves - 100 * hundreds) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    let digits = tens | ((pairs - 10 * tens) << 8);
    (digits + 0x3030_3030_3030_3030).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use daemontools_core::label::TEXT;

    use super::*;

    /// A zone an hour east of Greenwich from 1000 to 4619, with minutes that
    /// start 20 seconds late and a leap second at 2000.
    fn calendar(time: i64) -> Option<Civil> {
        let counted = time - i64::from(time >= 2000);
        let offset = if (1000..4620).contains(&time) {
            3600
        } else {
            0
        };
        let local = counted + offset - 20;
        let part = |modulus, unit| u8::try_from(local.rem_euclid(modulus) / unit).unwrap();
        (time < 1_000_000).then_some(Civil {
            year: 1970,
            month: 1,
            day: part(86_400 * 30, 86_400) + 1,
            hour: part(86_400, 3600),
            minute: part(3600, 60),
            second: part(60, 1) + u8::from(time == 2000),
            offset,
        })
    }

    fn label(time: i64) -> [u8; TEXT] {
        Label::from_unix(time, 123_456).text()
    }

    fn localized(calendar: fn(i64) -> Option<Civil>, times: &[i64]) -> Vec<String> {
        let mut localizer = Localizer::new(calendar, true, TimeStyle::Original);
        let mut output = TextBuffer::default();
        for &time in times {
            localizer.convert(&label(time), &mut output).unwrap();
            localizer.convert(b"\n", &mut output).unwrap();
        }
        let text = String::from_utf8(output.text().to_vec()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn random_times_match_the_calendar() {
        for begin in [0, 900, 990, 1900, 1990, 4500, 4610] {
            let mut random = fastrand::Rng::with_seed(1);
            let mut times: Vec<i64> = (begin..begin + 200).collect();
            times.extend((0..2000).map(|_| random.i64(begin..begin + 200)));
            let seen = localized(calendar, &times);
            for (time, seen) in times.into_iter().zip(seen) {
                let Civil {
                    day,
                    hour,
                    minute,
                    second,
                    ..
                } = calendar(time).unwrap();
                let text = format!("1970-01-{day:02} {hour:02}:{minute:02}:{second:02}.123456500");
                assert_eq!(seen, text, "{time}");
            }
        }
    }

    #[test]
    fn repeated_times_use_the_cache() {
        let calls = std::cell::Cell::new(0);
        let counted = |time| {
            calls.set(calls.get() + 1);
            calendar(time)
        };
        let mut localizer = Localizer::new(counted, true, TimeStyle::Original);
        let mut ask = |times: std::ops::Range<i64>| {
            calls.set(0);
            for time in times {
                localizer
                    .convert(&label(time), &mut TextBuffer::default())
                    .unwrap();
                localizer
                    .convert(b"\n", &mut TextBuffer::default())
                    .unwrap();
            }
            calls.get()
        };
        assert_eq!(ask(40..41), 1);
        assert_eq!(ask(40..41), 0);
        assert_eq!(
            ask(41..42),
            3,
            "the time, the minute's first and last second"
        );
        assert_eq!(ask(40..80), 0);
        assert_eq!(ask(80..140), 4);
    }

    #[test]
    fn cleared_cache_asks_the_calendar_again() {
        let calls = std::cell::Cell::new(0);
        let counted = |time| {
            calls.set(calls.get() + 1);
            calendar(time)
        };
        let mut localizer = Localizer::new(counted, true, TimeStyle::Original);
        for expected in [1, 2] {
            for _ in 0..2 {
                let line = [&label(40)[..], b"\n"].concat();
                localizer
                    .convert(&line, &mut TextBuffer::default())
                    .unwrap();
            }
            assert_eq!(calls.get(), expected);
            localizer.clear_cache();
        }
    }

    #[test]
    fn pieces_and_whole_input_convert_equally() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..500 {
            let mut input = Vec::new();
            for _ in 0..random.usize(..20) {
                let label = label(random.i64(900..1100));
                let most = if random.bool() { 60 } else { 25 };
                let digits = label.iter().copied().cycle().skip(1);
                match random.u8(..3) {
                    0 => input.extend_from_slice(&label),
                    1 => input.extend(label.iter().copied().take(random.usize(..26))),
                    _ => input.extend([b'@'].into_iter().chain(digits.take(random.usize(..most)))),
                }
                let text = (0..random.usize(..12)).map(|_| *random.choice(b" a0@\0\nx").unwrap());
                input.extend(text.collect::<Vec<_>>());
                input.push(b'\n');
            }
            input.truncate(input.len().saturating_sub(random.usize(..30)));
            let converted = |pieces: &mut dyn FnMut(&[u8]) -> usize| {
                let mut localizer = Localizer::new(calendar, true, TimeStyle::Original);
                let mut output = TextBuffer::default();
                let mut rest = input.as_slice();
                while !rest.is_empty() {
                    let (fragment, later) = rest.split_at(pieces(rest));
                    localizer.convert(fragment, &mut output).unwrap();
                    rest = later;
                }
                output.text().escape_ascii().to_string()
            };
            let whole = converted(&mut <[u8]>::len);
            assert_eq!(converted(&mut |_| 1), whole);
            assert_eq!(converted(&mut |rest| random.usize(..=rest.len())), whole);
        }
    }

    #[test]
    fn label_without_a_date_is_copied() {
        let label = label(1_000_000);
        let copied = String::from_utf8(label.to_vec()).unwrap();
        assert_eq!(localized(calendar, &[1_000_000]), [copied]);
    }

    fn civil(year: i64, offset: i64) -> Civil {
        Civil {
            year,
            month: 2,
            day: 9,
            hour: 12,
            minute: 34,
            second: 0,
            offset,
        }
    }

    #[test]
    fn year_is_printed_as_a_wrapped_int() {
        let minute = |year| String::from_utf8(original_minute(civil(year, 0))).unwrap();
        assert_eq!(minute(2026), "2026-02-09 12:34:");
        assert_eq!(minute(0), "0-02-09 12:34:");
        assert_eq!(minute(-1), "18446744073709551615-02-09 12:34:");
        assert_eq!(minute(2_147_483_648), "18446744071562067968-02-09 12:34:");
        assert_eq!(minute(2_147_485_547), "18446744071562069867-02-09 12:34:");
        assert_eq!(minute(-2_147_481_748), "18446744071562069868-02-09 12:34:");
    }

    #[test]
    fn rfc_3339_excludes_long_years_and_offsets() {
        let written = |year, offset| {
            let (text, end) = rfc3339(civil(year, offset))?;
            Some(String::from_utf8([text, end].concat()).unwrap())
        };
        let text_of = |text: &str| Some(text.to_owned());
        assert_eq!(written(2011, 3600), text_of("2011-02-09T12:34:+01:00"));
        assert_eq!(written(2011, 0), text_of("2011-02-09T12:34:+00:00"));
        assert_eq!(written(2011, -12_600), text_of("2011-02-09T12:34:-03:30"));
        assert_eq!(written(11, -60), text_of("0011-02-09T12:34:-00:01"));
        assert_eq!(written(9999, 86_340), text_of("9999-02-09T12:34:+23:59"));
        for (year, offset) in [(-1, 0), (10_000, 0), (2011, 86_400), (2011, -86_400)] {
            assert_eq!(written(year, offset), None);
        }
    }

    #[test]
    fn eight_digits_match_the_formatter() {
        for half in 0..10_000 {
            assert_eq!(eight_digits(half), *format!("{half:08}").as_bytes());
            let both = half * 10_000 + (9999 - half);
            assert_eq!(eight_digits(both), *format!("{both:08}").as_bytes());
        }
    }

    /// The output for a whole input.
    fn converted(style: TimeStyle, input: &[u8]) -> String {
        let mut localizer = Localizer::new(calendar, true, style);
        let mut output = TextBuffer::default();
        localizer.convert(input, &mut output).unwrap();
        output.text().escape_ascii().to_string()
    }

    #[test]
    fn label_is_at_the_start_of_a_line() {
        let line = |start: &str| format!("{start}400000000000001e075bca54 text\n");
        let date = "1970-01-01 00:00:00.123456084 text\\n";
        let lines = [line("@"), line(""), line("x@"), line(" @"), line("@")].concat();
        let expected = [
            date,
            "400000000000001e075bca54 text\\n",
            "x@400000000000001e075bca54 text\\n",
            " @400000000000001e075bca54 text\\n",
            date,
        ];
        let seen = converted(TimeStyle::Original, lines.as_bytes());
        assert_eq!(seen, expected.concat());
    }

    #[test]
    fn rfc_3339_excludes_ten_digits_of_nanoseconds() {
        for (nanoseconds, original, rfc3339) in [
            ("3b9ac9ff", "00.999999999 x", "00.999999999+00:00 x"),
            ("3b9aca00", "00.1000000000 x", "@400000000000001e3b9aca00 x"),
            ("ffffffff", "00.4294967295 x", "@400000000000001effffffff x"),
        ] {
            let line = format!("@400000000000001e{nanoseconds} x");
            let seen = converted(TimeStyle::Original, line.as_bytes());
            assert_eq!(seen, format!("1970-01-01 00:00:{original}"));
            let seen = converted(TimeStyle::Rfc3339, line.as_bytes());
            let date = if rfc3339.starts_with('@') {
                ""
            } else {
                "1970-01-01T00:00:"
            };
            assert_eq!(seen, format!("{date}{rfc3339}"));
        }
    }

    #[test]
    fn pushed_time_is_the_date_or_the_label() {
        let mut clock = LabelClock::new(calendar, true, TimeStyle::Original);
        let mut output = TextBuffer::default();
        clock.push_time(Label::from_unix(20, 1), &mut output);
        output.push(b" ");
        clock.push_time(Label::from_unix(1_000_000, 0), &mut output);
        let expected = b"1970-01-01 00:00:00.000001500 @40000000000f424a000001f4";
        assert_eq!(
            output.text().escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }
}
