//! Labels at the start of lines, as local time.

use std::collections::TryReserveError;
use std::io::Write;
use std::ops::RangeInclusive;

use daemontools_core::label::Label;
use memchr::memchr;
use unix::localtime::Civil;

/// Turns the label at the start of every line that passes through it into a
/// date and time.
///
/// A line begins with a label if its first byte is `@`; all hexadecimal
/// digits that follow, lowercase, belong to it.
#[derive(Debug)]
pub struct Localizer<C> {
    place: LinePosition,
    clock: Clock<C>,
}

/// How a date and time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeStyle {
    /// `2011-02-09 12:34:56.247337500`, as 0.76 does.
    Original,
    /// `2011-02-09T12:34:56.247337500+01:00`, as RFC 3339 has it. The calendar
    /// is to keep to offsets of whole minutes. There is none for years of
    /// other than four digits, offsets of a day or more, and nanoseconds
    /// that are a second or more.
    Rfc3339,
}

/// Where in a line the next byte stands.
#[derive(Debug)]
enum LinePosition {
    /// At its beginning.
    Start,
    /// In its label, of which these digits came in earlier pieces.
    Label(Vec<u8>),
    /// Behind its label, or in a line without one.
    Text,
}

impl<C: FnMut(i64) -> Option<Civil>> Localizer<C> {
    /// Local time is what `calendar` says of a moment of Unix time. Of the
    /// seconds of one minute it is asked about few if `whole_minutes` is
    /// set: then it must not change its offset from Unix time twice within a
    /// minute so that the second change undoes the first.
    pub fn new(calendar: C, whole_minutes: bool, style: TimeStyle) -> Self {
        Localizer {
            place: LinePosition::Start,
            clock: Clock {
                calendar,
                style,
                whole_minutes,
                minute: None,
            },
        }
    }

    /// Forgets what the calendar said, since the time zone may be another.
    pub fn forget(&mut self) {
        self.clock.minute = None;
    }

    /// Appends `input` to `output` with its labels converted. A line may come
    /// in several pieces; a label is held back until its end is seen.
    ///
    /// A label that the calendar or the style has no answer for stays as it is.
    ///
    /// # Errors
    /// If there is no memory for a label of very many digits.
    pub fn convert(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), TryReserveError> {
        let mut rest = input;
        while let Some((first, after_first)) = rest.split_first() {
            match &mut self.place {
                LinePosition::Start if *first == b'@' => {
                    let (label, length) = Label::read(after_first);
                    let (digits, text) = after_first.split_at(length);
                    if text.is_empty() {
                        self.place = LinePosition::Label(digits.to_owned());
                    } else {
                        self.clock.show(label, digits, output)?;
                        self.place = LinePosition::Text;
                    }
                    rest = text;
                }
                LinePosition::Label(earlier) => {
                    let (digits, text) = rest.split_at(Label::read(rest).1);
                    earlier.try_reserve(digits.len())?;
                    earlier.extend_from_slice(digits);
                    if !text.is_empty() {
                        let (label, _) = Label::read(earlier);
                        self.clock.show(label, earlier, output)?;
                        self.place = LinePosition::Text;
                    }
                    rest = text;
                }
                LinePosition::Start | LinePosition::Text => {
                    let end = memchr(b'\n', rest);
                    let (text, later) = rest.split_at(end.map_or(rest.len(), |at| at + 1));
                    output.extend_from_slice(text);
                    self.place = end.map_or(LinePosition::Text, |_| LinePosition::Start);
                    rest = later;
                }
            }
        }
        Ok(())
    }
}

/// A calendar, and the minute that it was last asked about.
#[derive(Debug)]
struct Clock<C> {
    calendar: C,
    style: TimeStyle,
    whole_minutes: bool,
    minute: Option<Minute>,
}

/// A minute of local time.
#[derive(Debug)]
struct Minute {
    /// Its date and time, second 0.
    start: Civil,
    /// The moment of second 0, if no second before the one asked about was
    /// left out or doubled.
    zero: i64,
    /// The moments that are this minute's, and as many seconds after `zero`
    /// as their second says.
    known: RangeInclusive<i64>,
    /// The text of `start` before its second: `YYYY-MM-DD HH:MM:`.
    text: Vec<u8>,
    /// The text after its nanoseconds.
    end: Vec<u8>,
}

impl<C: FnMut(i64) -> Option<Civil>> Clock<C> {
    /// Appends the date and time of a label, or its digits as they are.
    fn show(
        &mut self,
        label: Label,
        digits: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(), TryReserveError> {
        let moment = label.unix();
        let possible = match self.style {
            TimeStyle::Original => true,
            TimeStyle::Rfc3339 => label.nanoseconds() < 10 * EIGHT,
        };
        let minute = possible.then(|| self.minute_of(moment)).flatten();
        let Some(minute) = minute else {
            output.try_reserve(1 + digits.len())?;
            output.push(b'@');
            output.extend_from_slice(digits);
            return Ok(());
        };
        output.extend_from_slice(&minute.text);
        let second = u8::try_from(moment - minute.zero).unwrap_or_default();
        output.extend_from_slice(&two(second));
        // A label of noise may have ten digits of nanoseconds.
        let (first, last) = (label.nanoseconds() / EIGHT, label.nanoseconds() % EIGHT);
        match u8::try_from(first).unwrap_or_default() {
            first @ 0..10 => output.extend_from_slice(&[b'.', b'0' + first]),
            first => output.extend_from_slice(&[b'.', b'0' + first / 10, b'0' + first % 10]),
        }
        output.extend_from_slice(&eight(last));
        output.extend_from_slice(&minute.end);
        Ok(())
    }

    /// The minute of a moment; None if the calendar has no answer.
    ///
    /// The calendar is asked once about a moment. If the next one is in the
    /// same minute, then it is asked about the first and the last second of
    /// that minute: where both are as far from `zero` as they should be, so
    /// are all between them, since no two changes of offset are within one
    /// minute (a single one, or a leap second, would show in the last).
    fn minute_of(&mut self, moment: i64) -> Option<&Minute> {
        if self
            .minute
            .as_ref()
            .is_some_and(|minute| minute.known.contains(&moment))
        {
            return self.minute.as_ref();
        }
        let civil = (self.calendar)(moment)?;
        let start = Civil { second: 0, ..civil };
        let zero = moment.saturating_sub(civil.second.into());
        let mut known = moment..=moment;
        let (text, end) = match self.minute.take() {
            Some(last) if last.start == start => {
                let whole = zero..=zero.saturating_add(59);
                let at_end = Civil {
                    second: 59,
                    ..civil
                };
                if self.whole_minutes
                    && last.zero == zero
                    && whole.contains(&moment)
                    && (self.calendar)(*whole.start()) == Some(start)
                    && (self.calendar)(*whole.end()) == Some(at_end)
                {
                    known = whole;
                }
                (last.text, last.end)
            }
            _ => match self.style {
                TimeStyle::Original => (to_the_minute(start), Vec::new()),
                TimeStyle::Rfc3339 => rfc3339(start)?,
            },
        };
        self.minute = Some(Minute {
            start,
            zero,
            known,
            text,
            end,
        });
        self.minute.as_ref()
    }
}

/// `YYYY-MM-DD HH:MM:`, the year as 0.76 prints it: an `int`, which wraps,
/// taken as an unsigned number of 64 bits.
fn to_the_minute(civil: Civil) -> Vec<u8> {
    let [.., a, b, c, d] = civil.year.to_be_bytes();
    let year = i64::from(i32::from_be_bytes([a, b, c, d])).to_ne_bytes();
    let mut text = Vec::new();
    let _ = write!(text, "{}", u64::from_ne_bytes(year));
    after_the_year(&mut text, civil, b' ');
    text
}

/// `YYYY-MM-DDTHH:MM:` and the offset, `+01:00`; None where these cannot say
/// it.
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
    after_the_year(&mut text, civil, b'T');
    let sign = if civil.offset < 0 { b"-" } else { b"+" };
    let offset = [&sign[..], &two(hours), b":", &two(minutes)].concat();
    Some((text, offset))
}

/// `-MM-DD HH:MM:`, with `between` date and time.
fn after_the_year(text: &mut Vec<u8>, civil: Civil, between: u8) {
    for (before, number) in [
        (b'-', civil.month),
        (b'-', civil.day),
        (between, civil.hour),
        (b':', civil.minute),
    ] {
        text.push(before);
        text.extend_from_slice(&two(number));
    }
    text.push(b':');
}

/// The two decimal digits of a number below 100.
fn two(number: u8) -> [u8; 2] {
    [b'0' + number / 10, b'0' + number % 10]
}

/// The first number of more than eight decimal digits.
const EIGHT: u32 = 100_000_000;

/// The eight decimal digits of a number below [`EIGHT`].
///
/// The number is cut into halves, these into pairs and these into digits,
/// all that are there at once. Division by 100 and by 10 is done by a
/// multiplication that is exact for what they divide.
fn eight(number: u32) -> [u8; 8] {
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

    /// A zone an hour east of Greenwich from 1000 to 4619, where minutes
    /// begin 20 seconds late; 2000 is a leap second.
    fn calendar(moment: i64) -> Option<Civil> {
        let counted = moment - i64::from(moment >= 2000);
        let offset = if (1000..4620).contains(&moment) {
            3600
        } else {
            0
        };
        let local = counted + offset - 20;
        let part = |modulus, unit| u8::try_from(local.rem_euclid(modulus) / unit).unwrap();
        (moment < 1_000_000).then_some(Civil {
            year: 1970,
            month: 1,
            day: part(86_400 * 30, 86_400) + 1,
            hour: part(86_400, 3600),
            minute: part(3600, 60),
            second: part(60, 1) + u8::from(moment == 2000),
            offset,
        })
    }

    fn label(moment: i64) -> [u8; TEXT] {
        Label::from_unix(moment, 123_456).text()
    }

    fn localized(calendar: fn(i64) -> Option<Civil>, moments: &[i64]) -> Vec<String> {
        let mut localizer = Localizer::new(calendar, true, TimeStyle::Original);
        let mut output = Vec::new();
        for &moment in moments {
            localizer.convert(&label(moment), &mut output).unwrap();
            localizer.convert(b"\n", &mut output).unwrap();
        }
        let text = String::from_utf8(output).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn moments_in_any_order_are_what_the_calendar_says() {
        for begin in [0, 900, 990, 1900, 1990, 4500, 4610] {
            let mut random = fastrand::Rng::with_seed(1);
            let mut moments: Vec<i64> = (begin..begin + 200).collect();
            moments.extend((0..2000).map(|_| random.i64(begin..begin + 200)));
            let seen = localized(calendar, &moments);
            for (moment, seen) in moments.into_iter().zip(seen) {
                let Civil {
                    day,
                    hour,
                    minute,
                    second,
                    ..
                } = calendar(moment).unwrap();
                let text = format!("1970-01-{day:02} {hour:02}:{minute:02}:{second:02}.123456500");
                assert_eq!(seen, text, "{moment}");
            }
        }
    }

    #[test]
    fn the_calendar_is_asked_once_about_what_is_read_again_and_again() {
        let asked = std::cell::Cell::new(0);
        let counted = |moment| {
            asked.set(asked.get() + 1);
            calendar(moment)
        };
        let mut localizer = Localizer::new(counted, true, TimeStyle::Original);
        let mut ask = |moments: std::ops::Range<i64>| {
            asked.set(0);
            for moment in moments {
                localizer.convert(&label(moment), &mut Vec::new()).unwrap();
                localizer.convert(b"\n", &mut Vec::new()).unwrap();
            }
            asked.get()
        };
        assert_eq!(ask(40..41), 1);
        assert_eq!(ask(40..41), 0);
        assert_eq!(
            ask(41..42),
            3,
            "the moment, the minute's first and last second"
        );
        assert_eq!(ask(40..80), 0);
        assert_eq!(ask(80..140), 4);
    }

    #[test]
    fn pieces_are_converted_as_the_whole_is() {
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
                let mut output = Vec::new();
                let mut rest = input.as_slice();
                while !rest.is_empty() {
                    let (fragment, later) = rest.split_at(pieces(rest));
                    localizer.convert(fragment, &mut output).unwrap();
                    rest = later;
                }
                output.escape_ascii().to_string()
            };
            let whole = converted(&mut <[u8]>::len);
            assert_eq!(converted(&mut |_| 1), whole);
            assert_eq!(converted(&mut |rest| random.usize(..=rest.len())), whole);
        }
    }

    #[test]
    fn a_label_without_a_date_is_left_as_it_is() {
        let label = label(1_000_000);
        let left = String::from_utf8(label.to_vec()).unwrap();
        assert_eq!(localized(calendar, &[1_000_000]), [left]);
    }

    #[test]
    fn years_are_printed_as_a_wrapped_int() {
        let begin = |year| {
            let civil = Civil {
                year,
                month: 2,
                day: 3,
                hour: 4,
                minute: 5,
                second: 6,
                offset: 0,
            };
            String::from_utf8(to_the_minute(civil)).unwrap()
        };
        assert_eq!(begin(2026), "2026-02-03 04:05:");
        assert_eq!(begin(0), "0-02-03 04:05:");
        assert_eq!(begin(-1), "18446744073709551615-02-03 04:05:");
        assert_eq!(begin(2_147_483_648), "18446744071562067968-02-03 04:05:");
        assert_eq!(begin(2_147_485_547), "18446744071562069867-02-03 04:05:");
        assert_eq!(begin(-2_147_481_748), "18446744071562069868-02-03 04:05:");
    }

    #[test]
    fn rfc_3339_is_said_where_it_can_be() {
        let civil = |year, offset| Civil {
            year,
            month: 2,
            day: 9,
            hour: 12,
            minute: 34,
            second: 0,
            offset,
        };
        let said = |year, offset| {
            let (text, end) = rfc3339(civil(year, offset))?;
            Some(String::from_utf8([text, end].concat()).unwrap())
        };
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(said(2011, 3600), is("2011-02-09T12:34:+01:00"));
        assert_eq!(said(2011, 0), is("2011-02-09T12:34:+00:00"));
        assert_eq!(said(2011, -12_600), is("2011-02-09T12:34:-03:30"));
        assert_eq!(said(11, -60), is("0011-02-09T12:34:-00:01"));
        assert_eq!(said(9999, 86_340), is("9999-02-09T12:34:+23:59"));
        for (year, offset) in [(-1, 0), (10_000, 0), (2011, 86_400), (2011, -86_400)] {
            assert_eq!(said(year, offset), None);
        }
    }

    #[test]
    fn eight_digits_are_right_in_each_half() {
        for half in 0..10_000 {
            assert_eq!(eight(half), *format!("{half:08}").as_bytes());
            let both = half * 10_000 + (9999 - half);
            assert_eq!(eight(both), *format!("{both:08}").as_bytes());
        }
    }
}
